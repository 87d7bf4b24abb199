//! Kernel modules, firmware and the NIC contract.
//!
//! Everything here plans over a [`Tree`](formats::tree::Tree) and touches nothing else:
//!
//! ```text
//! Tree ─Catalog::scan→ Catalog ─select::usr→ what stays in /usr ────────┐
//!                         └─select::initramfs→ what PID 1 gets ─┐       │
//!                                                               ├─contract::check→ manifest
//!                          initramfs::tree ←────────────────────┘       │
//!                          indexes::write ←─────────────────────────────┘
//! ```
//!
//! What a module needs is found in three places: symbols (it cannot be loaded
//! without), `softdep=` (it works badly without) and `firmware=` (it asks for the
//! file once it has found its device).

mod bytes;
pub mod catalog;
pub mod contract;
mod firmware;
mod hint;
pub mod indexes;
pub mod initramfs;
pub mod microcode;
pub mod select;

pub use catalog::Catalog;
pub use contract::ContractEntry;
pub use select::Selection;
