//! Firmware and systemd-boot 252 as far as they choose an image.
//!
//! Sources: Boot Loader Specification, "Boot counting"; systemd-boot(7); loader.conf(5);
//! `src/boot/efi/boot.c` of systemd 252 for the order of entries.

use super::disk::Memory;
use crate::slots::disk::Disk;
use formats::gpt;
use formats::layout::{self, Role};
use formats::{cmdline, fat, uki};
use metadata::values::Hash32;

/// An image that systemd-boot shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Name of its file.
    pub(super) file: String,
    /// Tries left and done, if it is counted.
    pub(super) tries: Option<(u32, u32)>,
    /// The /usr it boots.
    pub(super) hash: Option<[u8; 32]>,
}

/// What firmware finds on an ESP: the entries in their order, and the one that is started.
#[derive(Clone, Debug, Default)]
pub(super) struct Menu {
    pub(super) entries: Vec<Entry>,
    pub(super) chosen: Option<usize>,
}

/// Reads the ESP of a disk as firmware and systemd-boot do; `None` when there is nothing
/// to start.
pub(super) fn menu(disk: &Memory, boot_loader: &[u8]) -> Option<Menu> {
    let table = gpt::read(disk.size, 512, |at, buffer| disk.read(at, buffer)).ok()?;
    let esp = table.partitions.iter().find(|p| p.name == Role::Esp.label())?;
    let mut at = |offset: u64, buffer: &mut [u8]| disk.read(esp.start + offset, buffer);
    let mut volume = fat::Volume::open(esp.size, &mut at).ok()?;
    let mut file = |path: &str| {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let files = volume.dir(dir).ok()??;
        let file = files.into_iter().find(|file| file.name.eq_ignore_ascii_case(name))?;
        volume.read(&file).ok()
    };
    if file(layout::BOOT_PATHS[0])? != boot_loader {
        return None;
    }
    let conf = file(layout::LOADER_CONF).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let conf = conf.unwrap_or_default();
    let default = conf.lines().find_map(|line| line.strip_prefix("default ")).map(str::trim);
    let files = volume.dir(layout::UKI_DIR).ok()??;
    let mut entries = Vec::new();
    for found in files.iter().filter(|f| !f.is_dir && f.name.to_ascii_lowercase().ends_with(".efi")) {
        let Ok(bytes) = volume.read(found) else { continue };
        // A program that is cut off is no program.
        let Some(line) = uki::cmdline(&bytes) else { continue };
        let hash = cmdline::params(line).filter(|p| p.is("sledos.usrhash")).find_map(|p| p.value);
        let hash = hash.and_then(|hash| hash.parse::<Hash32>().ok()).map(|hash| hash.0);
        entries.push(Entry { file: found.name.clone(), tries: tries(&found.name), hash });
    }
    // Those without tries last, else the newest first.
    entries.sort_by(|a, b| {
        let spent = |entry: &Entry| entry.tries.is_some_and(|(left, _)| left == 0);
        spent(a).cmp(&spent(b)).then_with(|| crate::slots::device::natural(&b.file, &a.file))
    });
    let wanted = default.and_then(|glob| {
        entries.iter().position(|entry| matches(&glob.to_lowercase(), &entry.file.to_lowercase()))
    });
    let chosen = wanted.or(if entries.is_empty() { None } else { Some(0) });
    Some(Menu { entries, chosen })
}

/// The counter in a name.
fn tries(file: &str) -> Option<(u32, u32)> {
    let (_, counter) = file.rsplit_once('.')?.0.rsplit_once('+')?;
    let (left, done) = counter.split_once('-').unwrap_or((counter, "0"));
    Some((left.parse().ok()?, done.parse().ok()?))
}

/// The name after one more try.
pub(super) fn counted(entry: &Entry) -> Option<String> {
    let (left, done) = entry.tries.filter(|(left, _)| *left > 0)?;
    let (stem, _) = entry.file.rsplit_once('.')?.0.rsplit_once('+')?;
    Some(format!("{stem}+{}-{}.efi", left - 1, done + 1))
}

/// A pattern with `*`, `?` and `[…]`.
fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = text.chars();
    let mut pattern = pattern.chars();
    match pattern.next() {
        None => text.is_empty(),
        Some('*') => {
            let pattern = pattern.as_str();
            text.char_indices().any(|(at, _)| matches(pattern, &text[at..])) || matches(pattern, "")
        }
        Some('?') => rest.next().is_some() && matches(pattern.as_str(), rest.as_str()),
        Some('[') => {
            let set: String = pattern.by_ref().take_while(|c| *c != ']').collect();
            let Some(c) = rest.next() else { return false };
            let set: Vec<char> = set.chars().collect();
            let mut hit = false;
            let mut at = 0;
            while at < set.len() {
                if set.get(at + 1) == Some(&'-') && at + 2 < set.len() {
                    hit |= (set[at]..=set[at + 2]).contains(&c);
                    at += 3;
                } else {
                    hit |= set[at] == c;
                    at += 1;
                }
            }
            hit && matches(pattern.as_str(), rest.as_str())
        }
        Some(c) => rest.next() == Some(c) && matches(pattern.as_str(), rest.as_str()),
    }
}

#[test]
fn patterns_are_those_of_fnmatch() {
    for (pattern, text, like) in [
        ("compute_1[+.][1-9e]*", "compute_1+3.efi", true),
        ("compute_1[+.][1-9e]*", "compute_1.efi", true),
        ("compute_1[+.][1-9e]*", "compute_1+0-3.efi", false),
        ("a*c?", "abbcd", true),
        ("a*c?", "abbc", false),
        ("*", "", true),
    ] {
        assert_eq!(matches(pattern, text), like, "{pattern} {text}");
    }
}
