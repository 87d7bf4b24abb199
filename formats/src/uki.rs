//! Unified kernel images: systemd-stub with a kernel, an initramfs and their
//! command line as further sections of one PE image that firmware boots.
//!
//! UAPI.5 "Unified Kernel Image": <https://uapi-group.org/specifications/specs/unified_kernel_image/>.

#[cfg(feature = "write")]
mod build;
mod cmdline;

#[cfg(feature = "write")]
pub use build::{Error, Parts, Section, build, sections};
pub use cmdline::cmdline;
