//! What a sled is and how it is, for people and programs.

use super::crashes::{self, Crashes};
use super::extension;
use super::mark::{self, Trial};
use super::ready::{self, Answer, Look};
use super::room::Room;
use super::sled::{DISKS, READY, Sled};
use crate::log::plain;
use serde_json::{Map, Value, json};

/// Prints it. What cannot be found out is said in its place.
///
/// # Errors
/// None: a sled that knows nothing says so, too.
pub fn show(sled: &Sled, as_json: bool) -> Result<(), String> {
    let all = collect(sled, &Look::at(sled), &mark::look(sled), &ready::networks(sled));
    if as_json {
        println!("{:#}", Value::Object(all));
    } else {
        print!("{}", table(&all));
    }
    Ok(())
}

fn collect(
    sled: &Sled,
    look: &Look,
    trial: &Result<Option<Trial>, String>,
    networks: &[(String, String)],
) -> Map<String, Value> {
    let mut all = Map::new();
    let report = sled.boot_report().unwrap_or_default();
    match sled.document() {
        Ok(document) => {
            let merged = extension::json(sled, &document);
            merged.into_iter().for_each(|merged| drop(all.insert("extensions".into(), merged)));
            let image = &document.image;
            let hash = image.root_hash.to_string();
            if report.get("usrhash").and_then(Value::as_str).is_some_and(|runs| runs != hash) {
                let wanted = json!({"image": image.name, "version": image.version, "usrhash": hash});
                all.insert("wanted".into(), wanted);
            }
            all.insert("sled".into(), document.head.sled.into());
            all.insert("role".into(), document.role.into());
            all.insert("generation".into(), document.head.generation.into());
        }
        Err(problem) => drop(all.insert("problem".into(), problem.into())),
    }
    for key in ["image", "version", "usrhash"] {
        all.insert(key.into(), report.get(key).cloned().unwrap_or_default());
    }
    let steps = report.get("steps").and_then(Value::as_array).into_iter().flatten();
    let warnings: Vec<_> = steps.filter(|step| step.get("result").is_some_and(|r| r == "warning")).collect();
    if !warnings.is_empty() {
        let says = |step: &&Value| json!({"step": step.get("step"), "detail": step.get("detail")});
        all.insert("warnings".into(), warnings.iter().map(says).collect());
    }
    report.get("freshness").into_iter().for_each(|says| drop(all.insert("freshness".into(), says.clone())));
    let source = report.get("source").cloned();
    all.insert("source".into(), source.unwrap_or_default());
    let slot = match trial {
        Err(error) => json!({ "problem": error }),
        Ok(None) => json!({"state": "memory"}),
        Ok(Some(Trial::Absent)) => json!({"state": "absent"}),
        Ok(Some(Trial::Good)) => json!({"state": "good"}),
        Ok(Some(Trial::OnTrial { left, .. })) => json!({"state": "on-trial", "tries-left": left}),
    };
    all.insert("slot".into(), slot);
    let networks: Map<_, _> =
        networks.iter().map(|(name, says)| (name.clone(), says.as_str().into())).collect();
    all.insert("networks".into(), networks.into());
    let disks = sled.text(DISKS).and_then(|text| serde_json::from_str::<Value>(&text).ok());
    disks.into_iter().for_each(|disks| drop(all.insert("data-disks".into(), disks)));
    if let Some(room) = Room::at(&sled.path("/var")) {
        all.insert("var".into(), room.json());
    }
    Crashes::look(sled).json().into_iter().for_each(|crashes| drop(all.insert("crashes".into(), crashes)));
    if let Value::Object(parts) = look.json() {
        all.extend(parts);
    }
    all.insert("problems".into(), look.problems().into());
    let ready: Option<Value> = sled.text(READY).and_then(|text| serde_json::from_str(&text).ok());
    all.insert("ready".into(), ready.is_some().into());
    let since = ready.and_then(|ready| ready.get("uptime_ms").cloned());
    all.insert("ready_after_ms".into(), since.unwrap_or_default());
    let used = |answer: &Answer| *answer != Answer::Unused;
    all.retain(|key, _| (key != "docker" || used(&look.docker)) && (key != "mesos" || used(&look.mesos)));
    all
}

