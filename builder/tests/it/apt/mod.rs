//! Archives, resolution and locks against real .debs, real OpenPGP signatures
//! and mirrors that misbehave.
// A helper that fails fails its test, and lists of one mirror read better as lists.
#![allow(clippy::unwrap_used, clippy::cloned_ref_to_slice_refs)]

mod fetch;
mod like_apt;
mod lock;
mod recipe;
mod release;
mod repo;
mod resolve;
mod server;
mod sources;
