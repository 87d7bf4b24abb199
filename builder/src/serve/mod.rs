//! `sledos serve` from the builder's side: the fleet file that is watched, compiled and
//! changed for the server, and clients of a server that runs.

pub mod client;
mod error;
mod files;
mod fleet;
mod freshness;
mod operator;

pub use error::Error;
pub use files::raise_open_files;
pub use fleet::FleetOnDisk;
pub use freshness::key as freshness_key;
pub use operator::{FILE as OPERATOR_FILE, token as operator_token};
