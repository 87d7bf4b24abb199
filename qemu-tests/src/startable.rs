//! What firmware and systemd-boot start from a disk that is not started: a second opinion on
//! what a power cut left, cheaper than a boot.
//!
//! Sources: Boot Loader Specification, "Boot counting"; loader.conf(5).

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use formats::gpt::{self, Partition};
use formats::layout::{self, EntryName, Role, Standing, usr_guids};
use formats::verity::Tree;
use formats::{fat, uki};

/// Fills a buffer from a place of the disk.
pub type ReadAt<'r> = &'r dyn Fn(u64, &mut [u8]) -> io::Result<()>;

/// An image as it was built.
#[derive(Debug)]
pub struct Known {
    /// Its identity.
    pub hash: [u8; 32],
    /// Its unified kernel image.
    pub uki: Vec<u8>,
}

/// Looks at one disk again and again.
#[derive(Debug)]
pub struct Judge<'k> {
    known: &'k [Known],
    /// systemd-boot, as it has to be.
    loader: &'k [u8],
    /// Slots that were read whole, by the start of each: both partitions of it.
    whole: BTreeMap<u64, ([u8; 32], [Range<u64>; 2])>,
}

impl<'k> Judge<'k> {
    /// For disks on which only these images may be.
    pub fn new(known: &'k [Known], loader: &'k [u8]) -> Self {
        Self { known, loader, whole: BTreeMap::new() }
    }

    /// These bytes of the disk have changed.
    pub fn changed(&mut self, changes: &[Range<u64>]) {
        let touches = |part: &Range<u64>| changes.iter().any(|c| c.start < part.end && part.start < c.end);
        self.whole.retain(|_, (_, parts)| !parts.iter().any(touches));
    }

    /// The number of the image that is started from a disk of so many bytes; `None` when there is
    /// nothing to start.
    ///
    /// # Errors
    /// What is started and is not whole.
    pub fn starts(&mut self, size: u64, read: ReadAt<'_>) -> Result<Option<usize>, String> {
        let Ok(table) = gpt::read(size, 512, read) else { return Ok(None) };
        let Some(loader) = esp_file(&table.partitions, layout::BOOT_PATHS[0], read) else { return Ok(None) };
        if loader != self.loader {
            return Err("the boot loader is not whole".to_owned());
        }
        let conf = esp_file(&table.partitions, layout::LOADER_CONF, read).unwrap_or_default();
        let conf = String::from_utf8_lossy(&conf).into_owned();
        let default = conf.lines().find_map(|line| line.strip_prefix("default ")).unwrap_or_default().trim();
        let entries: Vec<_> = self.entries(&table.partitions, read)?;
        let left = |entry: &&(EntryName, usize)| entry.0.standing() != Standing::Exhausted;
        let first = entries.iter().filter(left).find(|(name, _)| name.pattern() == default);
        let started = match first {
            Some(entry) => vec![entry],
            // Whichever systemd-boot sorts first.
            None if entries.iter().any(|entry| left(&entry)) => entries.iter().filter(left).collect(),
            None => entries.iter().collect(),
        };
        for (name, image) in &started {
            self.slot(&table.partitions, *image, read)
                .map_err(|why| format!("{name} is started, and {why}"))?;
        }
        Ok(started.first().map(|(_, image)| *image))
    }

    /// The entries, with the number of the image of each. What is cut off is no program.
    fn entries(&self, partitions: &[Partition], read: ReadAt<'_>) -> Result<Vec<(EntryName, usize)>, String> {
        let mut entries = Vec::new();
        for (name, bytes) in esp_dir(partitions, layout::UKI_DIR, read) {
            let Some(entry) = EntryName::parse(&name) else { continue };
            match self.known.iter().position(|known| known.uki == bytes) {
                Some(image) => entries.push((entry, image)),
                None if uki::cmdline(&bytes).is_some() => return Err(format!("{name} is not whole")),
                None => {}
            }
        }
        Ok(entries)
    }

    fn slot(&mut self, partitions: &[Partition], image: usize, read: ReadAt<'_>) -> Result<(), String> {
        let Known { hash, .. } = &self.known[image];
        let (usr, verity) = usr_guids(hash);
        let with = |guid| partitions.iter().find(|p| p.guid == guid);
        let (Some(usr), Some(verity)) = (with(usr), with(verity)) else {
            return Err("no slot has its /usr".to_owned());
        };
        if self.whole.get(&usr.start).is_some_and(|(whole, _)| whole == hash) {
            return Ok(());
        }
        let mut tree = vec![0; usize::try_from(verity.size).unwrap_or_default()];
        read(verity.start, &mut tree).map_err(|e| e.to_string())?;
        let tree = Tree::verify(tree, hash).map_err(|e| format!("its tree is damaged: {e}"))?;
        let good = tree.good_blocks(&|at, buffer| read(usr.start + at, buffer));
        if good < tree.blocks() {
            return Err(format!("block {good} of its /usr is damaged"));
        }
        let parts = [usr, verity].map(|p| p.start..p.start + p.size);
        self.whole.insert(usr.start, (*hash, parts));
        Ok(())
    }
}

/// A file of the ESP.
pub fn esp_file(partitions: &[Partition], path: &str, read: ReadAt<'_>) -> Option<Vec<u8>> {
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut files = esp_dir(partitions, dir, read);
    let at = files.iter().position(|(file, _)| file.eq_ignore_ascii_case(name))?;
    Some(files.swap_remove(at).1)
}

/// The files of a directory of the ESP that read.
fn esp_dir(partitions: &[Partition], dir: &str, read: ReadAt<'_>) -> Vec<(String, Vec<u8>)> {
    let Some(esp) = partitions.iter().find(|p| p.name == Role::Esp.label()) else { return Vec::new() };
    let mut at = |offset: u64, buffer: &mut [u8]| read(esp.start + offset, buffer);
    let Ok(mut volume) = fat::Volume::open(esp.size, &mut at) else { return Vec::new() };
    let files = volume.dir(dir).ok().flatten().unwrap_or_default();
    files.iter().filter_map(|file| Some((file.name.clone(), volume.read(file).ok()?))).collect()
}
