//! Debian archives: sources, signed releases, package indices, resolution, download.
//!
//! ```text
//! host's sources, --mirror ─sources→ Mirrors ─archive→ InRelease ─release→ Release (verified)
//!    ─index→ Packages ─resolve→ chosen packages ─fetch→ .debs
//! ```
//! Everything downstream of [`release`] is trusted because of a sha256 that
//! stands in a signed text; mirrors are trusted with nothing.

pub mod archive;
pub mod deb822;
pub mod fetch;
pub mod index;
pub mod relation;
pub mod release;
pub mod resolve;
pub mod sources;

mod lock_recipe;

pub use lock_recipe::{LockRequest, lock_recipe, mirrors, resolve_recipe};
