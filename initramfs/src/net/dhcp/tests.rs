use super::*;
use formats::dhcp4::decode;

const MAC: Mac = [2, 0, 0, 0, 0, 9];
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

/// A client, a clock, and what a server on the wire sees of it.
struct Wire {
    client: Client,
    now: Duration,
}

impl Wire {
    /// A client whose carrier just came, with the middle of all random delays.
    fn up() -> Self {
        let mut wire = Self { client: Client::new(MAC, || 0x1_0000_03e8), now: Duration::from_secs(100) };
        assert_eq!(wire.event(Event::Carrier(true)), []);
        wire
    }

    /// One with a lease of an hour.
    fn bound() -> Self {
        let mut wire = Self::up();
        wire.next();
        wire.answer(2, ADDRESS, &[]);
        let actions = wire.lease(&[51, 4, 0, 0, 0x0e, 0x10, 1, 4, 255, 255, 255, 0]);
        assert!(matches!(&actions[..], [Action::Install(_)]), "{actions:?}");
        wire
    }

    fn event(&mut self, event: Event<'_>) -> Vec<Action> {
        self.client.step(self.now, event)
    }

    /// Lets time pass until the client wants to act.
    fn next(&mut self) -> Vec<Action> {
        self.now = self.client.deadline().unwrap().max(self.now);
        self.event(Event::Tick)
    }

    /// Answers the running exchange.
    fn answer(&mut self, kind: u8, address: Ipv4Addr, options: &[u8]) -> Vec<Action> {
        self.answer_as(SERVER, self.client.xid, kind, address, options)
    }

    fn answer_as(
        &mut self,
        server: Ipv4Addr,
        xid: u32,
        kind: u8,
        address: Ipv4Addr,
        options: &[u8],
    ) -> Vec<Action> {
        let mut bytes = vec![2, 1, 6, 0];
        bytes.extend(xid.to_be_bytes());
        bytes.resize(16, 0);
        bytes.extend(address.octets());
        bytes.resize(28, 0);
        bytes.extend(MAC);
        bytes.resize(236, 0);
        bytes.extend([99, 130, 83, 99, 53, 1, kind, 54, 4]);
        bytes.extend(server.octets());
        bytes.extend(options);
        let message = decode(&bytes).unwrap();
        self.event(Event::Message(&message))
    }

    /// Acknowledges, and lets the probes pass unanswered.
    fn lease(&mut self, options: &[u8]) -> Vec<Action> {
        assert_eq!(self.answer(5, ADDRESS, options), [Action::Probe(ADDRESS)]);
        assert_eq!(self.next(), [Action::Probe(ADDRESS)]);
        self.next()
    }

    /// How long the client waits now, in milliseconds.
    fn wait_ms(&self) -> u128 {
        (self.client.deadline().unwrap() - self.now).as_millis()
    }
}

/// Message type, ciaddr, and the options 50 and 54 of what was sent.
fn sent(action: &Action) -> (u8, Ipv4Addr, Option<Ipv4Addr>, Option<Ipv4Addr>) {
    let (Action::Broadcast(bytes) | Action::Unicast { payload: bytes, .. }) = action else {
        panic!("nothing was sent: {action:?}")
    };
    let find = |code| {
        let mut rest = &bytes[240..];
        while rest[0] != 255 {
            let (option, after) = rest.split_at(2 + usize::from(rest[1]));
            if option[0] == code {
                return Some(option[2..].to_vec());
            }
            rest = after;
        }
        None
    };
    let ip = |bytes: &[u8]| Ipv4Addr::from(*bytes.first_chunk::<4>().unwrap());
    let kind = find(53).unwrap()[0];
    (kind, ip(&bytes[12..16]), find(50).map(|b| ip(&b)), find(54).map(|b| ip(&b)))
}

const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

#[test]
fn discover_offer_request_ack_probe_bound() {
    let mut wire = Wire::up();
    assert_eq!(wire.wait_ms(), 296, "a random part of a second");
    let actions = wire.next();
    assert_eq!(sent(&actions[0]), (1, NONE, None, None));
    let actions = wire.answer(2, ADDRESS, &[]);
    assert_eq!(sent(&actions[0]), (3, NONE, Some(ADDRESS), Some(SERVER)));
    assert_eq!(wire.client.stage(), Dhcp::Offered(SERVER));
    let actions = wire.lease(&[51, 4, 0, 0, 0x0e, 0x10, 3, 4, 10, 0, 0, 1]);
    let [Action::Install(lease)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((lease.address, lease.prefix, lease.server), (ADDRESS, 8, Some(SERVER)));
    let asked = Duration::from_millis(100_296);
    let after = |s| Some(asked + Duration::from_secs(s));
    assert_eq!((lease.renew, lease.rebind, lease.expires), (after(1800), after(3150), after(3600)));
    assert_eq!((wire.client.stage(), wire.client.lease()), (Dhcp::Bound, Some(lease)));
}

#[test]
fn without_an_offer_it_asks_for_ever_with_doubling_pauses() {
    let mut wire = Wire::up();
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let actions = wire.next();
        assert_eq!(sent(&actions[0]).0, 1);
        pauses.push(wire.wait_ms() / 1000);
    }
    // The random part of this test is 1.4 s of 0 to 2 s, taken off one.
    assert_eq!(pauses, [4, 8, 16, 32, 64, 64, 64]);
}

