//! The agent and the master as processes.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

mod identity;
mod registration;
mod starts;
mod support;
