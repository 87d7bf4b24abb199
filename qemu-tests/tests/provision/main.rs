//! A sled is powered on and comes up as *this* sled: kernel and initramfs of the compute
//! image from the real mirror, in a rack with a real DHCP server.
#![forbid(unsafe_code)]

mod equipped;
mod install;
mod live;
mod location;
mod patience;
mod refusals;
mod sabotage;
mod sheet;
mod support;
