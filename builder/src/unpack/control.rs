//! What a Debian package says about itself: deb-control(5).

use std::collections::BTreeMap;
use std::io::Read;

use debversion::Version;
use formats::tree::TreePath;

use crate::apt::deb822;
use crate::apt::relation::{self, Op};

/// Bytes of all control files of one package; the kernel's have 400 KiB.
const MAX_CONTROL: u64 = 32 << 20;

/// The control files of a package by name (`control`, `conffiles`, `postinst`…),
/// less those nobody needs here.
pub type ControlFiles = BTreeMap<String, Vec<u8>>;

/// The control fields and files of a package.
#[derive(Clone, Debug)]
pub struct Control {
    /// `Package`.
    pub package: String,
    /// `Version`.
    pub version: String,
    /// `Architecture`.
    pub architecture: String,
    /// `Depends` and `Pre-Depends` as they are, joined by a comma; empty when there are none.
    pub depends: String,
    /// `Provides` as it is; empty when there is none.
    pub provides: String,
    /// `Replaces`.
    pub replaces: Vec<Relation>,
    /// `Maintainer`.
    pub maintainer: Option<String>,
    /// `Homepage`.
    pub homepage: Option<String>,
    /// `Source`, as it is: perhaps with a version in parentheses.
    pub source: Option<String>,
    /// Configuration files of the package.
    pub conffiles: Vec<TreePath>,
    /// Maintainer scripts and triggers by name (`postinst`); nobody runs them.
    pub scripts: BTreeMap<String, Vec<u8>>,
}

/// Another package, perhaps in certain versions only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Its name.
    pub package: String,
    /// How its version must compare to which.
    pub version: Option<(Op, Version)>,
}

