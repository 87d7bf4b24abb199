//! The commands for a BMC, sent to OpenIPMI's simulator, and read back by ipmitool over
//! the LAN.
#![allow(clippy::unwrap_used)]

use formats::ipmi::{Error, Wanted, apply};
use qemu_tests::bmc::Simulator;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

/// The serial side of the simulator, in the place of a machine.
struct Line {
    stream: TcpStream,
    sequence: u8,
}

impl Line {
    fn new(port: u16) -> Self {
        let end = Instant::now() + Duration::from_secs(60);
        let stream = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > end => panic!("ipmi_sim does not listen: {error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream, sequence: 0 }
    }

    /// One command, the way QEMU's `ipmi-bmc-extern` sends it: sequence, function, command,
    /// data, checksum; 0xa0 ends a message, 0xaa escapes.
    fn ask(&mut self, netfn: u8, command: u8, data: &[u8]) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = [&[self.sequence, netfn << 2, command], data].concat();
        message.push(message.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg());
        let mut wire = Vec::new();
        for byte in message {
            match byte {
                0xa0 | 0xa1 | 0xaa => wire.extend([0xaa, byte | 0x10]),
                _ => wire.push(byte),
            }
        }
        wire.push(0xa0);
        self.stream.write_all(&wire).unwrap();
        let mut answer = Vec::new();
        let (mut byte, mut escaped) = ([0], false);
        loop {
            self.stream.read_exact(&mut byte).expect("ipmi_sim answers");
            match byte[0] {
                0xa0 if answer.first() == Some(&self.sequence) => break,
                // Commands to the machine, like "enable the attention line".
                0xa0 | 0xa1 => answer.clear(),
                0xaa => escaped = true,
                other => {
                    answer.push(if escaped { other & !0x10 } else { other });
                    escaped = false;
                }
            }
        }
        // Sequence, function, command in front; the checksum behind.
        answer[3..answer.len() - 1].to_vec()
    }

    fn apply(&mut self, wanted: &Wanted) -> Result<Vec<&'static str>, Error> {
        apply(wanted, &mut |netfn, command, data| Ok(self.ask(netfn, command, data)))
    }
}

#[test]
fn a_simulated_bmc_gets_its_lan_and_its_user_once() {
    let dir = tempfile::tempdir().unwrap();
    let bmc = Simulator::start(dir.path(), Command::new("ipmi_sim"))
        .expect("it starts; install the Debian package openipmi");
    let mut line = Line::new(bmc.serial);
    let wanted = Wanted {
        address: Some(("10.160.170.161".parse().unwrap(), 22)),
        gateway: Some("10.160.168.1".parse().unwrap()),
        vlan: Some(300),
        user: Some(("ops".into(), "sixteen bytes ok".into())),
    };
    let changed = line.apply(&wanted).unwrap();
    assert_eq!(
        changed,
        ["address source", "address", "mask", "gateway", "VLAN", "user", "password", "rights"]
    );
    let before = bmc.writes();
    assert_eq!(line.apply(&wanted).unwrap(), [""; 0]);
    assert_eq!(bmc.writes(), before, "nothing is written twice");

    let lan = bmc.ipmitool("factory", "test", &["lan", "print", "1"]);
    let field = |key: &str| {
        let line = lan.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key}: {lan}"));
        line.split_once(':').unwrap().1.trim().to_owned()
    };
    assert_eq!(field("IP Address Source"), "Static Address");
    assert_eq!(field("IP Address  "), "10.160.170.161");
    assert_eq!(field("Subnet Mask"), "255.255.252.0");
    assert_eq!(field("Default Gateway IP"), "10.160.168.1");
    // Its table ends before the VLAN with this simulator: parameter 20, bare.
    let vlan = bmc.ipmitool("factory", "test", &["raw", "0x0c", "2", "1", "20", "0", "0"]);
    assert_eq!(vlan.trim(), "11 2c 81");
    let users = bmc.ipmitool("factory", "test", &["user", "list", "1"]);
    let ops = users.lines().find(|line| line.contains("ops")).unwrap_or_else(|| panic!("{users}"));
    assert!(ops.starts_with("3 ") && ops.contains("ADMINISTRATOR"), "{ops}");

    // It logs in. That another password would be set is not shown here: this simulator says
    // of every password that it is the right one.
    assert!(bmc.ipmitool("ops", "sixteen bytes ok", &["mc", "info"]).contains("Manufacturer ID"));
}
