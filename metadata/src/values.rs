//! Values that are text in YAML and JSON and have a form of their own: parsed once,
//! at the edge, so that nothing behind it meets a bad one.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Why a text is not such a value: one line that says what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);

/// An Ethernet address. Written `aa:bb:cc:dd:ee:ff`; read with `:`, `-`, as
/// `aabb.ccdd.eeff` or as twelve digits, in any case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Whether it can be the address of one NIC: not a group address, not zero.
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }
}

impl FromStr for Mac {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = Invalid("not a MAC address: six pairs of hexadecimal digits, like 52:54:00:12:34:56");
        let shape: &[usize] = match text.len() {
            17 => &[2, 2, 2, 2, 2, 2],
            14 => &[4, 4, 4],
            12 => &[12],
            _ => return Err(wrong),
        };
        let mut digits = Vec::with_capacity(12);
        let mut groups = text.split([':', '-', '.']);
        for length in shape {
            let group = groups.next().filter(|g| g.len() == *length).ok_or(wrong)?;
            for c in group.chars() {
                digits.push(c.to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or(wrong)?);
            }
        }
        let mut mac = [0; 6];
        for (byte, pair) in mac.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(mac))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address with the length of its network's prefix: `10.1.2.3/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// The address.
    pub address: IpAddr,
    /// Bits of the prefix: 0 to 32, or to 128 for IPv6.
    pub prefix: u8,
}

impl Cidr {
    /// The network it is in: the address with the bits behind the prefix cleared.
    pub fn network(self) -> Self {
        Self { address: self.masked(self.address), prefix: self.prefix }
    }

    /// Whether an address is in that network.
    pub fn contains(self, other: IpAddr) -> bool {
        self.masked(self.address) == self.masked(other)
    }

    fn masked(self, address: IpAddr) -> IpAddr {
        let keep = u32::from(self.prefix);
        match address {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(keep)).unwrap_or(0);
                IpAddr::V4((ip.to_bits() & mask).into())
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(keep)).unwrap_or(0);
                IpAddr::V6((ip.to_bits() & mask).into())
            }
        }
    }
}

impl FromStr for Cidr {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = Invalid("not an address with a prefix length, like 10.1.2.3/24 or 2001:db8::3/64");
        let (address, prefix) = text.split_once('/').ok_or(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|p| digits && *p <= most).ok_or(wrong)?;
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// 32 bytes as 64 hexadecimal digits: a dm-verity root hash or a SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash32(pub [u8; 32]);

impl FromStr for Hash32 {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = Invalid("not 64 hexadecimal digits");
        let mut digits = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()));
        let mut hash = [0; 32];
        for byte in &mut hash {
            let (Some(Some(high)), Some(Some(low))) = (digits.next(), digits.next()) else {
                return Err(wrong);
            };
            *byte = high << 4 | low;
        }
        if digits.next().is_some() { Err(wrong) } else { Ok(Self(hash)) }
    }
}

impl fmt::Display for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads and writes these types as strings, and describes them as such.
macro_rules! as_text {
    ($($type:ident $pattern:literal $example:literal),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(|e: Invalid| de::Error::custom(format_args!("`{text}` is {e}")))
            }
        }
        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": $pattern, "examples": [$example]})
            }
        }
    )*};
}
as_text!(
    Mac "^([0-9A-Fa-f]{2}[:-]?){5}[0-9A-Fa-f]{2}$|^([0-9A-Fa-f]{4}\\.){2}[0-9A-Fa-f]{4}$" "52:54:00:12:34:56",
    Cidr "^[0-9A-Fa-f.:]+/[0-9]{1,3}$" "10.1.2.3/24",
    Hash32 "^[0-9A-Fa-f]{64}$" "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn macs_are_read_as_people_and_vendors_write_them() {
        let mac = Mac([0x52, 0x54, 0, 0xab, 0xcd, 0xef]);
        for text in ["52:54:00:ab:cd:ef", "52-54-00-AB-CD-EF", "5254.00ab.cdef", "525400ABCDEF"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        assert_eq!(mac.to_string(), "52:54:00:ab:cd:ef");
        for text in [
            "",
            "52:54:00:ab:cd",
            "52:54:00:ab:cd:e",
            "5254:00ab:cd:ef:1",
            "52:54:00:ab:cd:eg",
            "éé:54:00:ab:cd:e",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn prefixes_are_bounded_by_their_family() {
        assert_eq!("10.1.2.3/24".parse::<Cidr>().unwrap().to_string(), "10.1.2.3/24");
        assert_eq!("2001:db8::3/64".parse::<Cidr>().unwrap().to_string(), "2001:db8::3/64");
        for text in ["10.1.2.3", "10.1.2.3/33", "10.1.2.3/+4", "10.1.2/24", "::1/129", "/", ""] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_is_the_address_without_its_end() {
        for (text, network) in
            [("10.1.2.3/24", "10.1.2.0/24"), ("10.1.2.3/0", "0.0.0.0/0"), ("10.1.2.3/32", "10.1.2.3/32")]
        {
            assert_eq!(text.parse::<Cidr>().unwrap().network().to_string(), network);
        }
        let v6: Cidr = "2001:db8::3/64".parse().unwrap();
        assert_eq!(v6.network().to_string(), "2001:db8::/64");
        assert!(v6.contains("2001:db8::1".parse().unwrap()) && !v6.contains("2001:db9::1".parse().unwrap()));
        assert!(!v6.contains("10.0.0.1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn any_text_is_a_value_or_an_error(text in ".{0,70}") {
            let _ = (text.parse::<Mac>(), text.parse::<Cidr>(), text.parse::<Hash32>());
        }
        #[test]
        fn macs_survive_json(bytes: [u8; 6]) {
            let json = serde_json::to_string(&Mac(bytes)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Mac>(&json).unwrap(), Mac(bytes));
        }
    }
}
