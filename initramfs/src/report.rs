//! The boot report, `/run/sledos/boot.json`: every step with its time and its
//! result, for programs.

use crate::failure::Failure;
use crate::log::{Entry, Outcome};
use formats::initconf::InitConf;
use std::fmt::Write;
use std::time::Duration;

/// Where it is, before and after the hand-over.
pub const PATH: &str = "/run/sledos/boot.json";

/// What a report says. What is not known is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report<'a> {
    /// Where the boot is: `configuring` when the document is there, `boot` at its end,
    /// `restart` before the one into another image, `failed`.
    pub event: &'a str,
    /// The kernel's id of this boot, and how long ago that began: reports may overtake each other.
    pub moment: Option<(&'a str, Duration)>,
    /// Name of the image.
    pub image: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Root hash of its /usr.
    pub usrhash: &'a str,
    /// Name of the sled.
    pub sled: Option<&'a str>,
    /// Generation of its document.
    pub generation: Option<u64>,
    /// Where the document came from, as people read it.
    pub source: Option<&'a str>,
    /// Whether it is the newest, as people read it.
    pub freshness: Option<&'a str>,
    /// How each link was, a sentence each.
    pub network: &'a [String],
    /// Memory.
    pub memory: Option<Memory>,
    /// The inventory, as JSON.
    pub hardware: Option<&'a str>,
    /// Why the boot ended.
    pub failure: Option<&'a Failure>,
    /// The steps.
    pub steps: &'a [Entry],
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All that the kernel has.
    pub total: u64,
    /// What programs could still get.
    pub available: u64,
    /// What the image itself takes when it runs from memory.
    pub image: u64,
}

impl Report<'_> {
    /// The report as JSON (RFC 8259), one step a line.
    ///
    /// Times are milliseconds since the kernel started; `result` is `ok`, `warning`
    /// or a failure code.
    pub fn json(&self) -> String {
        let mut out = format!(
            "{{\n\"report\":1,\n\"event\":{},\n\"image\":{},\n\"version\":{},\n\"usrhash\":{},",
            quote(self.event),
            quote(self.image),
            quote(self.version),
            quote(self.usrhash)
        );
        let mut add = |key: &str, value: Option<String>| {
            value.into_iter().for_each(|value| out.push_str(&format!("\n\"{key}\":{value},")));
        };
        add("boot_id", self.moment.map(|(boot_id, _)| quote(boot_id)));
        add("uptime_ms", self.moment.map(|(_, uptime)| uptime.as_millis().to_string()));
        add("sled", self.sled.map(quote));
        add("generation", self.generation.map(|n| n.to_string()));
        add("source", self.source.map(quote));
        add("freshness", self.freshness.map(quote));
        let network: Vec<_> = self.network.iter().map(|line| quote(line)).collect();
        add("network", (!network.is_empty()).then(|| format!("[{}]", network.join(","))));
        let memory = |Memory { total, available, image }| {
            format!("{{\"total\":{total},\"available\":{available},\"image\":{image}}}")
        };
        add("memory", self.memory.map(memory));
        add("hardware", self.hardware.map(str::to_owned));
        let failure = |failure: &Failure| {
            let (code, detail) = (quote(&failure.code.to_string()), quote(&failure.detail));
            format!("{{\"code\":{code},\"title\":{},\"detail\":{detail}}}", quote(failure.code.title()))
        };
        add("failure", self.failure.map(failure));
        out += "\n\"steps\":[";
        for (n, entry) in self.steps.iter().enumerate() {
            let separator = if n == 0 { "" } else { "," };
            out += &format!("{separator}\n{}", step(entry));
        }
        out + "\n]\n}\n"
    }
}

fn step(entry: &Entry) -> String {
    let result = match entry.outcome {
        Outcome::Ok => "ok".to_owned(),
        Outcome::Warning => "warning".to_owned(),
        Outcome::Failed(code) => code.to_string(),
    };
    let (start, took) = (entry.start.as_millis(), entry.took.as_millis());
    let (name, result, detail) = (quote(entry.name), quote(&result), quote(&entry.detail));
    format!(
        "{{\"step\":{name},\"start_ms\":{start},\"took_ms\":{took},\"result\":{result},\"detail\":{detail}}}"
    )
}

/// The report of a boot that needed no server.
pub fn json(conf: &InitConf, usrhash: &str, entries: &[Entry]) -> String {
    let (image, version) = (conf.image.as_str(), conf.version.as_str());
    Report { event: "boot", image, version, usrhash, steps: entries, ..Report::default() }.json()
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

    #[test]
    fn sled_document_network_memory_and_failure_are_in_it() {
        let failure = Failure::new(Code::UsrNotFound, "no \"disk\"");
        let network = ["eth0: no carrier".to_owned()];
        let report = Report {
            moment: Some(("b0071d", Duration::from_secs(7))),
            sled: Some("r1-b7"),
            generation: Some(u64::MAX),
            source: Some("http://a"),
            freshness: Some("proven fresh"),
            network: &network,
            memory: Some(Memory { total: 3, available: 2, image: 1 }),
            hardware: Some("{\"nics\":[]}"),
            event: "failed",
            failure: Some(&failure),
            ..Report::default()
        };
        let value: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!((&value["boot_id"], &value["uptime_ms"]), (&"b0071d".into(), &7000.into()));
        assert_eq!((&value["sled"], &value["generation"]), (&"r1-b7".into(), &u64::MAX.into()));
        assert_eq!(
            (&value["network"][0], &value["freshness"]),
            (&"eth0: no carrier".into(), &"proven fresh".into())
        );
        assert_eq!(
            (&value["event"], &value["hardware"]),
            (&"failed".into(), &serde_json::json!({"nics": []}))
        );
        assert_eq!((&value["memory"]["total"], &value["memory"]["image"]), (&3.into(), &1.into()));
        assert_eq!(
            (&value["failure"]["code"], &value["failure"]["detail"]),
            (&"SLED-101".into(), &"no \"disk\"".into())
        );
    }
}
