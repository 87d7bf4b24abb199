//! One sentence for each link: what works, or why not. Pure; the sentences are
//! a contract with operators who search for them.

use super::firmware::Agent;
use super::state::{Dhcp, Heard, LinkState};
use formats::l2::{Bpdu, Lacp, Mac, mac_text};
use std::time::Duration;

/// The sentences, in the order of the links. `bootif` is named when no link has it.
pub fn sentences(links: &[LinkState], bootif: Option<Mac>) -> Vec<String> {
    let mut all: Vec<_> = links.iter().map(sentence).collect();
    if links.is_empty() {
        all.push("no network link: no driver found a card".to_owned());
    }
    let is = |mac| links.iter().any(|link| link.mac == mac || link.permanent_mac == Some(mac));
    if let Some(mac) = bootif.filter(|mac| !is(*mac)) {
        all.push(format!("BOOTIF {}: no such link, its driver is missing or did not start", mac_text(&mac)));
    }
    all
}

fn sentence(link: &LinkState) -> String {
    let what = match (&link.trouble, &link.lease) {
        (Some(trouble), _) => trouble.clone(),
        (None, Some(lease)) => {
            let from = lease.server.map_or_else(|| "ip=".to_owned(), |server| server.to_string());
            let note = if link.carrier { "" } else { ", no carrier now" };
            format!("{}/{} from {from}{note}", lease.address, lease.prefix)
        }
        (None, None) if !link.carrier => "no carrier".to_owned(),
        (None, None) => without_lease(link),
    };
    format!("{} {}: {what}", link.name, mac_text(&link.mac))
}

fn without_lease(link: &LinkState) -> String {
    let six = link.addresses6.first().map(|(address, prefix)| format!("{address}/{prefix}, "));
    let six = six.unwrap_or_default();
    match &link.dhcp {
        Dhcp::Off => format!("{six}carrier, no DHCP by ip="),
        Dhcp::Offered(server) => format!("{six}carrier, an offer from {server} is being taken"),
        Dhcp::Again(why) => format!("{six}carrier, {why}; asking again"),
        Dhcp::Asking | Dhcp::Bound => format!("{six}carrier, {}", silence(link)),
    }
}

/// A link on which no switch announces itself, although the sled is to be known by that:
/// how the port is, and what keeps LLDP away.
pub fn without_lldp(link: &LinkState, silence: Duration, agent: Option<&Agent>) -> String {
    let mut port = vec!["carrier".to_owned()];
    port.extend(link.speed_mbps.map(|speed| format!("{speed} Mbit/s")));
    let Heard { bpdu, lacp } = link.heard;
    port.push(match bpdu {
        Some(Bpdu { forwarding: Some(true) }) => "spanning tree forwards".into(),
        Some(Bpdu { forwarding: Some(false) }) => "spanning tree does not forward yet".into(),
        Some(Bpdu { forwarding: None }) => "spanning tree heard".into(),
        None => "no spanning tree heard".into(),
    });
    port.extend(lacp.map(|_| "LACP heard".into()));
    port.extend(agent.map(ToString::to_string));
    format!(
        "{}: no LLDP for {} s, so the switch port does not say which sled this is ({}). Is LLDP on at the switch?",
        link.name,
        silence.as_secs(),
        port.join(", ")
    )
}

/// No offer: what the switch port is known to do explains it, the most specific first.
fn silence(link: &LinkState) -> &'static str {
    match (link.heard.lacp, link.heard.bpdu, link.neighbours.first()) {
        (Some(Lacp { partner_known: false }), ..) => {
            "LACP heard: the switch expects a bond; no DHCP offer yet"
        }
        (Some(_), ..) => "LACP heard: the switch has a bond partner here; no DHCP offer yet",
        (None, Some(Bpdu { forwarding: Some(true) }), _) => {
            "a switch talks spanning tree (BPDU heard) and the port forwards, no DHCP offer yet"
        }
        (None, Some(_), _) => {
            "a switch talks spanning tree (BPDU heard), no DHCP offer yet: the port may still be in listening"
        }
        (None, None, Some(_)) => "LLDP heard, no DHCP offer",
        (None, None, None) => "nothing heard, no DHCP offer",
    }
}

#[cfg(test)]
mod tests {
    use super::super::firmware;
    use super::super::state::Lease;
    use super::*;
    use formats::lldp::{Id, Kind, Neighbour};
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn eth0() -> LinkState {
        LinkState {
            name: "eth0".into(),
            alternative_names: vec![],
            index: 2,
            mac: [2, 0, 0, 0, 0, 9],
            permanent_mac: None,
            driver: "ixgbe".into(),
            speed_mbps: Some(10_000),
            path: "0000:03:00.0".into(),
            carrier: true,
            heard: Heard::default(),
            neighbours: vec![],
            dhcp: Dhcp::Asking,
            lease: None,
            addresses6: vec![],
            dns6: vec![],
            search6: vec![],
            trouble: None,
        }
    }

    fn says(link: &LinkState) -> String {
        let all = sentences(std::slice::from_ref(link), Some([2, 0, 0, 0, 0, 9]));
        assert_eq!(all.len(), 1);
        all[0].strip_prefix("eth0 02:00:00:00:00:09: ").unwrap().to_owned()
    }

