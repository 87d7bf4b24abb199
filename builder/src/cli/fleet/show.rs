//! `sledos fleet show`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{load, print_json};
use crate::cli::terminal::say;
use crate::fleet::Error;
use metadata::fleet::explain::{explain, show};
use yaml::nearest::nearest;

/// Arguments of `sledos fleet show`.
#[derive(Args, Debug)]
pub struct ShowArgs {
    /// The sled.
    #[arg(value_name = "SLED")]
    pub sled: String,

    /// The fleet file.
    #[arg(long, value_name = "FILE", default_value = "fleet.yaml")]
    pub fleet: PathBuf,

    /// Say which line of which layer set each value.
    #[arg(long)]
    pub explain: bool,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

pub(super) fn run(args: &ShowArgs) -> Result<(), Error> {
    let fleet = load(&args.fleet)?;
    let Some(sled) = fleet.sleds.iter().find(|s| s.name == args.sled) else {
        let names = fleet.sleds.iter().map(|s| s.name.as_str());
        let near = nearest(&args.sled, names).map(str::to_owned);
        return Err(Error::NoSled { name: args.sled.clone(), near });
    };
    let leaves = if args.explain { explain(&fleet, sled) } else { Vec::new() };
    let mut document = show(&fleet, sled);
    if args.json {
        if args.explain {
            let leaf = |l: &metadata::fleet::explain::Leaf| json!({"path": l.path, "value": l.value, "line": l.place.line, "layer": l.layer});
            document["explain"] = leaves.iter().map(leaf).collect();
        }
        print_json(&document);
    } else if args.explain {
        let cut = |text: &str| {
            let line = text.lines().next().unwrap_or_default();
            let short: String = line.chars().take(40).filter(|c| !c.is_control()).collect();
            if short.len() < text.len() { format!("{short}…") } else { short }
        };
        let rows: Vec<[String; 3]> =
            leaves.iter().map(|l| [l.path.clone(), cut(&l.value), place(&l.place)]).collect();
        let width = |n: usize| rows.iter().map(|r| r[n].chars().count()).max().unwrap_or(0);
        let (a, b, c) = (width(0), width(1), width(2));
        for ([path, value, place], leaf) in rows.iter().zip(&leaves) {
            say!("{path:<a$}  {value:<b$}  {place:<c$}  {}", leaf.layer);
        }
    } else {
        print(&document, 0);
    }
    Ok(())
}

fn place(place: &yaml::diagnostic::Place) -> String {
    format!("{}:{}", place.file().display(), place.line)
}

/// JSON, as indented lines for people.
fn print(value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    let Value::Object(map) = value else { return };
    for (key, value) in map {
        match value {
            Value::Null => {}
            Value::Object(_) => {
                say!("{indent}{key}:");
                print(value, depth + 1);
            }
            Value::Array(list) if list.iter().any(Value::is_object) => {
                for entry in list {
                    say!("{indent}{key}:");
                    print(entry, depth + 1);
                }
            }
            Value::Array(list) if key == "paths" => {
                say!("{indent}{key}:");
                list.iter().for_each(|path| say!("{indent}  {}", path.as_str().unwrap_or_default()));
            }
            Value::Array(list) => {
                let texts: Vec<_> =
                    list.iter().map(|v| v.as_str().map_or(v.to_string(), str::to_owned)).collect();
                say!("{indent}{key}: {}", texts.join(", "));
            }
            Value::String(text) => {
                say!("{indent}{key}: {}", text.escape_debug().to_string().replace("\\\"", "\""))
            }
            other => say!("{indent}{key}: {other}"),
        }
    }
}
