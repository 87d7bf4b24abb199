//! `update-alternatives` without the detour through `/etc/alternatives`: what is chosen is
//! the image's and does not change on a sled.
//!
//! The recipe chooses; where it does not, it is the provider with the highest priority, as
//! update-alternatives(1) does. Of equal ones it is the first by path.

mod read;

use std::collections::{BTreeMap, BTreeSet};

use formats::tree::TreePath;

use self::read::{Install, Link};
use super::edit::Edit;
use super::{Context, Error};
use crate::recipe::glob::Glob;
use crate::unpack::place::canonical;

pub(super) fn run(edit: &mut Edit<'_>, context: &Context<'_>) -> Result<(), Error> {
    for (link, target) in &context.recipe.alternatives {
        of_recipe(edit, link, target)?;
    }
    let left_out = |path: &TreePath| {
        let matches = |all: &[String]| {
            all.iter().any(|text| Glob::parse(text).is_ok_and(|glob| glob.matches(path.as_bytes())))
        };
        matches(&context.recipe.exclude) && !matches(&context.recipe.keep)
    };
    let installs: Vec<Install> =
        context.scripts.iter().flat_map(|script| read::installs(script.postinst)).collect();
    // One name may be given with several links over the years; the last one read counts.
    let mut groups: BTreeMap<&str, Vec<&Install>> = BTreeMap::new();
    for install in &installs {
        if edit.resolve(&install.main.path).is_some() {
            groups.entry(&install.main.name).or_default().push(install);
        }
    }
    let mut taken: BTreeSet<TreePath> = context.recipe.alternatives.keys().map(canonical).collect();
    for providers in groups.values() {
        let Some(chosen) = choose(edit, context, providers) else { continue };
        for Link { link, path, .. } in std::iter::once(&chosen.main).chain(&chosen.slaves) {
            let Ok(at) = edit.path(link.trim_start_matches('/')).map(|path| canonical(&path)) else {
                continue;
            };
            let in_the_way = edit.tree.get(&at).is_some() || !taken.insert(at.clone());
            // A slave whose file is not there gets no link.
            let Some(target) = edit.resolve(path).filter(|_| !in_the_way && !left_out(&at)) else { continue };
            if target != at {
                edit.link(&at.to_string(), &relative(&at, path))?;
            }
        }
    }
    Ok(())
}

/// Who provides a name: the one the recipe's link leads to, else that of the highest priority.
fn choose<'i>(edit: &Edit<'_>, context: &Context<'_>, providers: &[&'i Install]) -> Option<&'i Install> {
    let links = providers.iter().map(|install| &install.main.link);
    let of_recipe = links.filter_map(|link| edit.path(link.trim_start_matches('/')).ok()).find_map(|link| {
        let link = canonical(&link);
        context.recipe.alternatives.keys().find(|key| canonical(key) == link).map(|_| link)
    });
    if let Some(link) = of_recipe {
        // The recipe's link is there by now. Nobody's slaves go with a program of no provider.
        let wanted = edit.resolve(&format!("/{link}"))?;
        return providers.iter().find(|i| edit.resolve(&i.main.path).as_ref() == Some(&wanted)).copied();
    }
    let mut best = providers.to_vec();
    best.sort_by(|a, b| (-a.priority, &a.main.path).cmp(&(-b.priority, &b.main.path)));
    best.first().copied()
}

/// The target of a link: the name alone when it is beside it.
fn relative(link: &TreePath, target: &str) -> String {
    let canonical_target = TreePath::parse(target.trim_start_matches('/').as_bytes()).map(|p| canonical(&p));
    match canonical_target {
        Ok(path) if path.parent() == link.parent() => String::from_utf8_lossy(path.name()).into_owned(),
        Ok(path) => format!("/{path}"),
        Err(_) => target.to_owned(),
    }
}

