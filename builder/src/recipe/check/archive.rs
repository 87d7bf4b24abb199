//! `debian:` and `repositories:`.

use super::{Context, file, set, texts};
use crate::recipe::model::{Debian, Repository};
use crate::recipe::values;
use yaml::diagnostic::Diagnostic;
use yaml::{Cursor, Problems, Wrong};

pub(super) fn debian(at: Cursor<'_>, cx: Context<'_>) -> Option<Debian> {
    let fields = at.fields()?;
    let suite = fields.required("suite", |at| at.text(values::archive_part));
    let extra_suites = fields.or("extra-suites", Vec::new(), |at| texts(at, values::archive_part));
    let components = fields.or("components", vec!["main".to_owned()], archive_components);
    let arch = fields.or("arch", "amd64".to_owned(), |at| at.text(values::arch));
    let keyring = fields.optional("keyring", |at| file(at, cx));
    let recommends = fields.or("recommends", false, |at| at.boolean());
    fields.finish();
    Some(Debian {
        suite: suite?,
        extra_suites: extra_suites?,
        components: components?,
        arch: arch?,
        keyring: keyring?,
        recommends: recommends?,
    })
}

pub(super) fn repositories(at: Cursor<'_>, cx: Context<'_>) -> Option<Vec<Repository>> {
    at.list(|at| {
        let fields = at.fields()?;
        let name = fields.required("name", |at| match at.text(values::plain_name)?.as_str() {
            "debian" => at.wrong(
                Wrong::new("a repository cannot be called `debian`")
                    .why("the lock calls the Debian archive so"),
            ),
            name => Some(name.to_owned()),
        });
        let url = fields.required("url", |at| at.text(values::url));
        let suite = fields.required("suite", |at| at.text(values::repository_suite));
        let components = match suite.as_ref().map(|suite| suite.ends_with('/')) {
            Some(true) => fields.or("components", Vec::new(), no_components),
            Some(false) => fields.required("components", archive_components),
            // What the suite is meant to be is not known: one mistake, not two.
            None => fields.or("components", Vec::new(), |at| texts(at, values::archive_part)),
        };
        let keyring = fields.required("keyring", |at| file(at, cx));
        let packages = match fields.get("packages") {
            Some(at) => set(at, values::package).map(Some),
            None => Some(None),
        };
        fields.finish();
        Some(Repository {
            name: name?,
            url: url?,
            suite: suite?,
            components: components?,
            packages: packages?,
            keyring: keyring?,
        })
    })
}

fn archive_components(at: Cursor<'_>) -> Option<Vec<String>> {
    match texts(at.clone(), values::archive_part)? {
        list if list.is_empty() => {
            at.wrong(Wrong::new(format!("`{}` is empty", at.name)).hint("like `[main]`"))
        }
        list => Some(list),
    }
}

/// A flat repository has no components (sources.list(5)).
fn no_components(at: Cursor<'_>) -> Option<Vec<String>> {
    match texts(at.clone(), values::archive_part)? {
        list if list.is_empty() => Some(list),
        _ => at.wrong(
            Wrong::new("components of a flat repository")
                .why("a suite that ends in a slash is a directory, which has no components")
                .hint("remove the line"),
        ),
    }
}

/// `name/release` names a suite of `debian` or one of the repositories.
pub(super) fn check_releases(
    packages: Option<Cursor<'_>>,
    debian: &Debian,
    repositories: &[Repository],
    problems: &Problems,
) {
    let suites = std::iter::once(&debian.suite).chain(&debian.extra_suites);
    let known: Vec<&str> = suites.chain(repositories.iter().map(|r| &r.name)).map(String::as_str).collect();
    for entry in packages.iter().flat_map(|at| at.node.entries()) {
        // What is no package at all has been reported.
        let asked = entry.text().filter(|text| values::asked_package(text).is_ok());
        let release = asked.and_then(|text| text.split_once('/')).map(|(_, release)| release);
        if let Some(release) = release.filter(|release| !known.contains(release)) {
            let wrong = Diagnostic::at(&entry.place, format!("there is no suite or repository `{release}`"));
            problems.report(wrong.hint(format!("there is: {}", known.join(", "))));
        }
    }
}
