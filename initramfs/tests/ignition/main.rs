//! Ignition configs, carried out by us and by the real Ignition: the same tree, or refused
//! by us with the field and the reason in `NAME.refused`. Run as root: owners count.
//!
//! `NAME.differs` has the lines in which we mean to differ: a symbolic link belongs to root,
//! to Ignition it belongs to the owner of what it points to; and the setuid bits of spec
//! 3.4, which Ignition 2.14 sets and then loses by the change of owner.
#![allow(clippy::unwrap_used)]

mod judge;
mod tree;

use metadata::document::{Document, SledDocument};
use metadata::generate::{Image, generate};
use metadata::ignition::{World, read};
use sha2::{Digest, Sha256};
use sledos_init::provision::write::{Places, write};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use yaml::diagnostic::Source;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ignition")
}

/// Serves what the corpus fetches, until the test ends. Returns its address.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
    address
}

fn answer(mut stream: TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let body = match path {
        "/file.txt" => Some(b"served\n".to_vec()),
        "/secret.txt" if head.to_lowercase().contains("x-token: open sesame") => Some(b"secret\n".to_vec()),
        "/child.ign" => fs::read(here().join("child.ign")).ok(),
        "/file.gz" => {
            let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gz.write_all(b"served\n").unwrap();
            Some(gz.finish().unwrap())
        }
        _ => None,
    };
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)));
}

/// Fetches from the server above.
struct Fetch;

impl World for Fetch {
    fn get(&mut self, url: &str, headers: &[(String, String)], max: usize) -> Result<Vec<u8>, String> {
        let rest = url.strip_prefix("http://").ok_or("no http: URL")?;
        let (host, path) = rest.split_once('/').ok_or("no path")?;
        let mut stream = TcpStream::connect(host).map_err(|e| e.to_string())?;
        let mut request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n");
        headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
        request += "\r\n";
        stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(|e| e.to_string())?;
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or("no answer")? + 4;
        if !answer.starts_with(b"HTTP/1.1 200") || answer.len() - end > max {
            return Err("not there".to_owned());
        }
        Ok(answer.split_off(end))
    }
}

/// A document with the least configuration.
fn document() -> SledDocument {
    let hash = "ab".repeat(32);
    let file = |name: &str| format!(r#"{{"file": "{name}", "size": 1, "sha256": "{hash}"}}"#);
    let text = format!(
        r#"{{"sledos": 1, "head": {{"sled": "x", "generation": 1, "issued": 1, "expires": 2, "identity": {{}}}},
            "role": "x", "image": {{"name": "x", "version": "1", "root-hash": "{hash}", "urls": [],
            "usr": {}, "verity": {}, "uki": {}}}, "config": {{"hostname": "x"}}}}"#,
        file("a"),
        file("b"),
        file("c")
    );
    match Document::parse(text.as_bytes()).unwrap() {
        Document::Sled(sled) => *sled,
        Document::Retired(_) => unreachable!("it has a configuration"),
    }
}

/// Carries a config out below `root`, or says why not.
fn ours(name: &str, text: &str, root: &Path) -> Result<(), String> {
    let all = |found: &[yaml::diagnostic::Diagnostic]| {
        let line = |d: &yaml::diagnostic::Diagnostic| {
            let place = d.place.as_ref().unwrap_or_else(|| panic!("{name}: no place: {}", d.message));
            format!("{place}: {}", d.message)
        };
        found.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let source = Source::new(format!("{name}.ign"), text);
    let config = read(&source, &mut Fetch).map_err(|e| all(&e.0))?;
    let mut document = document();
    config.apply(&mut document.config, &mut Fetch).map_err(|found| all(&found))?;
    // What a sled gets is bytes.
    let bytes = serde_json::to_vec(&document).unwrap();
    let Document::Sled(document) = Document::parse(&bytes).unwrap() else { unreachable!("it is one") };

    let image_etc = root.join("etc");
    let file = |name: &str| fs::read_to_string(image_etc.join(name)).ok();
    let (passwd, group, shadow, gshadow) = (file("passwd"), file("group"), file("shadow"), file("gshadow"));
    let image = Image { passwd, group, shadow, gshadow, ..Image::default() };
    let generated = generate(&document, &[], &image).map_err(|e| e.to_string())?;
    assert_eq!(generated.warnings, [""; 0], "{name}");
    let etc = tempfile::tempdir_in(root.parent().unwrap()).unwrap();
    let places = Places { etc: etc.path(), root, image_etc: &image_etc };
    write(&generated, places).map_err(|(path, e)| format!("{path} {e}"))?;
    judge::overlay(etc.path(), &image_etc);
    // Made from other fields than Ignition's.
    for own in ["hostname", "hosts", "systemd/network/10-sledos.link"] {
        fs::remove_file(image_etc.join(own)).unwrap();
    }
    fs::remove_dir(image_etc.join("systemd/network")).unwrap();
    Ok(())
}

#[test]
fn every_config_gives_the_same_tree_or_is_refused_by_name() {
    let server = serve();
    let child = Sha256::digest(fs::read(here().join("child.ign")).unwrap());
    let child: String = child.iter().map(|b| format!("{b:02x}")).collect();
    let mut names: Vec<String> = fs::read_dir(here().join("corpus"))
        .unwrap()
        .filter_map(|e| Some(e.unwrap().file_name().to_str()?.strip_suffix(".ign")?.to_owned()))
        .collect();
    names.sort();
    let mut wrong: BTreeMap<String, String> = BTreeMap::new();
    let (mut same, mut refused) = (0, 0);
    let dir = Arc::new(tempfile::tempdir().unwrap());
    for name in &names {
        let path = |what: &str| here().join(format!("corpus/{name}.{what}"));
        let text = fs::read_to_string(path("ign")).unwrap();
        let text = text.replace("SERVER", &server).replace("CHILD_HASH", &format!("sha256-{child}"));
        let root = dir.path().join(format!("ours-{name}"));
        judge::image(&root);
        let done = ours(name, &text, &root);
        let expected = fs::read_to_string(path("refused")).ok();
        match (done, expected) {
            (Err(says), Some(expected)) if says.contains(expected.trim_end()) => refused += 1,
            (Err(says), Some(expected)) => {
                drop(wrong.insert(name.clone(), format!("{says}\nnot {expected}")))
            }
            (Ok(()), Some(expected)) => drop(wrong.insert(name.clone(), format!("not refused: {expected}"))),
            (Err(says), None) => drop(wrong.insert(name.clone(), format!("refused: {says}"))),
            (Ok(()), None) => {
                let theirs = dir.path().join(format!("theirs-{name}"));
                judge::image(&theirs);
                match judge::run(&text, &theirs) {
                    Err(says) => {
                        drop(wrong.insert(name.clone(), format!("only Ignition refuses it: {says}")))
                    }
                    Ok(()) => {
                        let meant = fs::read_to_string(path("differs")).unwrap_or_default();
                        match tree::differences(&root, &theirs) {
                            lines if lines == meant.trim_end() => same += 1,
                            lines => drop(wrong.insert(name.clone(), lines)),
                        }
                    }
                }
            }
        }
    }
    println!("{same} configs give the same tree, {refused} are refused by name");
    let report: Vec<String> = wrong.iter().map(|(name, what)| format!("== {name}\n{what}")).collect();
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), names.len(), report.join("\n"));
    assert!(same >= 40 && refused >= 40, "{same} and {refused}");
}
