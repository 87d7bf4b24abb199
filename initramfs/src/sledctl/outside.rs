//! What is not this sled's: whether the others it needs are away, and whether that can be
//! the fault of its image.

use super::address;
use super::sled::Sled;
use crate::http::{Client, Error, Limits};
use crate::log::Log;
use std::net::IpAddr;
use std::time::Duration;

/// To connect, a name's look-up included.
const AT_MOST: Duration = Duration::from_secs(5);

/// Somebody who is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// Why not, for people.
    pub why: String,
    /// Whether the sled's own network works: then its image is not to blame.
    pub network: bool,
}

/// A client that asks systemd-resolved for names, in short.
fn client() -> Client {
    let client =
        Client::new(Limits { connect: AT_MOST, stall: AT_MOST, total: Some(AT_MOST), ..Limits::default() });
    client.names().set(&[IpAddr::from([127, 0, 0, 53])], &[]);
    client
}

/// Looks for one of some `host:port`. `Ok`: one takes connections.
///
/// # Errors
/// When none does.
pub fn reach(sled: &Sled, any: &[&str]) -> Result<(), Away> {
    let client = client();
    let (mut all, mut network) = (Vec::new(), false);
    for address in any {
        match client.reach(&format!("http://{address}/")) {
            Ok(()) => return Ok(()),
            Err(error) => {
                // Somebody has refused it.
                network |= matches!(error, Error::Refused(_));
                all.push(Log::chain(&error));
            }
        }
    }
    network = network || works(sled, &client);
    Err(Away { why: all.join("; "), network })
}

/// Whether the network works as far as it is this sled's: a server of its document is
/// there, or a card has its address and hears others.
fn works(sled: &Sled, client: &Client) -> bool {
    let servers = sled.document().map(|document| document.servers).unwrap_or_default();
    let mut urls = servers.metadata.iter().chain(&servers.report);
    urls.any(|url| matches!(client.reach(url), Ok(()) | Err(Error::Refused(_)))) || hears(sled)
}

fn hears(sled: &Sled) -> bool {
    let Ok(interfaces) = address::interfaces(sled) else { return false };
    let names = interfaces.networks.values().filter_map(|interface| address::interface(sled, interface));
    names.into_iter().any(|name| {
        let frames = sled.text(&format!("/sys/class/net/{name}/statistics/rx_packets"));
        let frames: u64 = frames.and_then(|text| text.parse().ok()).unwrap_or_default();
        frames > 0 && matches!(address::ipv4(&name), Ok(Some(_)))
    })
}
