//! Planning over Debian's real kernel and firmware. Judges: depmod, modprobe, cpio, zstd.

mod contract;
mod fixture;
mod indexes;
mod initramfs;
