//! What a recipe asks for: `name`, `name=version` or `name/release`, as apt-get(8) takes them.

use std::fmt;

/// A package that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Its name.
    pub name: &'a str,
    /// This version and no other.
    pub version: Option<&'a str>,
    /// From this suite of the distribution, or from the repository of this name.
    pub release: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// Takes the text apart.
    pub fn parse(text: &'a str) -> Asked<'a> {
        let (rest, release) = match text.split_once('/') {
            Some((rest, release)) => (rest, Some(release)),
            None => (text, None),
        };
        let (name, version) = match rest.split_once('=') {
            Some((name, version)) => (name, Some(version)),
            None => (rest, None),
        };
        Asked { name, version, release }
    }
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        self.version.map_or(Ok(()), |version| write!(f, "={version}"))?;
        self.release.map_or(Ok(()), |release| write!(f, "/{release}"))
    }
}
