//! Boots real images in QEMU and asks them how they are.
//!
//! [`image`] builds the images under test, [`guest`] is a booted one reached by
//! SSH, [`console`] looks for trouble in what it printed, [`judge`] runs other
//! people's tools on artefacts, [`docker`] makes a container image, [`fleet`] a fleet with
//! its key. [`rack`] is a network with a DHCP server and a provisioning server ([`web`])
//! in a [`namespace`], [`bmc`] a BMC, [`program`] is `sledos` for an image, [`turn`] how many machines run at once,
//! [`scratch`] a test's own directory, [`cuts`] what a power cut leaves on a disk, [`startable`]
//! what is started from that.
#![forbid(unsafe_code)]

pub mod bmc;
pub mod console;
pub mod cuts;
pub mod docker;
pub mod fleet;
pub mod guest;
pub mod image;
pub mod judge;
pub mod namespace;
pub mod program;
pub mod rack;
pub mod scratch;
pub mod startable;
pub mod turn;
pub mod web;
