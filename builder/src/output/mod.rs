//! What a build leaves behind, all of it or nothing.
//!
//! Artefacts are written into a [`StagedDir`] and appear under their final name at
//! once. An error or Ctrl-C ([`Interrupt`]) removes what was written so far.

mod error;
mod interrupt;
pub mod own;
mod sparse;
mod staged;
mod sums;

pub use error::Error;
pub use interrupt::{Interrupt, Interrupted};
pub use sparse::SparseFile;
pub use staged::{StagedDir, check_own};
pub use sums::{SUMS, parse_sums, sha256_of_file, write_sums};
