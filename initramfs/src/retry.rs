//! When to ask which server again. Pure: time and random numbers are arguments.
//!
//! Full jitter: the wait is anywhere between zero and a bound that doubles up to a
//! cap, so that a rack that was switched on at once does not ask at once. There is
//! no last try.

use std::time::Duration;

/// Longest time that a server may ask to be left alone.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// How the waits grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Bound of the first wait.
    pub base: Duration,
    /// Bound of all waits.
    pub cap: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(60) }
    }
}

impl Policy {
    /// The wait after `failures` in a row, from 0; `random` is any number.
    pub fn wait(&self, failures: u32, random: u64) -> Duration {
        let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        let bound = self.base.saturating_mul(factor).min(self.cap);
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        // The high half of the product is uniform in 0..nanos.
        let wait = (u128::from(random) * u128::from(nanos)) >> 64;
        Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
    }
}

/// Several servers, each with its own waits.
#[derive(Clone, Debug, Default)]
pub struct Servers {
    policy: Policy,
    /// The last good one first, then in the order they were given.
    list: Vec<Server>,
    good: Option<String>,
}

#[derive(Clone, Debug)]
struct Server {
    url: String,
    failures: u32,
    due: Duration,
    /// `due` is what the server asked for.
    asked: bool,
}

impl Servers {
    /// No servers; `good` is the one that was the last to be good, if known.
    pub fn new(policy: Policy, good: Option<String>) -> Self {
        Self { policy, list: Vec::new(), good }
    }

    /// Which there are now. Those that were there keep their waits.
    pub fn set(&mut self, urls: &[String]) {
        let mut list: Vec<Server> = Vec::new();
        let good = self.good.iter().filter(|good| urls.contains(good));
        for url in good.chain(urls) {
            if list.iter().any(|server| server.url == *url) {
                continue;
            }
            let known = self.list.iter().find(|server| server.url == *url).cloned();
            let new = || Server { url: url.clone(), failures: 0, due: Duration::ZERO, asked: false };
            list.push(known.unwrap_or_else(new));
        }
        self.list = list;
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Who may be asked now, in order.
    pub fn due(&self, now: Duration) -> Vec<String> {
        self.list.iter().filter(|server| server.due <= now).map(|server| server.url.clone()).collect()
    }

    /// When the next one may be asked.
    pub fn next(&self) -> Option<Duration> {
        self.list.iter().map(|server| server.due).min()
    }

    /// One gave nothing that can be used. Returns how long it is left alone, and
    /// what to say when it asked for longer than it gets.
    pub fn failed(
        &mut self,
        url: &str,
        now: Duration,
        random: u64,
        retry_after: Option<Duration>,
    ) -> (Duration, Option<String>) {
        let wait = match self.list.iter_mut().find(|server| server.url == url) {
            None => Duration::ZERO,
            Some(server) => {
                let own = self.policy.wait(server.failures, random);
                let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
                // Those that were all told the same time do not come back at the same time.
                let wait = if asked.is_zero() { own } else { asked.saturating_add(own) };
                server.failures = server.failures.saturating_add(1);
                server.asked = !asked.is_zero();
                server.due = now.saturating_add(wait);
                wait
            }
        };
        let cut = retry_after.filter(|asked| *asked > LONGEST_RETRY_AFTER).map(|asked| {
            format!("Retry-After of {} s is cut to {} s", asked.as_secs(), LONGEST_RETRY_AFTER.as_secs())
        });
        (wait, cut)
    }

    /// The network changed: what failed before may work now. Servers that asked to be
    /// left alone are; the others are asked within the first bound, because all sleds
    /// of a rack see their switch come back at once.
    pub fn hurry(&mut self, now: Duration, random: u64) {
        let soon = now.saturating_add(self.policy.wait(0, random));
        for server in self.list.iter_mut().filter(|server| !server.asked) {
            server.due = server.due.min(soon);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_are_anywhere_below_a_bound_that_doubles_up_to_the_cap() {
        let policy = Policy::default();
        let most: Vec<_> = (0..9).map(|n| policy.wait(n, u64::MAX).as_secs_f64().round()).collect();
        assert_eq!(most, [1., 2., 4., 8., 16., 32., 60., 60., 60.]);
        for failures in [0, 5, 31, 32, u32::MAX] {
            assert_eq!(policy.wait(failures, 0), Duration::ZERO);
            assert!(policy.wait(failures, u64::MAX) < policy.cap);
        }
        assert_eq!(policy.wait(3, 1 << 63), 4 * SECOND);
    }

    #[test]
    fn the_last_good_one_is_asked_first_if_it_is_still_there() {
        let urls = ["a", "b", "c"].map(str::to_owned);
        let mut servers = Servers::new(Policy::default(), Some("b".into()));
        servers.set(&urls);
        assert_eq!(servers.due(Duration::ZERO), ["b", "a", "c"]);
        servers.set(&urls[2..]);
        assert_eq!(servers.due(Duration::ZERO), ["c"]);
        assert!(Servers::default().next().is_none());
    }

    #[test]
    fn each_server_has_its_own_waits_and_keeps_them() {
        let urls = ["a", "b"].map(str::to_owned);
        let mut servers = Servers::new(Policy::default(), None);
        servers.set(&urls);
        assert_eq!(servers.failed("a", SECOND, 1 << 63, None), (SECOND / 2, None));
        assert_eq!(servers.due(SECOND), ["b"]);
        servers.set(&urls);
        assert_eq!(servers.due(SECOND), ["b"]);
        servers.failed("b", SECOND, 0, Some(9 * SECOND));
        assert_eq!((servers.due(SECOND).len(), servers.next()), (0, Some(SECOND * 3 / 2)));
        assert_eq!(servers.due(10 * SECOND), ["a", "b"]);
    }

    #[test]
    fn retry_after_is_honoured_up_to_an_hour_even_when_the_network_changes() {
        let mut servers = Servers::new(Policy::default(), None);
        servers.set(&["a".into(), "b".into()]);
        let (wait, said) = servers.failed("a", Duration::ZERO, 0, Some(7200 * SECOND));
        assert_eq!(wait, LONGEST_RETRY_AFTER);
        assert_eq!(said.unwrap(), "Retry-After of 7200 s is cut to 3600 s");
        for _ in 0..9 {
            servers.failed("b", Duration::ZERO, u64::MAX, None);
        }
        assert!(servers.due(59 * SECOND).is_empty());
        servers.hurry(2 * SECOND, u64::MAX);
        assert_eq!(servers.due(3 * SECOND), ["b"]);
    }
}
