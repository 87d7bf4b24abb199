//! The types of the fleet file. `docs/fleet.md` describes every key, and the JSON
//! Schema in `docs/schema/` is made of these types.

use crate::values::Cidr;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A fleet: its racks, the sleds in them, and what they are for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FleetFile {
    /// Name of the fleet.
    pub fleet: String,
    /// Whom the sleds talk to.
    #[serde(default)]
    pub servers: FleetServers,
    /// Public minisign keys the images trust. The key that signs must be one of them.
    #[serde(default)]
    pub trust: Vec<String>,
    /// Which images documents are signed for.
    #[serde(default)]
    pub images: Images,
    /// How long a document is valid: `90d`, `12h`. After half of it `compile` renews the document.
    /// Default: `90d`, and `14d` for sleds that run from memory.
    #[serde(default)]
    pub lifetime: Option<Lifetime>,
    /// Who says to sleds that their document is the newest.
    #[serde(default)]
    pub freshness: FreshnessRule,
    /// Configuration of all sleds.
    #[serde(default)]
    pub config: Layer,
    /// Racks by name.
    #[serde(default)]
    pub racks: BTreeMap<String, Rack>,
    /// Roles by name: what a sled is for.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
    /// Sleds by name.
    #[serde(default)]
    pub sleds: BTreeMap<String, SledEntry>,
    /// Hardware that was replaced and must not come back as what it was.
    #[serde(default)]
    pub retired: Vec<RetiredEntry>,
}

/// Which images documents are signed for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Images {
    /// Public minisign keys: an image needs a signature by one of them, made by `sledos sign`. `none`: images
    /// are built here, and need none.
    pub trust: super::release::Trust,
}

/// Whom the sleds talk to.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct FleetServers {
    /// Where documents lie: URLs.
    pub metadata: Vec<String>,
    /// Where images lie, as `NAME/VERSION/FILE` below: URLs.
    pub image: Vec<String>,
    /// Where reports go: URLs.
    pub report: Vec<String>,
    /// NTP servers: the first value of `config.time.servers`.
    pub time: Vec<String>,
    /// Name servers: the first value of `config.dns.servers`.
    pub dns: Vec<IpAddr>,
}

/// A rack.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Rack {
    /// How many bays it has; they count from 1, from the bottom.
    pub bays: u32,
    /// Its networks by name. A network of a sled with `address: rack` gets its address
    /// from the one of the same name.
    #[serde(default)]
    pub subnets: BTreeMap<String, Subnet>,
    /// Its top-of-rack switches, by which a sled finds out where it sits.
    #[serde(default)]
    pub switches: Vec<Switch>,
    /// Configuration of its sleds.
    #[serde(default)]
    pub config: Layer,
}

/// A network of a rack.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Subnet {
    /// The network: `10.1.12.0/24`.
    pub network: Cidr,
    /// The address of bay 1; bay 2 has the next one.
    pub first: IpAddr,
    /// The default gateway, when this network has one.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
}

/// A top-of-rack switch. Either `ports` or `port` is given.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Switch {
    /// Its chassis id, as LLDP announces it: mostly a MAC address.
    pub chassis: String,
    /// Port ids and the bays they lead to.
    #[serde(default)]
    pub ports: BTreeMap<String, u32>,
    /// The port id of every bay of the rack: `Ethernet{bay}`.
    #[serde(default)]
    pub port: Option<String>,
}

/// A role: what sleds are for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Role {
    /// The image: `compute` is its newest version, `compute@20261124.0800` just this one.
    pub image: String,
    /// Whether and where the image is installed; without it sleds run from memory.
    #[serde(default)]
    pub install: Option<InstallLayer>,
    /// How long documents of its sleds are valid, instead of the fleet's `lifetime`.
    #[serde(default)]
    pub lifetime: Option<Lifetime>,
    /// Who says to its sleds that their document is the newest: what is given here is instead of the fleet's.
    #[serde(default)]
    pub freshness: FreshnessRule,
    /// Configuration of its sleds.
    #[serde(default)]
    pub config: Layer,
    /// An Ignition config (spec 3.0 to 3.4) for its sleds: the name of a file, beside this
    /// one, or the config itself, or a list of them, merged in order.
    #[serde(default)]
    pub ignition: IgnitionLayer,
}

