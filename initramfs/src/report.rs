//! The boot report, `/run/sledos/boot.json`: every step with its time and its
//! result, for programs.

use crate::log::{Entry, Outcome};
use formats::initconf::InitConf;
use std::fmt::Write;

/// Where it is, before and after the hand-over.
pub const PATH: &str = "/run/sledos/boot.json";

/// The report as JSON (RFC 8259), one step a line.
///
/// Times are milliseconds since the kernel started; `result` is `ok`, `warning`
/// or a failure code.
pub fn json(conf: &InitConf, usrhash: &str, entries: &[Entry]) -> String {
    let mut out = format!(
        "{{\n\"report\":1,\n\"image\":{},\n\"version\":{},\n\"usrhash\":{},\n\"steps\":[",
        quote(&conf.image),
        quote(&conf.version),
        quote(usrhash)
    );
    for (n, entry) in entries.iter().enumerate() {
        let result = match entry.outcome {
            Outcome::Ok => "ok".to_owned(),
            Outcome::Warning => "warning".to_owned(),
            Outcome::Failed(code) => code.to_string(),
        };
        let separator = if n == 0 { "" } else { "," };
        let (start, took) = (entry.start.as_millis(), entry.took.as_millis());
        let (name, result, detail) = (quote(entry.name), quote(&result), quote(&entry.detail));
        out += &format!(
            "{separator}\n{{\"step\":{name},\"start_ms\":{start},\"took_ms\":{took},\"result\":{result},\"detail\":{detail}}}"
        );
    }
    out + "\n]\n}\n"
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Writing to a string does not fail.
            c if u32::from(c) < 0x20 => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Code;
    use std::time::Duration;

    #[test]
    fn the_report_is_json_whatever_the_texts_are() {
        let detail = "quote \" slash \\ tab \t bell \u{7} é".to_owned();
        let entry = |outcome| Entry {
            name: "usr",
            start: Duration::from_millis(1500),
            took: Duration::from_millis(20),
            outcome,
            detail: detail.clone(),
        };
        let conf = InitConf { image: "compute".into(), version: "1".into(), ..InitConf::default() };
        let text = json(&conf, "ab", &[entry(Outcome::Ok), entry(Outcome::Failed(Code::UsrNotFound))]);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["image"], "compute");
        assert_eq!(value["steps"][0]["detail"], detail);
        assert_eq!(value["steps"][0]["start_ms"], 1500);
        assert_eq!(value["steps"][1]["result"], "SLED-101");
        assert!(serde_json::from_str::<serde_json::Value>(&json(&conf, "", &[])).is_ok());
    }
}
