//! `sledos build`: the stages from recipe to artefacts, in order.

mod artefacts;
mod assemble;
mod boot;
mod error;
mod write;

pub use boot::INIT;
pub use error::{Error, OverBudget};

use std::path::PathBuf;
use std::sync::Arc;

use crate::apt::fetch::{Client, DebCache, LockedFetcher, Patience};
use crate::apt::release::Clock;
use crate::cache::Cache;
use crate::image::ImagePlan;
use crate::image::plan::default_version;
use crate::lock::Lock;
use crate::recipe::Recipe;

/// Everything that decides a build, and how to do it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The recipe file.
    pub recipe: PathBuf,
    /// The lock; beside the recipe when not given.
    pub lock: Option<PathBuf>,
    /// Whether a missing lock is an error.
    pub locked: bool,
    /// Mirrors in place of those in the host's apt sources.
    pub mirrors: Vec<String>,
    /// The cache directory.
    pub cache: PathBuf,
    /// Where images go.
    pub output: PathBuf,
    /// Version; made from the lock's time when not given.
    pub version: Option<String>,
    /// Components: name and file.
    pub components: Vec<(String, PathBuf)>,
    /// Whether a missing component is an error.
    pub require_components: bool,
    /// Whether to compress quickly.
    pub fast: bool,
    /// Time of every file of the image; the lock's when not given.
    pub time: Option<i64>,
    /// Threads; one per CPU when not given.
    pub jobs: Option<usize>,
    /// Clock for expiry of signatures, used when a lock is made.
    pub clock: Clock,
    /// How long to wait for mirrors.
    pub patience: Patience,
}
