//! Firmware's own list of what it starts: the option that starts the boot loader of an ESP.
//!
//! `Boot####` is one option, `BootOrder` the numbers in the order they are tried, `BootNext`
//! the number that is started once, before that order. Many boards find `EFI/BOOT/BOOTX64.EFI`
//! by themselves; some have to be told. Where firmware starts the network first, `BootNext`
//! is the way to the disk.
//!
//! Source: UEFI 2.10, 3.1.3 (load options), 3.3 (variables), 10.3.5.1 (hard drive),
//! 10.3.5.4 (file path), 10.3.1 (end).

use super::firmware;
use super::machine::Machine;
use crate::disks::{self, Content};
use formats::gpt::{Guid, Partition};
use formats::layout::{self, Role};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

/// The vendor of firmware's own variables.
const VENDOR: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// They last, and both firmware and the system see them.
const ATTRIBUTES: u32 = 7;

/// What an option of ours is called in firmware's menu.
const NAME: &str = "sledos";
/// The option is tried (`LOAD_OPTION_ACTIVE`).
const ACTIVE: u32 = 1;
/// Type and subtype of the parts of a device path.
const HARD_DRIVE: [u8; 2] = [4, 1];
const FILE_PATH: [u8; 2] = [4, 4];
const END: [u8; 2] = [END_TYPE, 0xff];
const END_TYPE: u8 = 0x7f;
/// A partition of a GPT, identified by its GUID.
const GPT: [u8; 2] = [2, 2];
/// Length of a hard drive's part, and where in it the partition's GUID is.
const HARD_DRIVE_LEN: usize = 42;
const SIGNATURE: std::ops::Range<usize> = 24..40;

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Number of the option that starts the ESP.
    pub number: u16,
    /// The option, when it has to be written.
    pub option: Option<Vec<u8>>,
    /// The order, when the option is not in it: it comes last, firmware's own order is the
    /// operator's.
    pub order: Option<Vec<u16>>,
}

/// What has to be written so that firmware knows this ESP. `options` are all there are;
/// `here` says whether a disk of this sled has an ESP: an option of ours for one that is gone
/// makes room. `None` when every number is taken.
pub fn plan(
    options: &BTreeMap<u16, Vec<u8>>,
    order: &[u16],
    esp: &Partition,
    sector: u32,
    here: &dyn Fn(Guid) -> bool,
) -> Option<Change> {
    let known = options.iter().find(|(_, option)| {
        starts(option).is_some_and(|it| it.esp == esp.guid && it.active && it.is_boot_loader())
    });
    let gone = |option: &[u8]| {
        name(option).as_deref() == Some(NAME)
            && starts(option).is_some_and(|it| it.is_boot_loader() && (!it.active || !here(it.esp)))
    };
    let number = known
        .or_else(|| options.iter().find(|(_, option)| gone(option)))
        .map(|(number, _)| *number)
        .or_else(|| (0..=u16::MAX).find(|number| !options.contains_key(number) && !order.contains(number)))?;
    let option = known.is_none().then(|| encode(esp, sector));
    let order = (!order.contains(&number)).then(|| order.iter().copied().chain([number]).collect());
    Some(Change { number, option, order })
}

/// The option that starts the boot loader of an ESP.
fn encode(esp: &Partition, sector: u32) -> Vec<u8> {
    let sector = u64::from(sector.max(1));
    let part = |kind: [u8; 2], body: &[u8]| {
        let len = u16::try_from(4 + body.len()).unwrap_or_default().to_le_bytes();
        [&kind[..], &len[..], body].concat()
    };
    let drive = [
        &esp.number.to_le_bytes()[..],
        &(esp.start / sector).to_le_bytes(),
        &(esp.size / sector).to_le_bytes(),
        &esp.guid.0,
        &GPT,
    ];
    let file = format!("\\{}", layout::BOOT_PATHS[0].replace('/', "\\"));
    let path = [part(HARD_DRIVE, &drive.concat()), part(FILE_PATH, &utf16(&file)), part(END, &[])].concat();
    let len = u16::try_from(path.len()).unwrap_or_default().to_le_bytes();
    [&ACTIVE.to_le_bytes()[..], &len, &utf16(NAME), &path].concat()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// What an option is called.
fn name(option: &[u8]) -> Option<String> {
    option.get(6..).map(text)
}

/// UTF-16 up to its end.
fn text(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    String::from_utf16_lossy(&units.take_while(|unit| *unit != 0).collect::<Vec<_>>())
}

/// What an option starts.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// Unique GUID of the partition.
    esp: Guid,
    /// Whether firmware tries it.
    active: bool,
    /// The file there; without one it is firmware's default, `BOOT_PATHS[0]`.
    file: Option<String>,
}

impl Target {
    /// Whether the file is the boot loader that an image brings, not somebody else's program on
    /// the same ESP. FAT does not tell upper from lower case.
    fn is_boot_loader(&self) -> bool {
        self.file.as_ref().is_none_or(|file| {
            let file = file.trim_start_matches('\\').replace('\\', "/");
            layout::BOOT_PATHS.iter().any(|path| path.eq_ignore_ascii_case(&file))
        })
    }
}

