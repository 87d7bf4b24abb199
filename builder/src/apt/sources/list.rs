//! The one-line format: `deb [arch=amd64 signed-by=/k.gpg] http://m/debian bookworm main`.

use std::path::Path;

use super::{Entry, Error, SignedBy};

pub(super) fn parse(text: &str, file: &Path) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split_once('#').map_or(line, |(before, _)| before).trim();
        if line.is_empty() {
            continue;
        }
        let parsed = entry(line, file, number).map_err(|problem| Error::Malformed {
            file: file.to_owned(),
            line: number,
            problem,
        })?;
        entries.extend(parsed);
    }
    Ok(entries)
}

/// `None` for `deb-src`.
fn entry(line: &str, file: &Path, number: usize) -> Result<Option<Entry>, &'static str> {
    let (kind, rest) = line.split_once([' ', '\t']).ok_or("an entry starts with `deb` and an address")?;
    match kind {
        "deb" => {}
        "deb-src" => return Ok(None),
        _ => return Err("an entry starts with `deb` or `deb-src`"),
    }
    let mut entry = Entry {
        uris: Vec::new(),
        suites: Vec::new(),
        components: Vec::new(),
        architectures: Vec::new(),
        signed_by: None,
        file: file.to_owned(),
        line: number,
    };
    let mut rest = rest.trim_start();
    if let Some(inner) = rest.strip_prefix('[') {
        let (options, after) = inner.split_once(']').ok_or("an option list without its `]`")?;
        for option in options.split_ascii_whitespace() {
            let (key, value) = option.split_once('=').ok_or("an option is written `key=value`")?;
            let values = value.split(',').map(str::to_owned).collect();
            match key {
                "arch" => entry.architectures = values,
                "signed-by" => entry.signed_by = Some(SignedBy::Keys(values)),
                _ => {}
            }
        }
        rest = after;
    }
    let mut words = rest.split_ascii_whitespace().map(str::to_owned);
    entry.uris.extend(words.next());
    entry.suites.extend(words.next());
    entry.components.extend(words);
    let flat = entry.suites.first().ok_or("an address and a suite are needed")?.ends_with('/');
    if entry.components.is_empty() && !flat {
        return Err("at least one component is needed after the suite, like `main`");
    }
    Ok(Some(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/etc/apt/sources.list";

    #[test]
    fn options_comments_and_source_lines() {
        let text = "# old\ndeb-src http://m/debian bookworm main\n\n\
            deb\t[ arch=amd64,arm64 signed-by=/k.gpg trusted=no ] http://m/debian bookworm main contrib # why\n\
            deb http://flat ./\n";
        let entries = parse(text, Path::new(FILE)).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].line, 4);
        assert_eq!(entries[0].architectures, ["amd64", "arm64"]);
        assert_eq!(entries[0].signed_by, Some(SignedBy::Keys(vec!["/k.gpg".into()])));
        assert_eq!(entries[0].components, ["main", "contrib"]);
        assert_eq!((&*entries[1].uris[0], &*entries[1].suites[0]), ("http://flat", "./"));
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        for bad in
            ["dep http://m s main", "deb http://m", "deb http://m s", "deb [arch=a http://m s main", "deb"]
        {
            let error = parse(&format!("\n{bad}"), Path::new(FILE)).unwrap_err();
            assert!(matches!(error, Error::Malformed { line: 2, .. }), "{bad}: {error}");
        }
    }
}
