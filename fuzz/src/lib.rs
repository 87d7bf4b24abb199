//! Fuzzing without a nightly compiler: a corpus that is kept, mutations from a seed, and
//! a pool that grows with every input to which a target answers something new.
//!
//! | What | Module |
//! |---|---|
//! | what is fuzzed | [`targets`] |
//! | one input made of others | `mutate` |
//! | running a target: panics, hangs, memory, counts | [`engine`] |
//!
//! Not guarded: nothing measures coverage. What a target returns stands in for it.
#![forbid(unsafe_code)]

pub mod engine;
mod mutate;
pub mod targets;
