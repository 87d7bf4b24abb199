//! The thread with a device that says what is done to it.

use super::*;
use std::sync::mpsc::{Receiver, Sender, channel};

#[derive(Debug)]
struct Fake(Sender<&'static str>);

impl Device for Fake {
    fn name(&self) -> String {
        "test".into()
    }
    fn set_timeout(&mut self, seconds: u32) -> io::Result<u32> {
        Ok(seconds)
    }
    fn feed(&mut self) -> io::Result<()> {
        let _ = self.0.send("feed");
        Ok(())
    }
    fn disarm(&mut self) -> io::Result<()> {
        let _ = self.0.send("disarm");
        Ok(())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.0.send("close");
    }
}

fn start() -> (Watchdog, Receiver<&'static str>, Receiver<String>) {
    let (done, did) = channel();
    let (say, said) = channel();
    let open = move || Ok(Box::new(Fake(done.clone())) as Box<dyn Device>);
    let say = move |line: &str| drop(say.send(line.to_owned()));
    // Time stands still at 100 s.
    let now = || Duration::from_secs(100);
    let watchdog = Watchdog::every(Duration::from_millis(1), Box::new(open), now, Box::new(say)).unwrap();
    (watchdog, did, said)
}

#[test]
fn it_is_fed_while_something_in_time_is_waited_for() {
    let now = Duration::from_secs;
    let mut state = State::default();
    assert_eq!(state.verdict(now(0)), Err(vec![]));
    state.add("disks", Until::Time(now(10)));
    assert_eq!(state.verdict(now(9)), Ok(()));
    assert_eq!(state.verdict(now(10)), Err(vec!["disks"]));
}

#[test]
fn who_waits_for_a_server_may_take_for_ever_but_not_hang() {
    let now = Duration::from_secs;
    let pulse = Pulse::default();
    let mut state = State::default();
    state.add("server", Until::Pulse { pulse: pulse.clone(), count: 0, seen: now(0) });
    for minute in 0..1000 {
        pulse.beat();
        assert_eq!(state.verdict(now(60 * minute)), Ok(()), "{minute}");
    }
    // From here on the thread hangs.
    let last = now(60 * 999);
    assert_eq!(state.verdict(last + NO_PULSE - now(1)), Ok(()));
    assert_eq!(state.verdict(last + NO_PULSE), Err(vec!["server"]));
    pulse.beat();
    assert_eq!(state.verdict(last + NO_PULSE), Ok(()));
}

#[test]
fn the_hand_over_takes_the_longest_time_that_the_hardware_has() {
    #[derive(Debug)]
    struct Short(Sender<u32>);
    impl Device for Short {
        fn name(&self) -> String {
            "short".into()
        }
        fn set_timeout(&mut self, seconds: u32) -> io::Result<u32> {
            let _ = self.0.send(seconds);
            if seconds > 255 { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(seconds) }
        }
        fn feed(&mut self) -> io::Result<()> {
            Ok(())
        }
        fn disarm(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (asked, said) = channel();
    let open = move || Ok(Box::new(Short(asked.clone())) as Box<dyn Device>);
    let watchdog = Watchdog::start(Box::new(open), || Duration::ZERO, Box::new(|_| ())).unwrap();
    assert_eq!(said.recv().unwrap(), TIMEOUT);
    assert_eq!(watchdog.hand_over(true).unwrap(), "stays armed: systemd feeds it within 180 s");
    assert_eq!(said.iter().collect::<Vec<_>>(), [300, 180]);
}

#[test]
fn it_is_fed_from_a_reason_on_and_stays_armed_for_systemd() {
    let (watchdog, did, said) = start();
    assert_eq!(said.recv().unwrap(), "test, resets after 60 s without food");
    let waits = watchdog.waits("server", &Pulse::default());
    assert_eq!((did.recv().unwrap(), did.recv().unwrap()), ("feed", "feed"));
    drop(waits);
    assert_eq!(watchdog.hand_over(true).unwrap(), "stays armed: systemd feeds it within 300 s");
    let rest: Vec<_> = did.iter().collect();
    assert!(rest.ends_with(&["feed", "close"]) && !rest.contains(&"disarm"), "{rest:?}");
}

#[test]
fn without_a_systemd_that_takes_over_it_is_stopped() {
    let (watchdog, did, said) = start();
    said.recv().unwrap();
    assert!(watchdog.hand_over(false).unwrap().starts_with("stopped: "));
    assert_eq!(did.iter().collect::<Vec<_>>(), ["disarm", "close"]);
}

#[test]
fn a_phase_that_takes_too_long_is_said_and_starves_it() {
    let (watchdog, did, said) = start();
    said.recv().unwrap();
    let _phase = watchdog.phase("disks", Duration::ZERO);
    assert_eq!(said.recv().unwrap(), "disks takes too long; resets in 60 s unless it ends");
    assert!(did.try_recv().is_err());
}

#[test]
fn a_machine_without_a_watchdog_says_nothing() {
    let open = || Err(io::Error::from(io::ErrorKind::NotFound));
    let now = || Duration::ZERO;
    let watchdog = Watchdog::start(Box::new(open), now, Box::new(|line| panic!("{line}"))).unwrap();
    assert_eq!(watchdog.hand_over(true), None);
}
