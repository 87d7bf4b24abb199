//! `sledctl` of the image against the agent and the master, on loopback: systemctl and
//! journalctl are scripts that show what [`support::Unit`] does in systemd's place.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic, too")]

mod places;
mod ready;
mod support;
