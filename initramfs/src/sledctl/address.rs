//! The address of a network, for the Mesos agent's `--ip_discovery_command`.

use super::sled::Sled;
use metadata::generate::{INTERFACES, Interface, Interfaces};
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

/// Prints the address.
///
/// # Errors
/// When the network is unknown, has no interface, or no address yet.
pub fn show(sled: &Sled, network: &str) -> Result<(), String> {
    let interfaces = interfaces(sled)?;
    let wanted = interfaces.networks.get(network).ok_or_else(|| {
        let known: Vec<_> = interfaces.networks.keys().map(String::as_str).collect();
        format!("`{network}` is none of this sled's networks: {}", known.join(", "))
    })?;
    let name = interface(sled, wanted).ok_or_else(|| format!("network {network} has no interface here"))?;
    let address = ipv4(&name)?.ok_or_else(|| format!("{name} ({network}) has no IPv4 address yet"))?;
    println!("{address}");
    Ok(())
}

/// Which interface each network is on, as the configuration was generated.
///
/// # Errors
/// When the file is missing or damaged.
pub fn interfaces(sled: &Sled) -> Result<Interfaces, String> {
    let text = fs::read(sled.path(INTERFACES)).map_err(|e| format!("{INTERFACES}: {e}"))?;
    serde_json::from_slice(&text).map_err(|e| format!("{INTERFACES}: {e}"))
}

/// The name of an interface that exists now. NICs are known by their MAC address:
/// udev has renamed them since PID 1 saw them.
pub fn interface(sled: &Sled, wanted: &Interface) -> Option<String> {
    let class = "/sys/class/net";
    if let Some(name) = &wanted.name {
        return sled.path(&format!("{class}/{name}")).exists().then(|| name.clone());
    }
    let mac = wanted.macs.first()?.to_string();
    let entries = fs::read_dir(sled.path(class)).ok()?.flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    // VLANs have the address of their NIC, too, but no device below them.
    names.into_iter().find(|name| {
        let dir = format!("{class}/{name}");
        sled.path(&format!("{dir}/device")).exists()
            && sled.text(&format!("{dir}/address")).is_some_and(|is| is == mac)
    })
}

/// The first global IPv4 address of an interface, if it has one.
///
/// # Errors
/// When `ip`, which every image has, cannot be run or does not know the interface.
pub fn ipv4(interface: &str) -> Result<Option<Ipv4Addr>, String> {
    let output = Command::new("ip")
        .args(["-oneline", "-4", "address", "show", "scope", "global", "dev", interface])
        .output()
        .map_err(|e| format!("ip: {e}"))?;
    if !output.status.success() {
        return Err(format!("ip: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

/// `2: eth0    inet 10.0.2.15/24 brd … scope global eth0\ …`
fn parse(text: &str) -> Option<Ipv4Addr> {
    let mut words = text.lines().next()?.split_whitespace().skip_while(|word| *word != "inet").skip(1);
    words.next()?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::values::Mac;

    #[test]
    fn a_nic_is_found_by_its_address_whatever_it_is_called_now() {
        let root = tempfile::tempdir().unwrap();
        for (name, device) in [("enp3s0", true), ("a-vlan", false)] {
            let dir = root.path().join("sys/class/net").join(name);
            fs::create_dir_all(dir.join(if device { "device" } else { "statistics" })).unwrap();
            fs::write(dir.join("address"), "52:54:00:00:00:01\n").unwrap();
        }
        let sled = Sled::new(root.path());
        let nic = Interface { name: None, macs: vec![Mac([0x52, 0x54, 0, 0, 0, 1])] };
        assert_eq!(interface(&sled, &nic).as_deref(), Some("enp3s0"));
        let vlan = Interface { name: Some("a-vlan".into()), ..nic.clone() };
        assert_eq!(interface(&sled, &vlan).as_deref(), Some("a-vlan"));
        assert_eq!(interface(&sled, &Interface { name: Some("bond-x".into()), ..nic }), None);
        assert_eq!(interface(&sled, &Interface::default()), None);
    }

    #[test]
    fn the_address_is_read_from_what_ip_prints() {
        // Of the real program, on an interface every machine has.
        assert_eq!(ipv4("lo"), Ok(None));
        assert!(ipv4("none-such0").is_err());
        let line = "2: eth0    inet 10.0.2.15/24 metric 1024 brd 10.0.2.255 scope global dynamic eth0\\ x\n";
        assert_eq!(parse(line), Some(Ipv4Addr::new(10, 0, 2, 15)));
        assert_eq!(parse(""), None);
    }
}
