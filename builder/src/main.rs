//! `sledos`: see `sledos --help`.
#![forbid(unsafe_code)]
fn main() {}
