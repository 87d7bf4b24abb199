//! Transceivers that a driver does not take, by what the kernel says of them. Without
//! this there is no card, or a link that stays silent.
//!
//! Source: Linux `Documentation/ABI/testing/dev-kmsg`; the messages of ixgbe, i40e, ice
//! and bnx2x in `drivers/net/ethernet/`.

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The kernel's messages, from the first that it still has.
#[derive(Debug)]
pub(super) struct Messages(OwnedFd);

/// Longest record of /dev/kmsg (`CONSOLE_EXT_LOG_MAX`).
const RECORD: usize = 8192;
/// Records taken at once: the others get their turn.
const AT_ONCE: usize = 10_000;

impl Messages {
    /// Nothing without /dev/kmsg: then nobody can say it.
    pub(super) fn open() -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::open("/dev/kmsg", flags, Mode::empty()).ok().map(Self)
    }

    /// What is new, a sentence each.
    pub(super) fn refused(&self) -> Vec<String> {
        let mut buffer = [0_u8; RECORD];
        let mut all = Vec::new();
        for _ in 0..AT_ONCE {
            match rustix::io::read(&self.0, &mut buffer[..]) {
                Ok(length) => {
                    let record = String::from_utf8_lossy(buffer.get(..length).unwrap_or(&buffer));
                    all.extend(refused(&record));
                }
                // Records were lost; the next one is there.
                Err(Errno::PIPE | Errno::INTR) => {}
                Err(_) => break,
            }
        }
        all
    }
}

/// What a record says of a transceiver that is not taken: `<priority>,…;<driver>
/// <PCI address>[ <link>]: <message>`.
pub fn refused(record: &str) -> Option<String> {
    let (head, text) = record.split_once(';')?;
    let text = text.lines().next()?;
    // Facility 0 is the kernel; everybody may write with another one.
    let priority: u32 = head.split(',').next()?.parse().ok()?;
    let (device, message) = text.split_once(": ").filter(|_| priority < 8)?;
    let mut words = device.split_whitespace();
    let (driver, address, link) = (words.next()?, words.next()?, words.next());
    let message = message.to_ascii_lowercase();
    let says = |all: &[&str]| all.iter().all(|part| message.contains(part));
    let unsupported = says(&["unsupported", "module type"]) || says(&["unsupported", "sfp"]);
    if !unsupported && !says(&["unqualified", "sfp"]) && !says(&["unqualified", "module"]) {
        return None;
    }
    let who = link.map_or_else(|| address.to_owned(), |link| format!("{link} ({address})"));
    let what_to_do = match driver {
        "ixgbe" => "the kernel parameter ixgbe.allow_unsupported_sfp=1 takes it",
        _ => "only a module that the card's maker supports helps; the driver has no parameter for it",
    };
    Some(format!("{who}: unsupported SFP: {driver} does not take the module; {what_to_do}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_that_refuse_a_module_are_named() {
        let says = |text: &str| refused(&format!("3,812,5140900,-;{text}\n SUBSYSTEM=pci\n"));
        let ixgbe = says(
            "ixgbe 0000:03:00.0: failed to load because an unsupported SFP+ or QSFP module type was detected.",
        );
        assert_eq!(
            ixgbe.unwrap(),
            "0000:03:00.0: unsupported SFP: ixgbe does not take the module; the kernel parameter \
             ixgbe.allow_unsupported_sfp=1 takes it"
        );
        let i40e = says(
            "i40e 0000:3b:00.0 eth2: Rx/Tx is disabled on this device because an unsupported SFP module type was detected.",
        );
        assert!(i40e.unwrap().starts_with("eth2 (0000:3b:00.0): unsupported SFP: i40e does"));
        for other in [
            "ixgbe 0000:03:00.0: registered PHC device on eth0",
            "WARNING: unsupported SFP",
            "ixgbe 0000:03:00.0 eth0: detected SFP+: 5",
            "",
        ] {
            assert_eq!(says(other), None, "{other}");
        }
    }

    #[test]
    fn only_the_kernel_is_believed() {
        let text =
            "ixgbe 0000:03:00.0: failed to initialize because an unsupported SFP+ module type was detected.";
        assert!(refused(&format!("3,1,2,-;{text}")).is_some());
        assert_eq!(refused(&format!("11,1,2,-;{text}")), None);
    }

    proptest::proptest! {
        #[test]
        fn any_record_is_read(record: String) {
            let _ = refused(&record);
            let _ = refused(&format!("3,1,2,-;{record}"));
        }
    }
}
