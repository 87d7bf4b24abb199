//! Components: looked at before anything is downloaded, added when the tree is there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use formats::tree::{Origin, Tree};

use super::{Error, pinned};
use crate::accounts::Ids;
use crate::apt::fetch::Patience;
use crate::apt::resolve::Need;
use crate::cache::Cache;
use crate::digest::hex;
use crate::image::manifest::ComponentEntry;
use crate::recipe::Recipe;
use crate::recipe::model::Component;
use crate::unpack::component::{self, DebianPackage, Given, Opened};

/// What there is of a recipe's components, by name; `None`: nobody gave it, but a
/// package may bring it.
#[derive(Debug)]
pub(super) struct Components<'r>(BTreeMap<&'r str, (&'r Component, Option<Opened>)>);

/// Finds and opens the components. Those given win over the recipe's own sources.
///
/// # Errors
/// When one is given that the recipe does not know, cannot be had or is no archive;
/// with `require` when one is not given that no package can bring.
pub(super) fn open<'r>(
    recipe: &'r Recipe,
    given: &[(String, PathBuf)],
    require: bool,
    cache: &Arc<Cache>,
    patience: Patience,
) -> Result<Components<'r>, Error> {
    if let Some((name, _)) = given.iter().find(|(name, _)| !recipe.components.contains_key(name)) {
        let known = recipe.components.keys().cloned().collect();
        return Err(Error::UnknownComponent { name: name.clone(), known });
    }
    let from_command_line =
        |name: &str| given.iter().rev().find(|(given, _)| given == name).map(|(_, file)| file.clone());
    // Only packages of the recipe's own repositories bring components.
    if require && recipe.repositories.is_empty() {
        let not_given = recipe.components.iter().filter(|(_, wanted)| wanted.source.is_none());
        let names = not_given.map(|(name, _)| name.clone()).filter(|name| from_command_line(name).is_none());
        refuse_missing(names.collect())?;
    }
    let mut components = BTreeMap::new();
    for (name, wanted) in &recipe.components {
        // A pin in the recipe is for the file the recipe names, not for another one.
        let (file, pin) = match (from_command_line(name), wanted.source.as_ref()) {
            (Some(file), _) => (file, None),
            (None, Some(source)) => (pinned::file(name, source, cache, patience)?, source.sha256.as_deref()),
            (None, None) => {
                components.insert(name.as_str(), (wanted, None));
                continue;
            }
        };
        let sha256 = pin.map(|text| parse_sha256(name, text)).transpose()?;
        let given = Given {
            name,
            file: &file,
            sha256: sha256.as_ref(),
            provides: &wanted.provides,
            arch: &recipe.debian.arch,
        };
        components.insert(name.as_str(), (wanted, Some(component::open(cache, &given)?)));
    }
    Ok(Components(components))
}

impl Components<'_> {
    /// Those that are Debian packages.
    pub(super) fn packages(&self) -> BTreeMap<String, DebianPackage> {
        let package = |opened: &Option<Opened>| opened.as_ref()?.package().cloned();
        self.0.iter().filter_map(|(name, (_, opened))| Some(((*name).to_owned(), package(opened)?))).collect()
    }

    /// What they want of the archives.
    pub(super) fn needs(&self) -> Vec<Need> {
        let need =
            |(component, package): (String, DebianPackage)| Need { component, depends: package.depends };
        self.packages().into_iter().map(need).collect()
    }

    /// Adds them to the tree. Returns what is in it for the manifest, and the names of
    /// those that are not.
    ///
    /// # Errors
    /// When one collides with the tree, or, with `require`, is missing.
    pub(super) fn add(
        &self,
        tree: &mut Tree,
        ids: &Ids,
        require: bool,
    ) -> Result<(BTreeMap<String, ComponentEntry>, Vec<String>), Error> {
        let (mut present, mut missing) = (BTreeMap::new(), Vec::new());
        for (name, (wanted, opened)) in &self.0 {
            match opened {
                Some(opened) => {
                    let added = opened.add(tree, ids)?;
                    let version = added.package.map(|package| package.version);
                    let entry = ComponentEntry { sha256: hex(&added.sha256), version };
                    present.insert((*name).to_owned(), entry);
                }
                None if component::link_twin(tree, &wanted.provides, &Origin::Component((*name).into())) => {}
                None => missing.push((*name).to_owned()),
            }
        }
        if require {
            refuse_missing(missing.clone())?;
        }
        Ok((present, missing))
    }
}

fn refuse_missing(names: Vec<String>) -> Result<(), Error> {
    if names.is_empty() { Ok(()) } else { Err(Error::MissingComponents { names }) }
}

fn parse_sha256(name: &str, text: &str) -> Result<[u8; 32], Error> {
    crate::digest::parse_sha256(text)
        .ok_or_else(|| Error::Pin { component: name.to_owned(), text: text.to_owned() })
}
