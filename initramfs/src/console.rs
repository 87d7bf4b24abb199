//! Serial ports beside /dev/console that get the lines of PID 1: the one that firmware
//! names (SPCR), since that is the one a BMC shows, and those of `sledos.console=`.

use formats::spcr::{self, Base};
use rustix::fs::OFlags;
use rustix::termios::{ControlModes, OptionalActions};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The firmware's table.
const SPCR: &str = "sys/firmware/acpi/tables/SPCR";
/// The kernel's consoles; the last one is /dev/console.
const ACTIVE: &str = "sys/class/tty/console/active";
/// Serial ports of `sledos.console=` at most.
pub const MAX: usize = 8;

/// A serial port as `sledos.console=ttyS1,115200` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// Name below /dev.
    pub tty: String,
    /// Bits per second; `None`: as it is set.
    pub baud: Option<u32>,
}

impl Console {
    /// Reads `ttyS1` or `ttyS1,115200`, with parity and bits as for `console=`, which are
    /// always 8N1 here.
    pub fn parse(text: &str) -> Option<Self> {
        let (tty, options) = text.split_once(',').map_or((text, None), |(tty, rest)| (tty, Some(rest)));
        let plain = tty.starts_with("tty") && tty.bytes().all(|b| b.is_ascii_alphanumeric());
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        let baud = match options {
            None => None,
            Some(options) => Some(digits(options).parse().ok().filter(|baud| *baud > 0)?),
        };
        plain.then(|| Self { tty: tty.to_owned(), baud })
    }
}

/// The ports that get lines besides /dev/console, each once. `root` is `/`.
pub fn ports(root: &Path, wanted: &[Console]) -> Vec<Console> {
    let active = fs::read_to_string(root.join(ACTIVE)).unwrap_or_default();
    let console = active.split_whitespace().next_back();
    let firmware = fs::read(root.join(SPCR)).ok().and_then(|table| spcr::parse(&table));
    let firmware = firmware.and_then(|port| {
        Some(Console { tty: tty_at(&root.join("sys/class/tty"), port.base)?, baud: port.baud })
    });
    let mut all: BTreeMap<&str, &Console> = BTreeMap::new();
    // What somebody wrote down wins over what firmware says of the same port.
    for port in wanted.iter().chain(&firmware).filter(|port| Some(port.tty.as_str()) != console) {
        all.entry(&port.tty).or_insert(port);
    }
    all.into_values().cloned().collect()
}

/// The name of the serial port at an address.
fn tty_at(ttys: &Path, base: Base) -> Option<String> {
    let (file, address) = match base {
        Base::Io(address) => ("port", address),
        Base::Memory(address) => ("iomem_base", address),
    };
    let mut names: Vec<_> = fs::read_dir(ttys).ok()?.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    let at = |name: &std::ffi::OsString| {
        let text = fs::read_to_string(ttys.join(name).join(file)).ok()?;
        u64::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
    };
    names.into_iter().find(|name| at(name) == Some(address))?.into_string().ok()
}

/// Opens a port for lines. Nothing waits for it: what it does not take is lost.
///
/// # Errors
/// The kernel's.
pub fn open(port: &Console) -> std::io::Result<File> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or(0);
    let path = Path::new("/dev").join(&port.tty);
    let file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
    let mut settings = rustix::termios::tcgetattr(&file)?;
    // No modem: there is no carrier to wait for.
    settings.control_modes |= ControlModes::CLOCAL;
    if let Some(baud) = port.baud {
        settings.control_modes &= !(ControlModes::CSIZE | ControlModes::PARENB | ControlModes::CSTOPB);
        settings.control_modes |= ControlModes::CS8;
        settings.set_speed(baud)?;
    }
    rustix::termios::tcsetattr(&file, OptionalActions::Now, &settings)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console(tty: &str, baud: Option<u32>) -> Console {
        Console { tty: tty.into(), baud }
    }

    #[test]
    fn ports_are_written_as_the_kernel_takes_them() {
        assert_eq!(Console::parse("ttyS1"), Some(console("ttyS1", None)));
        assert_eq!(Console::parse("ttyS1,115200n8"), Some(console("ttyS1", Some(115_200))));
        for bad in ["", "S1", "ttyS1,", "ttyS1,x", "ttyS1,0", "tty/../mem", "sda"] {
            assert_eq!(Console::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_firmwares_port_is_found_by_its_address_and_none_is_there_twice() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: &[u8]| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        write("sys/class/tty/ttyS0/port", b"0x3F8\n");
        write("sys/class/tty/ttyS1/port", b"0x2F8\n");
        write(ACTIVE, b"tty0 ttyS0\n");
        assert_eq!(ports(dir.path(), &[console("ttyS0", None)]), [], "it is /dev/console");
        let mut spcr = vec![0; 80];
        spcr[..5].copy_from_slice(b"SPCR\x50");
        (spcr[40], spcr[44], spcr[45], spcr[58]) = (1, 0xf8, 0x02, 7);
        let sum = spcr.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        spcr[9] = 0_u8.wrapping_sub(sum);
        write(SPCR, &spcr);
        assert_eq!(ports(dir.path(), &[]), [console("ttyS1", Some(115_200))]);
        let wanted = [console("ttyS1", Some(9600)), console("ttyS3", None)];
        assert_eq!(ports(dir.path(), &wanted), wanted, "the command line has the last word");
        write(ACTIVE, b"tty0 ttyS1\n");
        assert_eq!(ports(dir.path(), &[]), []);
    }

    #[test]
    fn a_port_that_nobody_reads_does_not_keep_anybody_waiting() {
        let Ok(controller) = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR) else { return };
        rustix::pty::unlockpt(&controller).unwrap();
        let name = rustix::pty::ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
        let port = Console { tty: name.trim_start_matches("/dev/").to_owned(), baud: Some(115_200) };
        let log = crate::log::Log::new(|| std::time::Duration::ZERO);
        log.attach(open(&port).unwrap());
        (0..10_000).for_each(|_| log.say("a line"));
        assert_eq!(rustix::termios::tcgetattr(&controller).unwrap().output_speed(), 115_200);
    }
}
