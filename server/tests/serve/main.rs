//! A server over real sockets: what it hands out, what it takes, what it refuses, and
//! what is left when it is killed.
#![allow(clippy::unwrap_used)]

mod answers;
mod api;
mod attacks;
mod bad;
mod durable;
mod export;
mod files;
mod fresh;
mod fuzz;
mod many;
mod pxe;
mod reports;
mod support;
