//! What is typed, as values. Pure: each function says in plain words what is wrong with an
//! answer, and what one looks like that is not.

use std::net::Ipv4Addr;

/// An IPv4 address in its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: Ipv4Addr,
    /// Bits of the network's prefix.
    pub prefix: u8,
}

impl Address {
    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32_u32.saturating_sub(self.prefix.into())).unwrap_or(0)
    }

    /// The first address of the network, which is its name, and the last, which is everybody's.
    fn ends(self) -> (u32, u32) {
        let first = self.ip.to_bits() & self.mask();
        (first, first | !self.mask())
    }

    /// The addresses that machines may have.
    fn hosts(self) -> (Ipv4Addr, Ipv4Addr) {
        let (first, last) = self.ends();
        (first.saturating_add(1).into(), last.saturating_sub(1).into())
    }

    fn has(self, ip: Ipv4Addr) -> bool {
        let (first, last) = self.ends();
        (first..=last).contains(&ip.to_bits())
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// An address with its prefix length.
///
/// # Errors
/// What is wrong with it.
pub fn address(text: &str) -> Result<Address, String> {
    let Some((ip, prefix)) = text.split_once('/') else {
        return Err(match text.parse::<Ipv4Addr>() {
            Ok(ip) => format!("the length of the network's prefix is missing; write it behind: {ip}/24"),
            Err(_) => "this is no address; write one with its prefix length, as 10.0.0.2/24".to_owned(),
        });
    };
    let ip: Ipv4Addr = ip.parse().map_err(|_| {
        format!("`{ip}` is no IPv4 address, which has four numbers up to 255, as 10.0.0.2/24")
    })?;
    let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
    // A smaller network has no room for two sleds, a larger one is a slip.
    let prefix = prefix.parse::<u8>().ok().filter(|n| digits && (8..=29).contains(n)).ok_or_else(|| {
        format!("`{prefix}` is no prefix length from 8 to 29; 24 is the netmask 255.255.255.0")
    })?;
    let address = Address { ip, prefix };
    if ip.is_loopback() || ip.is_multicast() || ip.octets()[0] == 0 || ip.octets()[0] >= 240 {
        return Err(format!("{ip} is no address that a machine can have; 10.0.0.2/24 would be one"));
    }
    let (first, last) = address.ends();
    if ip.to_bits() == first || ip.to_bits() == last {
        let (first, last) = address.hosts();
        return Err(format!("{ip} stands for the whole network; machines have {first} to {last}"));
    }
    Ok(address)
}

/// A range of addresses to give; nothing is none.
///
/// # Errors
/// What is wrong with it.
pub fn range(text: &str, own: Address) -> Result<Option<(Ipv4Addr, Ipv4Addr)>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let (low, high) = own.hosts();
    let example =
        format!("write the first and the last, with a comma between; machines have {low} to {high}");
    let (first, last) = text.split_once([',', '-']).ok_or_else(|| format!("this is no range: {example}"))?;
    let one = |text: &str| {
        let text = text.trim();
        text.parse::<Ipv4Addr>().map_err(|_| format!("`{text}` is no address: {example}"))
    };
    let (first, last) = (one(first)?, one(last)?);
    if let Some(outside) = [first, last].into_iter().find(|ip| !own.has(*ip)) {
        return Err(format!("{outside} is not in the network of {own}; machines there have {low} to {high}"));
    }
    if first > last {
        return Err(format!("{first} comes after {last}: write the lower one first"));
    }
    if first < low || last > high {
        return Err(format!(
            "the range has the network's own first or last address in it; it may be {low} to {high}"
        ));
    }
    if (first..=last).contains(&own.ip) {
        return Err(format!("{} is this seed's own address; leave it out of the range", own.ip));
    }
    Ok(Some((first, last)))
}

/// One of so many, from 1.
///
/// # Errors
/// What is wrong with it.
pub fn number(text: &str, count: usize) -> Result<usize, String> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| digits && (1..=count).contains(n)).ok_or_else(|| {
        if count == 1 { "write 1".to_owned() } else { format!("write a number from 1 to {count}") }
    })
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// On the stick.
    Usb,
    /// At this URL.
    Url(String),
    /// Typed, or pasted.
    Paste,
    /// As it is.
    Keep,
}

