//! Counters, as Prometheus reads them (text format 0.0.4).

use crate::sled::state::{Record, State};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What kinds of things are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A path that leads out or is none.
    Path,
    /// A method nobody knows, or not for this.
    Method,
    /// A body that is too long.
    TooLong,
    /// A body that does not come to its end.
    TooSlow,
    /// A report that is none.
    Malformed,
    /// A report without a token, or with another sled's.
    Forged,
    /// More connections than are served, or events than are kept.
    Busy,
    /// A report that could not be put on the disk.
    Store,
    /// Bytes that are not HTTP, or heads that do not come to their end.
    Protocol,
    /// TLS that does not come about.
    Tls,
    /// A request by another name, by another server's page, or of another type.
    Foreign,
}

const REFUSALS: [(Refusal, &str); 11] = [
    (Refusal::Path, "path"),
    (Refusal::Method, "method"),
    (Refusal::TooLong, "too-long"),
    (Refusal::TooSlow, "too-slow"),
    (Refusal::Malformed, "malformed"),
    (Refusal::Forged, "forged"),
    (Refusal::Busy, "busy"),
    (Refusal::Store, "store"),
    (Refusal::Protocol, "protocol"),
    (Refusal::Tls, "tls"),
    (Refusal::Foreign, "foreign"),
];

/// The counters.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    refused: [AtomicU64; REFUSALS.len()],
    /// Connections since the start.
    pub connections: AtomicU64,
    /// Connections that are open.
    pub open: AtomicU64,
    /// Bytes that were written to connections.
    pub sent: AtomicU64,
    /// Reports and inventories that are on the disk.
    pub reports: AtomicU64,
    /// Compilations that were taken over.
    pub compiled: AtomicU64,
    /// Whether the store works: 0 when it does.
    pub store_broken: AtomicU64,
}

impl Metrics {
    /// An answer was given.
    pub fn answered(&self, route: &'static str, status: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route, status)).or_default() += 1;
    }

    /// Something was refused.
    pub fn refuse(&self, why: Refusal) {
        let counters = REFUSALS.iter().zip(&self.refused);
        for (_, counter) in counters.filter(|((kind, _), _)| *kind == why) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often that was refused.
    pub fn refused(&self, why: Refusal) -> u64 {
        let counters = REFUSALS.iter().zip(&self.refused);
        counters.filter(|((kind, _), _)| *kind == why).map(|(_, n)| n.load(Ordering::Relaxed)).sum()
    }

    /// The page that Prometheus fetches.
    pub fn text(
        &self,
        records: &BTreeMap<String, Arc<Record>>,
        expected: usize,
        broken_fleet: bool,
    ) -> String {
        let mut out = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, u64)]| {
            // Writing to a string does not fail.
            let _ = writeln!(out, "# HELP sledos_{name} {help}\n# TYPE sledos_{name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(out, "sledos_{name}{labels} {value}");
            }
        };
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let requests: Vec<_> = requests
            .into_iter()
            .map(|((route, status), n)| (format!("{{route=\"{route}\",status=\"{status}\"}}"), n))
            .collect();
        family("http_requests_total", "counter", "Answers by route and status.", &requests);
        let refused: Vec<_> = REFUSALS
            .iter()
            .zip(&self.refused)
            .map(|((_, word), n)| (format!("{{reason=\"{word}\"}}"), n.load(Ordering::Relaxed)))
            .collect();
        family("refused_total", "counter", "What was refused, by reason.", &refused);
        let one = |n: &AtomicU64| [(String::new(), n.load(Ordering::Relaxed))];
        family("http_connections_total", "counter", "Connections since the start.", &one(&self.connections));
        family("http_connections", "gauge", "Open connections.", &one(&self.open));
        family("http_sent_bytes_total", "counter", "Bytes written to connections.", &one(&self.sent));
        family(
            "reports_total",
            "counter",
            "Reports and inventories that are on the disk.",
            &one(&self.reports),
        );
        family(
            "compiled_total",
            "counter",
            "Compilations of the fleet file that were taken over.",
            &one(&self.compiled),
        );
        family("store_broken", "gauge", "1 while the store takes nothing.", &one(&self.store_broken));
        family(
            "fleet_broken",
            "gauge",
            "1 while the fleet file has mistakes.",
            &[(String::new(), u64::from(broken_fleet))],
        );
        let mut states: BTreeMap<State, u64> = State::ALL.into_iter().map(|state| (state, 0)).collect();
        let mut known = 0;
        for (id, record) in records {
            *states.entry(record.state).or_default() += 1;
            known += usize::from(!id.starts_with(crate::keeper::UNKNOWN));
        }
        *states.entry(State::Expected).or_default() +=
            u64::try_from(expected.saturating_sub(known)).unwrap_or(u64::MAX);
        let states: Vec<_> = states.into_iter().map(|(s, n)| (format!("{{state=\"{s}\"}}"), n)).collect();
        family("sleds", "gauge", "Sleds by state.", &states);
        out
    }
}
