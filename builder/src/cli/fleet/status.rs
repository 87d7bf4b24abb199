//! `sledos fleet status`.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::print_json;
use crate::cli::terminal::out;
use crate::serve::{Error, client};

/// Arguments of `sledos fleet status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,

    /// Only sleds that are not ready, or not what was expected.
    #[arg(long)]
    pub problems: bool,

    /// Print what the server says, as JSON.
    #[arg(long)]
    pub json: bool,

    /// Ask again and again, and show what has changed.
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,
}

/// Between two questions of `--watch`.
const PAUSE: Duration = Duration::from_secs(2);

pub(super) fn run(args: &StatusArgs) -> Result<(), Error> {
    let ask = || client::get(&args.server, "/v1/status");
    if args.json {
        print_json(&ask()?);
        return Ok(());
    }
    let mut before = String::new();
    loop {
        let text = match ask() {
            Ok(status) => table(&status, args.problems),
            // One that is restarted comes back.
            Err(error) if args.watch => format!("{error}\n"),
            Err(error) => return Err(error),
        };
        if text != before {
            if args.watch && std::io::stdout().is_terminal() {
                clear();
            }
            out(&text);
            before = text;
        }
        if !args.watch {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
}

/// Clears the terminal, which nothing that others say can.
fn clear() {
    std::io::stdout().write_all(b"\x1b[2J\x1b[H").ok();
}

/// The status for people: a line for each sled, what is other than expected below it.
fn table(status: &Value, problems: bool) -> String {
    let text = |value: &Value| yaml::shown::line(value.as_str().unwrap_or_default());
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let now = status["time"].as_u64().unwrap_or_default();
    let ago = |value: &Value| value.as_u64().map_or("-".to_owned(), |at| span(now.saturating_sub(at) / 1000));
    let mut rows = vec![["SLED", "PLACE", "STATE", "HEARD", "IMAGE", "WHAT"].map(str::to_owned)];
    // Lines below a row, by its number.
    let mut below: Vec<(usize, String)> = Vec::new();
    for sled in list(&status["sleds"]) {
        let findings = list(&sled["findings"]);
        if problems && sled["state"] == "ready" && findings.is_empty() {
            continue;
        }
        let code = sled["code"].as_str().map(|code| yaml::shown::line(code) + " ").unwrap_or_default();
        let asked = Some(&sled["asked"]).filter(|asked| asked["at"].as_u64() > sled["heard"].as_u64());
        let asked =
            asked.map(|asked| format!("; asked for {} {} ago", text(&asked["what"]), ago(&asked["at"])));
        rows.push([
            text(&sled["sled"]),
            format!("{}/{}", text(&sled["rack"]), sled["bay"]),
            text(&sled["state"]),
            ago(&sled["heard"]),
            text(&sled["image"]),
            format!("{code}{}{}", text(&sled["detail"]), asked.unwrap_or_default()),
        ]);
        for finding in findings {
            below.push((rows.len(), format!("{}: {}", text(&finding["kind"]), text(&finding["detail"]))));
        }
    }
    for hardware in list(&status["unknown"]) {
        let place = &hardware["place"];
        rows.push([
            text(&hardware["id"]),
            place[0]
                .as_str()
                .map_or("-".to_owned(), |rack| format!("{}/{}", yaml::shown::line(rack), place[1])),
            "unknown".to_owned(),
            ago(&hardware["heard"]),
            "-".to_owned(),
            format!("{}; digest {}", text(&hardware["detail"]), short(&text(&hardware["digest"]))),
        ]);
        if let Some(sled) = hardware["occupant"].as_str() {
            below.push((rows.len(), format!("its place is that of {}", yaml::shown::line(sled))));
        }
        for other in list(&hardware["conflicts"]) {
            let (from, digest) = (text(&other["address"]), short(&text(&other["digest"])));
            below.push((rows.len(), format!("conflict: {from} says it is this, too; digest {digest}")));
        }
    }
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for (n, row) in rows.iter().enumerate() {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let last = row.last().cloned().unwrap_or_default();
        out += &format!("{}  {last}", cells.join("  "));
        out = out.trim_end().to_owned() + "\n";
        for (_, line) in below.iter().filter(|(row, _)| *row == n + 1) {
            out += &format!("    ! {line}\n");
        }
    }
    let counts = status["counts"].as_object().cloned().unwrap_or_default();
    let counts =
        counts.iter().filter(|(_, n)| n.as_u64() != Some(0)).map(|(state, n)| format!("{n} {state}"));
    out += &format!("fleet {}: {}\n", text(&status["fleet"]), counts.collect::<Vec<_>>().join(", "));
    if let Some(after) = status["unknown_next"].as_str() {
        out += &format!("more unknown hardware is at /v1/unknown?after={}\n", yaml::shown::line(after));
    }
    if let Some(problem) = status["problem"].as_str().map(yaml::shown::lines) {
        out += &format!(
            "the fleet file cannot be used, the documents are those of the last good one:\n{problem}\n"
        );
    }
    out
}

/// Enough of a digest to name it by.
fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

/// A time span as people say it.
fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_has_every_sled_and_what_is_wrong_with_it() {
        let sled = |name: &str, state: &str, findings: Value| {
            json!({"sled": name, "rack": "r1", "bay": 7, "state": state, "heard": 60_000, "image": "compute 2",
                   "detail": "docker\u{1b}[2J", "code": null, "findings": findings})
        };
        let status = json!({
            "fleet": "berlin", "time": 120_000, "problem": null, "counts": {"ready": 2, "unknown": 1, "silent": 0},
            "sleds": [
                sled("r1-b07", "ready", json!([])),
                sled("r1-b08", "ready", json!([{"kind": "other-image", "detail": "runs compute 1"}])),
            ],
            "unknown": [{"id": "hw:board-X", "heard": 119_000, "detail": "is in no fleet file", "place": ["r1", 9],
                         "digest": "0123456789abcdef", "occupant": null,
                         "conflicts": [{"address": "10.0.0.9", "digest": "fedcba9876543210"}]}],
        });
        let want = "\
SLED        PLACE  STATE    HEARD  IMAGE      WHAT
r1-b07      r1/7   ready    1 min  compute 2  docker�[2J
r1-b08      r1/7   ready    1 min  compute 2  docker�[2J
    ! other-image: runs compute 1
hw:board-X  r1/9   unknown  1 s    -          is in no fleet file; digest 0123456789ab
    ! conflict: 10.0.0.9 says it is this, too; digest fedcba987654
fleet berlin: 2 ready, 1 unknown
";
        assert_eq!(table(&status, false), want);
        assert!(!table(&status, true).contains("r1-b07"));
    }

    /// Puts a text behind every text of a value.
    fn poisoned(value: &Value, with: &str) -> Value {
        match value {
            Value::String(text) => format!("{text}{with}").into(),
            Value::Array(list) => list.iter().map(|value| poisoned(value, with)).collect(),
            Value::Object(map) => {
                Value::Object(map.iter().map(|(k, v)| (k.clone(), poisoned(v, with))).collect())
            }
            other => other.clone(),
        }
    }

    #[test]
    fn nothing_a_server_says_reaches_the_terminal_as_a_control() {
        let hardware = json!({"id": "hw:x", "heard": 1, "detail": "d", "place": ["r1", 9], "digest": "0123",
                              "occupant": "r1-b09", "conflicts": [{"address": "a", "digest": "d"}]});
        let status = json!({
            "fleet": "f", "time": 9, "problem": "p", "counts": {"ready": 1}, "unknown_next": "1.hw:x",
            "sleds": [{"sled": "s", "rack": "r", "bay": 1, "state": "failed", "heard": 1, "image": "i", "detail": "d",
                       "code": "SLED-101", "findings": [{"kind": "k", "detail": "d"}],
                       "asked": {"at": 5, "what": "w"}}],
            "unknown": [hardware],
        });
        for c in (0..0x1_0000).filter_map(char::from_u32).filter(|c| yaml::shown::is_hostile(*c)) {
            let text = table(&poisoned(&status, &c.to_string()), false);
            let bad = text.chars().find(|c| yaml::shown::is_hostile(*c) && !matches!(c, '\n' | '\t'));
            assert!(bad.is_none(), "{c:?}: {text:?}");
        }
    }
}
