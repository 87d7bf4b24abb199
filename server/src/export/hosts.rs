//! `/etc/hosts`: every static address of every sled. The first has the host name, the
//! others the name of their network behind it.

use super::{Exported, Text};
use std::fmt::Write as _;

pub(super) fn hosts(exported: &Exported) -> Text {
    let mut out = Text { text: format!("# Fleet {}\n", exported.fleet), notes: Vec::new() };
    for sled in &exported.sleds {
        let names = [&sled.hostname, &sled.name];
        if let Some(name) = names.into_iter().find(|name| is_own(name)) {
            out.notes.push(format!("sled `{}` is not in it: `{name}` is the machine itself", sled.name));
            continue;
        }
        for (n, (network, cidr)) in sled.addresses.iter().enumerate() {
            let host = &sled.hostname;
            let name =
                if n == 0 && *host != sled.name { format!("{host} {}", sled.name) } else { host.clone() };
            let name = if n == 0 { name } else { format!("{host}-{network}") };
            // Writing to a string does not fail.
            let _ = writeln!(out.text, "{} {name}", cidr.address);
        }
    }
    out
}

/// RFC 6761, section 6.3; the others are Debian's.
fn is_own(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let local = name.split('.').next_back() == Some("localhost") || name.starts_with("localhost.");
    local || matches!(name.as_str(), "ip6-localhost" | "ip6-loopback" | "ip6-allnodes" | "ip6-allrouters")
}
