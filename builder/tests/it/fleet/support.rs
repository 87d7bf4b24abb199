//! A fleet of two sleds, its key and its image, in a directory of its own.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use metadata::fleet::sign::Signer;
use sledos::digest::{hex, sha256};
use sledos::image::manifest::{Artefact, Inputs, Kernel, Manifest};
use sledos::output::write_sums;

const FLEET: &str = r#"fleet: test
lifetime: 90d
servers: {metadata: [http://10.0.0.2:8080], image: [http://10.0.0.2:8080/images]}
trust: [KEY]
images: {trust: none}
racks:
  r12:
    bays: 700
    subnets: {data: {network: 10.0.0.0/16, first: 10.0.1.11}}
    switches: [{chassis: aa:bb:cc:00:00:01, port: "Ethernet{bay}"}]
roles:
  compute:
    image: compute
    config:
      networks:
        data: {match: {driver: [ixgbe]}, address: rack, mtu: 9000}
      mesos: {master: "10.0.0.10:5050", attributes: {rack: "{rack}"}, resources: {mem: 1000, disk: 1000}}
sleds:
  # a comment that stays
  r12-b01: {rack: r12, bay: 1, role: compute, board-serial: ZM18AS036101, macs: [52:54:00:12:00:01]}
  r12-b02: {rack: r12, bay: 2, role: compute, board-serial: ZM18AS036102, config: {}}
"#;

pub(super) struct Case {
    dir: tempfile::TempDir,
}

impl Case {
    pub(super) fn new() -> Self {
        let case = Self { dir: tempfile::tempdir().unwrap() };
        case.works(&["keys", "new", "ops"]);
        let public = fs::read_to_string(case.path("ops.pub")).unwrap();
        let fleet = FLEET.replace("KEY", public.lines().nth(1).unwrap());
        fs::write(case.path("fleet.yaml"), fleet).unwrap();
        case.image("20261123.0800", 1);
        case.image("20261124.0800", 2);
        case
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An image of three tiny artefacts.
    pub(super) fn image(&self, version: &str, time: i64) {
        let dir = self.path("output/compute").join(version);
        fs::create_dir_all(&dir).unwrap();
        let artefacts = ["usr.squashfs", "usr.verity", "compute.efi"].map(|name| {
            let content = format!("{name} of {version}");
            fs::write(dir.join(name), &content).unwrap();
            let size = u64::try_from(content.len()).unwrap();
            (name.to_owned(), Artefact { size, sha256: hex(&sha256(content.as_bytes())) })
        });
        let manifest = Manifest {
            format: 1,
            image: "compute".into(),
            version: version.into(),
            time,
            builder: "test".into(),
            root_hash: "cd".repeat(32),
            kernel: Kernel { release: "6.1".into(), cmdline: String::new() },
            inputs: Inputs {
                recipe: String::new(),
                lock: String::new(),
                init: String::new(),
                overlays: Default::default(),
                usr_level: 1,
                block_size: 4096,
                initramfs_level: 1,
            },
            partitions: Vec::new(),
            artefacts: artefacts.into(),
            packages: Default::default(),
            components: Default::default(),
            extensions: Default::default(),
            missing_components: Vec::new(),
            nics: Vec::new(),
            controllers: Vec::new(),
            users: [("root".to_owned(), 0)].into(),
            groups: [("root", 0), ("sudo", 27), ("docker", 102)]
                .map(|(name, id)| (name.to_owned(), id))
                .into(),
        };
        fs::write(dir.join("manifest.json"), manifest.to_json()).unwrap();
        self.sums(version);
    }

    /// Writes the image's `SHA256SUMS`.
    pub(super) fn sums(&self, version: &str) {
        write_sums(&self.path("output/compute").join(version), &Default::default()).unwrap();
    }

    /// Signs the image's `SHA256SUMS`, as `sledos sign` does.
    pub(super) fn sign(&self, version: &str, key: &str) {
        let dir = self.path("output/compute").join(version);
        let signer = Signer::parse(&fs::read_to_string(self.path(key)).unwrap(), None).unwrap();
        let sums = fs::read(dir.join("SHA256SUMS")).unwrap();
        fs::write(dir.join("SHA256SUMS.minisig"), signer.sign(&sums, "test")).unwrap();
    }

    #[track_caller]
    pub(super) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("fleet.yaml")).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from}");
        fs::write(self.path("fleet.yaml"), text.replace(from, to)).unwrap();
    }

    /// Adds sleds up to this many.
    pub(super) fn grow(&self, sleds: usize) {
        let mut text = fs::read_to_string(self.path("fleet.yaml")).unwrap();
        for n in 3..=sleds {
            let (high, low) = (n / 256, n % 256);
            writeln!(
                text,
                "  r12-b{n}: {{rack: r12, bay: {n}, role: compute, board-serial: ZM18AS0{n:05}, \
                 product-serial: CN70163{n:05}, uuid: 4c4c4544-0042-3510-8051-b7c04f3{n:05}, \
                 macs: [52:54:00:aa:{high:02x}:{low:02x}, 52:54:00:ab:{high:02x}:{low:02x}]}}"
            )
            .unwrap();
        }
        fs::write(self.path("fleet.yaml"), text).unwrap();
    }

    pub(super) fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sledos"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs, which must work; returns what it prints.
    #[track_caller]
    pub(super) fn works(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{args:?}\n{out}\n{err}");
        out
    }

    /// Runs, which must fail with this code and say this.
    #[track_caller]
    pub(super) fn fails(&self, args: &[&str], code: i32, says: &str) {
        let output = self.run(args);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{err}");
        assert!(err.contains(says), "{args:?} does not say `{says}`:\n{err}");
    }

    #[track_caller]
    pub(super) fn compile(&self, time: u64, more: &[&str]) -> String {
        let time = time.to_string();
        let args = ["fleet", "compile", "--key", "ops.key", "--output", "www", "--time", &time];
        self.works(&[&args[..], more].concat())
    }
}
