//! Every file, as text in the repository. `UPDATE_GOLDEN=1` writes them anew.

use crate::fixture;
use metadata::generate::{Content, Generated};
use std::fmt::Write as _;
use std::path::Path;

fn text(generated: &Generated) -> String {
    let mut out = String::new();
    for warning in &generated.warnings {
        writeln!(out, "warning: {warning}").unwrap();
    }
    for file in &generated.files {
        match &file.content {
            Content::Link(to) => writeln!(out, "==> {} -> {to}", file.path).unwrap(),
            Content::Text(text) => {
                writeln!(out, "==> {} {:04o} {}:{}", file.path, file.mode, file.uid, file.gid).unwrap();
                out += text;
            }
            other => {
                writeln!(out, "==> {} {:04o} {}:{} {other:?}", file.path, file.mode, file.uid, file.gid)
                    .unwrap();
            }
        }
    }
    out
}

#[test]
fn documents_become_these_files() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/generate/golden");
    for (name, config) in fixture::all() {
        let text = text(&fixture::generate(config).unwrap());
        let path = dir.join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        for (n, (is, was)) in text.lines().zip(golden.lines()).enumerate() {
            assert_eq!(is, was, "{name}.txt, line {}; UPDATE_GOLDEN=1 if it is meant", n + 1);
        }
        assert_eq!(text, golden, "{name}.txt; UPDATE_GOLDEN=1 if it is meant");
    }
}

#[test]
fn the_order_of_nics_does_not_matter() {
    for (name, config) in fixture::all() {
        let document = fixture::document(config);
        let mut nics = fixture::nics();
        let one = metadata::generate::generate(&document, &nics, &fixture::image()).unwrap();
        nics.reverse();
        let two = metadata::generate::generate(&document, &nics, &fixture::image()).unwrap();
        assert_eq!(one.files, two.files, "{name}");
    }
}
