//! A test double of Apache Mesos 1.11: an agent and a master that keep Mesos's
//! rules for flags, attributes, resources, identity and registration, and run
//! no task. It is not Mesos. The README says what it stands in for.

pub mod agent;
pub mod deb;
pub mod grammar;
mod http;
pub mod master;

/// The version of Mesos whose rules are kept.
pub const MESOS: &str = "1.11.0";

/// What `--version` prints, and the first line in every log.
pub const PLAINLY: &str =
    "mesos 1.11.0 TEST DOUBLE (sledos-mesos-double): this is not Apache Mesos and runs no tasks";

/// The variables that are text; no flag is anything else.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)))
}

/// What `--help` prints.
pub fn usage(program: &str, known: &[grammar::known::Flag]) -> String {
    let mut text = format!("{PLAINLY}\nUsage: {program} [options]\n\n");
    for flag in known {
        let form = match flag.kind {
            grammar::known::Kind::Bool => format!("--[no-]{}", flag.name),
            _ => format!("--{}=VALUE", flag.name),
        };
        let default = flag.default.map(|d| format!("  (default: {d})")).unwrap_or_default();
        text.push_str(&format!("  {form}{default}\n"));
    }
    text
}
