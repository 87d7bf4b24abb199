//! The few kernel interfaces that no safe crate wraps: device-mapper, software RAID, loop devices,
//! what block devices do beside reading and writing, IPMI and watchdogs, all reached
//! by `ioctl`, and raw Ethernet sockets.
//!
//! The only crate of sledos that may use `unsafe`. Everything public here is
//! safe to call with any argument; the kernel checks what the arguments mean.
#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

pub mod blkpg;
pub mod block;
pub mod dm;
pub mod ipmi;
#[cfg(all(target_feature = "crt-static", target_env = "gnu"))]
mod libc_parts;
pub mod loopdev;
pub mod md;
pub mod packet;
pub mod watchdog;
