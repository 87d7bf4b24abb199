//! `--isolation`, `--launcher` and `--image_providers`, and how they go together:
//! `MesosContainerizer::create`.

use std::collections::BTreeSet;

use super::{Result, invalid};

/// Isolators that are built in, but for those a builder has to enable.
const BUILT_IN: [&str; 34] = [
    "appc/runtime",
    "cgroups/all",
    "cgroups/blkio",
    "cgroups/cpu",
    "cgroups/cpuset",
    "cgroups/devices",
    "cgroups/hugetlb",
    "cgroups/mem",
    "cgroups/net_cls",
    "cgroups/net_prio",
    "cgroups/perf_event",
    "cgroups/pids",
    "disk/du",
    "docker/runtime",
    "docker/volume",
    "environment_secret",
    "filesystem/linux",
    "filesystem/posix",
    "filesystem/shared",
    "gpu/nvidia",
    "linux/capabilities",
    "linux/devices",
    "linux/nnp",
    "namespaces/ipc",
    "namespaces/pid",
    "network/cni",
    "posix/cpu",
    "posix/mem",
    "posix/rlimits",
    "volume/csi",
    "volume/host_path",
    "volume/image",
    "volume/sandbox_path",
    "volume/secret",
];

/// Old names.
const DEPRECATED: [&str; 3] = ["cgroups", "posix/disk", "process"];

/// The controllers of cgroup v1 that the launcher and the isolators ask for; none
/// means that no cgroups are needed.
///
/// # Errors
/// Isolators that do not exist, are named twice or exclude each other, an unknown
/// launcher, images without what they need.
pub fn controllers(isolation: &str, launcher: &str, images: bool) -> Result<BTreeSet<&'static str>> {
    let names: Vec<&str> = isolation.split(',').filter(|n| !n.is_empty()).collect();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    if unique.len() != names.len() {
        return invalid(format!("Duplicate entries found in --isolation flag '{isolation}'"));
    }
    for kind in ["filesystem/", "network/"] {
        if names.iter().filter(|n| n.starts_with(kind) && **n != "network/ports").count() > 1 {
            let kind = kind.trim_end_matches('/');
            return invalid(format!("Using multiple {kind} isolators simultaneously is disallowed"));
        }
    }
    if images && !unique.contains("filesystem/linux") {
        return invalid("The 'filesystem/linux' isolator must be enabled for container image support");
    }
    if images && launcher != "linux" {
        return invalid("The 'linux' launcher must be used for container image support");
    }
    if let Some(strange) = names.iter().find(|n| !BUILT_IN.contains(n) && !DEPRECATED.contains(n)) {
        return invalid(format!("Unknown or unsupported isolator '{strange}'"));
    }
    let mut needed = BTreeSet::new();
    match launcher {
        "linux" => needed.insert("freezer"),
        "posix" => false,
        other => return invalid(format!("Unknown or unsupported launcher: {other}")),
    };
    for name in names {
        needed.extend(match name {
            "cgroups" => ["cpu", "cpuacct", "memory"].as_slice(),
            "cgroups/cpu" => &["cpu", "cpuacct"],
            "cgroups/mem" => &["memory"],
            "cgroups/blkio" => &["blkio"],
            "cgroups/cpuset" => &["cpuset"],
            "cgroups/devices" => &["devices"],
            "cgroups/hugetlb" => &["hugetlb"],
            "cgroups/net_cls" => &["net_cls"],
            "cgroups/net_prio" => &["net_prio"],
            "cgroups/perf_event" => &["perf_event"],
            "cgroups/pids" => &["pids"],
            // Takes what there is.
            "cgroups/all" => &["cpu"],
            _ => &[],
        });
    }
    Ok(needed)
}
