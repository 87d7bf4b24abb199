//! Boots real images in QEMU and asks them how they are.
#![forbid(unsafe_code)]
