//! What came of a simulation.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::Settings;
use super::sled::Run;
use super::strangers::Strangers;

/// How long it took some sleds, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Times {
    /// Of half of them.
    pub p50: f64,
    /// Of nine of ten.
    pub p90: f64,
    /// Of 99 of a hundred.
    pub p99: f64,
    /// Of all.
    pub max: f64,
}

/// The figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Sleds that were switched on.
    pub sleds: usize,
    /// Servers.
    pub servers: usize,
    /// Bytes of the image.
    pub image: usize,
    /// Servers that were killed.
    pub killed: usize,
    /// Machines that nobody knows.
    pub strangers: Strangers,
    /// Sleds that got ready, and a server took it.
    pub ready: usize,
    /// Sleds that did not, and those that no server knows as ready afterwards.
    pub lost: Vec<String>,
    /// Questions and reports that were repeated.
    pub repeated: u64,
    /// Bytes of documents and images that sleds got.
    pub bytes: u64,
    /// From power-on to the end, in seconds.
    pub seconds: f64,
    /// From power-on to the document.
    pub document: Times,
    /// To the verified image.
    pub verified: Times,
    /// To ready.
    pub ready_after: Times,
}

/// Percentiles by nearest rank.
fn times(all: impl Iterator<Item = Option<Duration>>) -> Times {
    let mut all: Vec<f64> = all.flatten().map(|d| d.as_secs_f64()).collect();
    all.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        let rank = (all.len() * percent).div_ceil(100).max(1);
        all.get(rank - 1).copied().unwrap_or_default()
    };
    Times { p50: at(50), p90: at(90), p99: at(99), max: at(100) }
}

impl Figures {
    pub(super) fn new(
        settings: &Settings,
        runs: &[Run],
        killed: usize,
        took: Duration,
        known: &BTreeSet<String>,
    ) -> Self {
        let name = |n: usize| format!("r{}-b{:02}", n / 40 + 1, n % 40 + 1);
        let lost = runs.iter().enumerate().map(|(n, run)| (name(n), run));
        let lost = lost.filter(|(name, run)| run.ready.is_none() || !known.contains(name));
        Self {
            sleds: settings.sleds,
            servers: settings.servers,
            image: settings.image,
            killed,
            strangers: Strangers::default(),
            ready: runs.iter().filter(|run| run.ready.is_some()).count(),
            lost: lost.map(|(name, _)| name).collect(),
            repeated: runs.iter().map(|run| run.repeated).sum(),
            bytes: runs.iter().map(|run| run.bytes).sum(),
            seconds: took.as_secs_f64(),
            document: times(runs.iter().map(|run| run.document)),
            verified: times(runs.iter().map(|run| run.image)),
            ready_after: times(runs.iter().map(|run| run.ready)),
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sleds, servers, image, killed, ready, lost, repeated, bytes, seconds, .. } = self;
        writeln!(
            f,
            "{sleds} sleds, {servers} servers, an image of {image} bytes; {killed} times a server was killed"
        )?;
        writeln!(f, "{:<12} {:>9} {:>9} {:>9} {:>9}", "seconds to", "p50", "p90", "p99", "max")?;
        let rows = [("document", self.document), ("image", self.verified), ("ready", self.ready_after)];
        for (name, Times { p50, p90, p99, max }) in rows {
            writeln!(f, "{name:<12} {p50:>9.3} {p90:>9.3} {p99:>9.3} {max:>9.3}")?;
        }
        writeln!(f, "{bytes} bytes in {seconds:.2} s; {repeated} questions and reports were repeated")?;
        let Strangers { taken, refused, unanswered } = self.strangers;
        if self.strangers != Strangers::default() {
            writeln!(
                f,
                "inventories of strangers: {taken} taken, {refused} refused, {unanswered} not answered"
            )?;
        }
        write!(f, "ready {ready}, lost {}", lost.len())?;
        for name in lost.iter().take(10) {
            write!(f, " {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_there() {
        let of = |n: u64| times((1..=n).rev().map(|s| Some(Duration::from_secs(s))));
        assert_eq!(of(100), Times { p50: 50., p90: 90., p99: 99., max: 100. });
        assert_eq!(of(1), Times { p50: 1., p90: 1., p99: 1., max: 1. });
        assert_eq!(of(0), Times::default());
    }
}
