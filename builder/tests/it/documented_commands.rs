//! Every `sledos` command in the documentation and in the CI workflows is one that the
//! program understands.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use sledos::cli::Cli;

/// Words of a shell command: quotes, and what ends it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '#' | '|' | ';' | '>' | '&') if word.is_empty() => break,
            (None, ';') => break,
            (None, c) if c.is_whitespace() => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)))
            }
            _ => word.push(c),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// The commands of a file: lines that begin with `sledos`, or with what runs it.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(|line| {
        let line = line.trim().trim_start_matches("- ").trim_start_matches("$ ").trim_start_matches("run: ");
        let line = line.replace("cargo run --release --", "sledos");
        match line.split_once("then sledos ") {
            Some((_, rest)) => format!("sledos {rest}"),
            None => line,
        }
    });
    lines.filter(|line| line.starts_with("sledos ")).collect()
}

#[test]
fn each_is_understood() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files: Vec<PathBuf> = vec![top.join("README.md"), top.join("CHANGELOG.md")];
    for dir in ["docs", "docs/ci"] {
        files.extend(
            fs::read_dir(top.join(dir)).unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.is_file()),
        );
    }
    let mut count = 0;
    // The reference is made from the program itself, and has forms rather than commands.
    for file in files.iter().filter(|file| !file.ends_with("cli.md")) {
        for command in commands(&fs::read_to_string(file).unwrap()) {
            let words = words(&command);
            if words.iter().any(|word| word.contains('…') || word.contains('[')) {
                continue;
            }
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{}: {command}\n{error}", file.display());
            }
            count += 1;
        }
    }
    assert!(count > 20, "{count} commands: the documentation has moved?");
}

/// All Rust files of the crates with tests.
fn sources(dir: &Path, all: &mut String) {
    for entry in fs::read_dir(dir).expect("it is here").map(|entry| entry.expect("it reads").path()) {
        if entry.is_dir() {
            sources(&entry, all);
        } else if entry.extension().is_some_and(|end| end == "rs") {
            *all += &fs::read_to_string(entry).expect("it is text");
        }
    }
}

#[test]
fn tests_that_are_named_beside_those_of_others_are_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut all = String::new();
    for dir in ["builder", "initramfs", "metadata", "qemu-tests", "server"] {
        for part in ["src", "tests"] {
            let dir = top.join(dir).join(part);
            if dir.is_dir() {
                sources(&dir, &mut all);
            }
        }
    }
    let table = fs::read_to_string(top.join("docs/host-tests.md")).unwrap();
    let is_test = |word: &&str| {
        word.matches('_').count() >= 3 && word.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
    };
    let named: Vec<_> = table.split('`').filter(is_test).collect();
    assert!(named.len() > 50, "{} tests are named", named.len());
    for name in named {
        assert!(all.contains(&format!("fn {name}(")), "docs/host-tests.md: no test is called {name}");
    }
}

/// All files of the repository's crates, recipes and overlays that a check can be in.
fn names(dir: &Path, all: &mut Vec<String>, top: &Path) {
    for entry in fs::read_dir(dir).expect("it is here").map(|entry| entry.expect("it reads").path()) {
        if entry.is_dir() {
            names(&entry, all, top);
        } else {
            all.push(entry.strip_prefix(top).expect("it is below").display().to_string());
        }
    }
}

#[test]
fn files_and_tests_of_the_table_of_trust_are_there() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut all, mut text) = (Vec::new(), String::new());
    for dir in
        ["builder", "fuzz", "initramfs", "metadata", "qemu-tests", "server", "syscalls", "formats", "yaml"]
    {
        for part in ["src", "tests"].map(|part| top.join(dir).join(part)).iter().filter(|dir| dir.is_dir()) {
            names(part, &mut all, &top);
            sources(part, &mut text);
        }
    }
    names(&top.join("overlays"), &mut all, &top);
    let table = fs::read_to_string(top.join("docs/trust.md")).unwrap();
    let (mut files, mut tests) = (0, 0);
    for word in table.split('`').skip(1).step_by(2) {
        let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./@".contains(&b));
        if plain && (word.ends_with(".rs") || word.starts_with("overlays/")) {
            files += 1;
            assert!(all.iter().any(|file| file == word), "docs/trust.md: there is no {word}");
        } else if plain && word.matches('_').count() >= 3 {
            tests += 1;
            assert!(text.contains(&format!("fn {word}(")), "docs/trust.md: no test is called {word}");
        }
    }
    assert!(files > 60 && tests > 60, "{files} files and {tests} tests are named");
}
