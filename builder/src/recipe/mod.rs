//! Recipes: what an image is made of.
//!
//! [`load`] reads the YAML files, lays them over each other and checks everything
//! that can be checked without looking at packages; all mistakes are reported at
//! once. [`model`] is the value the rest of the builder works on. `docs/recipe.md`
//! describes every key.

mod check;
pub mod glob;
pub mod host;
mod load;
pub mod model;
pub(crate) mod values;

pub use host::{Disk, Host};
pub use model::{Budgets, Recipe};

use std::path::Path;

use yaml::Problems;
use yaml::diagnostic::Diagnostics;

/// Loads and checks a recipe.
///
/// # Errors
/// Every mistake found, each with its file, line and column.
pub fn load(file: &Path) -> Result<Recipe, Diagnostics> {
    load_from(file, &Disk)
}

/// As [`load`], from any file system.
///
/// # Errors
/// As [`load`].
pub fn load_from(file: &Path, host: &dyn Host) -> Result<Recipe, Diagnostics> {
    let problems = Problems::default();
    let node = load::load(file, host, &problems);
    let recipe = node.and_then(|(node, sha256)| {
        let recipe = check::recipe(&node, file, host, &problems)?;
        Some(Recipe { sha256, ..recipe })
    });
    problems.finish(recipe)
}
