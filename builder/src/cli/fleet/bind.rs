//! `sledos fleet bind`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::serve::{Error, client};

/// Arguments of `sledos fleet bind`.
#[derive(Args, Debug)]
pub struct BindArgs {
    /// The hardware, as `sledos fleet status` names it: `hw:board-ZM18AS036112`.
    #[arg(value_name = "HARDWARE")]
    pub id: String,

    /// Where it sits.
    #[arg(value_name = "RACK/BAY", value_parser = super::replace::location)]
    pub location: (String, u32),

    /// Its role, when no sled is in this bay yet.
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,

    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,

    /// The operator's token: the first line of this file.
    #[arg(long, value_name = "FILE", default_value = "serve/operator.token")]
    pub token_file: PathBuf,
}

pub(super) fn run(args: &BindArgs) -> Result<(), Error> {
    let token = crate::fleet::read_password(&args.token_file)?;
    let (rack, bay) = &args.location;
    let wanted = json!({"id": args.id, "rack": rack, "bay": bay, "role": args.role});
    print!("{}", client::post(&args.server, "/v1/bind", &token, &wanted)?);
    Ok(())
}
