//! Firmware files of a tree, found the way the kernel looks for them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use formats::modules::glob;
use formats::tree::{Kind, Tree, TreePath};

/// Kernel `drivers/base/firmware_loader`: what it appends when it can unpack.
const COMPRESSED: [&str; 2] = [".xz", ".zst"];

/// As many symbolic links as the kernel follows.
const MAX_LINKS: usize = 40;

/// The firmware of a tree.
#[derive(Clone, Debug, Default)]
pub(super) struct Firmware {
    /// Name as a driver asks for it → the links on the way and the file itself.
    files: BTreeMap<String, Vec<TreePath>>,
    /// `usr/lib/firmware`, when there is one.
    dir: Option<TreePath>,
}

impl Firmware {
    /// Finds all files, and what leads to those that are `asked` for.
    pub(super) fn scan<'a>(tree: &Tree, kernel: &str, asked: impl Iterator<Item = &'a str>) -> Self {
        let Some(dir) = super::catalog::first_dir(tree, ["usr/lib/firmware", "lib/firmware"]) else {
            return Self::default();
        };
        let mut files = BTreeMap::new();
        for (path, _) in tree.below(&dir).filter(|(_, node)| !node.is_dir()) {
            let Some(name) = path.strip_prefix(&dir) else { continue };
            let Ok(name) = std::str::from_utf8(name.as_bytes()) else { continue };
            let plain = COMPRESSED.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            if let Some(chain) = resolve(tree, path) {
                files.entry(plain.to_owned()).or_insert(chain);
            }
        }
        // The order in which the kernel searches.
        let places = [format!("updates/{kernel}/"), "updates/".to_owned(), format!("{kernel}/"), String::new()];
        for name in asked.collect::<BTreeSet<_>>() {
            let candidates = places.iter().flat_map(|place| {
                ["", COMPRESSED[0], COMPRESSED[1]].map(|end| format!("{place}{name}{end}"))
            });
            let found = candidates
                .filter_map(|candidate| dir.join(candidate.as_bytes()).ok())
                .find_map(|path| resolve(tree, &path));
            if let Some(chain) = found {
                files.insert(name.to_owned(), chain);
            }
        }
        Self { files, dir: Some(dir) }
    }

    /// Where firmware is.
    pub(super) fn dir(&self) -> Option<&TreePath> {
        self.dir.as_ref()
    }

    /// The links on the way to a firmware file and, last, the file.
    pub(super) fn get(&self, name: &str) -> Option<&[TreePath]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// The files that a `firmware=` of a module stands for; several when it is a pattern.
    pub(super) fn matching<'s>(&'s self, listed: &'s str) -> impl Iterator<Item = &'s str> {
        let pattern = listed.contains(['*', '?', '[']);
        let exact = self.files.get_key_value(listed).filter(|_| !pattern).map(|(name, _)| name.as_str());
        let all = self.files.keys().filter(move |name| pattern && glob::matches(listed, name));
        exact.into_iter().chain(all.map(String::as_str))
    }
}

/// Follows symbolic links anywhere in a path. Returns the links passed, in
/// order, and then the regular file; `None` when the way ends elsewhere.
fn resolve(tree: &Tree, path: &TreePath) -> Option<Vec<TreePath>> {
    let mut rest: VecDeque<Vec<u8>> = path.components().map(<[u8]>::to_vec).collect();
    let mut at = TreePath::root();
    let mut passed = Vec::new();
    while let Some(component) = rest.pop_front() {
        if component == b".." {
            at = at.parent().unwrap_or_default();
            continue;
        }
        let next = at.join(&component).ok()?;
        match &tree.get(&next)?.kind {
            Kind::Symlink(target) => {
                if passed.len() == MAX_LINKS {
                    return None;
                }
                if target.starts_with(b"/") {
                    at = TreePath::root();
                }
                let parts = target.split(|b| *b == b'/').filter(|c| !matches!(*c, b"" | b"."));
                for part in parts.rev() {
                    rest.push_front(part.to_vec());
                }
                passed.push(next);
            }
            Kind::Dir => at = next,
            Kind::File(_) | Kind::Hardlink(_) if rest.is_empty() => {
                passed.push(next);
                return Some(passed);
            }
            _ => return None,
        }
    }
    None
}

