//! Software bills of material: `sbom.spdx.json` (SPDX 2.3) and `sbom.cdx.json`
//! (CycloneDX 1.6).
//!
//! Both say the same of the same things: the Debian packages of the lock, with licences
//! from their machine-readable copyright files (DEP-5) where they have one; components
//! given to the build; and the Rust crates that PID 1 is made of. They are bound to an
//! image by its root hash, and the same image gives the same bytes: times and ids come
//! from it.
//!
//! - SPDX 2.3: <https://spdx.github.io/spdx-spec/v2.3/>
//! - CycloneDX 1.6: <https://cyclonedx.org/docs/1.6/json/>

mod copyright;
mod crates;
mod cyclonedx;
mod gather;
mod licences;
mod spdx;

pub use crates::{Crate, crates};
pub use gather::gather;

use crate::lock::{self, Lock};

/// The name of the SPDX file.
pub const SPDX: &str = "sbom.spdx.json";
/// The name of the CycloneDX file.
pub const CYCLONEDX: &str = "sbom.cdx.json";

/// What both files say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bom {
    /// Image name.
    pub image: String,
    /// Image version.
    pub version: String,
    /// Seconds since 1970.
    pub time: i64,
    /// The image's root hash in hexadecimal.
    pub root_hash: String,
    /// Debian packages and components, by name.
    pub packages: Vec<Package>,
    /// PID 1.
    pub init: Package,
    /// Crates PID 1 is made of.
    pub crates: Vec<Package>,
}

/// One piece of software.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// Unique within the bill: letters, digits, `.` and `-`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Package URL (<https://github.com/package-url/purl-spec>), when it has one.
    pub purl: Option<String>,
    /// sha256 of the archive it came in, in hexadecimal.
    pub sha256: Option<String>,
    /// `Name <address>` of who packaged it.
    pub supplier: Option<String>,
    /// Its home on the web.
    pub homepage: Option<String>,
    /// What it was built from: name and version.
    pub source: Option<(String, String)>,
    /// An SPDX licence expression; `None` when nobody says it in a form a machine can read.
    pub licence: Option<String>,
}

impl Bom {
    /// The SPDX file.
    pub fn spdx(&self) -> String {
        pretty(&spdx::document(self))
    }

    /// The CycloneDX file.
    pub fn cyclonedx(&self) -> String {
        pretty(&cyclonedx::document(self))
    }

    /// `2026-11-21T02:10:46Z`.
    fn created(&self) -> String {
        let (year, month, day) = crate::date::civil(self.time.div_euclid(86_400));
        let s = self.time.rem_euclid(86_400);
        format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", s / 3600, s / 60 % 60, s % 60)
    }
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

/// Characters of a package URL's parts that stand for themselves; all others are escaped.
fn purl_part(text: &str) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b".-_~".contains(b);
    let escaped =
        text.bytes().map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") });
    escaped.collect()
}

/// The package URL of a locked package of this archive. Scanners look up known faults by
/// `distro` (purl-spec, "deb").
pub(crate) fn deb_purl(archive: &str, package: &lock::model::Package, distro: Option<&str>) -> String {
    let [archive, name, version] = [archive, &package.name, &package.version].map(purl_part);
    let distro = distro.map(|distro| format!("&distro={distro}")).unwrap_or_default();
    format!("pkg:deb/{archive}/{name}@{version}?arch={}{distro}", package.arch)
}

/// The Debian that packages are of, `debian-12`: base-files has its number in its version.
pub(crate) fn distro(lock: &Lock) -> Option<String> {
    let base = lock.packages.iter().find(|package| package.name == "base-files")?;
    let major = base.version.split(['.', '+']).next()?;
    major.bytes().all(|b| b.is_ascii_digit()).then(|| format!("debian-{major}"))
}

/// An id from names: other characters become `-`.
fn id(kind: &str, name: &str, version: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    format!("{kind}-{name}-{version}").chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bom() -> Bom {
        let package = Package {
            id: id("deb", "libstdc++6", "1:2+b1"),
            name: "libstdc++6".into(),
            version: "1:2+b1".into(),
            purl: Some(format!(
                "pkg:deb/debian/{}@{}?arch=amd64",
                purl_part("libstdc++6"),
                purl_part("1:2+b1")
            )),
            licence: Some("GPL-3.0-or-later AND LicenseRef-debian-odd".into()),
            ..Package::default()
        };
        let init = Package {
            id: "init".into(),
            name: "sledos-init".into(),
            version: "1".into(),
            ..Package::default()
        };
        Bom {
            image: "x".into(),
            version: "1".into(),
            time: 951_782_400,
            root_hash: "ab".repeat(32),
            packages: vec![package],
            init,
            crates: Vec::new(),
        }
    }

    #[test]
    fn both_name_the_root_hash_and_the_time() {
        for text in [bom().spdx(), bom().cyclonedx()] {
            assert!(text.contains(&"ab".repeat(32)) && text.contains("2000-02-29T00:00:00Z"), "{text}");
            assert!(text.contains("pkg:deb/debian/libstdc%2B%2B6@1%3A2%2Bb1?arch=amd64"), "{text}");
        }
        // Every reference to a licence that is not SPDX's own is defined.
        assert!(bom().spdx().contains("\"licenseId\": \"LicenseRef-debian-odd\""));
    }

    #[test]
    fn the_crates_of_pid_1_are_known() {
        let crates = crates();
        let names: Vec<_> = crates.iter().map(|c| c.name.as_str()).collect();
        assert!(names.contains(&"rustix") && names.contains(&"sha2"), "{names:?}");
        // Not what only the builder, or only a test, is made of.
        assert!(!names.iter().any(|n| ["clap", "proptest", "serde_derive"].contains(n)), "{names:?}");
        for known in &crates {
            assert!(known.licence.is_some(), "{known:?}");
            assert!(known.sha256.as_ref().is_none_or(|sum| sum.len() == 64), "{known:?}");
        }
    }
}
