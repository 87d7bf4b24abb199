//! From document to files: what comes out, that nothing bad can, and what the
//! programs that read the files say about them.
#![allow(clippy::unwrap_used)] // helpers of tests, too
mod agent;
mod disks;
mod fixture;
mod golden;
mod judges;
mod names;
mod networks;
mod property;
mod refusals;
