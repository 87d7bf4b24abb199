//! `Signed-By` of the host's entries: which of them are Debian's.

use std::path::Path;

use sledos::apt::sources::{Error, Mirrors, parse_deb822, parse_list};
use tempfile::TempDir;

use crate::apt::recipe::recipe;
use crate::apt::repo::Key;

/// A key block as a field of a stanza: folded, its empty lines written as dots.
fn folded(block: &[u8]) -> String {
    let text = std::str::from_utf8(block).unwrap();
    text.lines().map(|line| format!("\n {}", if line.is_empty() { "." } else { line })).collect()
}

#[test]
fn keys_within_fingerprints_and_files_of_debian_count_and_others_are_named() {
    let dir = TempDir::new().unwrap();
    let (debian, other) = (Key::new("ed25519", "cert"), Key::new("ed25519", "sign"));
    debian.add_signing_subkey("1y");
    let keyring = dir.path().join("archive.gpg");
    std::fs::write(&keyring, debian.export(false)).unwrap();
    // Its name says nothing; what is in it does.
    let copy = dir.path().join("copy.asc");
    std::fs::write(&copy, debian.export(true)).unwrap();
    let others = dir.path().join("debian-looks-like.gpg");
    std::fs::write(&others, other.export(false)).unwrap();
    let recipe = recipe(dir.path(), &keyring, &[]);
    let choose = |signed_by: &str| {
        let text = format!(
            "Types: deb\nURIs: http://m/debian\nSuites: bookworm\nComponents: main\nSigned-By:{signed_by}\n"
        );
        let entries = parse_deb822(&text, Path::new("/etc/apt/sources.list.d/x.sources")).unwrap();
        let mirrors = Mirrors::choose(&recipe, &entries, &[])?;
        Ok(mirrors
            .of("debian", "bookworm")
            .unwrap()
            .in_order()
            .map(|(_, m)| m.url.clone())
            .collect::<Vec<_>>())
    };
    let both = [other.export(true), debian.export(true)].concat();
    for signed_by in [
        folded(&debian.export(true)),
        folded(&both),
        format!(" {}", debian.fingerprint),
        format!(" {}!", debian.fingerprint.to_lowercase()),
        format!(" {},{}", other.fingerprint, debian.fingerprint),
        format!(" {}", copy.display()),
    ] {
        let chosen: Result<_, Error> = choose(&signed_by);
        assert_eq!(chosen.unwrap(), ["http://m/debian"], "{signed_by}");
    }
    for (signed_by, why) in [
        (folded(&other.export(true)), "names none of Debian's keys"),
        (format!(" {}", other.fingerprint), "names none of Debian's keys"),
        (format!(" {}", others.display()), "names none of Debian's keys"),
        (
            "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n what\n -----END PGP PUBLIC KEY BLOCK-----".into(),
            "does not read",
        ),
    ] {
        let error = choose(&signed_by).unwrap_err().to_string();
        assert!(error.contains("x.sources:1 (http://m/debian)") && error.contains(why), "{error}");
    }
}

#[test]
fn the_one_line_format_has_the_same_keys() {
    let dir = TempDir::new().unwrap();
    let key = Key::new("ed25519", "sign");
    let keyring = dir.path().join("archive.gpg");
    std::fs::write(&keyring, key.export(false)).unwrap();
    let recipe = recipe(dir.path(), &keyring, &[]);
    let line = format!("deb [signed-by={}] http://m/debian bookworm main\n", key.fingerprint);
    let entries = parse_list(&line, Path::new("/etc/apt/sources.list")).unwrap();
    assert!(Mirrors::choose(&recipe, &entries, &[]).is_ok());
}
