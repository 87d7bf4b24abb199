//! Recipes: what an image is made of.
//!
//! [`model`] is the merged, checked value the rest of the builder works on.

pub mod model;

pub use model::Recipe;
