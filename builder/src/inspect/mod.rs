//! `sledos inspect`: what is in an image, without mounting it.

pub mod line;
pub mod modules;
pub mod overview;
pub mod place;
pub mod treemap;

pub use line::{Line, Lines};
pub use modules::{Modules, modules};
pub use overview::{Overview, overview};
pub use place::{There, look};
