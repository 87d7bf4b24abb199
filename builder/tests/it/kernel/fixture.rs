//! Debian's kernel and firmware packages, downloaded once per target directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use formats::tree::{Content, Node, Origin, Tree, TreePath};
use sledos::kernel::Catalog;
use sledos::recipe::Recipe;

pub(crate) const O: Origin = Origin::Fixup("test");

const FIRMWARE: [&str; 5] =
    ["firmware-bnx2", "firmware-bnx2x", "firmware-misc-nonfree", "firmware-qlogic", "firmware-realtek"];

pub(crate) fn run(program: &str, package: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).env("LC_ALL", "C").output();
    let out = out.unwrap_or_else(|e| panic!("{program} is needed: apt-get install {package} ({e})"));
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}: {errors}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

pub(crate) fn p(path: &str) -> TreePath {
    TreePath::parse(path.as_bytes()).unwrap()
}

/// A directory with `lib/modules` and `lib/firmware` of the packages.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-kernel");
        let root = base.join("root");
        if !root.exists() {
            let _ = fs::remove_dir_all(&base);
            let unpacked = download(&base);
            fs::rename(unpacked, &root).unwrap();
        }
        root
    })
}

/// Downloads with an apt that knows the host's mirror but has lists and
/// components of its own, and unpacks.
fn download(base: &Path) -> PathBuf {
    let at = |name: &str| base.join(name).to_str().unwrap().to_owned();
    for dir in ["sources", "lists/partial", "cache/archives/partial", "debs", "new"] {
        fs::create_dir_all(base.join(dir)).unwrap();
    }
    let mut files: Vec<PathBuf> =
        fs::read_dir("/etc/apt/sources.list.d").unwrap().map(|e| e.unwrap().path()).collect();
    files.push("/etc/apt/sources.list".into());
    for file in files.iter().filter(|f| f.is_file()) {
        let text = fs::read_to_string(file).unwrap();
        let with_firmware: Vec<String> = text
            .lines()
            .map(|line| match line.split_whitespace().next() {
                Some("Components:" | "deb") if !line.contains("non-free-firmware") => {
                    format!("{line} non-free-firmware")
                }
                _ => line.to_owned(),
            })
            .collect();
        let name = file.file_name().unwrap();
        fs::write(base.join("sources").join(name), with_firmware.join("\n") + "\n").unwrap();
    }
    let conf = format!(
        "Dir::Etc::sourcelist \"/dev/null\";\nDir::Etc::sourceparts \"{}\";\nDir::State::lists \"{}\";\n\
         Dir::Cache \"{}\";\nAPT::Sandbox::User \"root\";\n",
        at("sources"),
        at("lists"),
        at("cache")
    );
    fs::write(base.join("apt.conf"), conf).unwrap();
    let apt = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).current_dir(base.join("debs")).env("APT_CONFIG", base.join("apt.conf"));
        let out = command.env("LC_ALL", "C").output().unwrap_or_else(|e| panic!("{program}: {e}"));
        assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    apt("apt-get", &["-q", "update"]);
    let depends = apt("apt-cache", &["depends", "linux-image-amd64"]);
    let image = depends.split_whitespace().find(|w| w.starts_with("linux-image-") && w.contains('.'));
    let mut packages = vec!["-q", "download", image.expect("linux-image-amd64 depends on an image")];
    packages.extend(FIRMWARE);
    apt("apt-get", &packages);
    for deb in fs::read_dir(base.join("debs")).unwrap() {
        run("dpkg-deb", "dpkg", &["-x", deb.unwrap().path().to_str().unwrap(), &at("new")]);
    }
    base.join("new")
}

/// The packages as a merged-/usr tree.
pub(crate) fn tree() -> Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    let make = || {
        let mut tree = Tree::new(Node::dir(O));
        for dir in ["lib/modules", "lib/firmware"] {
            add(&mut tree, &root().join(dir), &p("usr").join(dir.as_bytes()).unwrap());
        }
        tree
    };
    TREE.get_or_init(make).clone()
}

fn add(tree: &mut Tree, from: &Path, to: &TreePath) {
    use std::os::unix::ffi::OsStrExt;
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name().as_bytes()).unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            tree.insert(to.clone(), Node::dir(O)).unwrap();
            add(tree, &entry.path(), &to);
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path()).unwrap();
            tree.insert(to, Node::symlink(target.as_os_str().as_bytes(), O)).unwrap();
        } else {
            // Thousands of files: more than may be open at once.
            let node = if entry.path().extension().is_some_and(|e| e == "fw" || e == "bin") {
                Node::file(fs::read(entry.path()).unwrap(), 0o644, O)
            } else {
                let file = Arc::new(File::open(entry.path()).unwrap());
                let len = file.metadata().unwrap().len();
                Node::new(formats::tree::Kind::File(Content::from_file(file, 0, len, None)), 0o644, O)
            };
            tree.insert(to, node).unwrap();
        }
    }
}

/// What [`tree`] has.
pub(crate) fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| Catalog::scan(&tree()).unwrap())
}

/// A shipped recipe.
pub(crate) fn recipe(name: &str) -> Recipe {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../recipes/{name}.yaml"));
    sledos::recipe::load(&file).unwrap_or_else(|e| panic!("{e}"))
}
