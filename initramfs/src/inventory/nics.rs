//! Network interfaces, as sysfs shows them.
//! Source: Linux `Documentation/ABI/testing/sysfs-class-net`.

use crate::identity;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The switch port at the other end, as LLDP names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Neighbour {
    /// Chassis id.
    pub chassis: String,
    /// Port id.
    pub port: String,
    /// The switch's name, if it says it.
    pub name: Option<String>,
}

/// What the network knows of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Names that it has beside the kernel's: what it is for.
    pub alternative_names: Vec<String>,
    /// Who speaks LLDP at the other end, the likeliest switch first.
    pub neighbours: Vec<Neighbour>,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Nic {
    /// The kernel's name.
    pub name: String,
    /// Its other names: what it is for in the sled document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternative_names: Vec<String>,
    /// The address in the hardware.
    pub mac: Option<String>,
    /// The driver.
    pub driver: Option<String>,
    /// The device: a PCI address, or `virtio0`.
    pub device: Option<String>,
    /// Whether there is a link; unknown while the interface is down.
    pub carrier: Option<bool>,
    /// Megabits per second, when there is a link.
    pub speed: Option<u32>,
    /// What is at the other end: of several the likeliest switch port.
    pub neighbour: Option<Neighbour>,
    /// Who else speaks LLDP there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_neighbours: Vec<Neighbour>,
}

pub(super) fn read(sys: &Path, seen: &BTreeMap<String, Seen>) -> Vec<Nic> {
    let nic = |name: String| {
        let dir = sys.join("class/net").join(&name);
        let file = |name: &str| identity::read(&dir.join(name));
        let Seen { alternative_names, neighbours } = seen.get(&name).cloned().unwrap_or_default();
        let mut neighbours = neighbours.into_iter();
        Nic {
            alternative_names,
            mac: identity::mac(sys, &name).map(|mac| mac.to_string()),
            driver: link(&dir.join("device/driver")),
            device: link(&dir.join("device")),
            // EINVAL while the interface is down.
            carrier: file("carrier").map(|text| text == "1"),
            // -1 when there is no link.
            speed: file("speed").and_then(|text| text.parse().ok()).filter(|speed| *speed > 0),
            neighbour: neighbours.next(),
            other_neighbours: neighbours.collect(),
            name,
        }
    };
    identity::nics(sys).into_iter().map(nic).collect()
}

/// The last part of what a link of sysfs points to.
pub(super) fn link(path: &Path) -> Option<String> {
    let target = std::fs::read_link(path).ok()?;
    target.file_name()?.to_str().map(str::to_owned)
}

impl fmt::Display for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        self.alternative_names.iter().try_for_each(|name| write!(f, " ({name})"))?;
        for part in [&self.mac, &self.driver].into_iter().flatten() {
            write!(f, " {part}")?;
        }
        match (self.carrier, self.speed) {
            (Some(false), _) => write!(f, " no link")?,
            (_, Some(speed)) => write!(f, " {speed} Mbit/s")?,
            _ => {}
        }
        self.neighbour.iter().try_for_each(|at| write!(f, " at {at}"))?;
        self.other_neighbours.iter().try_for_each(|other| write!(f, ", also {other}"))
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.name.as_ref().unwrap_or(&self.chassis), self.port)
    }
}
