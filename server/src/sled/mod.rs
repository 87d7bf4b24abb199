//! What the server knows of each sled.
//!
//! | What | Module |
//! |---|---|
//! | states, and what leads from one to the next | [`state`] |
//! | what a sled says of itself | [`facts`] |
//! | what is kept of a report, to be looked at | [`told`] |
//! | whose record goes when there are too many | [`room`] |
//! | what was delivered against what was expected | [`check`] |
//!
//! Pure: no I/O, time is an argument.

pub mod check;
pub mod facts;
pub mod room;
pub mod state;
pub mod told;
