//! The sleds' network: what systemd-networkd is told about it. Pure.
//! Source: systemd.network(5).

use super::settings::Settings;

/// Where the file lies: it is gone after a restart and made again, so it never says
/// something else than the settings.
pub const FILE: &str = "/run/systemd/network/10-sledos-seed.network";

/// The file.
pub fn unit(settings: &Settings) -> String {
    // Where another server gives addresses, the way to other networks comes from it, too.
    let dhcp = if settings.range.is_none() { "ipv4" } else { "no" };
    format!(
        "# Made by sledos seed; changes are lost.\n\
         [Match]\nMACAddress={mac}\nKind=!*\n\n\
         [Network]\nAddress={own}\nDHCP={dhcp}\nLinkLocalAddressing=no\n\
         # The server is there before the switch is.\n\
         ConfigureWithoutCarrier=yes\n\n\
         [DHCPv4]\nClientIdentifier=mac\n",
        mac = settings.mac,
        own = settings.own(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::settings;
    use super::*;

    #[test]
    fn another_dhcp_server_is_asked_only_where_there_is_one() {
        let mut given = settings();
        let alone = unit(&given);
        assert!(alone.contains("\nAddress=10.0.0.2/24\nDHCP=no\n"), "{alone}");
        assert!(alone.contains("\nMACAddress=52:54:00:00:00:01\n"), "{alone}");
        given.range = None;
        assert!(unit(&given).contains("\nDHCP=ipv4\n"));
    }
}
