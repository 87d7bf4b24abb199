//! Who speaks LLDP on a link. More than the switch may: a BMC on the shared port, a
//! telephone, servers behind a switch that lets the frames through. Pure.

use formats::lldp::{Kind, Neighbour};
use std::time::Duration;

/// Most neighbours of a link. A new one takes the place of one that is less likely the
/// switch, never of an equal.
pub const MOST: usize = 8;

/// The neighbours of a link, by chassis and port, until their time is over.
#[derive(Debug, Default)]
pub struct Neighbours(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    neighbour: Neighbour,
    end: Duration,
}

impl Neighbours {
    /// Takes what one says. A time to live of 0 takes back what that one said, nobody else.
    pub fn hear(&mut self, neighbour: Neighbour, now: Duration) {
        let same = |known: &Neighbour| known.chassis == neighbour.chassis && known.port == neighbour.port;
        self.0.retain(|entry| !same(&entry.neighbour));
        if neighbour.ttl == 0 {
            return;
        }
        if self.0.len() >= MOST {
            let last = self.0.iter().map(|entry| entry.neighbour.kind).max();
            if last.is_none_or(|last| last <= neighbour.kind) {
                return;
            }
            self.0.pop();
        }
        let end = now.saturating_add(Duration::from_secs(neighbour.ttl.into()));
        self.0.push(Entry { neighbour, end });
        self.0.sort_by(|a, b| rank(&a.neighbour).cmp(&rank(&b.neighbour)));
    }

    /// Forgets those whose time is over.
    pub fn expire(&mut self, now: Duration) {
        self.0.retain(|entry| entry.end > now);
    }

    /// When the next one's time is over.
    pub fn deadline(&self) -> Option<Duration> {
        self.0.iter().map(|entry| entry.end).min()
    }

    /// All, the likeliest switch first, whoever spoke last.
    pub fn all(&self) -> Vec<Neighbour> {
        self.0.iter().map(|entry| entry.neighbour.clone()).collect()
    }
}

/// Of equals the order is that of their ids: the same at every boot.
fn rank(neighbour: &Neighbour) -> (Kind, &str, &str, u8, u8) {
    let Neighbour { chassis, port, kind, .. } = neighbour;
    (*kind, &chassis.text, &port.text, chassis.subtype, port.subtype)
}

/// How a neighbour is called in a line: its name, else its chassis, and its port.
pub fn text(neighbour: &Neighbour) -> String {
    let Neighbour { chassis, port, system_name, .. } = neighbour;
    let what = match neighbour.kind {
        Kind::Bridge => "",
        Kind::Unsaid => " (does not say that it is a bridge)",
        Kind::Other => " (no bridge)",
    };
    format!("{} port {}{what}", system_name.as_ref().unwrap_or(&chassis.text), port.text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::lldp::Id;
    use proptest::prelude::*;

    fn neighbour(chassis: u8, port: u8, kind: Kind, ttl: u16) -> Neighbour {
        let id = |n: u8| Id { subtype: 7, text: n.to_string() };
        Neighbour {
            chassis: id(chassis),
            port: id(port),
            ttl,
            port_description: None,
            system_name: None,
            kind,
        }
    }

    fn ids(neighbours: &Neighbours) -> Vec<(String, String)> {
        neighbours.all().into_iter().map(|n| (n.chassis.text, n.port.text)).collect()
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![Just(Kind::Bridge), Just(Kind::Unsaid), Just(Kind::Other)]
    }

    proptest! {
        /// As long as all have room it is a map with ends; the order is by kind, then by ids.
        #[test]
        fn it_is_a_map_by_chassis_and_port(
            frames in prop::collection::vec((0_u8..4, 0..2_u8, kind(), 0_u16..5, 0_u64..3), 0..60)
        ) {
            let (mut table, mut model, mut now) = (Neighbours::default(), Vec::new(), Duration::ZERO);
            for (chassis, port, kind, ttl, pause) in frames {
                now += Duration::from_secs(pause);
                table.expire(now);
                table.hear(neighbour(chassis, port, kind, ttl), now);
                model.retain(|(end, _, c, p)| *end > now && (*c, *p) != (chassis, port));
                if ttl > 0 {
                    model.push((now + Duration::from_secs(ttl.into()), kind, chassis, port));
                }
                model.sort_by_key(|(_, kind, chassis, port)| (*kind, *chassis, *port));
                let known: Vec<_> = model.iter().map(|(.., c, p)| (c.to_string(), p.to_string())).collect();
                prop_assert_eq!(ids(&table), known);
                prop_assert_eq!(table.deadline(), model.iter().map(|(end, ..)| *end).min());
            }
        }

        /// Nobody else takes a bridge away that has been heard and goes on speaking.
        #[test]
        fn a_bridge_stays_whatever_others_say(
            before in prop::collection::vec((1_u8..250, kind(), 0_u16..300), 0..7),
            after in prop::collection::vec((1_u8..250, kind(), 0_u16..300), 0..300)
        ) {
            let mut table = Neighbours::default();
            before.into_iter().for_each(|(n, kind, ttl)| table.hear(neighbour(n, 1, kind, ttl), Duration::ZERO));
            for (second, (n, kind, ttl)) in (0..).zip(after) {
                let now = Duration::from_secs(second);
                table.hear(neighbour(0, 0, Kind::Bridge, 120), now);
                table.hear(neighbour(n, 1, kind, ttl), now);
                table.expire(now);
                prop_assert_eq!(&ids(&table)[0], &("0".to_owned(), "0".to_owned()));
                prop_assert!(table.all().len() <= MOST);
                prop_assert!(table.all().is_sorted_by_key(|n| n.kind));
            }
        }
    }

    #[test]
    fn a_late_bridge_takes_the_place_of_another_kind_only() {
        let mut table = Neighbours::default();
        (1..20).for_each(|n| table.hear(neighbour(n, 1, Kind::Other, 120), Duration::ZERO));
        assert_eq!(table.all().len(), MOST);
        table.hear(neighbour(99, 9, Kind::Bridge, 120), Duration::ZERO);
        assert_eq!((table.all().len(), ids(&table)[0].0.as_str()), (MOST, "99"));
    }

    #[test]
    fn lines_say_who_it_is() {
        let mut one = neighbour(1, 2, Kind::Other, 9);
        assert_eq!(text(&one), "1 port 2 (no bridge)");
        one = Neighbour { system_name: Some("tor1".into()), kind: Kind::Bridge, ..one };
        assert_eq!(text(&one), "tor1 port 2");
    }
}