/// A sled: where it sits, what it is for, how it is recognised.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SledEntry {
    /// Its rack.
    pub rack: String,
    /// Its bay.
    pub bay: u32,
    /// Its role.
    pub role: String,
    /// The hardware in it.
    #[serde(flatten)]
    pub hardware: Hardware,
    /// An image other than the role's.
    #[serde(default)]
    pub image: Option<String>,
    /// Changes to the role's `install`.
    #[serde(default)]
    pub install: Option<InstallLayer>,
    /// Configuration of this sled alone.
    #[serde(default)]
    pub config: Layer,
    /// An Ignition config, likewise, merged over the role's.
    #[serde(default)]
    pub ignition: IgnitionLayer,
}

/// By what hardware is recognised. Each value is enough alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Hardware {
    /// Serial number of the main board.
    pub board_serial: Option<String>,
    /// Serial number of the product.
    pub product_serial: Option<String>,
    /// SMBIOS UUID.
    pub uuid: Option<String>,
    /// MAC addresses of its NICs.
    pub macs: Vec<crate::values::Mac>,
    /// MAC address of its BMC; for people and inventory.
    pub bmc_mac: Option<crate::values::Mac>,
}

/// Hardware that was replaced.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RetiredEntry {
    /// The sled it was.
    pub sled: String,
    /// The day it was replaced: `2026-11-24`.
    pub since: String,
    /// The serial number of the board that replaced it.
    #[serde(default)]
    pub by: Option<String>,
    /// The hardware.
    #[serde(flatten)]
    pub hardware: Hardware,
}

/// Who says that a document is the newest.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct FreshnessRule {
    /// Public minisign keys of servers, besides that of the `sledos serve` that compiles: the
    /// public halves of their `STATE/freshness.key`.
    pub keys: Vec<String>,
    /// Whether a sled refuses a document unless one of them has said so. Default: false.
    pub required: Option<bool>,
}

/// Seconds, written as `90d`, `12h`, `30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(pub u64);

impl Lifetime {
    /// Of sleds that keep their document on a disk.
    pub const DISK: Self = Self(90 * 86_400);
    /// Of sleds that run from memory: at a boot they remember no generation, so only its end
    /// keeps an old document from them.
    pub const MEMORY: Self = Self(14 * 86_400);
}

impl std::str::FromStr for Lifetime {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "not a time span of 1 hour to 10 years, like 90d, 12h or 90m";
        let unit = match text.chars().last() {
            Some('d') => 86_400,
            Some('h') => 3600,
            Some('m') => 60,
            _ => return Err(wrong),
        };
        let digits = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
        let plain = digits.bytes().all(|b| b.is_ascii_digit());
        let number: Option<u64> = digits.parse().ok().filter(|_| plain);
        let seconds = number.and_then(|n| n.checked_mul(unit));
        seconds.filter(|s| (3600..=3660 * 86_400).contains(s)).map(Self).ok_or(wrong)
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(|e| de::Error::custom(format_args!("`{text}` is {e}")))
    }
}

impl JsonSchema for Lifetime {
    fn schema_name() -> Cow<'static, str> {
        "Lifetime".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({"type": "string", "format": "time-span", "pattern": "^[0-9]+[dhm]$"})
    }
}

/// Part of a [`crate::config::Config`]: kept as it was written, and read when the
/// layers of a sled are together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layer;

/// An Ignition config, or where it is: read by [`super::ignition`].
#[derive(Clone, Copy, Debug, Default)]
pub struct IgnitionLayer;

impl<'de> Deserialize<'de> for IgnitionLayer {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        de::IgnoredAny::deserialize(d).map(|_| Self)
    }
}

impl JsonSchema for IgnitionLayer {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "IgnitionLayer".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({"examples": ["base.ign", ["base.ign", "storage.ign"]]})
    }
}

/// Part of a [`crate::document::Install`], likewise.
#[derive(Clone, Copy, Debug)]
pub struct InstallLayer;

macro_rules! layer {
    ($($layer:ident $of:ty),*) => {$(
        impl<'de> Deserialize<'de> for $layer {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                de::IgnoredAny::deserialize(d).map(|_| $layer)
            }
        }
        impl JsonSchema for $layer {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($layer).into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                generator.subschema_for::<$of>()
            }
        }
    )*};
}
layer!(Layer crate::config::Config, InstallLayer crate::document::Install);