fn of_recipe(edit: &mut Edit<'_>, link: &TreePath, target: &str) -> Result<(), Error> {
    let name = link.to_string();
    let dir = link.parent().unwrap_or_default();
    let destination = match target.strip_prefix('/') {
        Some(absolute) => edit.path(absolute)?,
        None => dir.join(target.as_bytes()).map_err(|_| edit.unexpected(&name, "bad target"))?,
    };
    if edit.tree.get(&destination).is_none() {
        let problem = format!(
            "is to be a link to /{destination}, which no package ships; \
             correct the recipe's `alternatives:` or add the package"
        );
        return Err(edit.unexpected(&name, problem));
    }
    if let Some(there) = edit.tree.get(link) {
        let problem = format!("is shipped by {}; remove it from the recipe's `alternatives:`", there.origin);
        return Err(edit.unexpected(&name, problem));
    }
    edit.link(&name, target)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use proptest::prelude::*;

    use super::super::testing::{Fixture, text};
    use super::*;

    fn fixture(link: &str, target: &str) -> Fixture {
        let mut f = Fixture::new();
        f.file("usr/bin/mawk", "");
        f.recipe.alternatives.insert(TreePath::parse(link.as_bytes()).unwrap(), target.into());
        f
    }

    #[test]
    fn links_lead_to_something_and_replace_nothing() {
        for target in ["mawk", "/usr/bin/mawk"] {
            let mut f = fixture("usr/bin/awk", target);
            f.run(run).unwrap();
            assert_eq!(text(&f.tree, "usr/bin/awk"), format!("-> {target}"));
        }
        let nowhere = fixture("usr/bin/awk", "gawk").run(run).unwrap_err().to_string();
        assert!(nowhere.contains("/usr/bin/gawk"), "{nowhere}");
        let taken = fixture("usr/bin/mawk", "mawk").run(run).unwrap_err().to_string();
        assert!(taken.contains("shipped by package test"), "{taken}");
    }

    const MAWK: &str = "update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 \\\n  \
        --slave /usr/share/man/man1/awk.1.gz awk.1.gz /usr/share/man/man1/mawk.1.gz --slave /usr/bin/nawk nawk /usr/bin/mawk\n";
    const GAWK: &str = "update-alternatives --quiet --install /bin/awk awk /usr/bin/gawk 10 --slave /bin/nawk nawk /usr/bin/gawk\n";

    #[test]
    fn what_a_postinst_installs_is_there_without_the_recipe() {
        let scripts = |f: &mut Fixture, all: &[&str]| {
            f.scripts = all.iter().map(|script| ("x".to_owned(), (*script).to_owned())).collect();
        };
        let mut f = Fixture::new();
        f.file("usr/bin/mawk", "");
        scripts(&mut f, &[MAWK, GAWK]);
        f.run(run).unwrap();
        assert_eq!(text(&f.tree, "usr/bin/awk"), "-> mawk", "gawk is not there");
        assert_eq!(text(&f.tree, "usr/bin/nawk"), "-> mawk");
        assert!(!f.has("usr/share/man/man1/awk.1.gz"), "its target is not there");

        let mut f = Fixture::new();
        f.file("usr/bin/mawk", "");
        f.file("usr/bin/gawk", "");
        f.recipe.exclude = vec!["usr/bin/n*".into()];
        scripts(&mut f, &[MAWK, GAWK]);
        f.run(run).unwrap();
        assert_eq!(text(&f.tree, "usr/bin/awk"), "-> gawk");
        assert!(!f.has("usr/bin/nawk"), "left out by the recipe");

        let mut f = fixture("usr/bin/awk", "mawk");
        f.file("usr/bin/gawk", "");
        scripts(&mut f, &[MAWK, GAWK]);
        f.run(run).unwrap();
        assert_eq!(text(&f.tree, "usr/bin/awk"), "-> mawk", "the recipe's");
        assert_eq!(text(&f.tree, "usr/bin/nawk"), "-> mawk", "slaves go with it");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// The real tool, on the same providers, leads everything to the same place.
        #[test]
        fn choices_are_those_of_update_alternatives(
            installs in prop::collection::vec((0..3_usize, 0..4_usize, -3..40_i32, any::<bool>()), 1..8),
            there in prop::collection::vec(any::<bool>(), 8),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path();
            for sub in ["usr/bin", "etc/alternatives", "admin"] {
                fs::create_dir_all(root.join(sub)).unwrap();
            }
            let mut f = Fixture::new();
            for (at, there) in there.iter().enumerate().filter(|(_, there)| **there) {
                let _ = there;
                let name = if at < 4 { format!("p{at}") } else { format!("s{}", at - 4) };
                fs::write(root.join("usr/bin").join(&name), "").unwrap();
                f.file(&format!("usr/bin/{name}"), "");
            }
            let mut last = std::collections::BTreeMap::new();
            for install in &installs {
                // One priority for each provider of a name: dpkg keeps the last.
                last.insert((install.0, install.1), (install.2, install.3));
            }
            let mut script = String::new();
            for ((name, provider), (priority, slave)) in last {
                let at = |path: &str| root.join(path).display().to_string();
                let mut words = vec![at(&format!("usr/bin/n{name}")), format!("n{name}"), at(&format!("usr/bin/p{provider}")), priority.to_string()];
                if slave {
                    words.extend(["--slave".into(), at(&format!("usr/bin/m{name}")), format!("m{name}"), at(&format!("usr/bin/s{provider}"))]);
                }
                let status = Command::new("update-alternatives")
                    .args(["--quiet", "--altdir", &at("etc/alternatives"), "--admindir", &at("admin"), "--log", "/dev/null", "--install"])
                    .args(&words)
                    .output()
                    .unwrap();
                let is_there = root.join(format!("usr/bin/p{provider}")).exists();
                prop_assert_eq!(status.status.success(), is_there, "{}", String::from_utf8_lossy(&status.stderr));
                script += &format!("update-alternatives --install {}\n", words.join(" ").replace(&at("usr"), "/usr"));
            }
            f.scripts = vec![("x".into(), script)];
            f.run(run).unwrap();
            for name in ["n0", "n1", "n2", "m0", "m1", "m2"] {
                let real = root.join("usr/bin").join(name);
                let theirs = fs::canonicalize(&real).ok().map(|path| path.file_name().map(Path::new).unwrap().to_owned());
                let path = format!("usr/bin/{name}");
                let ours = f.has(&path).then(|| text(&f.tree, &path).trim_start_matches("-> ").to_owned());
                prop_assert_eq!(ours, theirs.map(|path| path.display().to_string()), "{}", name);
            }
        }
    }
}
