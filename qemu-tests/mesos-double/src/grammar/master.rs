//! `--master`: `host:port` or `zk://host1,host2/path`.

use super::{Result, invalid};

/// Where the master is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Master {
    /// One master, `host:port`.
    At(String),
    /// To be asked of ZooKeeper: its servers, and the path.
    ZooKeeper {
        /// `host:port` of each.
        servers: Vec<String>,
        /// Begins with `/`, and is more than that.
        path: String,
    },
}

/// Parses the flag.
///
/// # Errors
/// No port, or a `zk://` without servers or path.
pub fn parse(text: &str) -> Result<Master> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("zk://") {
        let Some((servers, path)) = rest.split_once('/').filter(|(_, path)| !path.is_empty()) else {
            return invalid(format!(
                "expecting a (chroot) path for ZooKeeper in '{text}' ('/' is not supported)"
            ));
        };
        let servers = servers.rsplit_once('@').map_or(servers, |(_, hosts)| hosts);
        let servers: Vec<String> = servers.split(',').map(str::to_owned).collect();
        if servers.iter().any(String::is_empty) {
            return invalid(format!("a server without a name in '{text}'"));
        }
        return Ok(Master::ZooKeeper { servers, path: format!("/{path}") });
    }
    let address = text.strip_prefix("master@").unwrap_or(text);
    match address.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(Master::At(address.to_owned()))
        }
        _ => invalid(format!(
            "failed to parse the master '{text}': expecting host:port or zk://host1,host2/path"
        )),
    }
}
