//! Which hardware this is: what SMBIOS says, its NICs, and where it sits.
//!
//! Source of the SMBIOS values: `/sys/class/dmi/id`, Linux
//! `Documentation/ABI/testing/sysfs-class-dmi` (types 1 and 2 of DSP0134).

use metadata::document::{Identity, SwitchPort};
use metadata::junk;
use metadata::layout::Key;
use metadata::values::Mac;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// What a sled knows of itself. Values that identify nobody are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hardware {
    /// Rack and bay, if somebody said so: `sledos.location=`.
    pub location: Option<(String, u32)>,
    /// The switch ports that LLDP announced so far.
    pub switch_ports: Vec<SwitchPort>,
    /// Serial number of the board.
    pub board: Option<String>,
    /// Serial number of the product.
    pub product: Option<String>,
    /// UUID, in lower case.
    pub uuid: Option<String>,
    /// Permanent MAC addresses, in order of the interfaces' names.
    pub macs: Vec<Mac>,
}

impl Hardware {
    /// Reads SMBIOS and the NICs below `sys`, which is `/sys`. What is not there is left out.
    pub fn read(sys: &Path) -> Self {
        let smbios = |name: &str| read(&sys.join("class/dmi/id").join(name));
        let serial = |name: &str| junk::serial(&smbios(name)?).map(str::to_owned);
        Self {
            board: serial("board_serial"),
            product: serial("product_serial"),
            uuid: smbios("product_uuid").and_then(|text| junk::uuid(&text)),
            macs: nics(sys).iter().filter_map(|nic| mac(sys, nic)).collect(),
            ..Self::default()
        }
    }

    /// By what to ask, in this order of words (`metadata::layout::WORDS`).
    pub fn keys(&self, order: &[String]) -> Vec<Key> {
        let mut keys = Vec::new();
        for word in order {
            let new: Vec<Key> = match word.as_str() {
                "location" => {
                    self.location.iter().map(|(rack, bay)| Key::Location(rack.clone(), *bay)).collect()
                }
                "switch-port" => {
                    let port = |p: &SwitchPort| Key::SwitchPort(p.chassis.clone(), p.port.clone());
                    self.switch_ports.iter().map(port).collect()
                }
                "board" => self.board.iter().cloned().map(Key::Board).collect(),
                "product" => self.product.iter().cloned().map(Key::Product).collect(),
                "uuid" => self.uuid.iter().cloned().map(Key::Uuid).collect(),
                "mac" => self.macs.iter().copied().map(Key::Mac).collect(),
                _ => Vec::new(),
            };
            new.into_iter().for_each(|key| {
                if !keys.contains(&key) {
                    keys.push(key)
                }
            });
        }
        keys
    }

    /// Whether both are, by any one value, the same machine, wherever it sits.
    pub fn is(&self, other: &Self) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        // A board decides: NICs and disks move between boards, UUIDs with the NICs.
        if self.board.is_some() && other.board.is_some() {
            return same(&self.board, &other.board);
        }
        same(&self.product, &other.product)
            || same(&self.uuid, &other.uuid)
            || self.macs.iter().any(|mac| other.macs.contains(mac))
    }
}

/// How sure it is that a document is for this hardware. What it may destroy depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// A serial number, UUID or MAC address of this hardware is in it.
    Hardware,
    /// Its place is, and the document does not say which hardware belongs there.
    Place,
    /// Its place is, and the document is for other hardware: a board that was swapped in, or
    /// a cable in the wrong port.
    Stranger,
}

impl Recognised {
    /// How a document that was accepted recognises this hardware.
    pub fn of(identity: &Identity, hardware: &Hardware) -> Self {
        let same = |is: &Option<String>, listed: &Option<String>| match (is, listed) {
            (Some(is), Some(listed)) => Some(is.eq_ignore_ascii_case(listed)),
            _ => None,
        };
        let product = same(&hardware.product, &identity.product_serial);
        let macs = (!identity.macs.is_empty() && !hardware.macs.is_empty())
            .then(|| hardware.macs.iter().any(|mac| identity.macs.contains(mac)));
        // A board decides, as in `Hardware::is`. A UUID speaks only where nothing else does:
        // firmware is flashed with that of another board now and then.
        let says = same(&hardware.board, &identity.board_serial)
            .or(product.max(macs))
            .or_else(|| same(&hardware.uuid, &identity.uuid));
        match says {
            Some(true) => Self::Hardware,
            Some(false) => Self::Stranger,
            None => Self::Place,
        }
    }

