//! A merged [`Node`] → [`Recipe`]: one function per section, then what holds between sections.

mod archive;
mod disk;
mod hardware;
mod system;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::host::{Host, tidy};
use super::model::{Component, ComponentSource, Extension, Overlay, Provisioning, Recipe};
use super::values;
use yaml::diagnostic::{Diagnostic, Place};
use yaml::{Cursor, Node, Problems, Value, Wrong};

/// What a section is read with.
#[derive(Clone, Copy)]
struct Context<'a> {
    host: &'a dyn Host,
    problems: &'a Problems,
}

/// Reads everything, so that all mistakes are found; `None` when there was one.
pub(super) fn recipe(node: &Node, file: &Path, host: &dyn Host, problems: &Problems) -> Option<Recipe> {
    let cx = Context { host, problems };
    let top = Cursor::root(node, problems).fields()?;
    let name = match top.get("name") {
        Some(at) => at.text(values::image_name),
        None => {
            let wrong = Diagnostic::at(&Place::new(&node.place.source, 1, 1), "this recipe has no `name`");
            problems.report(
                wrong
                    .why("without a name it can be included by others, not built")
                    .hint("build a recipe that includes it, or add `name: …`"),
            );
            None
        }
    };
    let description = top.or("description", String::new(), |at| at.text(values::line));
    let debian = top.required("debian", |at| archive::debian(at, cx));
    let repositories = top.or("repositories", Vec::new(), |at| archive::repositories(at, cx));
    let packages = top.or("packages", BTreeSet::new(), |at| set(at, values::asked_package));
    let provided = top.or("provided", BTreeMap::new(), |at| reasons(at, values::package));
    let reviewed_scripts = top.or("reviewed-scripts", BTreeMap::new(), |at| reasons(at, values::package));
    let kernel = hardware::kernel(top.get("kernel"));
    let nics = top.or("nics", Vec::new(), |at| hardware::devices(at, cx));
    let controllers = top.or("controllers", Vec::new(), |at| hardware::devices(at, cx));
    let components = top.or("components", BTreeMap::new(), components);
    let extensions = top.or("extensions", BTreeMap::new(), extensions);
    let overlays = top.or("overlays", Vec::new(), |at| at.list(|at| overlay(at, cx)));
    let exclude = top.or("exclude", Vec::new(), |at| texts(at, values::glob));
    let keep = top.or("keep", Vec::new(), |at| texts(at, values::glob));
    let attributes = top.or("attributes", BTreeMap::new(), |at| at.map(values::glob, system::attributes));
    let users = top.or("users", Vec::new(), system::users);
    let groups = top.or("groups", Vec::new(), system::groups);
    let alternatives = top.or("alternatives", BTreeMap::new(), |at| {
        at.map(values::image_path, |at| at.text(values::link_target))
    });
    let enable = top.or("enable", BTreeMap::new(), |at| at.map(values::unit, |at| texts(at, values::unit)));
    let mask = top.or("mask", BTreeSet::new(), |at| set(at, values::unit));
    let provisioning = top.or("provisioning", Provisioning::default(), system::provisioning);
    let layout = disk::layout(top.get("layout"));
    let compression = disk::compression(top.get("compression"));
    let budgets = disk::budgets(top.get("budgets"));

    both(
        &top.get("packages"),
        &top.get("provided"),
        "is asked for in `packages` and left out by `provided`",
        problems,
    );
    if let (Some(debian), Some(repositories)) = (&debian, &repositories) {
        archive::check_releases(top.get("packages"), debian, repositories, problems);
        for at in extension_packages(top.get("extensions"), problems) {
            archive::check_releases(Some(at), debian, repositories, problems);
        }
    }
    for at in extension_packages(top.get("extensions"), problems) {
        let what = "is asked for by an extension and left out by `provided`";
        both(&Some(at), &top.get("provided"), what, problems);
    }
    both(&top.get("mask"), &top.get("enable"), "is both masked and enabled", problems);
    if let (Some(users), Some(groups)) = (&users, &groups) {
        system::clashes(users, groups, top.get("users"), top.get("groups"), problems);
    }
    if let (Some(layout), Some(budgets)) = (&layout, &budgets) {
        disk::fits(layout, budgets, top.get("layout"), top.get("budgets"));
    }
    top.finish();
    Some(Recipe {
        file: file.to_owned(),
        sha256: [0; 32],
        name: name?,
        description: description?,
        debian: debian?,
        repositories: repositories?,
        packages: packages?,
        provided: provided?,
        reviewed_scripts: reviewed_scripts?,
        kernel: kernel?,
        nics: nics?,
        controllers: controllers?,
        components: components?,
        extensions: extensions?,
        overlays: overlays?,
        exclude: exclude?,
        keep: keep?,
        attributes: attributes?,
        users: users?,
        groups: groups?,
        alternatives: alternatives?,
        enable: enable?,
        mask: mask?,
        provisioning: provisioning?,
        layout: layout?,
        compression: compression?,
        budgets: budgets?,
    })
}

