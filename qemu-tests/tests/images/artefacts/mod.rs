//! Every artefact of the compute image before other people's tools.
//!
//! Needs root, so that unpacked files keep their owners.

mod contract;
mod disk;
mod indexes;
mod initramfs;
mod packages;
mod proof;
mod schemas;
mod support;
mod uki;
mod usr;
