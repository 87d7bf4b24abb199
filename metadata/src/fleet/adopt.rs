//! A fleet file is taken over by a server that nobody could know beforehand: its URL
//! becomes that of all servers, its key one that sleds trust.

use super::edit::{Editor, New, flow};
use super::{Fleet, check, load};
use std::sync::Arc;
use yaml::Value;
use yaml::diagnostic::{Diagnostic, Diagnostics, Source};

/// What taking over makes of a file.
#[derive(Debug)]
pub struct Adopted {
    /// The new text. Comments and order survive.
    pub text: String,
    /// The fleet it says.
    pub fleet: Fleet,
    /// What was changed, a line each, for people.
    pub changes: Vec<String>,
}

/// Makes `url` the server of documents, reports and, below `/images`, of images, and adds
/// `key` to `trust:`. Keys that are trusted already stay so.
///
/// # Errors
/// When the file has mistakes, or is written in a way that cannot be changed.
pub fn adopt(source: &Arc<Source>, url: &str, key: &str) -> Result<Adopted, Diagnostics> {
    let before = load(source)?;
    let (servers, trust) = (&before.file.servers, &before.file.trust);
    let images = format!("{url}/images");
    let mut changes = Vec::new();
    let mut editor = Editor::new(&source.text);
    let mut missing = Vec::new();
    for (name, old, new) in [
        ("metadata", &servers.metadata, url),
        ("image", &servers.image, &images),
        ("report", &servers.report, url),
    ] {
        if let [one] = &old[..]
            && one.trim_end_matches('/') == new
        {
            continue;
        }
        changes.push(match &old[..] {
            [] => format!("servers.{name}: {new}"),
            old => format!("servers.{name}: {new} in place of {}", old.join(", ")),
        });
        let value = New::Many(vec![new.to_owned()]);
        match before.root.get("servers") {
            Some(map) if matches!(&map.value, Value::Map(entries) if !entries.is_empty()) => {
                editor.set(map, name, Some(value), &["metadata", "image", "report"]);
            }
            _ => missing.push(format!("{name}: {}", flow(&value))),
        }
    }
    if !missing.is_empty() {
        editor.append(&before.root, "servers", &missing);
    }
    let mut keys = trust.clone();
    if !keys.iter().any(|known| known.trim() == key) {
        changes.push(match keys.len() {
            0 => format!("trust: {key}"),
            1 => format!("trust: {key}, beside the key that is there"),
            n => format!("trust: {key}, beside the {n} keys that are there"),
        });
        keys.push(key.to_owned());
        if before.root.get("trust").is_none() || !trust.is_empty() {
            editor.set(&before.root, "trust", Some(New::Many(keys.clone())), &["servers"]);
        } else {
            // An empty list has no entry to go behind.
            editor.append(&before.root, "trust", &[format!("- {key}")]);
        }
    }
    let text = editor.finish();
    let report = check(&Source::new(&source.file, text.clone()));
    let Some(fleet) = report.fleet else { return Err(Diagnostics(report.errors)) };
    let now = &fleet.file.servers;
    let same = |list: &[String], wanted: &str| matches!(list, [one] if one.trim_end_matches('/') == wanted);
    let good = same(&now.metadata, url) && same(&now.image, &images) && same(&now.report, url);
    if !good || fleet.file.trust != keys || fleet.sleds.len() != before.sleds.len() {
        let wrong = Diagnostic::nowhere("the file is written in a way that cannot be changed automatically");
        return Err(wrong
            .hint(format!(
                "write `servers: {{metadata: [{url}], image: [{images}], report: [{url}]}}` and \
                 `trust: [{key}]` into it, each on a line of its own"
            ))
            .into());
    }
    Ok(Adopted { text, fleet, changes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://10.0.0.2:8080";
    const OTHER: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    fn key() -> String {
        super::super::sign::new_key("seed", None).unwrap().line
    }

    fn adopted(text: &str, key: &str) -> Adopted {
        adopt(&Source::new("fleet.yaml", text), URL, key).unwrap_or_else(|e| panic!("{text}\n{e}"))
    }

    #[test]
    fn a_file_in_any_shape_gets_the_server_and_its_key() {
        let key = key();
        for text in [
            "fleet: a\n".to_owned(),
            "fleet: a\nservers: {}\ntrust: []\n".to_owned(),
            "fleet: a\nservers: {time: [10.0.0.3]}\n".to_owned(),
            "fleet: a # c\nservers:\n  metadata: ['http://x:1/']\n  dns: [10.0.0.4]\n".to_owned(),
            format!("fleet: a\ntrust:\n  - {OTHER} # ours\nracks: {{}}\n"),
            format!("fleet: a\ntrust: [{OTHER}]\nracks:\n  r1: {{bays: 4}}\n"),
            "{fleet: a, servers: {metadata: ['http://x:1']}}\n".to_owned(),
        ] {
            let done = adopted(&text, &key);
            assert_eq!(done.fleet.file.servers.image, [format!("{URL}/images")], "{text}");
            assert!(done.fleet.file.trust.contains(&key), "{text}");
            assert_eq!(done.fleet.file.trust.contains(&OTHER.to_owned()), text.contains(OTHER), "{text}");
            assert_eq!(done.changes.len(), 4, "{text}{:?}", done.changes);
            assert_eq!(done.text.contains("# c"), text.contains("# c"));
            // A second time there is nothing to do.
            let again = adopted(&done.text, &key);
            assert_eq!((again.text, again.changes), (done.text, Vec::new()));
        }
    }

    #[test]
    fn what_is_replaced_is_named() {
        let done = adopted("fleet: a\nservers: {metadata: ['http://x:1'], time: [10.0.0.3]}\n", &key());
        assert_eq!(done.changes[0], format!("servers.metadata: {URL} in place of http://x:1"));
        assert_eq!(done.fleet.file.servers.time, ["10.0.0.3"]);
    }

    #[test]
    fn mistakes_are_at_the_lines_of_the_file_as_it_was_given() {
        let wrong = adopt(&Source::new("fleet.yaml", "fleet: a\nrakcs: {}\n"), URL, &key()).unwrap_err();
        assert!(wrong.to_string().contains("fleet.yaml:2:1"), "{wrong}");
    }
}
