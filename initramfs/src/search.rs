//! Waiting for a disk that carries /usr, and mounting it.

use crate::disks::{self, Content, Disk, Found};
use crate::failure::{Code, Failure};
use crate::log::Log;
use crate::modules::Coldplug;
use crate::options::RootHash;
use crate::uevent::Uevents;
use crate::{root, usr};
use formats::gpt::Source;
use std::path::Path;
use std::time::Duration;

/// How long to wait for an event before looking again all the same: a disk whose
/// medium spins up slowly may announce nothing more.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How long no device may have appeared before a sled that has another way stops
/// waiting for a disk. SCSI disks come up to two seconds after their controller.
const QUIET: Duration = Duration::from_secs(3);

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
    /// Waits for a disk that has a /usr with this hash.
    ///
    /// # Errors
    /// [`Code::UsrNotFound`] when none appears in time.
    pub fn wait(&self, uevents: &Uevents, coldplug: &mut Coldplug<'_, '_>) -> Result<Vec<Found>, Failure> {
        self.wait_for(uevents, coldplug, None)
    }

    /// As [`Search::wait`], for a sled that has another way when no disk has it: waits only
    /// until no new device has appeared for a while. One that firmware started from a disk
    /// waits as long as any, because that disk is there.
    ///
    /// # Errors
    /// None; no disk is an empty answer.
    pub fn wait_a_little(
        &self,
        uevents: &Uevents,
        coldplug: &mut Coldplug<'_, '_>,
        from_disk: bool,
    ) -> Result<Vec<Found>, Failure> {
        self.wait_for(uevents, coldplug, Some(if from_disk { self.wait } else { QUIET }))
    }

    /// Mounts the first of these that can be used.
    ///
    /// # Errors
    /// What is wrong with the last one tried.
    pub fn mount_first(&self, all: &[Found]) -> Result<Found, Failure> {
        let esp = crate::slots::firmware::look().esp;
        let disks::Preferred { order: all, says } =
            disks::prefer(all.to_vec(), esp.as_deref(), &root::last_used);
        if let Some(says) = says {
            self.log.warn("disks", says);
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

    /// Mounts a /usr that was found.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn mount(&self, found: &Found) -> Result<(), Failure> {
        let node = |partition| {
            disks::device_of(&found.disk, partition)
                .map_err(|e| Failure::new(Code::VerityDevice, format!("no device for {found}: {e}")))
        };
        self.mount_devices(&node(&found.usr)?, &node(&found.verity)?, found.usr.size, &found.to_string())
    }

    /// Mounts a /usr of so many bytes from two devices; `from` is for people.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn mount_devices(&self, usr: &Path, verity: &Path, bytes: u64, from: &str) -> Result<(), Failure> {
        let device =
            self.log.step("verity", || Ok((usr::open(usr, verity, bytes, self.hash)?, String::new())))?;
        root::plan_usr(&device, from).run(self.log, self.debug).map_err(|failure| {
            let corrupt = usr::is_corrupt();
            usr::close();
            let code = if corrupt { Code::UsrCorrupt } else { failure.code };
            Failure::new(code, format!("{from}: {}", failure.detail))
        })
    }

    /// Waits for a disk with the hash. With `quiet`, none is no error once nothing has
    /// happened for that long.
    fn wait_for(
        &self,
        uevents: &Uevents,
        coldplug: &mut Coldplug<'_, '_>,
        quiet: Option<Duration>,
    ) -> Result<Vec<Found>, Failure> {
        let deadline = self.log.now().saturating_add(self.wait);
        self.log.step("disks", || {
            let mut said = Vec::new();
            let mut last_event = self.log.now();
            loop {
                let disks = disks::look();
                self.say_new(&disks, &mut said);
                let found = disks::find(&disks, self.hash);
                if let [first, ..] = found.as_slice() {
                    let says = format!("{first} has the hash");
                    return Ok((found, says));
                }
                let left = deadline.saturating_sub(self.log.now());
                let still = self.log.now().saturating_sub(last_event);
                if quiet.is_some_and(|quiet| still >= quiet || left.is_zero()) {
                    return Ok((found, format!("none of {} has the hash", disks.len())));
                }
                if left.is_zero() {
                    let seen = if disks.is_empty() { "no disk at all".into() } else { names(&disks) };
                    let detail = format!("{} (seen after {} s: {seen})", self.hash, self.wait.as_secs());
                    return Err(Failure::new(Code::UsrNotFound, detail));
                }
                let step = quiet.map_or(LOOK_AGAIN, |quiet| quiet.saturating_sub(still));
                if uevents.wait(left.min(step)) {
                    last_event = self.log.now();
                }
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

/// Takes /usr away again, to write its slot anew.
pub fn unmount_usr() {
    // If it stays, mounting the next one fails and says so.
    let _ = rustix::mount::unmount(format!("{}/usr", root::AT), rustix::mount::UnmountFlags::empty());
    usr::close();
}

fn names(disks: &[Disk]) -> String {
    let names: Vec<_> = disks.iter().map(|d| d.name.as_str()).collect();
    names.join(", ")
}
