//! The image: its plan (names, sizes, offsets, ids) and the writers that carry it out.

pub mod ids;
pub mod manifest;
pub mod plan;
pub mod pxe;

pub use plan::ImagePlan;