#[test]
fn what_is_not_for_this_exchange_is_not_heard() {
    let mut wire = Wire::up();
    wire.next();
    let xid = wire.client.xid;
    assert_eq!(wire.answer_as(SERVER, xid ^ 1, 2, ADDRESS, &[]), [], "another exchange");
    assert_eq!(wire.answer(2, NONE, &[]), [], "no address");
    assert_eq!(wire.answer(2, Ipv4Addr::BROADCAST, &[]), [], "nobody's address");
    assert_eq!(wire.answer(5, ADDRESS, &[]), [], "an answer to no request");
    assert_eq!(wire.answer_as(NONE, xid, 2, ADDRESS, &[]), [], "a server without a name");
    assert_eq!(wire.answer(2, ADDRESS, &[]).len(), 1);
    let other = Ipv4Addr::new(10, 0, 0, 2);
    assert_eq!(wire.answer_as(other, xid, 2, ADDRESS, &[]), [], "the second offer");
    assert_eq!(wire.answer_as(other, xid, 6, NONE, &[]), [], "another server's refusal");
    assert_eq!(wire.client.stage(), Dhcp::Offered(SERVER));
}

#[test]
fn a_server_that_vanishes_after_its_offer_is_left() {
    let mut wire = Wire::up();
    wire.next();
    assert_eq!(sent(&wire.answer(2, ADDRESS, &[])[0]).0, 3);
    let kinds: Vec<_> = (0..4).map(|_| sent(&wire.next()[0]).0).collect();
    assert_eq!(kinds, [3, 3, 3, 1], "four requests, then anybody");
}

#[test]
fn a_refusal_starts_again_and_is_told() {
    let mut wire = Wire::up();
    wire.next();
    wire.answer(2, ADDRESS, &[]);
    let actions = wire.answer(6, NONE, &[56, 2, b'n', b'o']);
    assert_eq!(actions[0], Action::Say("10.0.0.1 refused the address: no".into()));
    assert_eq!(sent(&actions[1]).0, 1, "at once");
    wire.answer(2, ADDRESS, &[]);
    wire.answer(6, NONE, &[]);
    assert_eq!(wire.wait_ms(), 1000, "not a second time at once");
    assert_eq!(wire.client.stage(), Dhcp::Again("10.0.0.1 refused the address".into()));
    assert_eq!(sent(&wire.next()[0]).0, 1);
}

#[test]
fn an_address_in_use_is_declined_and_named() {
    let mut wire = Wire::up();
    wire.next();
    wire.answer(2, ADDRESS, &[]);
    wire.answer(5, ADDRESS, &[]);
    assert_eq!(wire.client.probing(), Some(ADDRESS));
    let actions = wire.event(Event::Claimed([6; 6]));
    assert_eq!(sent(&actions[0]), (4, NONE, Some(ADDRESS), Some(SERVER)));
    assert_eq!(actions[1], Action::Say("10.0.0.5 is in use by 06:06:06:06:06:06: declined".into()));
    assert_eq!((actions.len(), wire.wait_ms()), (2, 10_000));
    assert_eq!(wire.client.lease(), None);
    assert_eq!(sent(&wire.next()[0]).0, 1);
    assert_eq!(Wire::bound().event(Event::Claimed([6; 6])), [], "only while it is probed");
}