/// Reports what is an entry of the list and a key of the map at once.
fn both(list: &Option<Cursor<'_>>, map: &Option<Cursor<'_>>, what: &str, problems: &Problems) {
    let (Some(list), Some(map)) = (list, map) else { return };
    list.node.entries().for_each(|entry| {
        let Some(text) = entry.text() else { return };
        if let Some(key) = map.node.key(text) {
            let wrong = Diagnostic::at(&entry.place, format!("`{text}` {what}"));
            problems.report(wrong.also("and here", &key.place).hint("remove one of the two"));
        }
    });
}

fn texts(at: Cursor<'_>, parse: fn(&str) -> Result<String, Wrong>) -> Option<Vec<String>> {
    at.list(|at| at.text(parse))
}

fn set(at: Cursor<'_>, parse: fn(&str) -> Result<String, Wrong>) -> Option<BTreeSet<String>> {
    texts(at, parse).map(|list| list.into_iter().collect())
}

/// name → why.
fn reasons(at: Cursor<'_>, parse: fn(&str) -> Result<String, Wrong>) -> Option<BTreeMap<String, String>> {
    at.map(parse, |at| at.text(values::line))
}

/// A path relative to the file it stands in.
fn beside(place: &Place, path: impl AsRef<Path>) -> PathBuf {
    tidy(&place.file().parent().unwrap_or(Path::new("")).join(path))
}

/// A file beside the recipe that must exist.
fn file(at: Cursor<'_>, cx: Context<'_>) -> Option<PathBuf> {
    let path = beside(&at.node.place, at.text(values::location)?);
    if cx.host.is_file(&path) {
        return Some(path);
    }
    at.wrong(
        Wrong::new(format!("there is no file {}", path.display()))
            .hint("the path is relative to the file it is written in"),
    )
}

fn components(at: Cursor<'_>) -> Option<BTreeMap<String, Component>> {
    at.map(values::plain_name, |at| {
        let fields = at.fields()?;
        let description = fields.required("description", |at| at.text(values::line));
        let provides = fields.required("provides", |at| at.text(values::image_path));
        let package = fields.optional("package", |at| at.text(values::package));
        let source = fields.optional("source", source);
        fields.finish();
        Some(Component { description: description?, provides: provides?, source: source?, package: package? })
    })
}

fn extensions(at: Cursor<'_>) -> Option<BTreeMap<String, Extension>> {
    at.map(values::extension_name, |at| {
        let fields = at.fields()?;
        let description = fields.or("description", String::new(), |at| at.text(values::line));
        let packages = fields.required("packages", |at| set(at, values::asked_package));
        fields.finish();
        let packages = packages?;
        if packages.is_empty() {
            let wrong = Wrong::new("an extension without packages");
            return at.wrong(wrong.hint("name some under `packages:`, or remove the extension"));
        }
        Some(Extension { description: description?, packages })
    })
}

/// `packages:` of each extension.
fn extension_packages<'a>(
    extensions: Option<Cursor<'a>>,
    problems: &'a Problems,
) -> impl Iterator<Item = Cursor<'a>> {
    let all = extensions.map(|at| match &at.node.value {
        Value::Map(entries) => entries.as_slice(),
        _ => &[],
    });
    let lists = all.into_iter().flatten().filter_map(|(_, one)| one.get("packages"));
    lists.map(|list| Cursor::root(list, problems))
}

fn source(at: Cursor<'_>) -> Option<ComponentSource> {
    let fields = at.fields()?;
    let location = fields.required("location", |at| {
        let location = at.text(values::location)?;
        Some(if location.contains("://") {
            location
        } else {
            beside(&at.node.place, location).display().to_string()
        })
    });
    let sha256 = fields.optional("sha256", |at| at.text(values::sha256));
    fields.finish();
    let (location, sha256) = (location?, sha256?);
    if location.contains("://") && sha256.is_none() {
        return at.wrong(
            Wrong::new("a URL without its `sha256`")
                .why("what a server answers may change; the image must not")
                .hint("add `sha256: …` of the file, as `sha256sum FILE` prints it"),
        );
    }
    Some(ComponentSource { location, sha256 })
}

fn overlay(at: Cursor<'_>, cx: Context<'_>) -> Option<Overlay> {
    let fields = at.fields()?;
    let named = fields.required("name", |at| {
        let name = at.text(values::plain_name)?;
        let dir = beside(&at.node.place, Path::new("../overlays").join(&name));
        if cx.host.is_dir(&dir) {
            return Some((name, dir));
        }
        at.wrong(Wrong::new(format!("there is no directory {}", dir.display())).why(
            "an overlay is a directory in `overlays/`, beside the directory of the recipe that names it",
        ))
    });
    let attributes = fields.or("attributes", BTreeMap::new(), |at| at.map(values::glob, system::attributes));
    fields.finish();
    let (name, dir) = named?;
    Some(Overlay { name, dir, attributes: attributes? })
}