/// Files a driver asks for without saying so in `firmware=`. They are taken
/// along where they exist; no driver fails without them.
const UNLISTED: [(&str, &[&str]); 1] = [
    // Settings and the firmware of two PHYs; without, the card uses what is in its flash.
    ("cxgb4", &["cxgb4/t?-config.txt", "cxgb4/aq1202_fw.cld", "cxgb4/bcm8483.bin"]),
];

/// Patterns of the files a driver asks for without listing them.
pub(super) fn unlisted(module: &str) -> &'static [&'static str] {
    UNLISTED.iter().find(|(name, _)| *name == module).map_or(&[], |(_, files)| *files)
}

/// The Debian package that has a firmware file, for error messages.
pub(super) fn debian_package(name: &str) -> &'static str {
    const PACKAGES: [(&str, &str); 16] = [
        ("bnx2x/", "firmware-bnx2x (non-free-firmware)"),
        ("bnx2/", "firmware-bnx2 (non-free-firmware)"),
        ("qed/", "firmware-qlogic (non-free-firmware)"),
        ("ql2", "firmware-qlogic (non-free-firmware)"),
        ("ct", "firmware-qlogic (non-free-firmware)"),
        ("phanfw.bin", "firmware-netxen (non-free-firmware)"),
        ("netronome/", "firmware-netronome (non-free-firmware)"),
        ("rtl_nic/", "firmware-realtek (non-free-firmware)"),
        ("liquidio/", "firmware-cavium (non-free-firmware)"),
        ("myri10ge", "firmware-myricom (non-free-firmware)"),
        ("intel/ice/", "firmware-misc-nonfree (non-free-firmware)"),
        ("cxgb3/", "firmware-misc-nonfree (non-free-firmware)"),
        ("cxgb4/", "firmware-misc-nonfree (non-free-firmware)"),
        ("tigon/", "firmware-misc-nonfree (non-free-firmware)"),
        ("tehuti/", "firmware-misc-nonfree (non-free-firmware)"),
        ("e100/", "firmware-misc-nonfree (non-free-firmware)"),
    ];
    let known = PACKAGES.iter().find(|(prefix, _)| name.starts_with(prefix));
    known.map_or("one of the firmware-* packages of non-free-firmware", |(_, package)| package)
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::tree::{Node, Origin};

    const O: Origin = Origin::Fixup("test");

    fn p(s: &str) -> TreePath {
        TreePath::parse(s.as_bytes()).unwrap()
    }

    fn tree() -> Tree {
        let mut t = Tree::new(Node::dir(O));
        for file in ["ice/real-1.pkg", "x.bin.xz", "deep/er/y.bin", "brcm/a-sdio.txt", "brcm/b-sdio.txt"] {
            t.insert(p(&format!("usr/lib/firmware/{file}")), Node::file(*b"f", 0o644, O)).unwrap();
        }
        for (link, to) in [
            ("usr/lib/firmware/ice/ice.pkg", "real-1.pkg"),
            ("usr/lib/firmware/short", "deep/er"),
            ("usr/lib/firmware/far", "/lib/firmware/ice/../x.bin.xz"),
            ("usr/lib/firmware/loop", "loop"),
            ("usr/lib/firmware/broken", "gone"),
            ("lib", "usr/lib"),
        ] {
            t.insert(p(link), Node::symlink(to.as_bytes(), O)).unwrap();
        }
        t
    }

    #[test]
    fn links_are_followed_everywhere() {
        let t = tree();
        let names = ["ice/ice.pkg", "short/y.bin", "x.bin", "far", "loop", "broken"];
        let firmware = Firmware::scan(&t, "6.1", names.into_iter());
        let shown = |name: &str| -> Vec<String> {
            firmware.get(name).unwrap_or_default().iter().map(TreePath::to_string).collect()
        };
        assert_eq!(
            shown("ice/ice.pkg"),
            ["usr/lib/firmware/ice/ice.pkg", "usr/lib/firmware/ice/real-1.pkg"]
        );
        assert_eq!(shown("short/y.bin"), ["usr/lib/firmware/short", "usr/lib/firmware/deep/er/y.bin"]);
        assert_eq!(shown("x.bin"), ["usr/lib/firmware/x.bin.xz"]);
        assert_eq!(shown("far"), ["usr/lib/firmware/far", "lib", "usr/lib/firmware/x.bin.xz"]);
        assert!(shown("loop").is_empty() && shown("broken").is_empty());
        let sdio: Vec<_> = firmware.matching("brcm/*-sdio.txt").collect();
        assert_eq!(sdio, ["brcm/a-sdio.txt", "brcm/b-sdio.txt"]);
    }
}
