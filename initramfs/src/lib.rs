//! PID 1 of the sledos initramfs.
#![forbid(unsafe_code)]
