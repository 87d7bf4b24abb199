//! A small Debian archive in a directory: .debs built by dpkg-deb, InRelease
//! signed by gpg.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// When keys are made and archives signed, by gpg's clock.
pub(crate) const SIGNED: &str = "20250301T000000";
/// The day after, in seconds since 1970.
pub(crate) const NOW: i64 = 1_740_873_600;
/// Keys are made to last a year from [`SIGNED`] on; this is past it.
pub(crate) const MUCH_LATER: i64 = NOW + 400 * 86_400;

/// Runs a tool; a missing one fails the test with the name of its package.
pub(crate) fn run(package: &str, command: &mut Command) -> Vec<u8> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("cannot run {name} (apt-get install {package}): {error}"));
    assert!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A key pair in a keyring directory of its own.
pub(crate) struct Key {
    home: TempDir,
    /// gpg's clock stands at [`SIGNED`].
    faked: bool,
    pub(crate) fingerprint: String,
}

impl Key {
    /// An ed25519 key for signing and certifying, or any other `algorithm`.
    pub(crate) fn new(algorithm: &str, usage: &str) -> Key {
        Key::made(algorithm, usage, true)
    }

    /// One of today, for tools that look at the clock.
    pub(crate) fn lasting() -> Key {
        Key::made("ed25519", "sign", false)
    }

    fn made(algorithm: &str, usage: &str, faked: bool) -> Key {
        let home = TempDir::new().unwrap();
        let mut key = Key { home, faked, fingerprint: String::new() };
        key.gpg(&["--passphrase", "", "--quick-generate-key", "test@example.org", algorithm, usage, "1y"]);
        let listing = String::from_utf8(key.gpg(&["--with-colons", "--list-keys"])).unwrap();
        let fpr = listing.lines().find(|line| line.starts_with("fpr:")).unwrap();
        key.fingerprint = fpr.split(':').nth(9).unwrap().to_owned();
        key
    }

    /// gpg with this keyring.
    pub(crate) fn gpg(&self, arguments: &[&str]) -> Vec<u8> {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(self.home.path());
        command.args(["--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--yes"]);
        // A clock that starts anew with each call may be a second behind the key on a busy machine.
        command.arg("--ignore-time-conflict");
        if self.faked {
            command.args(["--faked-system-time", SIGNED]);
        }
        command.args(arguments);
        run("gnupg", &mut command)
    }

    /// A subkey that signs; gpg uses it from now on.
    pub(crate) fn add_signing_subkey(&self, lasts: &str) {
        self.gpg(&["--passphrase", "", "--quick-add-key", &self.fingerprint, "ed25519", "sign", lasts]);
    }

    /// Publishes the revocation certificate gpg made along with the key.
    pub(crate) fn revoke(&self) {
        let file = self.home.path().join(format!("openpgp-revocs.d/{}.rev", self.fingerprint));
        let text = fs::read_to_string(&file).unwrap().replace(":-----BEGIN", "-----BEGIN");
        fs::write(&file, text).unwrap();
        self.gpg(&["--import", file.to_str().unwrap()]);
    }

    pub(crate) fn export(&self, armoured: bool) -> Vec<u8> {
        self.gpg(if armoured { &["--armor", "--export"] } else { &["--export"] })
    }

    pub(crate) fn clearsign(&self, text: &str, more: &[&str]) -> String {
        let file = self.home.path().join("text");
        fs::write(&file, text).unwrap();
        let mut arguments = more.to_vec();
        arguments.extend(["--output", "-", "--clearsign", file.to_str().unwrap()]);
        String::from_utf8(self.gpg(&arguments)).unwrap()
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // gpg started an agent for this directory.
        let _ =
            Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "all"]).output();
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An archive under construction.
pub(crate) struct Repo {
    pub(crate) dir: TempDir,
    pub(crate) key: Key,
    packages: String,
}

impl Repo {
    pub(crate) fn new() -> Repo {
        Repo { dir: TempDir::new().unwrap(), key: Key::new("ed25519", "sign"), packages: String::new() }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.dir.path().display())
    }

    pub(crate) fn keyring(&self) -> PathBuf {
        let file = self.path("keyring.gpg");
        fs::write(&file, self.key.export(false)).unwrap();
        file
    }

    /// A package with `relations` (fields with their line ends) and a postinst.
    pub(crate) fn add(&mut self, name: &str, version: &str, relations: &str, postinst: &str) {
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <n@example.org>\n\
             {relations}Description: a test\n"
        );
        let root = TempDir::new().unwrap();
        let debian = root.path().join("DEBIAN");
        fs::create_dir(&debian).unwrap();
        fs::write(debian.join("control"), &control).unwrap();
        fs::create_dir_all(root.path().join("usr/share")).unwrap();
        // Large enough that half of it is a half.
        let content: Vec<u8> =
            (0u32..60_000).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        fs::write(root.path().join("usr/share").join(name), content).unwrap();
        if !postinst.is_empty() {
            let file = debian.join("postinst");
            fs::write(&file, postinst).unwrap();
            run("coreutils", Command::new("chmod").arg("755").arg(&file));
        }
        run("coreutils", Command::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(root.path()));
        let path = format!("pool/{name}_{version}_all.deb");
        fs::create_dir_all(self.path("pool")).unwrap();
        run(
            "dpkg",
            Command::new("dpkg-deb")
                .args(["--root-owner-group", "--build"])
                .arg(root.path())
                .arg(self.path(&path)),
        );
        let deb = fs::read(self.path(&path)).unwrap();
        self.packages +=
            &format!("{control}Filename: {path}\nSize: {}\nSHA256: {}\n\n", deb.len(), sha256(&deb));
    }

    /// Writes index, Release and InRelease of a suite.
    pub(crate) fn publish(&self, suite: &str) {
        self.publish_on(suite, "Sat, 01 Mar 2025 00:00:00 UTC");
    }

    /// The same, with a date.
    pub(crate) fn publish_on(&self, suite: &str, date: &str) {
        use std::io::Write;
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(self.packages.as_bytes()).unwrap();
        let index = xz.finish().unwrap();
        let name = "main/binary-amd64/Packages.xz";
        let at = self.path(&format!("dists/{suite}/{name}"));
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, &index).unwrap();
        let release = format!(
            "Origin: Test\nSuite: {suite}\nCodename: {suite}\nDate: {date}\n\
             Valid-Until: Sat, 08 Mar 2025 00:00:00 UTC\nComponents: main\nArchitectures: all amd64\n\
             SHA256:\n {} {} {name}\n",
            sha256(&index),
            index.len()
        );
        let at = self.path(&format!("dists/{suite}/InRelease"));
        fs::write(at, self.key.clearsign(&release, &[])).unwrap();
    }
}

/// `curl` (needs libssl), `linux-image-amd64`, the Essential `base`.
pub(crate) fn small() -> Repo {
    let mut repo = Repo::new();
    repo.add("base", "1.0", "Essential: yes\n", "");
    repo.add("curl", "7.88", "Depends: libssl (>= 3)\n", "");
    repo.add("libssl", "3.0", "", "#!/bin/sh\nadduser --system ssl\n");
    repo.add("linux-image-amd64", "6.1", "", "");
    repo.publish("bookworm");
    repo
}

pub(crate) fn deb_of(repo: &Repo, name: &str) -> PathBuf {
    let mut all = fs::read_dir(repo.path("pool")).unwrap().map(|entry| entry.unwrap().path());
    let prefix = format!("{name}_");
    all.find(|path| file_name(path).starts_with(&prefix)).unwrap()
}

pub(crate) fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}
