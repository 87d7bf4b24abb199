//! What components need and the image does not have: packages of their `Depends`, and
//! libraries that their programs name.

use std::collections::{BTreeMap, BTreeSet};

use formats::tree::{Kind, Origin, Tree, TreePath};

use crate::apt::relation::{self, Atom};
use crate::fixups::elf;
use crate::recipe::Recipe;
use crate::unpack::component::DebianPackage;
use crate::unpack::{self};

/// Where the dynamic linker looks without being told (ld.so(8)).
const DIRS: [&str; 6] = [
    "usr/local/lib",
    "usr/local/lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib",
    "usr/lib64",
    "usr/local/lib64",
];
/// Tags of dynamic sections (System V ABI, "Dynamic Linking").
const DT_NEEDED: u64 = 1;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// A package by name, with the versions that are there; `None`: every one.
type Installed<'a> = BTreeMap<&'a str, Vec<Option<&'a str>>>;

/// A line for each thing that is missing. `packages`: components that are Debian packages,
/// by the component's name.
pub(super) fn missing(
    recipe: &Recipe,
    packages: &[unpack::Package],
    components: &BTreeMap<String, DebianPackage>,
    tree: &Tree,
) -> Vec<String> {
    let mut installed = Installed::new();
    for control in packages.iter().map(|package| &package.control) {
        add(&mut installed, &control.package, &control.version, &control.provides);
    }
    for package in components.values() {
        add(&mut installed, &package.name, &package.version, &package.provides);
    }
    for name in recipe.provided.keys() {
        installed.entry(name).or_default().push(None);
    }
    let mut lines: Vec<String> = components
        .iter()
        .flat_map(|(name, package)| depends(&installed, &package.depends).map(move |entry| (name, entry)))
        .map(|(name, entry)| {
            format!(
                "the component {name} needs {entry}, which is not in this image: `sledos lock --component \
                 {name}=FILE` brings it in"
            )
        })
        .collect();
    lines.extend(libraries(tree));
    lines
}

fn add<'a>(installed: &mut Installed<'a>, name: &'a str, version: &'a str, provides: &'a str) {
    installed.entry(name).or_default().push(Some(version));
    // A malformed Provides provides nothing.
    for atom in relation::parse(provides).unwrap_or_default().into_iter().flatten() {
        let version = atom.version.map(|(_, version)| version);
        // A provided name has no version unless it says so (Policy 7.5): "" is less than all.
        installed.entry(atom.name).or_default().push(Some(version.unwrap_or_default()));
    }
}

/// The entries of a `Depends` that nothing meets.
fn depends(installed: &Installed<'_>, field: &str) -> impl Iterator<Item = String> {
    let holds = |atom: &Atom<'_>| {
        installed.get(atom.name).into_iter().flatten().any(|there| match (atom.version, there) {
            (None, _) | (_, None) => true,
            (Some(_), Some("")) => false,
            (Some((op, wanted)), Some(there)) => {
                op.holds(&relation::version(there), &relation::version(wanted))
            }
        })
    };
    let show = |entry: &[Atom<'_>]| entry.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
    let unmet: Vec<String> = match relation::parse(field) {
        Ok(entries) => entries.iter().filter(|entry| !entry.iter().any(holds)).map(|e| show(e)).collect(),
        Err(malformed) => vec![malformed.to_string()],
    };
    unmet.into_iter()
}

/// Libraries that programs and libraries of components name and that are nowhere.
fn libraries(tree: &Tree) -> Vec<String> {
    let mut lines = BTreeSet::new();
    for (path, node) in tree.iter() {
        let (Origin::Component(name), Kind::File(content)) = (&node.origin, &node.kind) else { continue };
        // What does not read fails when the image is written.
        let Ok(bytes) = content.to_vec() else { continue };
        let own: Vec<String> = [DT_RUNPATH, DT_RPATH]
            .into_iter()
            .flat_map(|tag| elf::strings(&bytes, tag))
            .flat_map(|paths| {
                String::from_utf8_lossy(paths).split(':').map(|p| origin(p, path)).collect::<Vec<_>>()
            })
            .collect();
        for library in elf::strings(&bytes, DT_NEEDED) {
            let library = String::from_utf8_lossy(library).into_owned();
            let there = |dir: &str| {
                let at = format!("{}/{library}", dir.trim_matches('/'));
                TreePath::parse(at.as_bytes()).is_ok_and(|at| tree.get(&unpack::canonical(&at)).is_some())
            };
            if !DIRS.into_iter().any(there) && !own.iter().any(|dir| there(dir)) {
                lines.insert(format!(
                    "/{path} of the component {name} needs the library {}, which is not in this image",
                    library.escape_default()
                ));
            }
        }
    }
    lines.into_iter().collect()
}

