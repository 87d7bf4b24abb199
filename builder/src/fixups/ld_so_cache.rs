//! `/etc/ld.so.cache`, as `ldconfig(8)` writes it: without it libraries in
//! `/usr/local/lib`, where a component may bring its own, are not found, and
//! every program start looks through all directories.
//!
//! Format: glibc's `sysdeps/generic/dl-cache.h`, `struct cache_file_new` without
//! extensions, for x86-64.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use formats::tree::{Kind, TreePath};

use super::edit::Edit;
use super::elf::soname;
use super::{Context, Error};

/// Where libraries are looked for, first match first (`/etc/ld.so.conf.d` of libc6).
const DIRS: [&str; 4] =
    ["usr/local/lib", "usr/local/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib"];
/// `FLAG_ELF_LIBC6 | FLAG_X8664_LIB64`.
const FLAGS: u32 = 0x0303;
/// Size of `struct cache_file_new` and of `struct file_entry_new`, in bytes.
const HEADER: usize = 48;
const ENTRY: usize = 24;

pub(super) fn run(edit: &mut Edit<'_>, _: &Context<'_>) -> Result<(), Error> {
    let mut libraries = BTreeMap::new();
    for dir in DIRS {
        for name in edit.names(dir, "")? {
            let path = format!("{dir}/{name}");
            let library = (name.starts_with("lib") || name.starts_with("ld-")) && name.contains(".so");
            if !library || libraries.contains_key(&name) {
                continue;
            }
            let Some(file) = target(edit, &edit.path(&path)?) else { continue };
            let bytes = edit.read(&file)?.unwrap_or_default();
            // Other names of the file are for the link editor.
            if soname(&bytes).is_some_and(|own| own == name.as_bytes()) {
                libraries.insert(name, format!("/{path}"));
            }
        }
    }
    let Some(bytes) = cache(&libraries) else {
        return Err(edit.unexpected("etc/ld.so.cache", "would be larger than 4 GiB"));
    };
    edit.write("etc/ld.so.cache", bytes, 0o644)
}

/// The file a chain of links in one directory or from the root leads to.
fn target(edit: &Edit<'_>, path: &TreePath) -> Option<String> {
    let mut path = path.clone();
    for _ in 0..8 {
        let Kind::Symlink(to) = &edit.tree.get(&path)?.kind else { return Some(path.to_string()) };
        let dir = if to.starts_with(b"/") { TreePath::root() } else { path.parent()? };
        path = dir.join(to).ok()?;
    }
    None
}

fn cache(libraries: &BTreeMap<String, String>) -> Option<Vec<u8>> {
    let mut sorted: Vec<_> = libraries.iter().collect();
    // The linker searches by halves, in descending order.
    sorted.sort_by(|a, b| compare(b.0.as_bytes(), a.0.as_bytes()));
    let strings_at = HEADER + sorted.len() * ENTRY;
    let (mut entries, mut strings) = (Vec::new(), Vec::new());
    for (name, path) in sorted {
        let key = u32::try_from(strings_at + strings.len()).ok()?;
        let value = u32::try_from(strings_at + strings.len() + name.len() + 1).ok()?;
        strings.extend([name.as_bytes(), b"\0", path.as_bytes(), b"\0"].concat());
        // Then an OS version and hwcaps, both unused.
        for word in [FLAGS, key, value, 0, 0, 0] {
            entries.extend(word.to_le_bytes());
        }
    }
    let mut out = b"glibc-ld.so.cache1.1".to_vec();
    // Number of libraries, length of the strings, little-endian, no extensions, unused.
    let little_endian = 2;
    let (count, len) = (u32::try_from(libraries.len()).ok()?, u32::try_from(strings.len()).ok()?);
    for word in [count, len, little_endian, 0, 0, 0, 0] {
        out.extend(word.to_le_bytes());
    }
    out.extend(entries);
    out.extend(strings);
    Some(out)
}

/// `_dl_cache_libcmp()`: numbers count as numbers and come after everything else.
fn compare(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let digits = |s: &[u8]| s.iter().take_while(|c| c.is_ascii_digit()).count();
        match (digits(a), digits(b)) {
            (0, 0) => match (a.split_first(), b.split_first()) {
                (None, None) => return Ordering::Equal,
                (Some((x, rest_a)), Some((y, rest_b))) if x == y => (a, b) = (rest_a, rest_b),
                _ => return a.first().cmp(&b.first()),
            },
            (0, _) => return Ordering::Less,
            (_, 0) => return Ordering::Greater,
            (m, n) => {
                let ((x, rest_a), (y, rest_b)) = (a.split_at(m), b.split_at(n));
                let number =
                    |s: &[u8]| s.iter().fold(0_u64, |v, c| v.saturating_mul(10) + u64::from(c - b'0'));
                match number(x).cmp(&number(y)) {
                    Ordering::Equal => (a, b) = (rest_a, rest_b),
                    other => return other,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = ["libc.so.6", "libx.so.10", "libx.so.9", "ld-linux-x86-64.so.2", "libx-a.so"];
        names.sort_by(|a, b| compare(a.as_bytes(), b.as_bytes()));
        assert_eq!(names, ["ld-linux-x86-64.so.2", "libc.so.6", "libx-a.so", "libx.so.9", "libx.so.10"]);
    }

    #[test]
    fn offsets_lead_to_names_and_paths() {
        let libraries = [("liba.so.1", "/l/liba.so.1"), ("libb.so.1", "/l/libb.so.1")];
        let bytes = cache(&libraries.map(|(n, p)| (n.to_owned(), p.to_owned())).into()).unwrap();
        let word =
            |at: usize| usize::try_from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())).unwrap();
        let text = |at: usize| bytes[at..].split(|b| *b == 0).next().unwrap();
        assert_eq!(word(20), 2);
        assert_eq!(bytes.len(), HEADER + 2 * ENTRY + word(24));
        assert_eq!(text(word(HEADER + 4)), b"libb.so.1");
        assert_eq!(text(word(HEADER + ENTRY + 8)), b"/l/liba.so.1");
    }
}
