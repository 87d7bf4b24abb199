//! The few kernel interfaces that no safe crate wraps. The only crate here that may use `unsafe`.
#![allow(unsafe_code)]
