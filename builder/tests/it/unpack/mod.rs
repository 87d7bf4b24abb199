//! Archives, overlays and components become trees: against dpkg, and against
//! whatever can be wrong with them.
//!
//! Needs dpkg-deb and tar, and root, to make and compare owners and devices.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad;
mod cached;
mod components;
mod dpkg;
mod overlays;
mod support;
