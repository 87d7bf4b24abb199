//! Firmware's words, processors, memory.

use crate::identity::read;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

/// What SMBIOS says (`/sys/class/dmi/id`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "named as the files are")]
pub struct Smbios {
    pub sys_vendor: Option<String>,
    pub product_name: Option<String>,
    pub product_serial: Option<String>,
    pub product_uuid: Option<String>,
    pub board_vendor: Option<String>,
    pub board_name: Option<String>,
    pub board_serial: Option<String>,
    pub chassis_serial: Option<String>,
    pub chassis_asset_tag: Option<String>,
    pub bios_version: Option<String>,
}

impl Smbios {
    pub(super) fn read(sys: &Path) -> Self {
        let file = |name: &str| read(&sys.join("class/dmi/id").join(name));
        Self {
            sys_vendor: file("sys_vendor"),
            product_name: file("product_name"),
            product_serial: file("product_serial"),
            product_uuid: file("product_uuid"),
            board_vendor: file("board_vendor"),
            board_name: file("board_name"),
            board_serial: file("board_serial"),
            chassis_serial: file("chassis_serial"),
            chassis_asset_tag: file("chassis_asset_tag"),
            bios_version: file("bios_version"),
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
        vec![
            format!(
                "board {} {}, serial {}",
                show(&self.board_vendor),
                show(&self.board_name),
                show(&self.board_serial)
            ),
            format!(
                "product {} {}, serial {}, uuid {}",
                show(&self.sys_vendor),
                show(&self.product_name),
                show(&self.product_serial),
                show(&self.product_uuid)
            ),
        ]
    }
}

/// Processors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cpus {
    /// What they call themselves.
    pub model: Option<String>,
    /// Sockets with a processor in them.
    pub sockets: usize,
    /// Cores of all sockets.
    pub cores: usize,
    /// Hardware threads of all cores.
    pub threads: usize,
}

impl Cpus {
    /// Of the text of `/proc/cpuinfo`, a block for each thread.
    pub(super) fn parse(cpuinfo: &str) -> Self {
        let mut cpus = Self::default();
        let (mut sockets, mut cores) = (BTreeSet::new(), BTreeSet::new());
        for block in cpuinfo.split("\n\n") {
            let value = |name: &str| {
                let mut lines = block.lines().filter_map(|line| line.split_once(':'));
                lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
            };
            let Some(thread) = value("processor") else { continue };
            cpus.threads += 1;
            let socket = value("physical id").unwrap_or_default();
            sockets.insert(socket);
            cores.insert((socket, value("core id").unwrap_or(thread)));
            cpus.model = cpus.model.or_else(|| value("model name").map(str::to_owned));
        }
        (cpus.sockets, cpus.cores) = (sockets.len(), cores.len());
        cpus
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, sockets, cores, threads } = self;
        let model = model.as_deref().unwrap_or("CPU");
        write!(f, "{model}, sockets {sockets}, cores {cores}, threads {threads}")
    }
}

/// A value of `/proc/meminfo`, which is in KiB, in bytes.
pub(super) fn meminfo(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
