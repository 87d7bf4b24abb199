//! The deb822 format of `.sources` files.

use std::path::Path;

use super::{Entry, Error, SignedBy};
use crate::apt::deb822::{self, Field, Stanza};

pub(super) fn parse(text: &str, file: &Path) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for stanza in deb822::stanzas(text) {
        let parsed = entry(stanza, file).map_err(|(line, problem)| Error::Malformed {
            file: file.to_owned(),
            line,
            problem,
        })?;
        entries.extend(parsed);
    }
    Ok(entries)
}

/// `None` when it is switched off, for sources only, or nothing but comments.
fn entry(stanza: Stanza<'_>, file: &Path) -> Result<Option<Entry>, (usize, &'static str)> {
    let mut entry = Entry {
        uris: Vec::new(),
        suites: Vec::new(),
        components: Vec::new(),
        architectures: Vec::new(),
        signed_by: None,
        file: file.to_owned(),
        line: stanza.line,
    };
    let (mut wanted, mut empty) = (true, true);
    for field in stanza.fields() {
        let field = field.map_err(|bad| (bad.line, "neither a `Field: value` nor a continuation of one"))?;
        empty = false;
        let words = || field.words().map(str::to_owned).collect();
        match field.name.to_ascii_lowercase().as_str() {
            "types" => wanted &= field.words().any(|word| word == "deb"),
            "uris" => entry.uris = words(),
            "suites" => entry.suites = words(),
            "components" => entry.components = words(),
            "architectures" => entry.architectures = words(),
            "signed-by" => entry.signed_by = Some(signed_by(&field)),
            "enabled" => wanted &= !["no", "false", "off", "without", "disable"].contains(&field.value),
            _ => {}
        }
    }
    if !wanted || empty {
        return Ok(None);
    }
    if entry.uris.is_empty() || entry.suites.is_empty() {
        return Err((stanza.line, "a stanza needs `URIs:` and `Suites:`"));
    }
    if entry.components.is_empty() && !entry.suites.iter().all(|suite| suite.ends_with('/')) {
        return Err((stanza.line, "a stanza needs `Components:`"));
    }
    Ok(Some(entry))
}

/// A key block is folded: its empty lines are written ` .`.
fn signed_by(field: &Field<'_>) -> SignedBy {
    if !field.value.contains("-----BEGIN") {
        let keys = field.words().flat_map(|word| word.split(','));
        return SignedBy::Keys(keys.filter(|key| !key.is_empty()).map(str::to_owned).collect());
    }
    let lines = field.lines().map(|line| if line == "." { "" } else { line });
    SignedBy::Inline(lines.collect::<Vec<_>>().join("\n").trim_start().to_owned() + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_values_comments_and_switches() {
        let text = "Types: deb deb-src\n# http://old\nURIs: http://a/debian\n http://b/debian\n\
            Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k.gpg\n\n\
            Enabled: no\nTypes: deb\nURIs: http://c\nSuites: s\nComponents: main\n\n\
            types: deb-src\nuris: http://d\nsuites: s\ncomponents: main\n\n# only a comment\n";
        let entries = parse(text, Path::new("/x.sources")).unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].uris, ["http://a/debian", "http://b/debian"]);
        assert_eq!(entries[0].suites, ["bookworm", "bookworm-updates"]);
        assert_eq!(entries[0].signed_by, Some(SignedBy::Keys(vec!["/k.gpg".into()])));
    }

    #[test]
    fn an_inline_key_is_unfolded() {
        let text = "Types: deb\nURIs: u\nSuites: ./\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n xyz=\n -----END PGP PUBLIC KEY BLOCK-----\n";
        let key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxyz=\n-----END PGP PUBLIC KEY BLOCK-----\n";
        let entries = parse(text, Path::new("/x.sources")).unwrap();
        assert_eq!(entries[0].signed_by, Some(SignedBy::Inline(key.into())));
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        for (bad, at) in
            [("Types: deb\nwhat\n", 2), ("\nTypes: deb\nURIs: u\n", 2), ("URIs: u\nSuites: s\n", 1)]
        {
            let error = parse(bad, Path::new("/x.sources")).unwrap_err();
            assert!(matches!(error, Error::Malformed { line, .. } if line == at), "{bad}: {error}");
        }
    }
}
