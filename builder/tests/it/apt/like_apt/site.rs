//! A repository being made: .debs by dpkg-deb, stanzas by dpkg-scanpackages, signatures by gpg.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256, Sha512};
use tempfile::TempDir;

use super::Bench;
use crate::apt::repo::{Key, run};

/// How a file is compressed.
#[derive(Clone, Copy)]
pub(super) enum As {
    Plain,
    Gz,
    Xz,
    Zst,
    Bz2,
    Lzma,
}

pub(super) struct Site<'b> {
    pub(super) dir: PathBuf,
    suite: String,
    bench: &'b Bench,
    /// Files of the release: path below the suite, content.
    listed: Vec<(String, Vec<u8>)>,
    /// Fields of the release.
    pub(super) fields: Vec<(&'static str, String)>,
    /// Which hashes it gives.
    pub(super) hashes: &'static [&'static str],
}

impl<'b> Site<'b> {
    pub(super) fn new(bench: &'b Bench, name: &str, suite: &str) -> Site<'b> {
        let dir = bench.root.path().join(name);
        fs::create_dir_all(dir.join("pool")).unwrap();
        let fields = [
            ("Origin", "T".to_owned()),
            ("Suite", suite.to_owned()),
            ("Codename", suite.to_owned()),
            ("Date", date("now")),
            ("Architectures", "amd64".to_owned()),
            ("Components", "main".to_owned()),
        ];
        let suite = suite.to_owned();
        Site { dir, suite, bench, listed: Vec::new(), fields: fields.into(), hashes: &["SHA256"] }
    }

    /// Sets, or with an empty name of a field's value takes away, a field of the release.
    pub(super) fn set(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.fields.retain(|(known, _)| *known != name);
        self.fields.push((name, value.to_owned()));
        self
    }

    pub(super) fn unset(&mut self, name: &str) -> &mut Self {
        self.fields.retain(|(known, _)| *known != name);
        self
    }

    /// A package in `pool/`; `more` are fields of its control file.
    pub(super) fn deb(&self, name: &str, version: &str, arch: &str, more: &str) -> &Self {
        let file = version.split_once(':').map_or(version, |(_, rest)| rest);
        self.deb_at(&format!("pool/{name}_{file}_{arch}.deb"), name, version, arch, more)
    }

    pub(super) fn deb_at(&self, path: &str, name: &str, version: &str, arch: &str, more: &str) -> &Self {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("DEBIAN")).unwrap();
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {arch}\nMaintainer: T <t@example.org>\n\
             {more}Description: test\n"
        );
        fs::write(root.path().join("DEBIAN/control"), control).unwrap();
        run("coreutils", Command::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(root.path()));
        let at = self.dir.join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        let mut build = Command::new("dpkg-deb");
        run("dpkg", build.args(["--nocheck", "--root-owner-group", "--build"]).arg(root.path()).arg(at));
        self
    }

    /// The stanzas of a directory, by dpkg-scanpackages.
    pub(super) fn scan(&self, dir: &str) -> String {
        self.scan_by(&[dir])
    }

    /// Only those of an architecture.
    pub(super) fn scan_for(&self, dir: &str, arch: &str) -> String {
        self.scan_by(&["--arch", arch, dir])
    }

    fn scan_by(&self, arguments: &[&str]) -> String {
        let mut scan = Command::new("dpkg-scanpackages");
        scan.current_dir(&self.dir).arg("--multiversion").args(arguments);
        String::from_utf8(run("dpkg-dev", &mut scan)).unwrap()
    }

    fn below(&self, name: &str) -> PathBuf {
        match self.suite.strip_suffix('/') {
            Some(flat) => self.dir.join(flat).join(name),
            None => self.dir.join("dists").join(&self.suite).join(name),
        }
    }

    /// Writes a file of the suite.
    pub(super) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let at = self.below(name);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(&at, content).unwrap();
        at
    }

    /// Puts a file into the release, and not onto the server.
    pub(super) fn list(&mut self, name: &str, content: &[u8]) -> &mut Self {
        self.listed.push((name.to_owned(), content.to_owned()));
        self
    }

    /// `dir/Packages`, in the release by its own name, too, as archives do it; on the server as `forms`.
    pub(super) fn index(&mut self, dir: &str, text: impl AsRef<[u8]>, forms: &[As]) -> &mut Self {
        let text = text.as_ref();
        self.list(&join(dir, "Packages"), text);
        for form in forms {
            let (suffix, bytes) = compressed(text, *form);
            let name = join(dir, &format!("Packages{suffix}"));
            self.file(&name, &bytes);
            if !suffix.is_empty() {
                self.list(&name, &bytes);
            }
        }
        self
    }

    /// The usual index, and all around it.
    pub(super) fn publish(&mut self, text: impl AsRef<[u8]>) {
        self.index("main/binary-amd64", text, &[As::Gz]).sign();
    }

    /// Copies what is listed to where it is called by its hash, and takes it away from where it was.
    pub(super) fn move_to_by_hash(&mut self) -> &mut Self {
        self.set("Acquire-By-Hash", "yes");
        for (name, content) in &self.listed {
            let (dir, _) = name.rsplit_once('/').unwrap();
            for kind in self.hashes {
                self.file(&format!("{dir}/by-hash/{kind}/{}", hex(kind, content)), content);
            }
            let _ = fs::remove_file(self.below(name));
        }
        self
    }

    /// The text of the release.
    pub(super) fn release(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.fields {
            writeln!(text, "{name}: {value}").unwrap();
        }
        for kind in self.hashes {
            writeln!(text, "{kind}:").unwrap();
            for (name, content) in &self.listed {
                writeln!(text, " {} {} {name}", hex(kind, content), content.len()).unwrap();
            }
        }
        text
    }

    /// Writes InRelease.
    pub(super) fn sign(&self) {
        self.sign_by(&self.bench.key);
    }

    pub(super) fn sign_by_a_stranger(&self) {
        self.sign_by(&self.bench.stranger);
    }

    fn sign_by(&self, key: &Key) {
        let at = self.file("Release", self.release().as_bytes());
        let clear = key.gpg(&["--output", "-", "--clearsign", path(&at)]);
        fs::remove_file(at).unwrap();
        self.file("InRelease", &clear);
    }

    /// Writes Release and Release.gpg.
    pub(super) fn sign_beside(&self, armoured: bool) {
        let at = self.file("Release", self.release().as_bytes());
        let armour = if armoured { "--armor" } else { "--no-armor" };
        let signature = self.bench.key.gpg(&[armour, "--output", "-", "--detach-sign", path(&at)]);
        self.file("Release.gpg", &signature);
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// As Release files write it: date(1) `-R` with the zone they have.
pub(super) fn date(when: &str) -> String {
    let mut date = Command::new("date");
    let out = run("coreutils", date.args(["--utc", "+%a, %d %b %Y %H:%M:%S UTC", "--date", when]));
    String::from_utf8(out).unwrap().trim().to_owned()
}

fn hex(kind: &str, content: &[u8]) -> String {
    let digest = match kind {
        "SHA256" => Sha256::digest(content).to_vec(),
        "SHA512" => Sha512::digest(content).to_vec(),
        // Nobody believes these: the right length will do.
        "SHA1" => vec![7; 20],
        _ => vec![7; 16],
    };
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn compressed(text: &[u8], form: As) -> (&'static str, Vec<u8>) {
    let (suffix, package, program) = match form {
        As::Plain => return ("", text.to_owned()),
        As::Gz => (".gz", "gzip", "gzip"),
        As::Xz => (".xz", "xz-utils", "xz"),
        As::Zst => (".zst", "zstd", "zstd"),
        As::Bz2 => (".bz2", "bzip2", "bzip2"),
        As::Lzma => (".lzma", "xz-utils", "lzma"),
    };
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    (suffix, run(package, Command::new(program).args(["-q", "-c"]).arg(file.path())))
}
