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
use crate::identity::Recognised;
use crate::log::Log;
use crate::slots::device;
use crate::uevent::Uevents;
use formats::gpt::Guid;
use metadata::document::SledDocument;
use plan::Plan;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long the sled waits for disks that are missing: a big one spins up in 20 s, and a
/// controller starts them one after another.
const LATE: Duration = Duration::from_secs(30);

/// Looks at all disks and plans.
pub fn look(document: &SledDocument) -> Plan {
    let devices = device::look();
    let ids: Vec<_> = devices.iter().map(|_| [id(), id()]).collect();
    let (head, sets) = (&document.head, &document.config.disks);
    plan::plan(&head.sled, Recognised::here(&head.identity), sets, &devices, &ids)
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
            match execute::carry_out(entry) {
                Ok(true) => done += 1,
                Ok(false) => {}
                Err(error) => {
                    let why = Log::chain(&error);
                    log.warn("data disks", format!("{} gets no partition: {why}", entry.device));
                }
            }
        }
        Ok(((), if done > 0 { format!("{done} partitioned") } else { String::new() }))
    });
}

/// An id that says when it was made (RFC 9562, version 7): of two disks with the same number
/// the older one keeps it.
fn id() -> Guid {
    // Without random numbers there is no entropy for anything else either. Disks are known
    // by the names of their partitions, so equal ids confuse none of ours.
    let mut id = random().unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    id[..6].copy_from_slice(&u64::try_from(now).unwrap_or_default().to_be_bytes()[2..]);
    id[6] = id[6] & 0x0f | 0x70;
    id[8] = id[8] & 0x3f | 0x80;
    Guid::from_uuid(id)
}
