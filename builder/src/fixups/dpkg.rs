//! dpkg's list of what is installed (dpkg-query(1), `/var/lib/dpkg/status`): scanners and
//! inventories read it. Nothing on a sled changes it, so it is in /usr; tmpfiles.d links it
//! to where it is looked for.

use std::fmt::Write as _;

use super::edit::Edit;
use super::{Context, Error};
use crate::unpack::control::Control;

/// In the image.
const PATH: &str = "usr/share/sledos/dpkg/status";

pub(super) fn run(edit: &mut Edit<'_>, context: &Context<'_>) -> Result<(), Error> {
    edit.write(PATH, status(context.packages), 0o644)
}

/// A stanza for each package. Only fields with one line: what else a package says of
/// itself is in the bills of materials.
fn status(packages: &[&Control]) -> String {
    let mut out = String::new();
    let mut sorted = packages.to_vec();
    sorted.sort_by(|a, b| (&a.package, &a.architecture).cmp(&(&b.package, &b.architecture)));
    for control in sorted {
        let source = control.source.as_deref().unwrap_or_default();
        let fields = [
            ("Package", control.package.as_str()),
            ("Status", "install ok installed"),
            ("Maintainer", control.maintainer.as_deref().unwrap_or("unknown")),
            ("Architecture", control.architecture.as_str()),
            ("Source", source),
            ("Version", control.version.as_str()),
            ("Homepage", control.homepage.as_deref().unwrap_or_default()),
            ("Description", "part of the image; see its SBOM"),
        ];
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            // A folded field would be two.
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            let _ = writeln!(out, "{name}: {value}");
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn control(text: &str) -> Control {
        Control::parse([("control".to_owned(), text.as_bytes().to_vec())].into()).unwrap()
    }

    #[test]
    fn dpkg_lists_the_packages_and_no_more() {
        let packages = [
            control(
                "Package: libc6\nVersion: 2.36-9+deb12u13\nArchitecture: amd64\nMulti-Arch: same\n\
                 Source: glibc (2.36-9)\nMaintainer: GNU\n Libc <a@b>\nDescription: x\n .\n y\n",
            ),
            control("Package: base-files\nVersion: 12.4+deb12u12\nArchitecture: amd64\n"),
            control("Package: tzdata\nVersion: 2026b-0+deb12u1\nArchitecture: all\nHomepage: https://x/\n"),
        ];
        let dir = tempfile::tempdir().unwrap();
        let text = status(&packages.iter().collect::<Vec<_>>());
        std::fs::write(dir.path().join("status"), &text).unwrap();
        let format = "${Package} ${Version} ${Architecture} ${db:Status-Abbrev} ${source:Package}\n";
        let out = Command::new("dpkg-query")
            .arg("--admindir")
            .arg(dir.path())
            .args(["--show", "--showformat", format])
            .output()
            .unwrap_or_else(|e| panic!("dpkg-query: {e}; on Debian it is in the package dpkg"));
        assert_eq!(String::from_utf8_lossy(&out.stderr), "", "{text}");
        assert_eq!(
            String::from_utf8_lossy(&out.stdout),
            "base-files 12.4+deb12u12 amd64 ii  base-files\n\
             libc6 2.36-9+deb12u13 amd64 ii  glibc\n\
             tzdata 2026b-0+deb12u1 all ii  tzdata\n"
        );
    }
}
