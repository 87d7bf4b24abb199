//! The lock: exactly which packages an image is made of.

pub mod model;

pub use model::Lock;