#[test]
fn it_renews_with_its_server_then_with_any_then_lets_go() {
    let mut wire = Wire::bound();
    let end = wire.client.lease().unwrap().expires.unwrap();
    let actions = wire.next();
    assert!(matches!(actions[0], Action::Unicast { from: ADDRESS, to: SERVER, .. }), "{actions:?}");
    assert_eq!(sent(&actions[0]), (3, ADDRESS, None, None));
    assert_eq!(wire.wait_ms(), 675_000, "half the time to T2");
    let mut unicast = 1;
    let rebind = loop {
        match &wire.next()[..] {
            [Action::Unicast { .. }] => unicast += 1,
            [one] => break sent(one),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((unicast, rebind), (6, (3, ADDRESS, None, None)));
    assert_eq!(wire.wait_ms(), 225_000, "half the time to the end");
    while wire.client.deadline().unwrap() < end {
        assert_eq!(sent(&wire.next()[0]).0, 3);
    }
    let actions = wire.next();
    assert!(matches!(&actions[..], [Action::Say(_), Action::Remove(_), Action::Broadcast(_)]));
    assert_eq!((wire.now, wire.client.lease()), (end, None));
}

#[test]
fn a_renewed_lease_counts_from_the_request() {
    let mut wire = Wire::bound();
    wire.next();
    let asked = wire.now;
    wire.now += Duration::from_secs(5);
    let actions = wire.answer(5, ADDRESS, &[51, 4, 0, 0, 0, 100, 58, 4, 0, 0, 0, 30, 59, 4, 0, 0, 0, 60]);
    let [Action::Install(lease)] = &actions[..] else { panic!("{actions:?}") };
    let after = |s| Some(asked + Duration::from_secs(s));
    assert_eq!((lease.renew, lease.rebind, lease.expires), (after(30), after(60), after(100)));
}

#[test]
fn a_refused_renewal_takes_the_address_away() {
    let mut wire = Wire::bound();
    wire.next();
    let actions = wire.answer(6, NONE, &[]);
    assert!(matches!(&actions[..], [Action::Say(_), Action::Remove(_), Action::Broadcast(_)]), "{actions:?}");
}

#[test]
fn another_address_at_renewal_is_probed_and_replaces_the_old() {
    let mut wire = Wire::bound();
    wire.next();
    let other = Ipv4Addr::new(10, 0, 0, 6);
    assert_eq!(wire.answer(5, other, &[]), [Action::Probe(other)]);
    wire.next();
    let actions = wire.next();
    let [Action::Remove(old), Action::Install(new)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((old.address, new.address), (ADDRESS, other));
}

#[test]
fn after_a_lost_carrier_the_old_address_is_confirmed_or_dropped() {
    let mut wire = Wire::bound();
    assert_eq!(wire.event(Event::Carrier(false)), []);
    assert!(wire.client.lease().is_some());
    wire.now += Duration::from_secs(60);
    let actions = wire.event(Event::Carrier(true));
    assert_eq!(sent(&actions[0]), (3, NONE, Some(ADDRESS), None));
    let mut confirmed = Wire { client: wire.client.clone(), now: wire.now };
    let actions = confirmed.answer(5, ADDRESS, &[]);
    assert!(matches!(&actions[..], [Action::Install(_)]), "{actions:?}");

    // On another network nobody may answer.
    let since = wire.now;
    let dropped = loop {
        match &wire.next()[..] {
            [one @ Action::Broadcast(_)] => assert_eq!(sent(one).0, 3),
            [Action::Remove(lease), discover] => break (lease.address, sent(discover).0),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(dropped, (ADDRESS, 1));
    assert!(wire.now - since >= REBOOT_PATIENCE);
}

#[test]
fn a_lease_ends_also_without_a_carrier() {
    let mut wire = Wire::bound();
    wire.event(Event::Carrier(false));
    let actions = wire.next();
    assert!(matches!(&actions[..], [Action::Say(_), Action::Remove(_)]), "{actions:?}");
    assert_eq!(wire.client.deadline(), None);
}

#[test]
fn a_lease_for_ever_is_never_renewed() {
    let mut wire = Wire::up();
    wire.next();
    wire.answer(2, ADDRESS, &[]);
    wire.lease(&[51, 4, 255, 255, 255, 255, 58, 4, 0, 0, 0, 9]);
    assert_eq!(wire.client.deadline(), None);
}

#[test]
fn senseless_times_are_replaced() {
    for (options, renew, rebind, end) in [
        (&[51, 4, 0, 0, 0, 80, 58, 4, 0, 0, 1, 0, 59, 4, 0, 0, 1, 0][..], 40, 70, 80),
        (&[51, 4, 0, 0, 0, 80, 58, 4, 0, 0, 0, 0, 59, 4, 0, 0, 0, 20], 20, 20, 80),
        (&[51, 4, 0, 0, 0, 0], 5, 7, 10),
        (&[], 1800, 3150, 3600),
    ] {
        let mut wire = Wire::up();
        wire.next();
        let asked = wire.now;
        wire.answer(2, ADDRESS, &[]);
        let actions = wire.lease(options);
        let [Action::Install(lease)] = &actions[..] else { panic!("{actions:?}") };
        let after = |s| Some(asked + Duration::from_secs(s));
        assert_eq!((lease.renew, lease.rebind, lease.expires), (after(renew), after(rebind), after(end)));
    }
}

#[test]
fn the_offer_of_a_second_server_is_named_once_and_not_taken() {
    let mut wire = Wire::up();
    wire.next();
    let (rogue, other) = (Ipv4Addr::new(192, 168, 0, 1), Ipv4Addr::new(192, 168, 0, 9));
    wire.answer(2, ADDRESS, &[]);
    let again = |wire: &mut Wire| wire.answer_as(rogue, wire.client.xid, 2, other, &[]);
    let why =
        "192.168.0.1 offers 192.168.0.9, 10.0.0.1 offered 10.0.0.5: more than one DHCP server answers here";
    assert_eq!(again(&mut wire), [Action::Say(why.to_owned())]);
    assert_eq!(again(&mut wire), []);
    // The same server's offer, sent twice, is none.
    assert_eq!(wire.answer(2, ADDRESS, &[]), []);
    let actions = wire.lease(&[51, 4, 0, 0, 0x0e, 0x10]);
    assert!(matches!(&actions[..], [Action::Install(lease)] if lease.address == ADDRESS), "{actions:?}");
}
