//! The seed: the first machine of a rack. It asks a few questions on its console, then
//! serves documents, images and boot scripts to all the others.
//!
//! ```text
//! questions ─ask→ Plan, shown and confirmed ─apply→ DIR/config ─serve→ sledos serve --pxe
//! ```
//!
//! | What | Module |
//! |---|---|
//! | what is typed → addresses, ranges, choices; pure | [`answers`] |
//! | lines of a terminal that nobody can trust | [`console`] |
//! | the questions, each checked at once | [`ask`](mod@ask) |
//! | what the machine has: NICs, a stick, URLs | [`host`] |
//! | images on a stick or at a URL | [`images`] |
//! | what will be done, as a value and as text | [`plan`] |
//! | doing it; the configuration is the last | [`apply`](mod@apply) |
//! | where it lies | [`settings`] |
//! | the network of the sleds | [`network`] |
//!
//! Nothing is written before the plan is confirmed, and `DIR/config` is exchanged in one
//! step: a seed that loses its power on the way is what it was before.

pub mod answers;
pub mod apply;
pub mod ask;
pub mod console;
mod error;
pub mod host;
pub mod images;
pub mod network;
pub mod plan;
pub mod settings;
mod system;
#[cfg(test)]
mod testing;

pub use apply::{apply, own_images};
pub use ask::ask;
pub use error::Error;
pub use system::{System, joined};