/// Nothing for an option that names no partition of a GPT, or is no option.
fn starts(option: &[u8]) -> Option<Target> {
    let active = u32::from_le_bytes(option.get(..4)?.try_into().ok()?) & ACTIVE != 0;
    let len = usize::from(u16::from_le_bytes(option.get(4..6)?.try_into().ok()?));
    let end = option.get(6..)?.chunks_exact(2).position(|unit| unit == [0, 0])?;
    let mut path = option.get(6 + 2 * (end + 1)..)?.get(..len)?;
    let (mut esp, mut file) = (None, None);
    while let [kind, sub, a, b, ..] = *path {
        let part = path.get(..usize::from(u16::from_le_bytes([a, b])).max(4))?;
        match [kind, sub] {
            HARD_DRIVE if part.len() == HARD_DRIVE_LEN && part.get(40..) == Some(&GPT) => {
                esp = Some(Guid(part.get(SIGNATURE)?.try_into().ok()?));
            }
            // A path may be in several parts.
            FILE_PATH => file.get_or_insert_with(String::new).push_str(&text(part.get(4..)?)),
            // Of the whole path or of one instance: a second one names other disks.
            [END_TYPE, _] => break,
            _ => {}
        }
        path = path.get(part.len()..)?;
    }
    Some(Target { esp: esp?, active, file })
}

/// Makes firmware know the ESP of this disk, after everything that it starts now. Returns what
/// it did, for people; nothing where firmware knows it, or is no UEFI.
///
/// # Errors
/// When firmware does not take it.
pub fn offer(machine: &dyn Machine, disk: &str) -> io::Result<Option<String>> {
    if std::process::id() != 1 || !firmware::is_there() {
        return Ok(None);
    }
    let change = settle_below(Path::new(firmware::AT), machine, disk)?;
    let new = change.option.is_some() || change.order.is_some();
    Ok(new.then(|| format!("firmware has Boot{:04X} for {disk}", change.number)))
}

/// Makes firmware start the ESP of this disk at the next start, and only then.
///
/// # Errors
/// When firmware does not take it, or is no UEFI.
pub fn start_next(machine: &dyn Machine, disk: &str) -> io::Result<()> {
    if std::process::id() != 1 || !firmware::is_there() {
        return Err(io::Error::other("firmware cannot be told to start a disk: it is no UEFI"));
    }
    let at = Path::new(firmware::AT);
    let Change { number, .. } = settle_below(at, machine, disk)?;
    write(at, "BootNext", &number.to_le_bytes())
}

fn settle_below(at: &Path, machine: &dyn Machine, name: &str) -> io::Result<Change> {
    let none = |what: &str| io::Error::other(format!("{name} has no {what}"));
    let esp_of = |disk: &disks::Disk| match &disk.content {
        Content::Gpt(table) => table.partitions.iter().find(|p| p.name == Role::Esp.label()).cloned(),
        _ => None,
    };
    let disk = machine.disk(name).ok_or_else(|| none("medium any more"))?;
    let esp = esp_of(&disk).ok_or_else(|| none("EFI-SYSTEM"))?;
    let all: Vec<_> = machine.disks().iter().filter_map(esp_of).map(|esp| esp.guid).collect();
    // One that does not read is not written over.
    let order = read(at, "BootOrder")?;
    let order: Vec<_> =
        order.chunks_exact(2).map(|number| u16::from_le_bytes([number[0], number[1]])).collect();
    let sector = machine.describe(&disk).sector;
    let change = plan(&options(at)?, &order, &esp, sector, &|guid| all.contains(&guid))
        .ok_or_else(|| io::Error::other("firmware has no number for another boot option"))?;
    if let Some(option) = &change.option {
        write(at, &format!("Boot{:04X}", change.number), option)?;
    }
    if let Some(order) = &change.order {
        let bytes: Vec<_> = order.iter().flat_map(|number| number.to_le_bytes()).collect();
        write(at, "BootOrder", &bytes)?;
    }
    Ok(change)
}

/// All of firmware's boot options.
fn options(at: &Path) -> io::Result<BTreeMap<u16, Vec<u8>>> {
    let mut options = BTreeMap::new();
    for entry in fs::read_dir(at)? {
        let name = entry?.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_prefix("Boot")?.strip_suffix(VENDOR)?.strip_suffix('-'));
        // `BootOrder` and its like have no four digits.
        let number =
            number.filter(|digits| digits.len() == 4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
        if let Some(number) = number {
            options.insert(number, read(at, &format!("Boot{number:04X}"))?);
        }
    }
    Ok(options)
}

/// The value of a variable; nothing when there is none.
fn read(at: &Path, name: &str) -> io::Result<Vec<u8>> {
    let path = at.join(format!("{name}-{VENDOR}"));
    match firmware::value(&path) {
        Some(value) => Ok(value),
        None if !path.try_exists()? => Ok(Vec::new()),
        None => Err(io::Error::other(format!("firmware does not show {name}"))),
    }
}

/// Writes a variable; efivarfs takes it in one piece.
fn write(at: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    let path = at.join(format!("{name}-{VENDOR}"));
    let bytes = [&ATTRIBUTES.to_le_bytes(), value].concat();
    let written = (|| {
        if let Ok(there) = fs::File::open(&path) {
            // Of the kernel's own variables it protects few; what is not a file of efivarfs
            // has no flags.
            let _ = firmware::make_mutable(&there);
        }
        fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path)?.write_all(&bytes)
    })();
    written.map_err(|error| io::Error::new(error.kind(), format!("firmware does not take {name}: {error}")))
}

#[cfg(test)]
mod tests;
