//! `sledos fleet status`.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::print_json;
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
            let mut out = std::io::stdout();
            let clear = if args.watch && out.is_terminal() { "\x1b[2J\x1b[H" } else { "" };
            // Who has stopped reading does not want any more.
            if write!(out, "{clear}{text}").and_then(|()| out.flush()).is_err() {
                return Ok(());
            }
            before = text;
        }
        if !args.watch {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
}

/// The status for people: a line for each sled, what is other than expected below it.
fn table(status: &Value, problems: bool) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().replace(char::is_control, " ");
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
        let code = sled["code"].as_str().map(|code| format!("{code} ")).unwrap_or_default();
        rows.push([
            text(&sled["sled"]),
            format!("{}/{}", text(&sled["rack"]), sled["bay"]),
            text(&sled["state"]),
            ago(&sled["heard"]),
            text(&sled["image"]),
            format!("{code}{}", text(&sled["detail"])),
        ]);
        for finding in findings {
            below.push((rows.len(), format!("{}: {}", text(&finding["kind"]), text(&finding["detail"]))));
        }
    }
    for hardware in list(&status["unknown"]) {
        let place = &hardware["place"];
        rows.push([
            text(&hardware["id"]),
            place[0].as_str().map_or("-".to_owned(), |rack| format!("{rack}/{}", place[1])),
            "unknown".to_owned(),
            ago(&hardware["heard"]),
            "-".to_owned(),
            text(&hardware["detail"]),
        ]);
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
    if let Some(problem) = status["problem"].as_str() {
        out += &format!(
            "the fleet file cannot be used, the documents are those of the last good one:\n{problem}\n"
        );
    }
    out
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
            "fleet": "berlin", "time": 120_000, "problem": null, "counts": {"ready": 2, "unknown": 1, "seen": 0},
            "sleds": [
                sled("r1-b07", "ready", json!([])),
                sled("r1-b08", "ready", json!([{"kind": "other-image", "detail": "runs compute 1"}])),
            ],
            "unknown": [{"id": "hw:board-X", "heard": 119_000, "detail": "is in no fleet file", "place": ["r1", 9]}],
        });
        let want = "\
SLED        PLACE  STATE    HEARD  IMAGE      WHAT
r1-b07      r1/7   ready    1 min  compute 2  docker [2J
r1-b08      r1/7   ready    1 min  compute 2  docker [2J
    ! other-image: runs compute 1
hw:board-X  r1/9   unknown  1 s    -          is in no fleet file
fleet berlin: 2 ready, 1 unknown
";
        assert_eq!(table(&status, false), want);
        assert!(!table(&status, true).contains("r1-b07"));
    }
}
