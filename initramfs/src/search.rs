//! Waiting for a disk that carries /usr, and mounting it.

use crate::disks::{self, Content, Disk, Found};
use crate::failure::{Code, Failure};
use crate::log::Log;
use crate::modules::Coldplug;
use crate::options::RootHash;
use crate::uevent::Uevents;
use crate::{root, usr};
use formats::gpt::Source;
use std::time::Duration;

/// How long to wait for an event before looking again all the same: a disk whose
/// medium spins up slowly may announce nothing more.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What is looked for, and for how long.
#[derive(Debug)]
pub struct Search<'a> {
    /// Where to say what is seen.
    pub log: &'a Log,
    /// Which /usr.
    pub hash: &'a RootHash,
    /// How long to wait for it.
    pub wait: Duration,
    /// Say every action.
    pub debug: bool,
}

impl Search<'_> {
    /// Mounts the first /usr with this hash that can be used.
    ///
    /// # Errors
    /// [`Code::UsrNotFound`] when none appears in time; else what is wrong with
    /// the last one tried.
    pub fn mount_usr(&self, uevents: &Uevents, coldplug: &mut Coldplug<'_, '_>) -> Result<Found, Failure> {
        let all = self.wait_for(uevents, coldplug)?;
        if let [first, others @ ..] = all.as_slice()
            && !others.is_empty()
        {
            let others: Vec<_> = others.iter().map(ToString::to_string).collect();
            self.log.warn(
                "disks",
                format!("/usr is there {} times; takes {first}, not {}", all.len(), others.join(", ")),
            );
        }
        let mut result = Err(Failure::new(Code::UsrNotFound, self.hash));
        for found in all {
            if let Err(failure) = &result
                && failure.code != Code::UsrNotFound
            {
                self.log.warn("usr", failure);
            }
            result = self.mount(&found).map(|()| found);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn mount(&self, found: &Found) -> Result<(), Failure> {
        let device = self.log.step("verity", || {
            let node = |partition| {
                disks::device_of(&found.disk, partition)
                    .map_err(|e| Failure::new(Code::VerityDevice, format!("no device for {found}: {e}")))
            };
            let device = usr::open(&node(&found.usr)?, &node(&found.verity)?, found.usr.size, self.hash)?;
            Ok((device, String::new()))
        })?;
        root::plan_usr(&device, &found.to_string()).run(self.log, self.debug).map_err(|failure| {
            let corrupt = usr::is_corrupt();
            usr::close();
            let code = if corrupt { Code::UsrCorrupt } else { failure.code };
            Failure::new(code, format!("{found}: {}", failure.detail))
        })
    }

    fn wait_for(&self, uevents: &Uevents, coldplug: &mut Coldplug<'_, '_>) -> Result<Vec<Found>, Failure> {
        let deadline = self.log.now().saturating_add(self.wait);
        self.log.step("disks", || {
            let mut said = Vec::new();
            loop {
                let disks = disks::look();
                self.say_new(&disks, &mut said);
                let found = disks::find(&disks, self.hash);
                if let [first, ..] = found.as_slice() {
                    let says = format!("{first} has the hash");
                    return Ok((found, says));
                }
                let left = deadline.saturating_sub(self.log.now());
                if left.is_zero() {
                    let seen = if disks.is_empty() { "no disk at all".into() } else { names(&disks) };
                    let detail = format!("{} (seen after {} s: {seen})", self.hash, self.wait.as_secs());
                    return Err(Failure::new(Code::UsrNotFound, detail));
                }
                uevents.wait(left.min(LOOK_AGAIN));
                coldplug.again();
            }
        })
    }

    /// A line for each disk not yet said, and for each one that changed.
    fn say_new(&self, disks: &[Disk], said: &mut Vec<Disk>) {
        for disk in disks.iter().filter(|disk| !said.contains(disk)) {
            self.log.say(&format!("disk: {disk}"));
            if matches!(&disk.content, Content::Gpt(table) if table.source == Source::Backup) {
                let name = &disk.name;
                self.log.warn(
                    "disks",
                    format!("the first partition table of {name} is damaged; uses the backup"),
                );
            }
        }
        *said = disks.to_vec();
    }
}

fn names(disks: &[Disk]) -> String {
    let names: Vec<_> = disks.iter().map(|d| d.name.as_str()).collect();
    names.join(", ")
}
