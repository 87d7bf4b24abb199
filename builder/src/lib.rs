//! The sledos builder: a recipe and real Debian packages become an immutable,
//! reproducible image.
//!
//! ```text
//! recipe.yaml ─load→ Recipe ─resolve→ Lock ─fetch→ .debs ─unpack→ Tree
//!    ─fix up + overlay→ Tree ─plan→ ImagePlan ─write→ output/
//! ```
#![forbid(unsafe_code)]

pub mod apt;
pub mod cache;
pub mod diagnostic;
pub mod exit;
pub mod fixups;
pub mod kernel;
pub mod lock;
pub mod output;
pub mod progress;
pub mod recipe;
pub mod unpack;
pub mod yaml;
