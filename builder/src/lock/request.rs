//! What a recipe asks of the archives, as text and as its digest.

use std::collections::BTreeSet;

use crate::digest;
use crate::recipe::model::Recipe;

/// Names asked for, sorted: the recipe's packages, its kernel, its components, its extensions.
pub(super) fn asked(recipe: &Recipe) -> Vec<String> {
    let mut names: Vec<String> = recipe.packages.iter().cloned().collect();
    names.push(recipe.kernel.package.clone());
    names.extend(component_packages(recipe));
    names.extend(recipe.extensions.values().flat_map(|extension| &extension.packages).cloned());
    names.sort();
    names.dedup();
    names
}

/// Packages of components that a repository may have. Debian has none of them.
pub(super) fn component_packages(recipe: &Recipe) -> impl Iterator<Item = String> + '_ {
    let wanted = recipe.components.values().filter(|component| component.source.is_none());
    wanted.filter(|_| !recipe.repositories.is_empty()).filter_map(|component| component.package.clone())
}

/// sha256 of everything that decides which packages are in. One thing per line,
/// so that no two requests have the same text.
pub(super) fn digest(recipe: &Recipe) -> [u8; 32] {
    let debian = &recipe.debian;
    let mut text = format!(
        "sledos request 1\nsuite {}\narch {}\nrecommends {}\nkernel {}\n",
        debian.suite, debian.arch, debian.recommends, recipe.kernel.package
    );
    let mut lines = |key: &str, values: &mut dyn Iterator<Item = &String>| {
        for value in values {
            text += &format!("{key} {value:?}\n");
        }
    };
    lines("extra-suite", &mut debian.extra_suites.iter());
    lines("component", &mut debian.components.iter());
    lines("package", &mut recipe.packages.iter());
    lines("provided", &mut recipe.provided.keys());
    for repository in &recipe.repositories {
        lines("repository", &mut [&repository.name, &repository.url, &repository.suite].into_iter());
        lines("repository-component", &mut repository.components.iter());
        lines("repository-package", &mut repository.packages.iter().flatten());
        // An empty list gives nothing; none at all, what is asked for.
        if repository.packages.as_ref().is_some_and(BTreeSet::is_empty) {
            lines("repository-packages", &mut std::iter::once(&"none".to_owned()));
        }
    }
    let components: Vec<String> = component_packages(recipe).collect();
    lines("component-package", &mut components.iter());
    for (name, extension) in &recipe.extensions {
        lines(&format!("extension {name}"), &mut extension.packages.iter());
    }
    digest::sha256(text.as_bytes())
}
