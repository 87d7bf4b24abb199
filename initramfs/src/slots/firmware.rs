//! What systemd-boot says in the firmware's variables, and what of it stands before the image
//! that loader.conf starts. Pure, but for [`look`] and [`settle`].
//!
//! | variable | what |
//! |---|---|
//! | `LoaderEntrySelected` | the entry that was started |
//! | `LoaderEntries` | the entries there were |
//! | `LoaderDevicePartUUID` | the ESP that systemd-boot came from |
//! | `LoaderEntryDefault`, `LoaderEntryOneShot` | an entry that goes before loader.conf's |
//! | `LoaderConfigTimeout`, `LoaderConfigTimeoutOneShot` | how long the menu waits, instead of loader.conf's 0 |
//!
//! They outlast every disk: a key in systemd-boot's menu sets them, or an OS that had this
//! board before. A sled has nobody at its console, so what the last five do is undone, but for
//! what agrees with us.
//!
//! Source: systemd's "Boot Loader Interface"; the values are in UTF-16 and end with a zero.

use formats::gpt::Guid;
use formats::layout::EntryName;
use rustix::fs::IFlags;
use rustix::mount::MountFlags;
use std::fs;
use std::io;
use std::path::Path;

/// The vendor of systemd-boot's variables.
const VENDOR: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// Where the kernel shows variables.
pub(super) const AT: &str = "/sys/firmware/efi/efivars";
/// Most bytes of a variable that are read.
const MAX: usize = 64 << 10;
/// Bytes before the value: the variable's attributes.
const ATTRIBUTES: usize = 4;

/// What systemd-boot's variables say; `None` and empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// The entry that was started.
    pub selected: Option<String>,
    /// The entries there were.
    pub entries: Vec<String>,
    /// The ESP that systemd-boot came from, in small letters.
    pub esp: Option<String>,
    /// The entry that goes before loader.conf's.
    pub default: Option<String>,
    /// The entry that goes before it once.
    pub one_shot: Option<String>,
    /// How long the menu waits.
    pub timeout: Option<String>,
    /// How long the menu waits once.
    pub timeout_one_shot: Option<String>,
}

/// A variable that is removed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Its name, without the vendor.
    pub remove: &'static str,
    /// What it says.
    pub says: String,
}

impl Action {
    /// Whether it makes another entry start, and not only the menu wait.
    pub fn stands_before(&self) -> bool {
        matches!(self.remove, DEFAULT | ONE_SHOT) || waits_for_ever(&self.says)
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the firmware's variable {} said {:?} and is removed", self.remove, self.says)
    }
}

const DEFAULT: &str = "LoaderEntryDefault";
const ONE_SHOT: &str = "LoaderEntryOneShot";
const TIMEOUT: &str = "LoaderConfigTimeout";
const TIMEOUT_ONE_SHOT: &str = "LoaderConfigTimeoutOneShot";

/// Timeouts with which the menu does not wait.
const AT_ONCE: [&str; 3] = ["0", "menu-hidden", "menu-disabled"];

/// A menu that waits for a key starts nothing.
fn waits_for_ever(timeout: &str) -> bool {
    timeout == "menu-force"
}

