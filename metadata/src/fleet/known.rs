//! Names that others gave: time zones, drivers of NICs, words of dnsmasq.

use std::collections::HashSet;
use std::sync::LazyLock;
use yaml::nearest::nearest;

/// The zones of Debian's tzdata 2025b, with those of `backward`, one a line, sorted.
const ZONES: &str = include_str!("zones.txt");

/// What sysfs calls the drivers of Ethernet cards: the kernel's drivers/net/ethernet and those of virtual
/// machines. Not here are parts that have no card of their own (`mlx4_en` belongs to `mlx4_core`).
const NIC_DRIVERS: &[&str] = &[
    "3c59x",
    "8139cp",
    "8139too",
    "alx",
    "amd-xgbe",
    "aqc111",
    "asix",
    "atl1",
    "atl1c",
    "atl1e",
    "atl2",
    "atlantic",
    "ax88179_178a",
    "b44",
    "be2net",
    "bna",
    "bnge",
    "bnx2",
    "bnx2x",
    "bnxt_en",
    "cdc_ether",
    "cdc_ncm",
    "cxgb",
    "cxgb3",
    "cxgb4",
    "cxgb4vf",
    "dwmac-intel",
    "e100",
    "e1000",
    "e1000e",
    "ena",
    "enic",
    "et131x",
    "fbnic",
    "forcedeth",
    "fsl_dpaa2_eth",
    "fsl_enetc",
    "funeth",
    "gve",
    "hinic",
    "hinic3",
    "hns3",
    "hv_netvsc",
    "i40e",
    "iavf",
    "ice",
    "idpf",
    "igb",
    "igbvf",
    "igc",
    "ionic",
    "ixgb",
    "ixgbe",
    "ixgbevf",
    "jme",
    "lan743x",
    "liquidio",
    "LiquidIO",
    "LiquidIO_VF",
    "macb",
    "mana",
    "mlx4_core",
    "mlx5_core",
    "mvneta",
    "mvpp2",
    "myri10ge",
    "netxen_nic",
    "nfp",
    "ngbe",
    "niu",
    "pcnet32",
    "qede",
    "qla3xxx",
    "qlcnic",
    "qlge",
    "r8125",
    "r8152",
    "r8168",
    "r8169",
    "rtase",
    "rvu_nicpf",
    "rvu_nicvf",
    "s2io",
    "sfc",
    "sfc-falcon",
    "sfc-siena",
    "sis190",
    "sis900",
    "skge",
    "sky2",
    "stmmac",
    "sungem",
    "tehuti",
    "tg3",
    "thunder-nic",
    "thunder-nicvf",
    "tulip",
    "txgbe",
    "via-rhine",
    "via-velocity",
    "vif",
    "virtio_net",
    "vmxnet3",
];

/// Whether the zone is in tzdata; else one like it.
pub(super) fn zone(name: &str) -> Result<(), Option<&'static str>> {
    // Every sled has one.
    static ALL: LazyLock<HashSet<&str>> = LazyLock::new(|| ZONES.lines().collect());
    if ALL.contains(name) { Ok(()) } else { known(name, || ZONES.lines()) }
}

/// Whether it is a driver of Linux; else one like it.
pub(super) fn nic_driver(name: &str) -> Result<(), Option<&'static str>> {
    if name == "mlx4_en" {
        return Err(Some("mlx4_core"));
    }
    known(name, || NIC_DRIVERS.iter().copied())
}

fn known<I: Iterator<Item = &'static str>>(
    name: &str,
    all: impl Fn() -> I,
) -> Result<(), Option<&'static str>> {
    if all().any(|known| known == name) {
        return Ok(());
    }
    let same = all().find(|known| known.eq_ignore_ascii_case(name));
    Err(same.or_else(|| nearest(name, all())))
}

/// Whether dnsmasq takes a host name for something else: `dhcp-host=MAC,ignore` keeps quiet to that
/// machine, `12h` or `101` is the time of a lease. Source: dnsmasq 2.90, `src/option.c`, `one_opt`,
/// LOPT_DHCP_HOST.
pub fn is_word_of_dnsmasq(name: &str) -> bool {
    let digits = name.strip_suffix(['w', 'W', 'd', 'D', 'h', 'H', 'm', 'M', 's', 'S']).unwrap_or(name);
    let time = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    matches!(name, "ignore" | "infinite") || time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_of_this_host_is_known() {
        // zone.tab leaves out old names and those of no country.
        let table = std::fs::read_to_string("/usr/share/zoneinfo/zone.tab")
            .expect("this test reads /usr/share/zoneinfo (package tzdata)");
        let names = table.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split('\t').nth(2));
        let unknown: Vec<_> = names.filter(|name| zone(name).is_err()).collect();
        assert_eq!(unknown, [""; 0], "add them to zones.txt");
        for name in ["UTC", "Etc/UTC", "CET", "US/Pacific", "America/Argentina/Ushuaia"] {
            assert_eq!(zone(name), Ok(()), "{name}");
        }
        assert_eq!(zone("europe/berlin"), Err(Some("Europe/Berlin")));
        assert_eq!(zone("Europe/Berln"), Err(Some("Europe/Berlin")));
        assert_eq!(zone("CEST5X"), Err(None));
    }

    #[test]
    fn drivers_are_as_sysfs_has_them() {
        assert!(NIC_DRIVERS.iter().all(|name| nic_driver(name).is_ok()));
        assert_eq!(nic_driver("ixgbee"), Err(Some("ixgbe")));
        assert_eq!(nic_driver("mlx4_en"), Err(Some("mlx4_core")));
        assert_eq!(nic_driver("Ixgbe"), Err(Some("ixgbe")));
    }

    #[test]
    fn words_of_dnsmasq() {
        for word in ["ignore", "infinite", "101", "12h", "7D", "0", "3w"] {
            assert!(is_word_of_dnsmasq(word), "{word}");
        }
        for name in ["h", "r12", "12hh", "12-h", "ignored", "1a", "12x", "Ignore"] {
            assert!(!is_word_of_dnsmasq(name), "{name}");
        }
    }
}
