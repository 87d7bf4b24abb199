//! Durations: a number and its unit, `10mins`. `stout/duration.hpp`.

use std::time::Duration;

use super::{Result, invalid};

const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("ms", 1e-3),
    ("secs", 1.0),
    ("mins", 60.0),
    ("hrs", 3600.0),
    ("days", 86_400.0),
    ("weeks", 604_800.0),
];

/// Parses a duration. Units are spelled one way only: `1min` is refused.
///
/// # Errors
/// No number, or no such unit.
pub fn parse(text: &str) -> Result<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let Some((_, seconds)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return invalid(format!("unknown duration unit '{unit}' in '{text}'"));
    };
    match number.parse::<f64>().ok().and_then(|n| Duration::try_from_secs_f64(n * seconds).ok()) {
        Some(duration) => Ok(duration),
        None => invalid(format!("invalid duration '{text}'")),
    }
}
