//! Data disks: which of the sled's disks carry data, and what is done to each.
//!
//! | Step | Module |
//! |---|---|
//! | what may be done to a disk: the wipe table | [`wipe`] |
//! | what is done to each disk | [`plan`] |
//! | partitions | [`execute`] |
//! | filesystems and mounts, in the running system | [`crate::sledctl`] |
//!
//! PID 1 partitions; the running system makes filesystems, with the tools of others,
//! and mounts. Both plan with the same code, so that a disk that appears after the
//! hand-over is treated like any other.

pub mod execute;
pub mod plan;
pub mod wipe;

use crate::boot::random;
use crate::log::Log;
use crate::slots::device;
use crate::uevent::Uevents;
use formats::gpt::Guid;
use metadata::document::SledDocument;
use plan::{Action, Plan};
use std::time::Duration;

/// How long the sled waits for disks that are missing: a big one spins up in 20 s, and a
/// controller starts them one after another.
const LATE: Duration = Duration::from_secs(30);

/// Looks at all disks and plans.
pub fn look(document: &SledDocument) -> Plan {
    let devices = device::look();
    let ids: Vec<_> = devices.iter().map(|_| [id(), id()]).collect();
    plan::plan(&document.head.sled, &document.config.disks, &devices, &ids)
}

/// Looks at the disks, waits for missing ones, says what is planned, partitions those
/// that the document gives up. What does not work is said and is no reason to stay down.
pub fn prepare(log: &Log, document: &SledDocument, uevents: &Uevents, again: &mut dyn FnMut()) {
    if document.config.disks.is_empty() {
        return;
    }
    let _ = log.step("data disks", || {
        let deadline = log.now().saturating_add(LATE);
        let mut plan = look(document);
        while plan.missing > 0 && log.now() < deadline {
            uevents.wait(Duration::from_secs(1));
            again();
            plan = look(document);
        }
        for line in plan.to_string().lines() {
            log.say(line);
            log.note("data disks", line.trim_start());
        }
        let mut done = 0;
        for entry in &plan.entries {
            let Action::Prepare { table, .. } = &entry.action else { continue };
            match execute::partition(&entry.disk, &entry.says, table) {
                Ok(()) => done += 1,
                Err(error) => {
                    let why = Log::chain(&error);
                    log.warn("data disks", format!("{} gets no partition: {why}", entry.says));
                }
            }
        }
        Ok(((), if done > 0 { format!("{done} partitioned") } else { String::new() }))
    });
}

fn id() -> Guid {
    // Without random numbers there is no entropy for anything else either. Disks are known
    // by the names of their partitions, so equal ids confuse none of ours.
    let mut id = random().unwrap_or_default();
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    Guid::from_uuid(id)
}
