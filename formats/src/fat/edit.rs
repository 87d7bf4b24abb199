//! Changes a FAT filesystem in place, so that a power cut at any write leaves each file as it
//! was or as it is to be.
//!
//! A file's new content goes into clusters that nothing leads to; when they and the table are
//! on the disk, one sector of the directory makes them the file. What no entry leads to any
//! more is freed after that. So the worst that a cut leaves are clusters that are lost, two
//! entries of one file when it is renamed, and parts of a long name that belong to nothing;
//! firmware passes over all of them, and [`Editor::open`] cleans up. Only 512 bytes
//! have to be written as a whole.

use super::NameReason;
use super::bpb::{Bpb, Root};
use super::dir::{self, ENTRY_SIZE, Stamp, Target};
use super::entries::{self, Dir, Slot};
use super::name::{self, Name};
use super::read::{Layout, ReadError};
use super::table::Link;
use std::collections::BTreeSet;
use std::io;

/// Deepest directory that is looked into: nothing that boots lies deeper, and a loop ends.
const MAX_DEPTH: usize = 16;
/// Bytes that a disk writes as a whole, whatever sectors it or the filesystem has.
const UNIT: usize = 512;
/// Entries in it.
const PER_UNIT: usize = UNIT / ENTRY_SIZE;
/// Entries that are looked at.
const MAX_FILES: usize = 65_536;

/// The disk below a filesystem. What was written lasts after a flush.
pub trait Medium {
    /// Fills a buffer from an offset.
    ///
    /// # Errors
    /// As the disk has them.
    fn read(&self, at: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes at an offset.
    ///
    /// # Errors
    /// As the disk has them.
    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// As the disk has them.
    fn flush(&self) -> io::Result<()>;
}

/// Why a filesystem is not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk does not take it.
    #[error("FAT: it does not write")]
    Write(#[from] io::Error),
    /// There is no room. Nothing was changed.
    #[error("FAT: there is no room: {needs} bytes are needed and {has} are free")]
    Full {
        /// Bytes.
        needs: u64,
        /// Bytes.
        has: u64,
    },
    /// A directory that cannot grow is full.
    #[error("FAT: the directory of {0} has no room for another name")]
    DirectoryFull(
        /// The file.
        String,
    ),
    /// A directory shares a cluster with something else: a write to one would destroy the other.
    #[error("FAT: directories and files share clusters; fsck.fat repairs that")]
    Crossed,
    /// A name that cannot be.
    #[error("FAT: the name {name} is not possible: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        reason: NameReason,
    },
    /// A file where a directory should be, or the other way round.
    #[error("FAT: {0} is there and is something else")]
    Kind(
        /// Its path.
        String,
    ),
}

/// A filesystem that is open for changes.
pub struct Editor<'a> {
    medium: &'a dyn Medium,
    layout: Layout,
    /// The tables as they are on the disk; an empty one does not read.
    on_disk: Vec<Vec<u8>>,
    /// For each cluster what an entry that leads to it is of.
    reached: Vec<Option<Of>>,
    /// Set when a directory has a cluster that something else has, too.
    crossed: bool,
    /// Set when every directory was read: then what is not reached is free.
    whole: bool,
    /// Every file and its length.
    files: Vec<(String, u32)>,
    stamp: Stamp,
}

impl std::fmt::Debug for Editor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Editor").field("bpb", &self.layout.bpb).finish_non_exhaustive()
    }
}

/// What a cluster is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Dir,
    File,
}

/// A name to come into a directory, and what it stands for.
struct New<'n> {
    name: Name<'n>,
    target: Target,
}

impl<'a> Editor<'a> {
    /// Opens a filesystem of at most `size` bytes, and cleans up what a cut has left. `time`
    /// is that of the changes, seconds since 1970.
    ///
    /// # Errors
    /// When it does not read, and when the disk does not take the clean-up.
    pub fn open(size: u64, medium: &'a dyn Medium, time: u32) -> Result<Self, EditError> {
        let mut read = |at: u64, buffer: &mut [u8]| medium.read(at, buffer);
        let layout = Layout::open(size, &mut read)?;
        let copy = |at: &u64| {
            let mut bytes = vec![0; layout.bpb.table_len];
            medium.read(*at, &mut bytes).map_or_else(|_| Vec::new(), |()| bytes)
        };
        let on_disk = layout.bpb.tables.iter().map(copy).collect();
        let stamp = Stamp::new(time);
        let mut editor = Self {
            medium,
            layout,
            on_disk,
            reached: Vec::new(),
            crossed: false,
            whole: false,
            files: Vec::new(),
            stamp,
        };
        editor.tidy()?;
        Ok(editor)
    }