    /// How it recognises the machine this runs on.
    pub fn here(identity: &Identity) -> Self {
        Self::of(identity, &Hardware::read(Path::new("/sys")))
    }
}

/// Whether a document names this key.
pub fn lists(identity: &Identity, key: &Key) -> bool {
    let text = |value: &Option<String>, key: &str| value.as_deref() == Some(key);
    match key {
        Key::Location(rack, bay) => {
            identity.location.as_ref().is_some_and(|place| place.rack == *rack && place.bay == *bay)
        }
        Key::SwitchPort(chassis, port) => {
            identity.switch_ports.iter().any(|p| p.chassis == *chassis && p.port == *port)
        }
        Key::Board(serial) => text(&identity.board_serial, serial),
        Key::Product(serial) => text(&identity.product_serial, serial),
        Key::Uuid(uuid) => identity.uuid.as_ref().is_some_and(|u| u.eq_ignore_ascii_case(uuid)),
        Key::Mac(mac) => identity.macs.contains(mac),
    }
}

/// Names of the interfaces that are hardware, sorted.
pub fn nics(sys: &Path) -> Vec<String> {
    let dir = sys.join("class/net");
    let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter(|entry| entry.path().join("device").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// The address that is burnt in. One that was made up at random or taken from a
/// bond identifies nobody (`addr_assign_type` is not 0, NET_ADDR_PERM).
pub fn mac(sys: &Path, nic: &str) -> Option<Mac> {
    let dir = sys.join("class/net").join(nic);
    let permanent = read(&dir.join("addr_assign_type"))? == "0";
    let mac: Mac = read(&dir.join("address"))?.parse().ok()?;
    (permanent && mac.is_unicast()).then_some(mac)
}

/// A file of sysfs without the line end; nothing when it is not there or empty.
pub fn read(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use metadata::layout::WORDS;

    /// Writes files below a directory.
    pub(crate) fn files(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn order() -> Vec<String> {
        WORDS.map(str::to_owned).to_vec()
    }

    #[test]
    fn smbios_and_nics_are_keys_in_the_order_that_was_configured() {
        let sys = tempfile::tempdir().unwrap();
        files(
            sys.path(),
            &[
                ("class/dmi/id/board_serial", " ZM18AS036112 \n"),
                ("class/dmi/id/product_serial", "To be filled by O.E.M.\n"),
                ("class/dmi/id/product_uuid", "4C4C4544-0042-3510-8051-B7C04F333832\n"),
                ("class/net/eth0/device/vendor", "0x8086\n"),
                ("class/net/eth0/address", "52:54:00:12:34:56\n"),
                ("class/net/eth0/addr_assign_type", "0\n"),
                // Made up at random by the driver.
                ("class/net/eth1/device/vendor", "0x8086\n"),
                ("class/net/eth1/address", "52:54:00:12:34:57\n"),
                ("class/net/eth1/addr_assign_type", "1\n"),
                ("class/net/lo/address", "00:00:00:00:00:00\n"),
                ("class/net/lo/addr_assign_type", "0\n"),
            ],
        );
        let mut hardware = Hardware::read(sys.path());
        hardware.location = Some(("r 12".into(), 7));
        hardware.switch_ports.push(SwitchPort { chassis: "c".into(), port: "p".into() });
        let show =
            |order: &[String]| hardware.keys(order).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            show(&order()),
            [
                "location r 12/7",
                "switch c port p",
                "board ZM18AS036112",
                "uuid 4c4c4544-0042-3510-8051-b7c04f333832",
                "mac 52:54:00:12:34:56",
            ]
        );
        assert_eq!(show(&["mac".into(), "board".into()]), ["mac 52:54:00:12:34:56", "board ZM18AS036112"]);
        assert!(Hardware::read(Path::new("/nonexistent")).keys(&order()).is_empty());
    }

    #[test]
    fn the_board_decides_which_machine_it_is() {
        let of = |board: Option<&str>, mac: u8| Hardware {
            board: board.map(str::to_owned),
            macs: vec![Mac([2, 0, 0, 0, 0, mac])],
            ..Hardware::default()
        };
        assert!(of(Some("a"), 1).is(&of(Some("a"), 2)));
        assert!(!of(Some("a"), 1).is(&of(Some("b"), 1)));
        assert!(of(None, 1).is(&of(Some("b"), 1)));
        assert!(!of(None, 1).is(&of(None, 2)));
        assert!(!Hardware::default().is(&Hardware::default()));
    }

    #[test]
    fn a_document_names_a_key_only_when_every_part_of_it_is_the_same() {
        use metadata::document::Location;
        let mac = |last| Mac([2, 0, 0, 0, 0, last]);
        let port = |chassis: &str, port: &str| SwitchPort { chassis: chassis.into(), port: port.into() };
        let identity = Identity {
            location: Some(Location { rack: "r1".into(), bay: 7 }),
            switch_ports: vec![port("c1", "p1"), port("c2", "p2")],
            board_serial: Some("B".into()),
            product_serial: Some("P".into()),
            uuid: Some("4C4C4544-0042-3510-8051-B7C04F333832".into()),
            macs: vec![mac(1), mac(2)],
            ..Identity::default()
        };
        let named = [
            Key::Location("r1".into(), 7),
            Key::SwitchPort("c1".into(), "p1".into()),
            Key::SwitchPort("c2".into(), "p2".into()),
            Key::Board("B".into()),
            Key::Product("P".into()),
            Key::Uuid("4c4c4544-0042-3510-8051-b7c04f333832".into()),
            Key::Mac(mac(2)),
        ];
        let others = [
            Key::Location("r1".into(), 8),
            Key::Location("r2".into(), 7),
            Key::SwitchPort("c1".into(), "p2".into()),
            Key::SwitchPort("c3".into(), "p1".into()),
            Key::Board("P".into()),
            Key::Product("B".into()),
            Key::Uuid("4c4c4544-0042-3510-8051-b7c04f333833".into()),
            Key::Mac(mac(3)),
        ];
        for key in named {
            assert!(lists(&identity, &key), "{key}");
            assert!(!lists(&Identity::default(), &key), "{key}");
        }
        for key in others {
            assert!(!lists(&identity, &key), "{key}");
        }
    }

    #[test]
    fn a_document_recognises_hardware_a_place_or_a_stranger() {
        use Recognised::{Hardware as Known, Place, Stranger};
        let some = |text: &str| Some(text.to_owned());
        let mac = |last: u8| -> Mac { format!("52:54:00:00:00:{last:02x}").parse().unwrap() };
        let port = SwitchPort { chassis: "c".into(), port: "p".into() };
        let uuid = "4c4c4544-0042-3510-8051-b7c04f333832";
        let hardware = Hardware {
            switch_ports: vec![port.clone()],
            board: some("B1"),
            product: some("P1"),
            uuid: some(uuid),
            macs: vec![mac(1), mac(2)],
            ..Hardware::default()
        };
        let place = Identity { switch_ports: vec![port], ..Identity::default() };
        let board = |serial| Identity { board_serial: some(serial), ..place.clone() };
        let product = |serial| Identity { product_serial: some(serial), ..place.clone() };
        let with_mac = |n, identity: Identity| Identity { macs: vec![mac(n)], ..identity };
        let with_uuid = |identity: Identity| Identity { uuid: some(&uuid.to_uppercase()), ..identity };
        for (identity, expected) in [
            (place.clone(), Place),
            (board("B1"), Known),
            (board("B2"), Stranger),
            (product("P1"), Known),
            (product("P2"), Stranger),
            (with_mac(2, place.clone()), Known),
            (with_mac(9, place.clone()), Stranger),
            (with_uuid(place.clone()), Known),
            // A NIC that moved does not make a board another one, nor does one that is new.
            (with_mac(9, board("B1")), Known),
            (with_mac(1, board("B2")), Stranger),
            (with_mac(1, product("P2")), Known),
            // Another board's UUID.
            (with_uuid(board("B2")), Stranger),
            (with_uuid(product("P2")), Stranger),
            (with_uuid(with_mac(9, place.clone())), Stranger),
        ] {
            assert_eq!(Recognised::of(&identity, &hardware), expected, "{identity:?}");
        }
        // Nothing can be compared: the firmware has no serial number.
        assert_eq!(Recognised::of(&board("B1"), &Hardware::default()), Place);
    }
}
