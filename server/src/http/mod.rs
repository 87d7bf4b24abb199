//! HTTP: what is asked for and what is answered.
//!
//! | What | Module |
//! |---|---|
//! | connections, their limits and deadlines | [`connection`] |
//! | who may ask at all | [`gate`] |
//! | which request goes where | [`route`] |
//! | answers and their bodies | [`reply`], [`body`] |
//! | files: conditions and ranges | [`files`], [`conditions`] |
//! | files by sendfile | `outlet` |
//! | dates | [`date`] |
//! | reports and inventories | [`intake`] |
//! | what the page and programs are told | [`status`], [`events`] |
//! | the description of all that | [`openapi`] |

pub mod body;
pub mod conditions;
pub mod connection;
pub mod date;
pub mod events;
pub mod files;
mod fresh;
pub mod gate;
pub mod intake;
pub mod openapi;
pub(crate) mod outlet;
pub mod reply;
pub mod route;
pub mod status;
