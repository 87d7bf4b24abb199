//! `update-alternatives` without the detour through `/etc/alternatives`: the
//! choice is the recipe's and does not change on a sled.

use super::edit::Edit;
use super::{Context, Error};

pub(super) fn run(edit: &mut Edit<'_>, context: &Context<'_>) -> Result<(), Error> {
    for (link, target) in &context.recipe.alternatives {
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
            let problem =
                format!("is shipped by {}; remove it from the recipe's `alternatives:`", there.origin);
            return Err(edit.unexpected(&name, problem));
        }
        edit.link(&name, target)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use formats::tree::TreePath;

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
}
