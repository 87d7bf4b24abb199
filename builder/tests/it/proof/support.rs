//! A whole image directory, small and made in a moment: real formats, but a kernel, an
//! initramfs and packages that are only bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use formats::initconf::{self, InitConf};
use formats::squashfs::{self, NoCache, Options};
use formats::tree::{Kind, Node, Origin, Tree, TreePath};
use formats::{cpio, uki, verity};
use sledos::build::{self, Slot};
use sledos::digest::{hex, sha256};
use sledos::image::ids::Seed;
use sledos::image::manifest::{Artefact, BUILDER, Extension, Inputs, Kernel, Manifest};
use sledos::image::plan::{ImagePlan, table};
use sledos::lock::Lock;
use sledos::lock::model::{Package, Release};
use sledos::origins::{self, Origins};
use sledos::output::write_sums;
use sledos::recipe::model::Layout;
use sledos::sbom;

const TIME: i64 = 1_700_000_000;

pub(crate) fn p(path: &str) -> TreePath {
    TreePath::parse(path.as_bytes()).unwrap()
}

/// What makes one small image another than the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taste {
    pub(crate) version: &'static str,
    pub(crate) bash: &'static str,
    pub(crate) argument: &'static str,
    pub(crate) kernel: &'static str,
}

pub(crate) const PLAIN: Taste =
    Taste { version: "1", bash: "5.2-1", argument: "quiet", kernel: "6.1.0-1-amd64" };