/// One of `usb`, `paste`, `keep` and a URL, without a `/` at its end.
///
/// # Errors
/// When it is none, or has spaces or other signs that no URL has.
pub fn place(text: &str) -> Result<Where, String> {
    match text {
        "usb" => return Ok(Where::Usb),
        "paste" => return Ok(Where::Paste),
        "keep" => return Ok(Where::Keep),
        _ => {}
    }
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(rest) if rest.trim_matches('/').is_empty() => {
            Err("this URL has no server in it; one looks like http://10.0.0.9/fleet.yaml".to_owned())
        }
        Some(rest) if rest.chars().all(|c| c.is_ascii_graphic()) => {
            Ok(Where::Url(text.trim_end_matches('/').to_owned()))
        }
        Some(_) => Err("this URL has signs in it that no URL has; write them as %20 and the like".to_owned()),
        None => {
            Err(format!("`{text}` is none of the answers, and no URL, which begins with http:// or https://"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(address("10.0.0.2/24").unwrap().to_string(), "10.0.0.2/24");
        assert_eq!(address("10.255.255.254/8").unwrap().hosts().1.to_string(), "10.255.255.254");
        for (wrong, says) in [
            ("", "no address"),
            ("10.0.0.2", "10.0.0.2/24"),
            ("10.0.0/24", "`10.0.0` is no IPv4 address"),
            ("10.0.0.256/24", "is no IPv4 address"),
            ("fd00::2/64", "is no IPv4 address"),
            ("10.0.0.2/", "no prefix length"),
            ("10.0.0.2/+24", "no prefix length"),
            ("10.0.0.2/30", "from 8 to 29"),
            ("10.0.0.2/0", "from 8 to 29"),
            ("10.0.0.0/24", "machines have 10.0.0.1 to 10.0.0.254"),
            ("10.0.0.255/24", "stands for the whole network"),
            ("127.0.0.1/24", "no address that a machine can have"),
            ("224.0.0.1/24", "no address that a machine can have"),
            ("0.0.0.1/24", "no address that a machine can have"),
            ("255.0.0.1/24", "no address that a machine can have"),
        ] {
            let found = address(wrong).expect_err(wrong);
            assert!(found.contains(says), "{wrong}: {found}");
        }
    }

    #[test]
    fn ranges() {
        let own = address("10.0.0.2/24").unwrap();
        let good = Some((Ipv4Addr::new(10, 0, 0, 100), Ipv4Addr::new(10, 0, 0, 200)));
        for text in ["10.0.0.100,10.0.0.200", "10.0.0.100-10.0.0.200", "10.0.0.100, 10.0.0.200"] {
            assert_eq!(range(text, own), Ok(good), "{text}");
        }
        assert_eq!(range("", own), Ok(None));
        assert!(range("10.0.0.3,10.0.0.3", own).is_ok());
        for (wrong, says) in [
            ("10.0.0.100", "no range"),
            ("10.0.0.100,x", "`x` is no address"),
            ("10.0.0.200,10.0.0.100", "write the lower one first"),
            ("10.0.0.100,10.0.1.200", "10.0.1.200 is not in the network"),
            ("10.0.0.0,10.0.0.9", "first or last address"),
            ("10.0.0.9,10.0.0.255", "first or last address"),
            ("10.0.0.1,10.0.0.9", "this seed's own address"),
        ] {
            let found = range(wrong, own).expect_err(wrong);
            assert!(found.contains(says), "{wrong}: {found}");
        }
    }

    #[test]
    fn numbers_and_places() {
        assert_eq!(number("2", 2), Ok(2));
        for wrong in ["", "0", "3", "+1", "x", "99999999999999999999999"] {
            assert!(number(wrong, 2).is_err(), "{wrong}");
        }
        assert_eq!(place("http://a/b/"), Ok(Where::Url("http://a/b".to_owned())));
        assert_eq!(place("usb"), Ok(Where::Usb));
        for wrong in ["", "ftp://a", "http://", "https:///", "http://a b", "http://ä", "USB stick"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