/// A directory to search, with `$ORIGIN` for the one the program is in.
fn origin(dir: &str, program: &TreePath) -> String {
    let own = program.parent().map(|dir| dir.to_string()).unwrap_or_default();
    let dir = dir.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", &own);
    // `usr/bin/../lib`, as packages have it.
    let mut parts: Vec<&str> = Vec::new();
    for part in dir.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use formats::tree::Node;

    #[test]
    fn depends_are_met_by_versions_alternatives_and_what_others_provide() {
        let mut installed = Installed::new();
        add(&mut installed, "libc6", "2.36-9", "");
        add(&mut installed, "exim4", "4.96", "mail-transport-agent, libssl (= 3.0)");
        installed.entry("init-tools").or_default().push(None);
        let unmet = |field: &str| depends(&installed, field).collect::<Vec<_>>();
        let met = "libc6 (>= 2.14), x | mail-transport-agent, libssl (>= 1), init-tools (>= 9), libc6:any";
        assert_eq!(unmet(met), [""; 0]);
        assert_eq!(
            unmet("libc6 (>= 2.37), libunwind8, a | b (<< 2), mail-transport-agent (>= 1)"),
            ["libc6 (>= 2.37)", "libunwind8", "a | b (<< 2)", "mail-transport-agent (>= 1)"]
        );
        assert_eq!(unmet("a b c").len(), 1);
    }

    /// The real thing: this test and the libraries it names.
    #[test]
    fn libraries_are_looked_for_where_the_linker_does() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        let needed: Vec<String> = elf::strings(&own, DT_NEEDED)
            .into_iter()
            .map(|n| String::from_utf8_lossy(n).into_owned())
            .collect();
        assert!(needed.iter().any(|name| name == "libc.so.6"), "{needed:?}");
        let component = Origin::Component("c".into());
        let mut tree = Tree::new(Node::dir(Origin::Fixup("test")));
        let mut put = |path: &str, bytes: Option<&[u8]>, origin: &Origin| {
            let node = match bytes {
                Some(bytes) => Node::file(bytes.to_vec(), 0o755, origin.clone()),
                None => Node::dir(origin.clone()),
            };
            tree.insert(TreePath::parse(path.as_bytes()).unwrap(), node).unwrap();
        };
        for dir in ["usr", "usr/bin", "usr/lib", "usr/lib/x86_64-linux-gnu"] {
            put(dir, None, &Origin::Fixup("test"));
        }
        put("usr/bin/program", Some(&own), &component);
        // Not a component's: the lock answers for it.
        put("usr/bin/other", Some(&own), &Origin::Package("p".into()));
        put("usr/lib/x86_64-linux-gnu/libc.so.6", Some(b""), &Origin::Package("libc6".into()));
        let lines = libraries(&tree);
        assert_eq!(lines.len(), needed.len() - 1, "{lines:#?}");
        assert!(
            lines.iter().all(|line| !line.contains("libc.so.6") && line.starts_with("/usr/bin/program of"))
        );
    }

    #[test]
    fn origin_is_where_the_program_is() {
        let program = TreePath::parse(b"usr/bin/x").unwrap();
        for (dir, expected) in [("$ORIGIN/../lib", "usr/lib"), ("${ORIGIN}", "usr/bin"), ("/opt/x/", "opt/x")]
        {
            assert_eq!(origin(dir, &program), expected);
        }
    }
}
