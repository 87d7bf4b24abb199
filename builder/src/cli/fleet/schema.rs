//! `sledos fleet schema`.

use clap::Args;

use super::print_json;
use crate::fleet::Error;
use metadata::fleet::schema;

/// Arguments of `sledos fleet schema`.
#[derive(Args, Debug)]
pub struct SchemaArgs {
    /// The schema of the sled document instead.
    #[arg(long)]
    pub document: bool,
}

pub(super) fn run(args: &SchemaArgs) -> Result<(), Error> {
    print_json(if args.document { schema::document() } else { schema::fleet() });
    Ok(())
}