    #[test]
    fn silence_is_explained_by_what_was_heard() {
        let heard = |bpdu, lacp| says(&LinkState { heard: Heard { bpdu, lacp }, ..eth0() });
        let (stp, rstp) = (Bpdu { forwarding: None }, Bpdu { forwarding: Some(true) });
        let lacp = Lacp { partner_known: false };
        assert_eq!(says(&LinkState { carrier: false, ..eth0() }), "no carrier");
        assert_eq!(heard(None, None), "carrier, nothing heard, no DHCP offer");
        assert_eq!(
            heard(Some(stp), None),
            "carrier, a switch talks spanning tree (BPDU heard), no DHCP offer yet: \
             the port may still be in listening"
        );
        assert_eq!(
            heard(Some(rstp), None),
            "carrier, a switch talks spanning tree (BPDU heard) and the port forwards, no DHCP offer yet"
        );
        let bond = "carrier, LACP heard: the switch expects a bond; no DHCP offer yet";
        assert_eq!((heard(None, Some(lacp)).as_str(), heard(Some(stp), Some(lacp)).as_str()), (bond, bond));
        assert_eq!(
            heard(None, Some(Lacp { partner_known: true })),
            "carrier, LACP heard: the switch has a bond partner here; no DHCP offer yet"
        );
        let id = Id { subtype: 7, text: "x".into() };
        let neighbour = Neighbour {
            ttl: 9,
            port_description: None,
            system_name: None,
            kind: Kind::Bridge,
            chassis: id.clone(),
            port: id,
        };
        let link = LinkState { neighbours: vec![neighbour], ..eth0() };
        assert_eq!(says(&link), "carrier, LLDP heard, no DHCP offer");
    }

    #[test]
    fn silence_of_lldp_names_the_state_of_the_port() {
        let after = Duration::from_secs(65);
        assert_eq!(
            without_lldp(&eth0(), after, None),
            "eth0: no LLDP for 65 s, so the switch port does not say which sled this is \
             (carrier, 10000 Mbit/s, no spanning tree heard). Is LLDP on at the switch?"
        );
        let heard =
            Heard { bpdu: Some(Bpdu { forwarding: Some(true) }), lacp: Some(Lacp { partner_known: false }) };
        let link = LinkState { heard, speed_mbps: None, ..eth0() };
        let agent = Agent::Stays(firmware::flag("i40e").unwrap(), "Operation not supported".into());
        let says = without_lldp(&link, after, Some(&agent));
        let part = "(carrier, spanning tree forwards, LACP heard, the firmware's LLDP agent may keep the \
                    switch's LLDP to itself: disable-fw-lldp on is refused (Operation not supported))";
        assert!(says.contains(part), "{says}");
    }

    #[test]
    fn addresses_and_how_they_came() {
        let mut lease = Lease::fixed(Ipv4Addr::new(10, 0, 2, 15), 24);
        let with =
            |lease: &Lease, carrier| says(&LinkState { lease: Some(lease.clone()), carrier, ..eth0() });
        assert_eq!(with(&lease, true), "10.0.2.15/24 from ip=");
        lease.server = Some(Ipv4Addr::new(10, 0, 2, 2));
        assert_eq!(with(&lease, true), "10.0.2.15/24 from 10.0.2.2");
        assert_eq!(with(&lease, false), "10.0.2.15/24 from 10.0.2.2, no carrier now");
        let six = LinkState { addresses6: vec![(Ipv6Addr::LOCALHOST, 64)], ..eth0() };
        assert_eq!(says(&six), "::1/64, carrier, nothing heard, no DHCP offer");
        assert_eq!(says(&LinkState { dhcp: Dhcp::Off, ..eth0() }), "carrier, no DHCP by ip=");
        let server = Ipv4Addr::new(10, 0, 2, 2);
        assert_eq!(
            says(&LinkState { dhcp: Dhcp::Offered(server), ..eth0() }),
            "carrier, an offer from 10.0.2.2 is being taken"
        );
        let again = Dhcp::Again("10.0.2.2 refused the address".into());
        assert_eq!(
            says(&LinkState { dhcp: again, ..eth0() }),
            "carrier, 10.0.2.2 refused the address; asking again"
        );
        assert_eq!(
            says(&LinkState { trouble: Some("does not come up".into()), ..eth0() }),
            "does not come up"
        );
    }

    #[test]
    fn missing_cards_are_named() {
        assert_eq!(
            sentences(&[], Some([2, 0, 0, 0, 0, 1])),
            [
                "no network link: no driver found a card",
                "BOOTIF 02:00:00:00:00:01: no such link, its driver is missing or did not start"
            ]
        );
        assert_eq!(sentences(&[eth0()], Some([2, 0, 0, 0, 0, 1])).len(), 2);
        let by_card = LinkState { permanent_mac: Some([2, 0, 0, 0, 0, 1]), ..eth0() };
        assert_eq!(sentences(&[by_card], Some([2, 0, 0, 0, 0, 1])).len(), 1);
    }
}
