//! Sleds held against the users and groups of their images, by the code that PID 1 runs there.

use super::resolve::{ImageChoice, SAME_PLACE, Sled, place_of};
use super::{Fleet, at, sort};
use crate::config::FileEntry;
use crate::generate::{self, Image};
use std::collections::{BTreeMap, HashMap};
use yaml::diagnostic::{Diagnostic, Place};

/// What sleds want of users and groups that their images do not have. Images that are not
/// in the map are not known.
pub fn unfit(fleet: &Fleet, images: &BTreeMap<ImageChoice, Image>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    // Sleds of a role mostly have the same accounts: the last one of each stands for the next.
    let mut last: HashMap<(&str, &ImageChoice), &Sled> = HashMap::new();
    for sled in &fleet.sleds {
        let Some(image) = images.get(&sled.image) else { continue };
        let before = last.insert((&sled.role, &sled.image), sled);
        if before.is_some_and(|before| same_accounts(before, sled)) {
            continue;
        }
        if let Err(wrong) = generate::check_accounts(&sled.config, image) {
            let what = format!("`{}` of image `{}`: {}", sled.name, sled.image, wrong.problem);
            found.push(
                Diagnostic::at(place(fleet, sled, &wrong.field), what)
                    .why(format!(
                        "this is `config.{}`, held against the users and groups of the image",
                        wrong.field
                    ))
                    .hint("add it to `users:` or `groups:` here, or to the image's recipe"),
            );
        }
    }
    sort(&mut found);
    let mut shown: HashMap<Option<(usize, usize)>, usize> = HashMap::new();
    found.retain(|one| {
        let count = shown.entry(one.place.as_ref().map(|p| (p.line, p.column))).or_default();
        *count += 1;
        *count <= SAME_PLACE
    });
    found
}

fn same_accounts(a: &Sled, b: &Sled) -> bool {
    let (a, b) = (&a.config, &b.config);
    let owners = |file: &FileEntry| (file.user.clone(), file.group.clone());
    a.users == b.users
        && a.groups == b.groups
        && a.files.values().map(owners).eq(b.files.values().map(owners))
}

/// Where a field is written; what an Ignition config made of it has no place in the fleet file.
fn place<'f>(fleet: &'f Fleet, sled: &'f Sled, field: &str) -> &'f Place {
    let (kind, rest) = field.split_once('.').unwrap_or((field, ""));
    let entries = super::pairs(&sled.config_node, kind);
    if entries.iter().any(|(key, _)| rest.starts_with(&key.name)) {
        return place_of(&sled.config_node, field);
    }
    let own = at(&fleet.root, &["sleds", &sled.name, "ignition"]);
    let node = own.or_else(|| at(&fleet.root, &["roles", &sled.role, "ignition"]));
    node.map_or(&sled.place, |node| &node.place)
}
