//! `sledos` as it is run, on small inputs; against apt, dpkg, depmod and other reference tools.
//!
//! Images of real packages are in `qemu-tests/tests/images/`.

mod apt;
mod cli_reference;
mod documented_commands;
mod fleet;
mod kernel;
mod layout;
mod output;
mod proof;
mod recipe;
mod refusals;
mod shipped_recipes;
mod unpack;
