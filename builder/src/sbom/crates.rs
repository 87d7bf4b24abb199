//! The Rust crates PID 1 is made of, as the build script asked cargo.

/// A crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence as its author gives it.
    pub licence: Option<String>,
    /// sha256 of its archive in the registry; crates of this workspace have none.
    pub sha256: Option<String>,
}

/// name, version, licence and sha256 of each, with tabs between.
const LIST: &str = include_str!(env!("SLEDOS_CRATES"));

/// The crates of PID 1, sorted.
pub fn crates() -> Vec<Crate> {
    let known = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    LIST.lines()
        .filter_map(|line| {
            let mut fields = line.split('\t');
            let (name, version) = (fields.next()?.to_owned(), fields.next()?.to_owned());
            Some(Crate { name, version, licence: known(fields.next()), sha256: known(fields.next()) })
        })
        .collect()
}
