//! `sledos fleet bind`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::terminal::{complain, out, say};
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

    /// The digest that `sledos fleet status` shows beside it, or at least 8 digits of it:
    /// nothing else than what was shown is bound. Needed when several sources say they are
    /// this hardware.
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<String>,

    /// It takes the place of the sled that is in the bay; that one's hardware is retired, and
    /// refused from then on.
    #[arg(long)]
    pub replace: bool,

    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,

    /// The operator's token: the first line of this file.
    #[arg(long, value_name = "FILE", default_value = "serve/operator.token")]
    pub token_file: PathBuf,
}

pub(super) fn run(args: &BindArgs) -> Result<(), Error> {
    let token = crate::fleet::read_password(&args.token_file)?;
    let path: String = args.id.bytes().map(escaped).collect();
    let detail = client::get(&args.server, &format!("/v1/sleds/{path}"))?;
    let sources = sources(&detail["unknown"]);
    let source = chosen(&sources, args.digest.as_deref()).ok_or_else(|| {
        let all = sources.iter().map(|source| format!("  {}", describe(source))).collect::<Vec<_>>();
        Error::Choose { id: args.id.clone(), sources: all.join("\n") }
    })?;
    say!("{}", describe(source));
    let (rack, bay) = &args.location;
    if args.replace {
        complain!("warning: the hardware that rack {rack} bay {bay} has now is retired");
    }
    let wanted = json!({
        "id": args.id, "digest": source["digest"], "rack": rack, "bay": bay, "role": args.role,
        "replace": args.replace,
    });
    out(&client::post(&args.server, "/v1/bind", &token, &wanted)?);
    Ok(())
}

/// A byte of an id in a path (RFC 3986 section 3.3).
fn escaped(byte: u8) -> String {
    match byte {
        b'.' | b'-' | b'_' | b':' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    }
}

/// All that say they are this hardware.
fn sources(unknown: &Value) -> Vec<Value> {
    let others = unknown["conflicts"].as_array().cloned().unwrap_or_default();
    std::iter::once(unknown.clone()).filter(Value::is_object).chain(others).collect()
}

/// The one that is meant: the only one, or that of the digest.
fn chosen<'a>(sources: &'a [Value], digest: Option<&str>) -> Option<&'a Value> {
    let fits = |source: &&Value| match (digest, source["digest"].as_str()) {
        (None, _) => true,
        (Some(wanted), Some(has)) => wanted.len() >= 8 && has.starts_with(wanted),
        (Some(_), None) => false,
    };
    let mut all = sources.iter().filter(fits);
    all.next().filter(|_| all.next().is_none())
}

/// What would be written into the fleet file, and who says so.
fn describe(source: &Value) -> String {
    let hardware = &source["hardware"];
    let text = |value: &Value| value.as_str().map(yaml::shown::line);
    let one = |kind: &str, value: &Value| text(value).map(|text| format!("{kind} {text}"));
    let nics = hardware["nics"].as_array().map(Vec::as_slice).unwrap_or_default();
    let parts = [("board", "board-serial"), ("product", "product-serial"), ("uuid", "uuid")];
    let parts = parts.iter().filter_map(|(kind, key)| one(kind, &hardware[key]));
    let parts: Vec<_> = parts.chain(nics.iter().filter_map(|nic| one("mac", &nic["mac"]))).collect();
    let digest = text(&source["digest"]).unwrap_or_default();
    let from = text(&source["address"]).unwrap_or_else(|| "-".to_owned());
    format!("{digest} from {from}: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_sources_one_must_be_chosen_and_none_reaches_the_terminal() {
        let source = |digest: &str| {
            json!({"digest": digest, "address": "10.0.0.1\u{1b}[2J", "hardware": {
                "board-serial": "ZM\u{202e}1", "nics": [{"mac": "52:54:00:00:00:01"}]}})
        };
        let one = vec![source("aaaaaaaaaa")];
        let two = vec![source("aaaaaaaaaa"), source("aaaaaaaabb")];
        assert_eq!(chosen(&one, None), one.first());
        assert_eq!(chosen(&two, None), None);
        assert_eq!(chosen(&two, Some("aaaaaaaab")), two.get(1));
        for wrong in ["", "aaaaaaaa", "aaaaaa", "bbbbbbbb"] {
            assert_eq!(chosen(&two, Some(wrong)), None, "{wrong}");
        }
        assert!(!describe(&one[0]).contains(yaml::shown::is_hostile));
    }
}