/// Why control files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They are not a tar archive.
    #[error("its control files are damaged")]
    Damaged(#[source] std::io::Error),
    /// Larger than any package's.
    #[error("its control files are larger than 32 MiB")]
    TooLarge,
    /// No `control`, or not in the right form.
    #[error("its control file is missing or damaged")]
    NoControl,
    /// A field is missing.
    #[error("its control file has no field {0}")]
    NoField(&'static str),
    /// A relation or version is not in the right form.
    #[error("its control field {field} is damaged: {value:?}")]
    Field {
        /// The field.
        field: &'static str,
        /// The part that is wrong.
        value: String,
    },
}

/// Reads the control archive of a package.
///
/// # Errors
/// When it is damaged or too large.
pub fn read(stream: &mut dyn Read) -> Result<ControlFiles, Error> {
    let mut files = ControlFiles::new();
    let mut limited = stream.take(MAX_CONTROL + 1);
    let mut archive = tar::Archive::new(&mut limited);
    for entry in archive.entries().map_err(Error::Damaged)?.raw(true) {
        let mut entry = entry.map_err(Error::Damaged)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.strip_prefix("./").unwrap_or(&name);
        let wanted = !matches!(name, "md5sums" | "shlibs" | "symbols" | "templates");
        if entry.header().entry_type().is_file() && wanted {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(Error::Damaged)?;
            files.insert(name.to_owned(), bytes);
        }
    }
    std::io::copy(&mut limited, &mut std::io::sink()).map_err(Error::Damaged)?;
    if limited.limit() == 0 { Err(Error::TooLarge) } else { Ok(files) }
}

impl Control {
    /// Understands the control files.
    ///
    /// # Errors
    /// When a field that must be there is not, or one is damaged.
    pub fn parse(mut files: ControlFiles) -> Result<Self, Error> {
        let text = files.remove("control").and_then(|b| String::from_utf8(b).ok()).ok_or(Error::NoControl)?;
        let stanza = deb822::stanzas(&text).next().ok_or(Error::NoControl)?;
        let fields = stanza.fields().collect::<Result<Vec<_>, _>>().map_err(|_| Error::NoControl)?;
        let get = |name: &str| fields.iter().find(|field| field.is(name)).map(|field| field.value);
        let must = |name| get(name).map(str::to_owned).ok_or(Error::NoField(name));
        let conffiles = files.remove("conffiles").unwrap_or_default();
        let conffiles = conffiles.split(|b| *b == b'\n').filter_map(conffile).collect::<Result<_, _>>()?;
        let depends: Vec<_> = ["Pre-Depends", "Depends"].iter().filter_map(|f| get(f)).collect();
        Ok(Self {
            package: must("Package")?,
            version: must("Version")?,
            architecture: must("Architecture")?,
            depends: depends.join(", "),
            provides: get("Provides").unwrap_or_default().to_owned(),
            replaces: relations("Replaces", get("Replaces").unwrap_or_default())?,
            maintainer: get("Maintainer").map(str::to_owned),
            homepage: get("Homepage").map(str::to_owned),
            source: get("Source").map(str::to_owned),
            conffiles,
            scripts: files,
        })
    }

    /// Name and version of the source package this was built from.
    pub fn source_of(&self) -> (String, String) {
        let source = self.source.as_deref().unwrap_or(&self.package);
        match source.split_once(" (").and_then(|(name, rest)| Some((name, rest.strip_suffix(')')?))) {
            Some((name, version)) => (name.to_owned(), version.to_owned()),
            None => (source.to_owned(), self.version.clone()),
        }
    }

    /// Whether this package may overwrite files of that version of another.
    pub fn replaces(&self, package: &str, version: &str) -> bool {
        self.replaces.iter().any(|r| r.package == package && r.holds(version))
    }
}

/// A line of `conffiles`: a path, perhaps after a flag, which marks a file the
/// package no longer has.
fn conffile(line: &[u8]) -> Option<Result<TreePath, Error>> {
    let line = line.trim_ascii();
    let path = || {
        TreePath::parse(line).map_err(|_| Error::Field {
            field: "conffiles",
            value: String::from_utf8_lossy(line).into_owned(),
        })
    };
    line.starts_with(b"/").then(path)
}

impl Relation {
    fn holds(&self, version: &str) -> bool {
        self.version.as_ref().is_none_or(|(op, wanted)| op.holds(&relation::version(version), wanted))
    }
}

/// A field whose entries have no alternatives.
fn relations(field: &'static str, value: &str) -> Result<Vec<Relation>, Error> {
    let parsed = relation::parse(value).map_err(|e| Error::Field { field, value: e.0 })?;
    let only = |entry: Vec<relation::Atom<'_>>| match entry[..] {
        [atom] => Ok(Relation {
            package: atom.name.to_owned(),
            version: atom.version.map(|(op, version)| (op, relation::version(version))),
        }),
        _ => Err(Error::Field { field, value: value.to_owned() }),
    };
    parsed.into_iter().map(only).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(text: &str) -> Result<Control, Error> {
        Control::parse(ControlFiles::from([("control".into(), text.into())]))
    }

    #[test]
    fn replaces_obeys_versions() {
        let c =
            control("Package: a\nVersion: 1\nArchitecture: all\nReplaces: b (<< 2.0~), c:any,\n d(>= 1:1)\n")
                .unwrap();
        assert!(c.replaces("b", "1.9-1") && !c.replaces("b", "2.0"));
        assert!(c.replaces("c", "anything"));
        assert!(!c.replaces("d", "5") && c.replaces("d", "1:1-3"));
        assert!(!c.replaces("e", "1"));
    }

    #[test]
    fn fields_that_are_missing_or_damaged() {
        assert!(matches!(control("Package: a\nVersion: 1\n"), Err(Error::NoField("Architecture"))));
        assert!(matches!(control("\0"), Err(Error::NoControl)));
        assert!(matches!(control(""), Err(Error::NoControl)));
        let bad = control("Package: a\nVersion: 1\nArchitecture: all\nReplaces: b (~ 1)\n");
        assert!(matches!(bad, Err(Error::Field { field: "Replaces", .. })));
    }

    #[test]
    fn conffiles_without_flags() {
        let mut files = ControlFiles::new();
        files.insert("control".into(), b"Package: a\nVersion: 1\nArchitecture: all\n".to_vec());
        files.insert("conffiles".into(), b"/etc/a\nremove-on-upgrade /etc/b\n\n/etc/c d\n".to_vec());
        let found: Vec<_> =
            Control::parse(files).unwrap().conffiles.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["etc/a", "etc/c d"]);
    }
}
