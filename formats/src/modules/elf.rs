//! What a kernel module says about itself: its `.modinfo` section and the
//! symbols it gives and takes.
//!
//! `.modinfo` is a list of NUL-terminated `key=value` strings
//! (Linux `include/linux/moduleparam.h`, `scripts/mod/modpost.c`).

use std::borrow::Cow;
use std::collections::HashSet;

use object::Endianness;
use object::elf::{FileHeader64, SHN_UNDEF, SHT_SYMTAB};
use object::read::elf::{FileHeader, SectionHeader, Sym};

/// What is known of a module from its file alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// `name=`; empty in modules older than Linux 4.13.
    pub name: String,
    /// `depends=`: modules it needs, as the kernel's build found out.
    pub depends: Vec<String>,
    /// `softdep=`, each as it stands: `pre: crypto-crc32c`.
    pub softdeps: Vec<String>,
    /// `alias=`, in the file's order.
    pub aliases: Vec<String>,
    /// `firmware=`: paths below `/lib/firmware`; some are shell patterns.
    pub firmware: Vec<String>,
    /// `vermagic=`: starts with the kernel release it is for.
    pub vermagic: String,
    /// Symbols it exports.
    pub exports: Vec<Box<str>>,
    /// Symbols it expects from the kernel or from other modules, in the file's order.
    pub imports: Vec<Box<str>>,
}

/// Why bytes are not a kernel module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The ELF structure is damaged, or it is no 64-bit ELF file at all.
    #[error("not a readable 64-bit ELF file; is it compressed or cut short?")]
    Elf(#[source] object::read::Error),
    /// No `.modinfo`: an ELF file, but not a module.
    #[error("an ELF file without a .modinfo section, so not a kernel module")]
    NoModinfo,
}

impl From<object::read::Error> for Error {
    fn from(error: object::read::Error) -> Self {
        Self::Elf(error)
    }
}

/// Reads a module. The bytes are those of the plain `.ko`; whoever has a
/// `.ko.xz` or `.ko.zst` unpacks it first.
///
/// # Errors
/// See [`Error`].
pub fn parse(bytes: &[u8]) -> Result<Info, Error> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, bytes)?;
    let section = |name: &[u8]| -> Result<Option<&[u8]>, Error> {
        match sections.section_by_name(endian, name) {
            Some((_, section)) => Ok(Some(section.data(endian, bytes)?)),
            None => Ok(None),
        }
    };

    let mut info = Info::default();
    for field in strings(section(b".modinfo")?.ok_or(Error::NoModinfo)?) {
        let field = text(field);
        let Some((key, value)) = field.split_once('=') else { continue };
        let value = value.to_owned();
        match key {
            "name" => info.name = value,
            "depends" => info.depends.extend(value.split(',').filter(|d| !d.is_empty()).map(str::to_owned)),
            "softdep" => info.softdeps.push(value),
            "alias" => info.aliases.push(value),
            "firmware" => info.firmware.push(value),
            "vermagic" => info.vermagic = value,
            _ => {}
        }
    }

    let symbols = sections.symbols(endian, bytes, SHT_SYMTAB)?;
    let mut imported = HashSet::new();
    for symbol in symbols.iter().skip(1) {
        let name = symbol.name(endian, symbols.strings())?;
        if let Some(exported) = name.strip_prefix(b"__crc_") {
            info.exports.push(text(exported).into());
        }
        if symbol.st_shndx(endian) == SHN_UNDEF && !name.is_empty() {
            imported.insert(name);
            info.imports.push(text(name).into());
        }
    }
    // Kernels without symbol versions have no `__crc_` symbols; the strings are always there.
    if info.exports.is_empty() {
        let names = strings(section(b"__ksymtab_strings")?.unwrap_or_default());
        info.exports.extend(names.map(|name| text(name).into()));
    }
    // Symbols that only the version table names, like `module_layout`.
    for name in versions(section(b"__versions")?.unwrap_or_default()) {
        if !imported.contains(name) {
            info.imports.push(text(name).into());
        }
    }
    Ok(info)
}

/// The non-empty NUL-terminated strings of a section.
fn strings(section: &[u8]) -> impl Iterator<Item = &[u8]> {
    section.split(|b| *b == 0).filter(|s| !s.is_empty())
}

/// The names in `__versions`: 64-byte entries of an 8-byte checksum and a
/// NUL-padded name (Linux `struct modversion_info`).
fn versions(section: &[u8]) -> impl Iterator<Item = &[u8]> {
    section.chunks_exact(64).filter_map(|entry| entry.get(8..)).filter_map(|name| strings(name).next())
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A `softdep=` value: names (of modules or aliases) to load before and after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Softdep {
    /// To load before.
    pub pre: Vec<String>,
    /// To load after.
    pub post: Vec<String>,
}

/// Takes a `softdep=` value apart: `pre: a b post: c`. Names before the first
/// of the two words are ignored, as kmod does.
pub fn parse_softdep(value: &str) -> Softdep {
    let mut out = Softdep::default();
    let mut nowhere = Vec::new();
    let mut list = &mut nowhere;
    for word in value.split_whitespace() {
        match word {
            "pre:" => list = &mut out.pre,
            "post:" => list = &mut out.post,
            name => list.push(name.to_owned()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softdeps() {
        let parsed = parse_softdep("x pre: a b post: c pre: d");
        assert_eq!(parsed.pre, ["a", "b", "d"]);
        assert_eq!(parsed.post, ["c"]);
        assert_eq!(parse_softdep("gcm"), Softdep::default());
    }

    #[test]
    fn not_a_module() {
        assert!(matches!(parse(b""), Err(Error::Elf(_))));
        assert!(matches!(parse(b"\xfd7zXZ\0 compressed"), Err(Error::Elf(_))));
    }
}
