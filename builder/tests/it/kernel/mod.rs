//! Planning over Debian's real kernel and firmware. Judges: depmod, modprobe, cpio, zstd.
#![allow(clippy::unwrap_used)]

mod contract;
mod fixture;
mod indexes;
mod initramfs;
