//! The few kernel interfaces that no safe crate wraps: device-mapper and the
//! partition table of a block device, both reached by `ioctl`, and raw Ethernet
//! sockets.
//!
//! The only crate of sledos that may use `unsafe`. Everything public here is
//! safe to call with any argument; the kernel checks what the arguments mean.
#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

pub mod blkpg;
pub mod dm;
pub mod packet;