    /// Every file and its length. Not complete when a directory does not read.
    pub fn files(&self) -> &[(String, u32)] {
        &self.files
    }

    /// The names in a directory; none when there is no such directory.
    ///
    /// # Errors
    /// When it does not read.
    pub fn names(&self, path: &str) -> Result<Vec<String>, EditError> {
        let dir = self.layout.find_dir(path, &mut |at, b| self.medium.read(at, b))?;
        let Some(dir) = dir else { return Ok(Vec::new()) };
        Ok(self.dir(dir)?.1.slots.into_iter().map(|slot| slot.name).collect())
    }

    /// The content of a file; `None` when there is none.
    ///
    /// # Errors
    /// When it does not read.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, EditError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut read = |at: u64, buffer: &mut [u8]| self.medium.read(at, buffer);
        let Some(dir) = self.layout.find_dir(parent, &mut read)? else { return Ok(None) };
        let (_, dir) = self.dir(dir)?;
        match dir.find(name).filter(|slot| !slot.is_dir) {
            Some(slot) => Ok(Some(self.layout.content(slot.first, slot.len, &mut read)?)),
            None => Ok(None),
        }
    }

    /// Bytes that new files can have, all their clusters together.
    pub fn free(&self) -> u64 {
        let free = self.layout.bpb.numbers().filter(|cluster| self.is_free(*cluster)).count();
        free as u64 * self.layout.bpb.cluster_size
    }

    /// Bytes that a file of this length takes.
    pub fn takes(&self, len: u64) -> u64 {
        len.next_multiple_of(self.layout.bpb.cluster_size)
    }

    /// Writes a file, or another content of it; the directories above it are made. After a
    /// cut it is the old one, or none, or the new one. The room of the old content is free
    /// after [`Self::tidy`].
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), EditError> {
        let (parent, file) = path.rsplit_once('/').unwrap_or(("", path));
        let name = checked(file)?;
        let full = |needs| EditError::Full { needs, has: u32::MAX.into() };
        let len = u32::try_from(bytes.len()).map_err(|_| full(bytes.len() as u64))?;
        let dir = self.make_dirs(parent)?;
        let (content, entries) = self.dir(dir)?;
        let old = entries.find(file).cloned();
        if old.as_ref().is_some_and(|old| old.is_dir) {
            return Err(EditError::Kind(path.to_owned()));
        }
        let first = self.fill(bytes)?;
        match old {
            Some(old) => {
                let mut new = content.clone();
                if let Some(raw) = new.get_mut(old.at * ENTRY_SIZE..) {
                    dir::point(raw, first, len, self.stamp);
                }
                self.write_dir(dir, &content, &new, old.at)?;
            }
            None => self.add(dir, path, &New { name, target: Target::File(first, len) })?,
        }
        Ok(())
    }

    /// Gives a file another name in its directory. After a cut it has the old name, or the new
    /// one, or both. Where the new name is taken, only the old one goes.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn rename(&mut self, dir: &str, from: &str, to: &str) -> Result<(), EditError> {
        let missing = || EditError::Kind(format!("{dir}/{from}"));
        let read = &mut |at: u64, buffer: &mut [u8]| self.medium.read(at, buffer);
        let parent = self.layout.find_dir(dir, read)?.ok_or_else(missing)?;
        let (content, entries) = self.dir(parent)?;
        let old = entries.find(from).filter(|old| !old.is_dir).cloned().ok_or_else(missing)?;
        if entries.find(to).is_none() {
            let new = New { name: checked(to)?, target: Target::File(old.first, old.len) };
            if self.exchange(parent, &content, &entries, &old, &new)? {
                return Ok(());
            }
            self.add(parent, to, &new)?;
        }
        self.remove(&format!("{dir}/{from}"))
    }

    /// Removes a file that is there.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn remove(&mut self, path: &str) -> Result<(), EditError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let read = &mut |at: u64, buffer: &mut [u8]| self.medium.read(at, buffer);
        let Some(dir) = self.layout.find_dir(parent, read)? else { return Ok(()) };
        let (content, entries) = self.dir(dir)?;
        let Some(old) = entries.find(name) else { return Ok(()) };
        if old.is_dir {
            return Err(EditError::Kind(path.to_owned()));
        }
        let mut gone = content.clone();
        if old.from / PER_UNIT != old.at / PER_UNIT {
            // The short name first: without it, what is left of the long one is nothing.
            entries::delete(&mut gone, old.at..=old.at);
            self.write_dir(dir, &content, &gone, old.at)?;
        }
        let before = gone.clone();
        entries::delete(&mut gone, old.from..=old.at);
        self.write_dir(dir, &before, &gone, old.at)
    }

    /// Whether a cluster may be given out: the table says so, and nothing leads to it, whatever
    /// a damaged table says.
    fn is_free(&self, cluster: u32) -> bool {
        self.is_lost(cluster) && self.layout.table.get(cluster) == Some(Link::Free)
    }

    /// Whether nothing leads to a cluster.
    fn is_lost(&self, cluster: u32) -> bool {
        let reached = usize::try_from(cluster).ok().and_then(|n| self.reached.get(n));
        reached == Some(&None)
    }

    fn dir(&self, dir: u32) -> Result<(Vec<u8>, Dir), EditError> {
        let bytes = self.layout.dir_bytes(dir, &mut |at, buffer| self.medium.read(at, buffer))?;
        let entries = self.layout.parse(&bytes);
        Ok((bytes, entries))
    }

    /// The first cluster of a directory that is there or made, 0 for the root.
    fn make_dirs(&mut self, path: &str) -> Result<u32, EditError> {
        let mut at = 0;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let (_, entries) = self.dir(at)?;
            at = match entries.find(name) {
                // One whose first cluster is none is empty for everybody.
                Some(slot) if slot.is_dir && self.layout.bpb.at(slot.first).is_none() => {
                    let (at, slot) = (at, slot.clone());
                    let cluster = self.empty_dir(at)?;
                    let (content, _) = self.dir(at)?;
                    let mut new = content.clone();
                    if let Some(raw) = new.get_mut(slot.at * ENTRY_SIZE..) {
                        dir::point(raw, cluster, 0, self.stamp);
                    }
                    self.write_dir(at, &content, &new, slot.at)?;
                    cluster
                }
                Some(slot) if slot.is_dir => slot.first,
                Some(_) => return Err(EditError::Kind(path.to_owned())),
                None => {
                    let new = checked(name)?;
                    let cluster = self.empty_dir(at)?;
                    self.add(at, path, &New { name: new, target: Target::Dir(cluster) })?;
                    cluster
                }
            };
        }
        Ok(at)
    }

    /// A cluster with an empty directory for below another one.
    fn empty_dir(&mut self, parent: u32) -> Result<u32, EditError> {
        let clusters = self.claim(1)?;
        let cluster = *clusters.first().unwrap_or(&0);
        let size = usize::try_from(self.layout.bpb.cluster_size).unwrap_or_default();
        let mut bytes = dir::entry(b".          ", Target::Dir(cluster), self.stamp).to_vec();
        bytes.extend(dir::entry(b"..         ", Target::Dir(parent), self.stamp));
        bytes.resize(size.max(bytes.len()), 0);
        self.write_chain(&clusters, &bytes)?;
        Ok(cluster)
    }

    /// Puts bytes into clusters of their own that nothing leads to. Returns the first.
    fn fill(&mut self, bytes: &[u8]) -> Result<u32, EditError> {
        let clusters = self.claim(self.takes(bytes.len() as u64) / self.layout.bpb.cluster_size)?;
        self.write_chain(&clusters, bytes)?;
        Ok(clusters.first().copied().unwrap_or(0))
    }

    /// Free clusters, in ascending order.
    fn claim(&self, count: u64) -> Result<Vec<u32>, EditError> {
        let has = self.free();
        let needs = count * self.layout.bpb.cluster_size;
        let count =
            usize::try_from(count).ok().filter(|_| needs <= has).ok_or(EditError::Full { needs, has })?;
        Ok(self.layout.bpb.numbers().filter(|cluster| self.is_free(*cluster)).take(count).collect())
    }

    /// Writes the content of clusters and their chain, and waits for it.
    fn write_chain(&mut self, clusters: &[u32], bytes: &[u8]) -> Result<(), EditError> {
        let size = usize::try_from(self.layout.bpb.cluster_size).unwrap_or(usize::MAX);
        let mut next = clusters.iter().skip(1).map(|next| Link::Next(*next));
        // Runs in one piece each: an ESP has clusters of one sector, and an image many.
        let mut pieces = bytes.chunks(size).zip(clusters).peekable();
        let mut run: Vec<u8> = Vec::new();
        let mut start = None;
        while let Some((piece, cluster)) = pieces.next() {
            start = start.or(self.layout.bpb.at(*cluster));
            run.extend_from_slice(piece);
            run.resize(run.len().next_multiple_of(usize::try_from(self.layout.bpb.sector).unwrap_or(1)), 0);
            let goes_on = pieces.peek().is_some_and(|(_, next)| **next == cluster + 1);
            if !goes_on || run.len() >= 1 << 20 {
                if let Some(at) = start.take() {
                    self.medium.write(at, &run)?;
                }
                run.clear();
            }
        }
        for cluster in clusters {
            self.layout.table.set(*cluster, next.next().unwrap_or(Link::End));
        }
        self.write_tables()?;
        self.medium.flush()?;
        Ok(())
    }

    /// Writes the sectors of the tables that are not as they should be.
    fn write_tables(&mut self) -> Result<bool, EditError> {
        let sector = UNIT;
        let mut wrote = false;
        for (table, on_disk) in self.layout.bpb.tables.iter().zip(&mut self.on_disk) {
            for (n, wanted) in self.layout.table.bytes.chunks(sector).enumerate() {
                let range = n * sector..n * sector + wanted.len();
                if on_disk.get(range.clone()) != Some(wanted) {
                    self.medium.write(table + range.start as u64, wanted)?;
                    wrote = true;
                }
            }
            on_disk.clone_from(&self.layout.table.bytes);
        }
        Ok(wrote)
    }

    /// Puts a name into a directory, which grows when it has to. The last write makes it be.
    fn add(&mut self, dir: u32, path: &str, new: &New<'_>) -> Result<(), EditError> {
        let full = || EditError::DirectoryFull(path.to_owned());
        let (mut content, mut entries) = self.dir(dir)?;
        let raw = self.entry(&entries, new).ok_or_else(full)?;
        let count = raw.len() / ENTRY_SIZE;
        let place = match self.room(&content, &entries, count) {
            Some(place) => place,
            None => {
                self.grow(dir, count).map_err(|error| match error {
                    EditError::DirectoryFull(_) => full(),
                    other => other,
                })?;
                (content, entries) = self.dir(dir)?;
                self.room(&content, &entries, count).ok_or_else(full)?
            }
        };
        // Behind the end mark may be anything, and the mark is going to be gone.
        let mut clean = content.clone();
        if let Some(rest) = clean.get_mut(entries.taken.len() * ENTRY_SIZE..) {
            rest.fill(0);
        }
        self.write_dir(dir, &content, &clean, usize::MAX)?;
        let mut with = clean.clone();
        entries::delete(&mut with, entries.taken.len()..=place);
        if let Some(at) = with.get_mut(place * ENTRY_SIZE..place * ENTRY_SIZE + raw.len()) {
            at.copy_from_slice(&raw);
        }
        self.write_dir(dir, &clean, &with, place + count - 1)
    }

    /// Where a name of so many entries goes: in one sector if it can.
    fn room(&self, content: &[u8], entries: &Dir, count: usize) -> Option<usize> {
        let all = content.len() / ENTRY_SIZE;
        entries.room(count, Some(PER_UNIT), all).or_else(|| entries.room(count, None, all))
    }

    /// The entries of a name; `None` when there is no short name left for it.
    fn entry(&self, entries: &Dir, new: &New<'_>) -> Option<Vec<u8>> {
        let taken: BTreeSet<_> = entries.slots.iter().map(|slot| slot.short).collect();
        let short = name::short_name(&new.name, &taken)?;
        let mut raw = Vec::new();
        if !new.name.is_short(&short) {
            raw.extend(dir::long_name(&new.name.units(), &short));
        }
        raw.extend(dir::entry(&short, new.target, self.stamp));
        Some(raw)
    }

    /// Puts a name in the place of another one by one write; `false` when they do not lie in
    /// one sector.
    fn exchange(
        &mut self,
        dir: u32,
        content: &[u8],
        entries: &Dir,
        old: &Slot,
        new: &New<'_>,
    ) -> Result<bool, EditError> {
        let Some(raw) = self.entry(entries, new) else { return Ok(false) };
        let (count, per) = (raw.len() / ENTRY_SIZE, PER_UNIT);
        if old.from / per != old.at / per || count > old.at + 1 - old.from {
            return Ok(false);
        }
        let mut with = content.to_vec();
        entries::delete(&mut with, old.from..=old.at);
        let start = (old.at + 1 - count) * ENTRY_SIZE;
        if let Some(at) = with.get_mut(start..start + raw.len()) {
            at.copy_from_slice(&raw);
        }
        self.write_dir(dir, content, &with, old.at)?;
        Ok(true)
    }

    /// Makes a directory longer by the clusters for so many entries.
    fn grow(&mut self, dir: u32, count: usize) -> Result<(), EditError> {
        let first = match &self.layout.bpb.root {
            Root::Fixed(_) if dir == 0 => return Err(EditError::DirectoryFull(String::new())),
            Root::Chain(first) if dir == 0 => *first,
            _ => dir,
        };
        let bytes = vec![0; usize::try_from(self.takes((count * ENTRY_SIZE) as u64)).unwrap_or_default()];
        let more = self.fill(&bytes)?;
        // A broken one ends where it broke, from now on.
        let (chain, _) = self.layout.table.as_far_as_it_goes(&self.layout.bpb, first, usize::MAX);
        if let Some(last) = chain.last() {
            self.layout.table.set(*last, Link::Next(more));
        }
        self.write_tables()?;
        self.medium.flush()?;
        Ok(())
    }

    /// Writes the sectors of a directory that change: the one with the entry `last` by itself,
    /// when all others are on the disk.
    fn write_dir(&self, dir: u32, old: &[u8], new: &[u8], last: usize) -> Result<(), EditError> {
        if self.crossed {
            return Err(EditError::Crossed);
        }
        let sector = UNIT;
        let mut writes = Vec::new();
        let mut from = 0;
        for (at, len) in self.layout.pieces(dir)? {
            for n in (0..len).step_by(sector) {
                let range = from + n..(from + n + sector).min(from + len);
                let (Some(old), Some(new)) = (old.get(range.clone()), new.get(range.clone())) else {
                    continue;
                };
                if old != new {
                    let holds = range.contains(&last.saturating_mul(ENTRY_SIZE));
                    writes.push((holds, at + n as u64, new));
                }
            }
            from += len;
        }
        for commit in [false, true] {
            let mut wrote = false;
            for (_, at, bytes) in writes.iter().filter(|(holds, ..)| *holds == commit) {
                self.medium.write(*at, bytes)?;
                wrote = true;
            }
            if wrote {
                self.medium.flush()?;
            }
        }
        Ok(())
    }

    /// To be called at the end: looks at everything that is there, frees what no entry leads to, and makes tables and
    /// count of free clusters say so. With a directory that does not read nothing is freed.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn tidy(&mut self) -> Result<(), EditError> {
        self.walk()?;
        if self.whole {
            for cluster in self.layout.bpb.numbers() {
                if self.is_lost(cluster) && self.layout.table.get(cluster) != Some(Link::Bad) {
                    self.layout.table.set(cluster, Link::Free);
                }
            }
        }
        let mut wrote = self.write_tables()?;
        wrote |= self.count_free()?;
        if wrote {
            self.medium.flush()?;
        }
        Ok(())
    }

    /// The count of free clusters, of which firmware makes use.
    fn count_free(&self) -> Result<bool, EditError> {
        let Some(at) = self.layout.bpb.fs_info else { return Ok(false) };
        let mut raw = vec![0; UNIT];
        let free =
            self.layout.bpb.numbers().filter(|n| self.layout.table.get(*n) == Some(Link::Free)).count();
        let free = u32::try_from(free).unwrap_or(u32::MAX).to_le_bytes();
        // It is of no use when it does not read or is none.
        let is_info = |raw: &[u8]| raw.starts_with(b"RRaA") && raw.get(484..488) == Some(b"rrAa");
        if self.medium.read(at, &mut raw).is_err() || !is_info(&raw) || raw.get(488..492) == Some(&free) {
            return Ok(false);
        }
        if let Some(place) = raw.get_mut(488..492) {
            place.copy_from_slice(&free);
        }
        self.medium.write(at, &raw)?;
        Ok(true)
    }

    fn walk(&mut self) -> Result<(), EditError> {
        let clusters = usize::try_from(self.layout.bpb.clusters).unwrap_or_default();
        (self.reached, self.files) = (vec![None; clusters + 2], Vec::new());
        (self.whole, self.crossed) = (true, false);
        if let Root::Chain(first) = self.layout.bpb.root {
            self.reach(first, Of::Dir);
        }
        let mut untidy = Vec::new();
        let mut open = vec![(String::new(), 0, 0)];
        let mut seen = 0;
        while let Some((path, dir, depth)) = open.pop() {
            let Ok((bytes, entries)) = self.dir(dir) else {
                self.whole = false;
                continue;
            };
            let mut tidy = bytes.clone();
            let parts = entries.taken.iter().enumerate().filter(|(_, taken)| !**taken);
            parts.for_each(|(place, _)| entries::delete(&mut tidy, place..=place));
            if tidy != bytes {
                untidy.push((dir, bytes, tidy));
            }
            for slot in entries.slots {
                seen += 1;
                if seen > MAX_FILES || depth > MAX_DEPTH {
                    self.whole = false;
                    return Ok(());
                }
                let name = format!("{path}{}", slot.name);
                let before = self.is_lost(slot.first);
                if slot.first != 0 || slot.is_dir || slot.len != 0 {
                    self.reach(slot.first, if slot.is_dir { Of::Dir } else { Of::File });
                }
                if !slot.is_dir {
                    self.files.push((name, slot.len));
                } else if before {
                    open.push((name + "/", slot.first, depth + 1));
                } else {
                    // A directory in two places, or in itself.
                    self.whole = false;
                }
            }
        }
        for (dir, bytes, tidy) in untidy.into_iter().filter(|_| self.whole && !self.crossed) {
            self.write_dir(dir, &bytes, &tidy, usize::MAX)?;
        }
        Ok(())
    }

    /// Marks a chain.
    fn reach(&mut self, first: u32, of: Of) {
        let (chain, whole) = self.layout.table.as_far_as_it_goes(&self.layout.bpb, first, usize::MAX);
        self.whole &= whole;
        for cluster in chain {
            let reached = usize::try_from(cluster).ok().and_then(|n| self.reached.get_mut(n));
            if let Some(reached) = reached {
                self.crossed |= reached.is_some_and(|other| Of::Dir == other || Of::Dir == of);
                *reached = Some(of);
            }
        }
    }
}

/// The first sector from its copy, when it is none and the copy is one (FAT32 has it in sector
/// 6, "BPB_BkBootSec"). Returns whether it was written.
///
/// # Errors
/// When the disk does not read or does not take it.
pub fn restore_boot_sector(size: u64, medium: &dyn Medium) -> io::Result<bool> {
    let mut boot = [0; 512];
    medium.read(0, &mut boot)?;
    if Bpb::parse(&boot, size).is_ok() {
        return Ok(false);
    }
    for sector in [512, 1024, 2048, 4096_u64] {
        let mut copy = [0; 512];
        if 6 * sector + 512 <= size
            && medium.read(6 * sector, &mut copy).is_ok()
            && Bpb::parse(&copy, size).is_ok_and(|bpb| bpb.sector == sector && bpb.fs_info.is_some())
        {
            medium.write(0, &copy)?;
            medium.flush()?;
            return Ok(true);
        }
    }
    Ok(false)
}

fn checked(name: &str) -> Result<Name<'_>, EditError> {
    Name::new(name.as_bytes()).map_err(|reason| EditError::Name { name: name.to_owned(), reason })
}