/// /usr of a small image.
fn usr(taste: Taste) -> Tree {
    let package = |name: &str| Origin::Package(name.into());
    let mut tree = Tree::new(Node::dir(package("base-files")));
    let large: Vec<u8> = (0..300_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let bash = format!("#!bash {}\n", taste.bash);
    for (path, bytes, mode, owner) in [
        ("bin/bash", bash.as_bytes(), 0o755, package("bash")),
        ("bin/su", b"su", 0o4755, package("base-files")),
        ("lib/large", &large, 0o644, package("base-files")),
        ("lib/os-release", b"ID=small\n", 0o644, Origin::Fixup("os-release")),
        ("lib/systemd/boot/efi/systemd-bootx64.efi", b"loader", 0o644, package("systemd-boot-efi")),
        ("share/sledos/etc/motd", taste.argument.as_bytes(), 0o644, Origin::Overlay("small".into())),
    ] {
        tree.insert(p(path), Node::file(bytes, mode, owner)).unwrap();
    }
    for (name, bytes) in [("order", &b""[..]), ("builtin", b"kernel/drivers/net/loop.ko\n")] {
        let path = format!("lib/modules/{}/modules.{name}", taste.kernel);
        tree.insert(p(&path), Node::file(bytes, 0o644, package(&format!("linux-image-{}", taste.kernel))))
            .unwrap();
    }
    tree.insert(p("bin/sh"), Node::symlink(*b"bash", package("bash"))).unwrap();
    tree.insert(p("bin/rbash"), Node::new(Kind::Hardlink(p("bin/bash")), 0o755, package("bash"))).unwrap();
    tree
}

fn initramfs(taste: Taste) -> Tree {
    let origin = Origin::Fixup("initramfs");
    let mut tree = Tree::new(Node::dir(origin.clone()));
    tree.insert(p("init"), Node::file(build::INIT, 0o755, origin.clone())).unwrap();
    let conf = InitConf {
        image: "small".into(),
        version: taste.version.into(),
        time: u64::try_from(TIME).unwrap(),
        ..InitConf::default()
    };
    tree.insert(p(initconf::PATH), Node::file(conf.to_string().into_bytes(), 0o644, origin)).unwrap();
    tree
}

fn lock(taste: Taste) -> Lock {
    let package = |name: &str, version: &str| Package {
        name: name.into(),
        version: version.into(),
        arch: "all".into(),
        sha256: sha256(format!("{name} {version}").as_bytes()),
        size: 1,
        release: 0,
        path: format!("pool/{name}.deb"),
        because: vec!["recipe".into()],
    };
    let release = Release {
        archive: "debian".into(),
        suite: "bookworm".into(),
        date: TIME,
        sha256: [1; 32],
        signed_by: "A".repeat(40),
    };
    Lock {
        timestamp: TIME,
        request: [2; 32],
        asked: vec!["bash".into()],
        releases: vec![release],
        packages: vec![
            package("base-files", "12"),
            package("bash", taste.bash),
            package(&format!("linux-image-{}", taste.kernel), "6.1"),
        ],
        extensions: BTreeMap::from([("debug".into(), vec![package("strace", "6")])]),
        unreviewed: BTreeMap::new(),
    }
}

/// Partitions as small as their filesystems can be.
fn plan(taste: Taste) -> ImagePlan {
    let seed = Seed::of_image("small");
    let layout = Layout { esp: 48 << 20, usr: 4 << 20, verity: 1 << 20, oem: 16 << 20, root: 96 << 20 };
    let table = table(&layout, &seed).unwrap();
    ImagePlan {
        name: "small".into(),
        version: taste.version.into(),
        time: TIME,
        mtime: 1_700_000_000,
        seed,
        table,
    }
}

/// Writes an extension; returns its root hash.
fn extension(dir: &Path, plan: &ImagePlan, options: &Options) -> [u8; 32] {
    let [squash, hashes] = Extension::files("debug").map(|name| dir.join(name));
    let mut tree = Tree::new(Node::dir(Origin::Fixup("extension")));
    let release = "usr/lib/extension-release.d/extension-release.debug";
    for (path, bytes) in [("usr/bin/strace", "strace".repeat(2000)), (release, "ID=small\n".into())] {
        let node = Node::file(bytes.into_bytes(), 0o755, Origin::Package("strace".into()));
        tree.insert(p(path), node).unwrap();
    }
    squashfs::write(&tree, options, &NoCache, &mut fs::File::create(&squash).unwrap()).unwrap();
    let data = fs::File::open(&squash).unwrap();
    let built = verity::build(data, plan.seed.bytes("salt"), plan.seed.uuid("uuid")).unwrap();
    built.write(&mut fs::File::create(&hashes).unwrap()).unwrap();
    built.root
}

/// Makes the image as the build does, in `dir`.
pub(crate) fn small(dir: &Path, taste: Taste) -> PathBuf {
    fs::create_dir_all(dir).unwrap();
    let (plan, lock, tree) = (plan(taste), lock(taste), usr(taste));
    let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).unwrap();
    let (squash, hashes) = (dir.join("usr.squashfs"), dir.join("usr.verity"));
    let options = Options { block_size: 128 << 10, level: 3, mtime: plan.mtime };
    let mut out = fs::File::create(&squash).unwrap();
    let stats = squashfs::write(&tree, &options, &NoCache, &mut out).unwrap();
    let data = fs::File::open(&squash).unwrap();
    let built = verity::build(data, plan.seed.bytes("verity salt"), plan.seed.uuid("verity")).unwrap();
    built.write(&mut fs::File::create(&hashes).unwrap()).unwrap();

    let extension = extension(dir, &plan, &options);
    let archive_tree = initramfs(taste);
    let mut archive = Vec::new();
    cpio::write(&archive_tree, plan.mtime, &mut archive).unwrap();
    let packed = cpio::compress(&archive, 3, &|| true).unwrap();
    let cmdline = format!("{} sledos.usrhash={}", taste.argument, hex(&built.root));
    let stub = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
    let stub = fs::read(stub).expect("systemd-stub is needed: apt-get install systemd-boot-efi");
    let parts = uki::Parts {
        os_release: b"ID=small\n",
        cmdline: &cmdline,
        uname: taste.kernel,
        linux: b"a kernel",
        initrd: &packed,
        ..uki::Parts::default()
    };
    let image = uki::build(&stub, &parts).unwrap();
    write("small.efi", &image);
    write("vmlinuz", b"a kernel");
    write("initramfs.zst", &packed);
    write("boot.ipxe", sledos::image::pxe::script(&plan, &cmdline).as_bytes());
    let lock_text = lock.to_text("small");
    write("small.lock", lock_text.as_bytes());
    let table = Origins::new(&tree, &stats, &archive_tree, packed.len() as u64);
    write(origins::FILE, &table.to_bytes().unwrap());
    let bom = sbom::gather(&plan, &built.root, &lock, &[], &BTreeMap::new(), build::INIT);
    write(sbom::SPDX, bom.spdx().as_bytes());
    write(sbom::CYCLONEDX, bom.cyclonedx().as_bytes());
    let slot = Slot { squashfs: &squash, verity: &hashes, root_hash: built.root };
    let partitions = build::write_disk(&plan, &slot, b"loader", &image, dir).unwrap();

    let artefacts = write_sums(dir, &BTreeMap::new()).unwrap();
    let artefact = |(name, sum): (&String, &[u8; 32])| {
        let size = fs::metadata(dir.join(name)).unwrap().len();
        (name.clone(), Artefact { size, sha256: hex(sum) })
    };
    let manifest = Manifest {
        format: 1,
        image: "small".into(),
        version: taste.version.into(),
        time: TIME,
        builder: BUILDER.into(),
        root_hash: hex(&built.root),
        kernel: Kernel { release: taste.kernel.into(), cmdline },
        inputs: Inputs {
            recipe: hex(&lock.request),
            lock: hex(&sha256(lock_text.as_bytes())),
            init: hex(&sha256(build::INIT)),
            overlays: Default::default(),
            usr_level: 3,
            block_size: options.block_size,
            initramfs_level: 3,
        },
        partitions,
        artefacts: artefacts.iter().map(artefact).collect(),
        packages: lock.packages.iter().map(|p| (p.name.clone(), p.version.clone())).collect(),
        components: BTreeMap::new(),
        missing_components: Vec::new(),
        extensions: BTreeMap::from([(
            "debug".into(),
            Extension {
                description: String::new(),
                root_hash: hex(&extension),
                packages: BTreeMap::from([("strace".into(), "6".into())]),
            },
        )]),
        nics: Vec::new(),
        controllers: Vec::new(),
        users: Default::default(),
        groups: Default::default(),
    };
    write("manifest.json", manifest.to_json().as_bytes());
    write_sums(dir, &artefacts).unwrap();
    dir.to_owned()
}

/// Writes new sums, as somebody who tampers with an image would.
pub(crate) fn seal(dir: &Path) {
    write_sums(dir, &BTreeMap::new()).unwrap();
}

pub(crate) fn sledos(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sledos")).args(args).output().unwrap()
}

/// Runs it; returns its exit code and what it said on both streams.
pub(crate) fn said(args: &[&str]) -> (i32, String) {
    let out = sledos(args);
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(!text.contains("panicked"), "{args:?}: {text}");
    (out.status.code().unwrap(), text)
}
