//! Unknown hardware shows itself without a token, so anybody can make it up. Room is
//! bounded, and who waits honestly keeps its place: a newcomer takes the place of somebody
//! who is not heard of any more, else of the newest record of the source that has most.

use super::state::Millis;
use std::collections::HashMap;
use std::net::IpAddr;

/// How much unknown hardware is kept.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// All of it.
    pub all: usize,
    /// From one source.
    pub of_source: usize,
}

/// What a server has: from one source three racks, behind one address.
pub const ROOM: Room = Room { all: 4096, of_source: 128 };
/// A sled that waits posts its inventory every ten minutes; who is not heard of for so long
/// does not wait any more.
pub const WAITS: Millis = 25 * 60 * 1000;

/// Who has a place.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'a> {
    /// Its id.
    pub id: &'a str,
    /// From where it was heard.
    pub address: Option<IpAddr>,
    /// Since when it is known.
    pub since: Millis,
    /// When it was last heard of.
    pub heard: Millis,
}

/// What counts as one source: an IPv4 address, or the /64 of an IPv6 address, which a
/// single machine can have all of.
pub fn source(address: Option<IpAddr>) -> Option<IpAddr> {
    match address?.to_canonical() {
        IpAddr::V6(v6) => Some(IpAddr::V6((v6.to_bits() >> 64 << 64).into())),
        v4 => Some(v4),
    }
}

/// Whose place a newcomer from this address takes, if it is nobody's that is free.
pub fn gives_way<'a>(
    all: impl Iterator<Item = Waiting<'a>> + Clone,
    newcomer: Option<IpAddr>,
    now: Millis,
    room: Room,
) -> Option<&'a str> {
    let from = source(newcomer);
    let newest = |of: Option<IpAddr>| {
        let own = all.clone().filter(move |w| source(w.address) == of);
        own.max_by_key(|w| (w.since, w.id)).map(|w| w.id)
    };
    if all.clone().filter(|w| source(w.address) == from).count() >= room.of_source {
        return newest(from);
    }
    if all.clone().count() < room.all {
        return None;
    }
    let gone = all.clone().filter(|w| now.saturating_sub(w.heard) > WAITS);
    if let Some(gone) = gone.min_by_key(|w| (w.heard, w.id)) {
        return Some(gone.id);
    }
    let mut sources: HashMap<Option<IpAddr>, (usize, Millis)> = HashMap::new();
    for waiting in all.clone() {
        let (count, last) = sources.entry(source(waiting.address)).or_default();
        *count += 1;
        *last = waiting.since.max(*last);
    }
    let greatest = sources.into_iter().max_by_key(|(source, of)| (*of, *source));
    greatest.and_then(|(source, _)| newest(source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const SMALL: Room = Room { all: 128, of_source: 16 };

    type Kept = BTreeMap<String, (IpAddr, Millis, Millis)>;

    /// Posts an inventory, as the keeper does it.
    fn post(kept: &mut Kept, id: String, address: IpAddr, now: Millis) {
        if let Some((_, _, heard)) = kept.get_mut(&id) {
            *heard = now;
            return;
        }
        let goes = {
            let all = kept.iter().map(|(id, (address, since, heard))| Waiting {
                id,
                address: Some(*address),
                since: *since,
                heard: *heard,
            });
            gives_way(all, Some(address), now, SMALL).map(str::to_owned)
        };
        if let Some(id) = goes {
            kept.remove(&id);
        }
        kept.insert(id, (address, now, now));
    }

    fn address(n: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + n).into())
    }

    #[test]
    fn who_waits_is_not_evicted_by_a_flood_from_one_source_or_from_many() {
        for sources in [1, 7, 100, 1000] {
            let mut kept = Kept::new();
            post(&mut kept, "honest".into(), address(9_999_999), 0);
            for n in 0..3 * u32::try_from(SMALL.all).unwrap() {
                post(&mut kept, format!("flood-{n}"), address(n % sources), 1 + u64::from(n));
                assert!(kept.contains_key("honest"), "{n} from {sources}");
                assert!(kept.len() <= SMALL.all);
            }
            // One that comes in the middle of it is shown, too, and again whenever it says so.
            post(&mut kept, "late".into(), address(9_999_998), 50_000);
            assert!(kept.contains_key("late") && kept.contains_key("honest"), "{sources}");
            let of = |n| kept.values().filter(|(from, ..)| *from == address(n)).count();
            assert!((0..sources).all(|n| of(n) <= SMALL.of_source));
        }
    }

    #[test]
    fn who_is_gone_gives_way_first_and_a_network_of_ipv6_is_one_source() {
        let mut kept = Kept::new();
        for n in 0..u32::try_from(SMALL.all).unwrap() {
            post(&mut kept, format!("{n}"), address(n), u64::from(n));
        }
        post(&mut kept, "new".into(), address(9_999_999), WAITS + 10);
        assert!(!kept.contains_key("0") && kept.contains_key("127"));
        let mut kept = Kept::new();
        for n in 0..100_u128 {
            let all = 0x2001_0db8_u128 << 96 | n;
            post(&mut kept, format!("{n}"), IpAddr::V6(all.into()), 1);
        }
        assert_eq!(kept.len(), SMALL.of_source);
    }
}
