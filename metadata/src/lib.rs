//! What a sled is told about itself.
//!
//! | What | Module |
//! |---|---|
//! | the sled document, the signed JSON one sled gets | [`document`] |
//! | its configuration part, which the fleet file shares | [`config`] |
//! | what a sled makes of it, as files | [`generate`] |
//! | environment files of systemd | [`envfile`] |
//! | MAC addresses, networks, sizes as text | [`values`] |
//! | serial numbers that identify nobody | [`junk`] |
//! | the fleet file, and documents made of it (feature `fleet`) | `fleet` |
//! | Ignition configs as part of a fleet (feature `fleet`) | `ignition` |
//! | where a document lies on a static server | [`layout`] |
//! | whether it is the newest | [`freshness`] |
//! | minisign signatures | [`signature`] |
//!
//! Pure: no I/O, time is an argument. PID 1, the command line tool and the server
//! share it, so that what one writes the others read.
#![forbid(unsafe_code)]

pub mod config;
pub mod document;
pub mod envfile;
#[cfg(feature = "fleet")]
pub mod fleet;
pub mod freshness;
pub mod generate;
#[cfg(feature = "fleet")]
pub mod ignition;
pub mod junk;
pub mod layout;
pub mod signature;
pub mod values;
