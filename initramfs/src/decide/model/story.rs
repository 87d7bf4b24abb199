//! What happens to a sled, one event after the other, told when a promise is broken.

use super::machine::{Firmware, Outcome, Sled};
use crate::disks::Content;
use formats::layout::Role;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The sled is switched on, and runs until it is ready or waits.
    Boot,
    /// It is switched on, and the power goes after so many writes; of what was not flushed
    /// each sector has its own luck.
    Cut {
        /// Writes and flushes.
        after: u64,
        /// Seed of the luck.
        luck: u64,
    },
    /// The document names this release.
    Document(usize),
    /// The servers answer, or do not.
    Server(bool),
    /// Firmware tries the network first, or the disks.
    Network(bool),
    /// A variable of the firmware starts this release, if there is one.
    Pinned(Option<usize>),
    /// This drive is not seen until further notice, or is again.
    Present(usize, bool),
    /// A block of this release's slot changes by itself.
    Rot {
        /// Which release.
        release: usize,
        /// Which block of 4096 bytes.
        block: u64,
    },
}

/// How many boots a sled may take until it is ready: three tries of an image on each of two
/// disks, the restart into it and the boot after, twice over; and half as many again where the
/// network starts every other one.
pub(super) const BOOTS: usize = 24;

impl Sled {
    /// Lets an event happen. Returns how the last boot ended, if there was one.
    pub(super) fn happens(&mut self, event: Event) -> Option<Outcome> {
        self.says(format!("{event:?}"));
        match event {
            Event::Boot => return Some(self.run()),
            Event::Cut { after, luck } => return Some(self.cut(after, luck)),
            Event::Document(release) => self.wanted = release,
            Event::Server(up) => self.server = up,
            Event::Network(first) => {
                self.firmware = if first { Firmware::NetworkFirst } else { Firmware::Disks };
            }
            Event::Pinned(release) => self.pinned = release,
            Event::Present(drive, present) => {
                if let Some(drive) = self.drives.get_mut(drive) {
                    drive.present = present;
                }
            }
            Event::Rot { release, block } => self.rot(release, block),
        }
        None
    }

    /// Boots until it is ready, waits or gives up. Panics when that takes too long.
    pub(super) fn run(&mut self) -> Outcome {
        for _ in 0..BOOTS {
            let outcome = self.boot();
            if !matches!(outcome, Outcome::Restart | Outcome::Reset) {
                return outcome;
            }
        }
        panic!("bounded restarts: {BOOTS} boots are not enough\n{}", self.tell());
    }

    /// Runs for so many writes, then the power goes. Ends earlier when the sled is ready.
    pub(super) fn cut(&mut self, after: u64, luck: u64) -> Outcome {
        self.power.lasts(Some(after));
        let outcome = self.run();
        self.power.lasts(None);
        if outcome == Outcome::PowerCut {
            let mut state = luck;
            let mut next = move || {
                // SplitMix64.
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                z >> 63 == 1
            };
            self.drives.iter().for_each(|drive| drive.memory.lose(&mut next));
        }
        outcome
    }

    fn rot(&mut self, release: usize, block: u64) {
        self.rotten = true;
        let hash = self.releases[release].image.root_hash.0;
        let hash = crate::options::RootHash::from_bytes(hash);
        use crate::slots::machine::Machine;
        for found in crate::disks::find(&self.disks(), &hash) {
            let drive = self.drives.iter().find(|drive| drive.name == found.disk).unwrap();
            drive.memory.rot(found.usr.start + block * 4096);
        }
    }

    /// Releases with a whole slot on a disk that is there.
    pub(super) fn whole(&self) -> Vec<usize> {
        use crate::slots::machine::Machine;
        let all = self.disks();
        let has = |hash: [u8; 32]| {
            let found = crate::disks::find(&all, &crate::options::RootHash::from_bytes(hash));
            found.iter().any(|found| crate::slots::read_whole(self, found, &hash).is_ok())
        };
        (0..self.releases.len()).filter(|n| has(self.releases[*n].image.root_hash.0)).collect()
    }

    /// What is on each disk, for people.
    pub(super) fn tell(&self) -> String {
        use crate::slots::machine::Machine;
        let mut text = self.story.join("\n");
        for disk in self.disks() {
            let slots = match &disk.content {
                Content::Gpt(table) if table.partitions.iter().any(|p| p.name == Role::Root.label()) => {
                    "a sledos disk"
                }
                Content::Gpt(_) => "another table",
                _ => "no table",
            };
            text.push_str(&format!("\n{}: {slots}", disk.name));
        }
        text.push_str(&format!("\nwhole: {:?}", self.whole()));
        text
    }
}