impl Variables {
    /// From the bytes of the files of efivarfs, by their names without the vendor.
    pub fn parse(read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Self {
        let text = |name: &str| texts(&read(name)?).into_iter().next();
        Self {
            selected: text("LoaderEntrySelected"),
            entries: read("LoaderEntries").map(|bytes| texts(&bytes)).unwrap_or_default(),
            esp: text("LoaderDevicePartUUID").map(|id| id.to_lowercase()),
            default: text(DEFAULT),
            one_shot: text(ONE_SHOT),
            timeout: text(TIMEOUT),
            timeout_one_shot: text(TIMEOUT_ONE_SHOT),
        }
    }

    /// What has to go so that this entry is started at once.
    pub fn actions(&self, entry: &EntryName) -> Vec<Action> {
        // One that is named without a pattern and with another count of tries does not match
        // any more at the next start, and then loader.conf's does.
        let ours = |id: &str| EntryName::parse(id).is_some_and(|name| name.is(entry));
        let entries = [(DEFAULT, &self.default), (ONE_SHOT, &self.one_shot)];
        let entries = entries.into_iter().filter(|(_, id)| id.as_ref().is_some_and(|id| !ours(id)));
        let timeouts = [(TIMEOUT, &self.timeout), (TIMEOUT_ONE_SHOT, &self.timeout_one_shot)];
        let timeouts = timeouts
            .into_iter()
            .filter(|(_, timeout)| timeout.as_ref().is_some_and(|t| !AT_ONCE.contains(&t.as_str())));
        entries
            .chain(timeouts)
            .filter_map(|(remove, says)| Some(Action { remove, says: says.clone()? }))
            .collect()
    }

    /// What was started instead of an image that is first on these ESPs.
    pub fn instead(&self, mut esps: impl Iterator<Item = Guid>) -> String {
        match (&self.esp, &self.selected) {
            (None, None) => {
                "systemd-boot did not start this sled; the network or another loader did".to_owned()
            }
            (Some(esp), _) if !esps.any(|ours| ours.to_string().eq_ignore_ascii_case(esp)) => {
                format!("firmware started the boot loader of another ESP, {esp}")
            }
            (_, Some(selected)) => format!("systemd-boot started {selected}"),
            (Some(_), None) => "systemd-boot does not say what it started".to_owned(),
        }
    }
}

/// The texts in a file of efivarfs.
fn texts(file: &[u8]) -> Vec<String> {
    let value = file.get(ATTRIBUTES..).unwrap_or_default();
    let units: Vec<_> = value.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    let parts = units.split(|unit| *unit == 0).filter(|part| !part.is_empty());
    parts.map(String::from_utf16_lossy).collect()
}

/// What the variables of this machine say; nothing where there is no UEFI.
pub fn look() -> Variables {
    mount();
    look_below(Path::new(AT))
}

/// Makes the kernel show variables. systemd keeps what it finds mounted.
fn mount() {
    let empty = fs::read_dir(AT).is_ok_and(|mut names| names.next().is_none());
    if empty && std::process::id() == 1 {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        // Without them nothing stands before loader.conf that we could remove.
        let _ = rustix::mount::mount("efivarfs", AT, "efivarfs", flags, None);
    }
}

/// Whether the firmware is UEFI and shows its variables.
pub fn is_there() -> bool {
    mount();
    fs::read_dir(AT).is_ok_and(|mut names| names.next().is_some())
}

fn look_below(at: &Path) -> Variables {
    Variables::parse(&|name| bytes(&at.join(format!("{name}-{VENDOR}"))))
}

/// The bytes of a file of efivarfs: attributes and value.
fn bytes(file: &Path) -> Option<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(file).ok()?.take(MAX as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The value in a file of efivarfs.
pub(super) fn value(file: &Path) -> Option<Vec<u8>> {
    bytes(file)?.get(ATTRIBUTES..).map(<[u8]>::to_vec)
}

/// Removes what stands before an entry, or delays it. Says what it did. Only PID 1 does
/// that: another process is a test, on a machine whose firmware is none of its business.
///
/// # Errors
/// When the firmware does not let a variable go that another entry is started by.
pub fn settle(entry: &EntryName) -> io::Result<Vec<String>> {
    if std::process::id() != 1 {
        return Ok(Vec::new());
    }
    mount();
    settle_below(Path::new(AT), entry, &make_mutable)
}

/// The kernel makes variables immutable, so that nobody bricks a board by `rm -rf`.
pub(super) fn make_mutable(file: &fs::File) -> io::Result<()> {
    let flags = rustix::fs::ioctl_getflags(file)?;
    Ok(rustix::fs::ioctl_setflags(file, flags - IFlags::IMMUTABLE)?)
}

fn settle_below(
    at: &Path,
    entry: &EntryName,
    make_mutable: &dyn Fn(&fs::File) -> io::Result<()>,
) -> io::Result<Vec<String>> {
    let mut says = Vec::new();
    for action in look_below(at).actions(entry) {
        let path = at.join(format!("{}-{VENDOR}", action.remove));
        let removed =
            fs::File::open(&path).and_then(|f| make_mutable(&f)).and_then(|()| fs::remove_file(&path));
        match removed {
            Ok(()) => says.push(action.to_string()),
            Err(error) if action.stands_before() => {
                let what = format!(
                    "{} says {:?} and does not let itself be removed: {error}",
                    action.remove, action.says
                );
                return Err(io::Error::new(error.kind(), what));
            }
            Err(_) => {}
        }
    }
    Ok(says)
}

#[cfg(test)]
mod tests;
