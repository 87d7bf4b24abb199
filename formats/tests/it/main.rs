//! What this crate writes before the reference tools, and what it reads of theirs.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod cpio;
mod depmod;
mod ext4;
mod fat;
mod fat_edit;
mod gpt;
mod judge;
mod md;
mod squashfs;
mod uki;
mod verity;
