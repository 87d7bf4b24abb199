//! What operators write, by the rules of Mesos 1.11 (`stout/flags`,
//! `common/attributes.cpp`, `common/values.cpp`, `common/resources.cpp`). Pure.

pub mod attributes;
pub mod domain;
pub mod duration;
pub mod flags;
pub mod isolation;
pub mod known;
pub mod master;
pub mod resources;
pub mod value;

/// Text that Mesos does not take, and why, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// Shorthand for the results of this module.
pub type Result<T> = std::result::Result<T, Invalid>;

pub(crate) fn invalid<T>(why: impl Into<String>) -> Result<T> {
    Err(Invalid(why.into()))
}
