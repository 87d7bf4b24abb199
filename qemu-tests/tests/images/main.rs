//! Images from the real mirror: before other people's tools, built again, and booted.
//!
//! One binary: an image that several tests need is built once, and there are always as many
//! tests at work as the runner has threads.
#![forbid(unsafe_code)]

mod artefacts;
mod bmc;
mod boot;
mod cookbook;
mod reproducible;
mod sleds;
