//! What a sled is made of: for the fleet's people when no server knows it.
//!
//! Everything is read from sysfs and procfs; what is not there is `null`. Nothing in
//! it changes by itself, so two equal texts mean nothing was changed.

mod bmc;
mod disks;
mod machine;
mod nics;

pub use disks::Disk;
pub use machine::{Cpus, Smbios};
pub use nics::{Neighbour, Nic, Seen};

use crate::fetch::world::State;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Inventory {
    /// What the firmware says, as it says it: placeholders are shown, too.
    pub smbios: Smbios,
    /// Network interfaces that are hardware, by name.
    pub nics: Vec<Nic>,
    /// Disks, by name.
    pub disks: Vec<Disk>,
    /// Processors.
    pub cpus: Cpus,
    /// Memory the kernel has, in bytes.
    pub memory: Option<u64>,
    /// MAC address of the BMC's first LAN channel.
    pub bmc_mac: Option<String>,
}

impl Inventory {
    /// Looks. `seen` is what the network knows, by interface.
    pub fn read(seen: &BTreeMap<String, Seen>) -> Self {
        let bmc_mac = bmc::mac().map(|mac| mac.to_string());
        Self { bmc_mac, ..Self::below(Path::new("/"), seen) }
    }

    /// All but the BMC, below another root.
    fn below(root: &Path, seen: &BTreeMap<String, Seen>) -> Self {
        let sys = root.join("sys");
        let proc = |name: &str| std::fs::read_to_string(root.join("proc").join(name)).unwrap_or_default();
        Self {
            smbios: Smbios::read(&sys),
            nics: nics::read(&sys, seen),
            disks: disks::read(&sys),
            cpus: Cpus::parse(&proc("cpuinfo")),
            memory: machine::meminfo(&proc("meminfo"), "MemTotal"),
            bmc_mac: None,
        }
    }

    /// What is posted: `{"inventory":1,"state":"unknown","keys":[…],"hardware":{…}}`.
    pub fn json(&self, state: State, keys: &[String]) -> String {
        #[derive(Serialize)]
        struct Posted<'a> {
            inventory: u32,
            state: &'a str,
            keys: &'a [String],
            hardware: &'a Inventory,
        }
        let posted = Posted { inventory: 1, state: state.word(), keys, hardware: self };
        // Texts and numbers always have a JSON form.
        serde_json::to_string(&posted).unwrap_or_default()
    }

    /// For the console, at most six lines.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.smbios.lines();
        let memory = self.memory.map_or("unknown".into(), |bytes| format!("{} MiB", bytes >> 20));
        lines.push(format!("{}; memory {memory}", self.cpus));
        lines.push(format!("NICs: {}", join(self.nics.iter().map(ToString::to_string))));
        lines.push(format!("disks: {}", join(disks::groups(&self.disks).into_iter())));
        lines.extend(self.bmc_mac.iter().map(|mac| format!("BMC: {mac}")));
        lines
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() { "none".into() } else { parts.join("; ") }
}

/// A value of `/proc/meminfo` in bytes, for the report.
pub fn memory(name: &str) -> Option<u64> {
    machine::meminfo(&std::fs::read_to_string("/proc/meminfo").ok()?, name)
}

#[cfg(test)]
mod tests;
