//! Licences from a machine-readable copyright file (DEP-5):
//! <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>.

use std::collections::BTreeSet;

use super::licences;

/// The licences of all files of a package as one SPDX expression; `None` when the file is
/// not in the machine-readable form, or names no licence.
pub(super) fn licence(text: &str) -> Option<String> {
    let mut paragraphs = text.split("\n\n").map(str::trim_start).filter(|p| !p.is_empty());
    let header = paragraphs.next()?;
    let format = field(header, "Format").or_else(|| field(header, "Format-Specification"))?;
    if !format.contains("copyright-format/1") && !format.contains("dep5") && !format.contains("DEP5") {
        return None;
    }
    let mut found = BTreeSet::new();
    for paragraph in paragraphs {
        if field(paragraph, "Files").is_some()
            && let Some(short) = field(paragraph, "License")
        {
            found.extend(licences::expression(short));
        }
    }
    if found.is_empty() {
        found.extend(field(header, "License").and_then(licences::expression));
    }
    match found.len() {
        0 => None,
        1 => found.pop_first(),
        _ => {
            let grouped = |one: String| if one.contains(" OR ") { format!("({one})") } else { one };
            Some(found.into_iter().map(grouped).collect::<Vec<_>>().join(" AND "))
        }
    }
}

/// The first line of a field, without its continuation.
fn field<'t>(paragraph: &'t str, name: &str) -> Option<&'t str> {
    paragraph.lines().filter(|line| !line.starts_with([' ', '\t', '#'])).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.trim())
            .filter(|value| !value.is_empty() || name == "Files")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_paragraphs_count_and_licence_texts_do_not() {
        let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nSource: x\n\n\
            Files: *\nCopyright: A\nLicense: GPL-2+\n Long text.\n\n\
            Files: a b\nCopyright: B\nLicense: Expat or Artistic\n\n\
            License: BSD-4-clause\n Not a licence of any file.\n";
        assert_eq!(licence(text).unwrap(), "(Artistic-1.0-Perl OR MIT) AND GPL-2.0-or-later");
    }

    #[test]
    fn prose_is_no_licence() {
        assert_eq!(licence("This package is free software.\n\nLicense: GPL"), None);
        assert_eq!(licence(""), None);
    }
}