fn table(all: &Map<String, Value>) -> String {
    let text = |key: &str| match all.get(key) {
        None | Some(Value::Null) => "unknown".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let inner = |key: &str, inner: &str| all.get(key)?.get(inner)?.as_str().map(str::to_owned);
    let mut out = String::new();
    let mut row = |name: &str, says: String| out += &format!("{name:<10} {}\n", plain(&says));
    match all.get("problem") {
        Some(problem) => row("sled", problem.as_str().unwrap_or_default().to_owned()),
        None => {
            row("sled", format!("{}, role {}", text("sled"), text("role")));
            row("document", format!("generation {}, from {}", text("generation"), text("source")));
            all.get("freshness").into_iter().for_each(|_| row("freshness", text("freshness")));
        }
    }
    let hash = text("usrhash");
    let hash = hash.get(..16).unwrap_or(&hash);
    row("image", format!("{} {}, /usr {hash}…", text("image"), text("version")));
    if let Some(wanted) = all.get("wanted") {
        let part = |key: &str| wanted.get(key).and_then(Value::as_str).unwrap_or_default();
        let hash = part("usrhash").get(..16).unwrap_or_default();
        row("wanted", format!("{} {}, /usr {hash}…", part("image"), part("version")));
    }
    row("slot", slot(all.get("slot")));
    // Why another image runs than the wanted one is among them.
    for warning in all.get("warnings").and_then(Value::as_array).into_iter().flatten() {
        let part = |key: &str| warning.get(key).and_then(Value::as_str).unwrap_or_default();
        row("warning", format!("{}: {}", part("step"), part("detail")));
    }
    for (name, says) in all.get("networks").and_then(Value::as_object).into_iter().flatten() {
        row("network", format!("{name}: {}", says.as_str().unwrap_or_default()));
    }
    if let Some(says) = all.get("data-disks").and_then(disks) {
        row("disks", says);
    }
    if let Some(says) = inner("var", "problem") {
        row("var", says);
    }
    let merged = all.get("extensions").and_then(Value::as_array).into_iter().flatten();
    merged.filter_map(Value::as_str).for_each(|name| row("extension", format!("{name} is merged into /usr")));
    all.get("crashes").into_iter().for_each(|all| row("crashes", crashes::text(all)));
    for (part, key, before) in
        [("docker", "server", "answers as "), ("mesos", "id", "agent "), ("agent", "says", "")]
    {
        let up = inner(part, key).map(|says| format!("{before}{says}"));
        up.or_else(|| inner(part, "problem")).into_iter().for_each(|says| row(part, says));
    }
    let after = all.get("ready_after_ms").and_then(Value::as_u64);
    row(
        "ready",
        match (after, text("problems")) {
            (Some(ms), problems) if problems.is_empty() => {
                format!("yes, {}.{} s after the start", ms / 1000, ms / 100 % 10)
            }
            (Some(_), problems) => format!("was ready, is not any more: {problems}"),
            (None, problems) if problems.is_empty() => "not yet".to_owned(),
            (None, problems) => format!("not yet: {problems}"),
        },
    );
    out
}

/// How many data disks there are of each kind; nothing without any.
fn disks(all: &Value) -> Option<String> {
    let list = all.get("disks")?.as_array().filter(|list| !list.is_empty())?;
    let count = |state: &str| list.iter().filter(|d| d.get("state").is_some_and(|s| s == state)).count();
    let missing = match count("missing") {
        0 => String::new(),
        n => format!(", {n} missing: their places are kept for the agent"),
    };
    let (serve, fail, refused) = (count("serves"), count("fails"), count("refused"));
    Some(format!("{serve} serve, {fail} fail, {refused} refused{missing}"))
}

fn slot(slot: Option<&Value>) -> String {
    let get = |key: &str| slot.and_then(|slot| slot.get(key));
    if let Some(problem) = get("problem").and_then(Value::as_str) {
        return problem.to_owned();
    }
    match get("state").and_then(Value::as_str) {
        Some("good") => "good".into(),
        Some("on-trial") => format!("on trial, {} tries left", get("tries-left").unwrap_or(&Value::Null)),
        Some("memory") => "none: runs from memory".into(),
        _ => "on disk; the ESP of this disk does not boot it".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn sled(root: &std::path::Path) -> Sled {
        fs::create_dir_all(root.join("run/sledos")).unwrap();
        let report = json!({
            "report": 1, "image": "compute", "version": "1", "usrhash": "cd".repeat(32),
            "source": "http://10.0.0.1", "freshness": "not proven fresh: it was stored earlier", "steps": [
                {"step": "usr", "result": "ok", "detail": "mounted"},
                {"step": "image", "result": "warning", "detail": "stays with the booted image: why"},
            ],
        });
        fs::write(root.join("run/sledos/boot.json"), report.to_string()).unwrap();
        fs::write(
            root.join("run/sledos/document.json"),
            crate::sledctl::ready::tests::document().to_string(),
        )
        .unwrap();
        Sled::new(root)
    }

    #[test]
    fn a_table_says_it_all() {
        let root = tempfile::tempdir().unwrap();
        let sled = sled(root.path());
        let look = Look {
            docker: Answer::Up("Docker/20.10.24".into()),
            mesos: Answer::Down("runs, but no master has registered it".into()),
            agent: Answer::Unused,
        };
        let trial = Ok(Some(Trial::OnTrial { file: String::new(), left: 2, other: false }));
        let all = collect(&sled, &look, &trial, &[("mgmt".into(), "eth0 10.0.0.2".into())]);
        assert!(!all.contains_key("var"), "this one has no /var");
        let mut full = all.clone();
        full.insert("var".into(), Room { used: 96, free: 1 << 20 }.json());
        assert!(table(&full).contains("\nvar        96 % used, 1 MiB left: "), "{}", table(&full));
        let expected = "\
sled       r12-b07, role compute
document   generation 7, from http://10.0.0.1
freshness  not proven fresh: it was stored earlier
image      compute 1, /usr cdcdcdcdcdcdcdcd…
wanted     compute 1, /usr abababababababab…
slot       on trial, 2 tries left
warning    image: stays with the booted image: why
network    mgmt: eth0 10.0.0.2
docker     answers as Docker/20.10.24
mesos      runs, but no master has registered it
ready      not yet: mesos agent runs, but no master has registered it
";
        assert_eq!(table(&all), expected);
        full.insert("source".into(), "http://a\u{1b}[2J\nready      yes".into());
        assert!(table(&full).contains("from http://a\u{fffd}[2J ready      yes\n"), "{}", table(&full));
        assert_eq!(all["slot"]["tries-left"], 2);
    }

    #[test]
    fn a_sled_that_knows_nothing_says_so() {
        let root = tempfile::tempdir().unwrap();
        let look = Look { docker: Answer::Unused, mesos: Answer::Unused, agent: Answer::Unused };
        let all = collect(&Sled::new(root.path()), &look, &Err("no usr".into()), &[]);
        let text = table(&all);
        assert!(text.contains("this sled was not configured by a document"), "{text}");
        assert!(text.contains("slot       no usr\n") && text.ends_with("ready      not yet\n"), "{text}");
        assert!(!all.contains_key("docker"));
    }
}
