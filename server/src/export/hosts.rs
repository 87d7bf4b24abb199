//! `/etc/hosts`: every static address of every sled. The first has the host name, the
//! others the name of their network behind it.

use super::Exported;
use std::fmt::Write as _;

pub(super) fn hosts(exported: &Exported) -> String {
    let mut out = format!("# Fleet {}\n", exported.fleet);
    for sled in &exported.sleds {
        for (n, (network, cidr)) in sled.addresses.iter().enumerate() {
            let host = &sled.hostname;
            let name =
                if n == 0 && *host != sled.name { format!("{host} {}", sled.name) } else { host.clone() };
            let name = if n == 0 { name } else { format!("{host}-{network}") };
            // Writing to a string does not fail.
            let _ = writeln!(out, "{} {name}", cidr.address);
        }
    }
    out
}
