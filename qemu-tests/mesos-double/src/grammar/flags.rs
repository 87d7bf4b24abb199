//! Flags, from the command line and the environment: `stout/flags`.
//!
//! `--foo_bar=x`, `--foo_bar x` never; `--foo`, `--no-foo` for booleans; each
//! also as `MESOS_FOO_BAR`. A value `file:///path` stands for what is in the file.
//! Variables that name no flag are ignored, as Mesos does; [`Flags::strange`] lists them.

use std::collections::BTreeMap;
use std::io;

use super::known::{Flag, Kind, find};
use super::{Result, duration, invalid};

/// What was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    given: BTreeMap<&'static str, String>,
    /// Variables `MESOS_…` that name no flag.
    pub strange: Vec<String>,
}

/// Reads a file a flag names.
pub type Read<'a> = &'a dyn Fn(&str) -> io::Result<String>;

impl Flags {
    /// Takes the arguments (without the program's name) and the environment.
    ///
    /// # Errors
    /// A flag nobody knows or given twice, a value of the wrong kind or missing.
    pub fn load(
        known: &'static [Flag],
        args: impl IntoIterator<Item = String>,
        env: impl IntoIterator<Item = (String, String)>,
        read: Read<'_>,
    ) -> Result<Self> {
        let mut flags = Self::default();
        for arg in args {
            let arg = arg.trim();
            if arg == "--" {
                break;
            }
            // Mesos passes over anything that does not look like a flag.
            let Some(arg) = arg.strip_prefix("--") else { continue };
            let (name, value) = arg.split_once('=').map_or((arg, None), |(n, v)| (n, Some(v)));
            flags.add(known, &name.to_lowercase(), value, read)?;
        }
        let mut env: Vec<_> = env.into_iter().collect();
        env.sort();
        for (variable, value) in env {
            let Some(name) = variable.strip_prefix("MESOS_").map(str::to_lowercase) else { continue };
            if find(known, name.strip_prefix("no-").unwrap_or(&name)).is_some() {
                flags.add(known, &name, Some(&value), read)?;
            } else {
                flags.strange.push(variable);
            }
        }
        Ok(flags)
    }

    fn add(&mut self, known: &'static [Flag], name: &str, value: Option<&str>, read: Read<'_>) -> Result<()> {
        let negated = name.strip_prefix("no-");
        let bare = negated.unwrap_or(name);
        let Some(flag) = find(known, bare) else {
            let via = if negated.is_some() { format!(" via '{name}'") } else { String::new() };
            return invalid(format!("Failed to load unknown flag '{bare}'{via}"));
        };
        let value = match (flag.kind, negated, value) {
            (Kind::Bool, None, None | Some("")) => "true",
            (Kind::Bool, Some(_), None | Some("")) => "false",
            (Kind::Bool, Some(_), Some(value)) => {
                return invalid(format!(
                    "Failed to load boolean flag '{bare}' via '{name}' with value '{value}'"
                ));
            }
            (_, Some(_), _) => {
                return invalid(format!("Failed to load non-boolean flag '{bare}' via '{name}'"));
            }
            (_, None, None) => {
                return invalid(format!("Failed to load non-boolean flag '{bare}': Missing value"));
            }
            (_, None, Some(value)) => value,
        };
        let value = match value.strip_prefix("file://") {
            Some(path) if flag.kind != Kind::Path => match read(path) {
                Ok(text) => text,
                Err(e) => {
                    return invalid(format!("Failed to load flag '{bare}': error reading '{path}': {e}"));
                }
            },
            _ => value.to_owned(),
        };
        if let Err(why) = check(flag.kind, &value) {
            return invalid(format!("Failed to load flag '{bare}': {why}"));
        }
        if self.given.insert(flag.name, value).is_some() {
            return invalid(format!("Flag '{bare}' is already loaded via name '{}'", flag.name));
        }
        Ok(())
    }

    /// What a flag was given as.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// What holds for every flag that has a value, its default where none was given.
    pub fn all(&self, known: &'static [Flag]) -> BTreeMap<&'static str, String> {
        let defaults = known.iter().filter_map(|f| Some((f.name, f.default?.to_owned())));
        defaults.chain(self.given.iter().map(|(n, v)| (*n, v.clone()))).collect()
    }

    /// Whether a boolean flag, whose default this is, is true.
    pub fn is(&self, name: &str, default: bool) -> bool {
        self.get(name).map_or(default, |v| matches!(v.trim(), "true" | "1"))
    }
}

fn check(kind: Kind, value: &str) -> std::result::Result<(), String> {
    match kind {
        Kind::Text | Kind::Path => Ok(()),
        Kind::Bool if matches!(value, "true" | "1" | "false" | "0") => Ok(()),
        Kind::Bool => Err(format!("Expecting a boolean (e.g., true or false), not '{value}'")),
        Kind::Duration => duration::parse(value).map(drop).map_err(|e| e.0),
        Kind::Number => value.parse::<f64>().map(drop).map_err(|_| format!("'{value}' is not a number")),
        Kind::Port => value.parse::<u16>().map(drop).map_err(|_| format!("'{value}' is not a port")),
        Kind::Json => serde_json::from_str::<serde_json::Value>(value).map(drop).map_err(|e| e.to_string()),
        Kind::Bytes => {
            let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let unit = value.get(digits.len()..).unwrap_or_default();
            let known = matches!(unit, "B" | "KB" | "MB" | "GB" | "TB") && digits.parse::<u64>().is_ok();
            known.then_some(()).ok_or_else(|| format!("'{value}' is not a number of bytes, e.g. 2GB"))
        }
    }
}
