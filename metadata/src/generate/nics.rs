//! Which NICs a network is on.

use crate::config::NicMatch;
use crate::values::Mac;
use std::fmt;

/// A network port as PID 1 sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    /// Kernel name now; udev may give it another one later.
    pub name: String,
    /// Permanent MAC address.
    pub mac: Mac,
    /// Kernel driver.
    pub driver: String,
    /// Link speed in Mbit/s; unknown without a link.
    pub speed_mbps: Option<u32>,
    /// PCI path, `0000:3b:00.0`; empty for what is on no bus.
    pub path: String,
    /// Whether there is a carrier.
    pub has_link: bool,
}

impl fmt::Display for Nic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, mac, driver, speed_mbps, path, has_link } = self;
        write!(f, "{name} {mac} {driver} {path}")?;
        match speed_mbps {
            _ if !has_link => f.write_str(" no link"),
            Some(speed) => write!(f, " {speed} Mbit/s"),
            None => f.write_str(" speed unknown"),
        }
    }
}

/// The NICs that fit, in order of their PCI paths.
pub(super) fn matching<'n>(wanted: &NicMatch, nics: &'n [Nic]) -> Vec<&'n Nic> {
    let mut fits: Vec<_> = nics.iter().filter(|nic| is(wanted, nic)).collect();
    fits.sort_by(|a, b| (&a.path, a.mac).cmp(&(&b.path, b.mac)));
    match wanted.index.map(usize::try_from) {
        Some(index) => index.ok().and_then(|i| fits.get(i).copied()).into_iter().collect(),
        None => fits,
    }
}

/// Whether it says anything that could be matched.
pub(super) fn says_nothing(wanted: &NicMatch) -> bool {
    *wanted == NicMatch::default()
}

fn is(wanted: &NicMatch, nic: &Nic) -> bool {
    let NicMatch { driver, mac, path, min_speed, max_speed, index: _ } = wanted;
    let speed = nic.speed_mbps.filter(|_| nic.has_link);
    (driver.is_empty() || driver.contains(&nic.driver))
        && (mac.is_empty() || mac.contains(&nic.mac))
        && (path.is_empty() || path.iter().any(|pattern| glob(pattern.as_bytes(), nic.path.as_bytes())))
        && min_speed.is_none_or(|least| speed.is_some_and(|s| s >= least))
        && max_speed.is_none_or(|most| speed.is_some_and(|s| s <= most))
}

/// `*` is any text, also none. Linear in memory, never worse than quadratic in time.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // The last `*`, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == text.get(t) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, t) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(n: u8, driver: &str, speed: Option<u32>, path: &str) -> Nic {
        let mac = Mac([2, 0, 0, 0, 0, n]);
        let has_link = speed.is_some();
        Nic {
            name: format!("eth{n}"),
            mac,
            driver: driver.into(),
            speed_mbps: speed,
            path: path.into(),
            has_link,
        }
    }

    fn found(wanted: &NicMatch) -> Vec<String> {
        let nics = [
            nic(0, "ixgbe", Some(10_000), "0000:3b:00.1"),
            nic(1, "ixgbe", None, "0000:3b:00.0"),
            nic(2, "igb", Some(1_000), "0000:01:00.0"),
        ];
        matching(wanted, &nics).iter().map(|n| n.name.clone()).collect()
    }

    #[test]
    fn everything_that_is_given_has_to_hold() {
        let any = NicMatch::default;
        assert_eq!(found(&NicMatch { driver: vec!["ixgbe".into()], ..any() }), ["eth1", "eth0"]);
        assert_eq!(found(&NicMatch { driver: vec!["ixgbe".into()], index: Some(1), ..any() }), ["eth0"]);
        assert!(found(&NicMatch { index: Some(9), ..any() }).is_empty());
        assert_eq!(found(&NicMatch { path: vec!["0000:3b:*".into()], ..any() }), ["eth1", "eth0"]);
        assert_eq!(found(&NicMatch { min_speed: Some(10_000), ..any() }), ["eth0"]);
        assert_eq!(found(&NicMatch { max_speed: Some(1_000), ..any() }), ["eth2"]);
        let mac = vec![Mac([2, 0, 0, 0, 0, 2])];
        assert_eq!(found(&NicMatch { mac: mac.clone(), ..any() }), ["eth2"]);
        assert!(found(&NicMatch { mac, driver: vec!["ixgbe".into()], ..any() }).is_empty());
    }

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcd", false),
            ("*:00.*", "0000:3b:00.1", true),
            ("a**b", "axxb", true),
            ("", "a", false),
            ("?", "a", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
    }
}
