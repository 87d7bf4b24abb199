//! Archives, resolution and locks against real .debs, real OpenPGP signatures
//! and mirrors that misbehave.

mod fetch;
mod lock;
mod recipe;
mod release;
mod repo;
mod resolve;
mod server;
