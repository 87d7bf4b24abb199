//! Sleds from power-on to ready, with images from the real mirror, in racks made of network
//! namespaces.
//!
//! As many machines run at once as the test runner has threads: one boot keeps about one
//! processor busy, and many of them wait for a clock or a time-out for a while.

mod disks;
mod provision;
mod pxe;
mod scene;
