//! From power-on to ready over the network: blank sleds, their own firmware, and
//! `sledos serve --pxe` with the real dnsmasq and Debian's iPXE; or DHCP and web servers that
//! people have already, with exported files.

mod boots;
#[allow(clippy::unwrap_used, dead_code)]
#[path = "../../../../../server/tests/page/browser.rs"]
mod browser;
mod existing;
mod replaced;
mod roles;
mod seed;
mod support;
mod way_back;
