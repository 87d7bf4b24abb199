//! The sledos builder: a recipe and real Debian packages become an immutable,
//! reproducible image.
//!
//! ```text
//! recipe.yaml ─load→ Recipe ─resolve→ Lock ─fetch→ .debs ─unpack→ Tree
//!    ─fix up + overlay→ Tree ─plan→ ImagePlan ─write→ output/
//! ```
#![forbid(unsafe_code)]

pub mod accounts;
pub mod apt;
pub mod artefacts;
pub mod build;
pub mod cache;
pub mod capabilities;
pub mod claim;
pub mod cli;
pub mod date;
pub mod diff;
pub mod digest;
pub mod exit;
pub mod explain;
pub mod fixups;
pub mod fleet;
pub mod image;
pub mod inspect;
pub mod kernel;
pub mod lock;
pub mod origins;
pub mod output;
pub mod progress;
pub mod provenance;
pub mod publish;
pub mod qemu;
pub mod recipe;
pub mod sbom;
pub mod seed;
pub mod serve;
pub mod shell;
pub mod simulate;
pub mod summary;
pub mod unpack;
pub mod verify;
