//! Debian's short names of licences, and SPDX's.

/// Short names of DEP-5 and others often seen, in small letters, and what SPDX calls them.
/// `+` and "or later" are handled apart.
const NAMES: [(&str, &str); 48] = [
    ("apache-2", "Apache-2.0"),
    ("apache-2.0", "Apache-2.0"),
    ("artistic", "Artistic-1.0-Perl"),
    ("artistic-1", "Artistic-1.0-Perl"),
    ("artistic-2", "Artistic-2.0"),
    ("artistic-2.0", "Artistic-2.0"),
    ("boehm-gc", "Boehm-GC"),
    ("bsd-2-clause", "BSD-2-Clause"),
    ("bsd-3-clause", "BSD-3-Clause"),
    ("bsd-4-clause", "BSD-4-Clause"),
    ("bsd-4-clause-uc", "BSD-4-Clause-UC"),
    ("bsl-1.0", "BSL-1.0"),
    ("bzip2", "bzip2-1.0.6"),
    ("cc-by-3.0", "CC-BY-3.0"),
    ("cc-by-4.0", "CC-BY-4.0"),
    ("cc-by-sa-3.0", "CC-BY-SA-3.0"),
    ("cc-by-sa-4.0", "CC-BY-SA-4.0"),
    ("cc0", "CC0-1.0"),
    ("cc0-1.0", "CC0-1.0"),
    ("curl", "curl"),
    ("expat", "MIT"),
    ("mit", "MIT"),
    ("fsful", "FSFUL"),
    ("fsfullr", "FSFULLR"),
    ("fsfap", "FSFAP"),
    ("icu", "ICU"),
    ("ijg", "IJG"),
    ("isc", "ISC"),
    ("mit-cmu", "MIT-CMU"),
    ("mpl-1.1", "MPL-1.1"),
    ("mpl-2", "MPL-2.0"),
    ("mpl-2.0", "MPL-2.0"),
    ("ofl-1.1", "OFL-1.1"),
    ("openldap-2.8", "OLDAP-2.8"),
    ("openssl", "OpenSSL"),
    ("permissive", "FSFULLR"),
    ("postgresql", "PostgreSQL"),
    ("psf-2", "Python-2.0"),
    ("python-2.0", "Python-2.0"),
    ("sleepycat", "Sleepycat"),
    ("tcl", "TCL"),
    ("unicode-dfs-2016", "Unicode-DFS-2016"),
    ("unlicense", "Unlicense"),
    ("vim", "Vim"),
    ("w3c", "W3C"),
    ("wtfpl", "WTFPL"),
    ("x11", "X11"),
    ("zlib", "Zlib"),
];

/// A family of licences and the versions it has.
const FAMILIES: [(&str, &str, &[&str]); 4] = [
    ("gpl-", "GPL", &["1.0", "2.0", "3.0"]),
    ("lgpl-", "LGPL", &["2.0", "2.1", "3.0"]),
    ("agpl-", "AGPL", &["3.0"]),
    ("gfdl-", "GFDL", &["1.1", "1.2", "1.3"]),
];

/// An SPDX expression for a `License:` line, names joined by `and`, `or` and commas;
/// `None` for an empty one. What SPDX has no name for becomes a reference.
pub(super) fn expression(line: &str) -> Option<String> {
    let line = line.replace([',', '(', ')'], " , ");
    let mut all: Vec<Vec<String>> = vec![Vec::new()];
    let mut name: Vec<&str> = Vec::new();
    // `or` binds weaker than `and`, as DEP-5 has it.
    let end = |name: &mut Vec<&str>, all: &mut Vec<Vec<String>>| {
        if !name.is_empty() {
            let found = one(&name.join(" "));
            if let Some(last) = all.last_mut().filter(|last| !last.contains(&found)) {
                last.push(found);
            }
            name.clear();
        }
    };
    for word in line.split_whitespace() {
        match word.to_ascii_lowercase().as_str() {
            "and" | "and/or" | "," => end(&mut name, &mut all),
            "or" => {
                end(&mut name, &mut all);
                all.push(Vec::new());
            }
            _ => name.push(word),
        }
    }
    end(&mut name, &mut all);
    all.retain(|names| !names.is_empty());
    all.sort();
    all.dedup();
    let alone = all.len() == 1;
    let joined = all.into_iter().map(|mut names| {
        names.sort();
        let text = names.join(" AND ");
        if alone || names.len() == 1 { text } else { format!("({text})") }
    });
    let text = joined.collect::<Vec<_>>().join(" OR ");
    (!text.is_empty()).then_some(text)
}

/// The SPDX name of one licence.
fn one(name: &str) -> String {
    let small = name.to_ascii_lowercase();
    // `GPL-2+ with OpenSSL exception`: the exception has no short name in DEP-5.
    let (base, exception) = match small.split_once(" with ") {
        Some((base, exception)) => (base.trim(), Some(exception)),
        None => (small.as_str(), None),
    };
    let known = family(base)
        .or_else(|| NAMES.iter().find(|(debian, _)| *debian == base).map(|(_, spdx)| (*spdx).to_owned()));
    match (known, exception) {
        (Some(known), None) => known,
        (Some(_), Some(_)) | (None, _) => reference(name),
    }
}

/// `gpl-2+` is `GPL-2.0-or-later`, `lgpl-2.1` is `LGPL-2.1-only`.
fn family(name: &str) -> Option<String> {
    let (version, suffix) = match name.strip_suffix('+') {
        Some(version) => (version, "or-later"),
        None => (name, "only"),
    };
    FAMILIES.iter().find_map(|(prefix, spdx, versions)| {
        let version = version.strip_prefix(prefix)?;
        let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
        versions.contains(&version.as_str()).then(|| format!("{spdx}-{version}-{suffix}"))
    })
}

/// A reference for a licence that SPDX has no name for.
fn reference(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    format!("LicenseRef-debian-{}", name.trim_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spdx_or_references() {
        for (debian, spdx) in [
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPL-3", "GPL-3.0-only"),
            ("LGPL-2.1+", "LGPL-2.1-or-later"),
            ("GPL-4", "LicenseRef-debian-GPL-4"),
            ("Expat", "MIT"),
            ("public-domain", "LicenseRef-debian-public-domain"),
            ("GPL-2+ or Artistic", "Artistic-1.0-Perl OR GPL-2.0-or-later"),
            ("GPL-2 and BSD-3-clause, or Expat", "(BSD-3-Clause AND GPL-2.0-only) OR MIT"),
            ("GPL-2+ with OpenSSL exception", "LicenseRef-debian-GPL-2--with-OpenSSL-exception"),
            ("MIT, MIT", "MIT"),
        ] {
            assert_eq!(expression(debian).as_deref(), Some(spdx), "{debian}");
        }
        assert_eq!(expression(" , "), None);
    }
}
