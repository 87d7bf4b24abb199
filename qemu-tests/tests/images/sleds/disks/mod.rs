//! Sleds full of disks: what is on them must not be lost. The storage image from the real
//! mirror, in a rack with a real DHCP server, with disks of real sizes in sparse files.

mod apart;
pub(crate) mod drives;
mod sled;
mod support;
