//! System extensions (systemd-sysext(8)): what their packages have in /usr and the image does
//! not, as a tree of its own that is laid over /usr while the sled runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use formats::squashfs;
use formats::tree::{Kind, Node, Origin, Tree, TreePath};

use super::Error;
use super::assemble::Assembled;
use super::write::{self, Squashed};
use crate::fixups::{self, Context, Script};
use crate::image::ImagePlan;
use crate::image::manifest;
use crate::lock::Lock;
use crate::output::Interrupt;
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::recipe::glob::Glob;
use crate::unpack;

/// Where systemd-sysext looks whether an extension is for this system.
const RELEASE: &str = "usr/lib/extension-release.d/extension-release.";
/// What it compares there, and what people want to know.
const KEYS: [&str; 4] = ["ID", "VERSION_ID", "IMAGE_ID", "IMAGE_VERSION"];

/// What extensions are made from.
pub(super) struct Inputs<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) lock: &'a Lock,
    pub(super) plan: &'a ImagePlan,
    /// Those of the lock, by extension.
    pub(super) packages: &'a BTreeMap<String, Vec<unpack::Package>>,
    pub(super) options: &'a squashfs::Options,
}

/// Writes both files of each extension into `dir`, and adds to the notes of the image.
pub(super) fn write(
    inputs: &Inputs<'_>,
    assembled: &mut Assembled,
    dir: &Path,
    blocks: &dyn squashfs::BlockCache,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<BTreeMap<String, manifest::Extension>, Error> {
    let Inputs { recipe, lock, plan, packages, options } = *inputs;
    let mut written = BTreeMap::new();
    for (name, extension) in &recipe.extensions {
        let own = packages.get(name).map(Vec::as_slice).unwrap_or_default();
        let (tree, notes) = tree(recipe, plan, assembled, name, own)?;
        assembled.notes.extend(notes);
        let names = manifest::Extension::files(name);
        let stage = format!("compress {name}");
        let what =
            Squashed { tree: &tree, names: [&names[0], &names[1]], id: &format!(" {name}"), stage: &stage };
        let made = write::squashed(&what, plan, options, dir, blocks, progress, interrupt)?;
        let versions = lock.extensions.get(name).into_iter().flatten();
        written.insert(
            name.clone(),
            manifest::Extension {
                description: extension.description.clone(),
                root_hash: crate::digest::hex(&made.root_hash),
                packages: versions.map(|p| (p.name.clone(), p.version.clone())).collect(),
            },
        );
    }
    Ok(written)
}

/// The tree of an extension, from `usr/` on, and what somebody should know.
fn tree(
    recipe: &Recipe,
    plan: &ImagePlan,
    assembled: &Assembled,
    name: &str,
    packages: &[unpack::Package],
) -> Result<(Tree, Vec<String>), Error> {
    let globs = |patterns: &[String]| -> Vec<Glob> {
        patterns.iter().filter_map(|text| Glob::parse(text).ok()).collect()
    };
    let (exclude, keep) = (globs(&recipe.exclude), globs(&recipe.keep));
    let any = |globs: &[Glob], path: &TreePath| globs.iter().any(|glob| glob.matches(path.as_bytes()));
    let wanted = |path: &TreePath| any(&keep, path) || !any(&exclude, path);
    let own = unpack::merge::merge(packages, &assembled.ids, &wanted)?;

    let mut notes = Vec::new();
    let image = &assembled.tree;
    let mut both = image.clone();
    for (path, node) in own.iter().filter(|(path, node)| !path.is_root() && !node.is_dir()) {
        let Origin::Package(package) = &node.origin else { continue };
        if !path.as_bytes().starts_with(b"usr/") {
            notes.push(format!(
                "extension {name}: /{path} of {package} is left out: an extension has only /usr"
            ));
            continue;
        }
        if let Some(there) = image.get(path) {
            let (path, there) = (path.clone(), there.origin.to_string());
            return Err(Error::InImage {
                extension: name.to_owned(),
                package: Arc::clone(package),
                path,
                there,
            });
        }
        let in_the_way = |above: formats::tree::NotADirectory| Error::InImage {
            extension: name.to_owned(),
            package: Arc::clone(package),
            there: image.get(&above.0).map(|node| node.origin.to_string()).unwrap_or_default(),
            path: above.0,
        };
        both.insert(path.clone(), node.clone()).map_err(in_the_way)?;
    }
    let scripts: Vec<Script<'_>> = packages.iter().map(Script::of).collect();
    // What the recipe says of files was done to the image.
    let recipe = &Recipe { alternatives: BTreeMap::new(), attributes: BTreeMap::new(), ..recipe.clone() };
    let controls: Vec<_> = packages.iter().map(|package| &package.control).collect();
    let context = Context {
        recipe,
        ids: &assembled.ids,
        version: &plan.version,
        packages: &controls,
        scripts: &scripts,
    };
    fixups::apply_to_extension(&mut both, &context)?;

    let mut tree = Tree::new(Node::dir(Origin::Fixup("extension")));
    let new = |path: &TreePath| path.as_bytes().starts_with(b"usr/") && image.get(path).is_none();
    for (path, node) in both.iter().filter(|(path, node)| !node.is_dir() && new(path)) {
        // Directories are those of the image where it has them: theirs is what /usr shows.
        let mut above: Vec<TreePath> = path.ancestors().filter(|above| !above.is_root()).collect();
        above.reverse();
        for dir in above {
            if tree.get(&dir).is_none() {
                let known = image.get(&dir).or_else(|| own.get(&dir)).filter(|node| node.is_dir());
                let node = known.cloned().unwrap_or_else(|| Node::dir(node.origin.clone()));
                tree.insert(dir, node)?;
            }
        }
        tree.insert(path.clone(), node.clone())?;
    }
    let release = TreePath::parse(format!("{RELEASE}{name}").as_bytes())?;
    tree.insert(release, Node::file(release_text(image)?.into_bytes(), 0o644, Origin::Fixup("extension")))?;
    Ok((tree, notes))
}

/// extension-release, from the image's os-release(5).
fn release_text(image: &Tree) -> Result<String, Error> {
    let path = TreePath::parse(b"usr/lib/os-release")?;
    let bytes = match image.get(&path).map(|node| &node.kind) {
        Some(Kind::File(content)) => {
            content.to_vec().map_err(|source| Error::Content { path: path.clone(), source })?
        }
        _ => Vec::new(),
    };
    let text = String::from_utf8_lossy(&bytes);
    let wanted = |line: &&str| line.split_once('=').is_some_and(|(key, _)| KEYS.contains(&key));
    Ok(text.lines().filter(wanted).map(|line| format!("{line}\n")).collect())
}
