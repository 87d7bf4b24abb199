//! A sled is powered on and comes up as *this* sled: kernel and initramfs of the compute
//! image, in a rack with a real DHCP server.

mod agent;
mod cuts;
mod equipped;
mod extensions;
mod install;
mod live;
mod location;
mod patience;
mod refusals;
mod releases;
mod sabotage;
mod sheet;
mod support;
