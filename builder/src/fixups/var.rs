//! /var is a partition that starts out empty: tmpfiles.d and `StateDirectory=`
//! make what services need. Directories that packages ship there are dropped;
//! a file would be lost without anybody noticing, so it is an error.

use formats::tree::Kind;

use super::edit::Edit;
use super::{Context, Error};

pub(super) fn run(edit: &mut Edit<'_>, _: &Context<'_>) -> Result<(), Error> {
    let var = edit.path("var")?;
    let mut nodes = usize::from(edit.tree.get(&var).is_some());
    for (path, node) in edit.tree.below(&var) {
        if !matches!(node.kind, Kind::Dir | Kind::Symlink(_)) {
            let problem = format!(
                "{} ships a file in /var, which is empty on a new sled; exclude it, or keep it below /usr/share and \
                 copy it with a line of tmpfiles.d in an overlay",
                node.origin
            );
            return Err(edit.unexpected(&path.to_string(), problem));
        }
        nodes += 1;
    }
    edit.tree.remove(&var);
    edit.count(nodes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use formats::tree::{Node, Origin};

    use super::super::testing::Fixture;
    use super::*;

    #[test]
    fn directories_go_and_files_are_an_error() {
        let mut f = Fixture::new();
        f.put("var/lib/dbus", Node::dir(Origin::Fixup("test")));
        assert_eq!(f.run(run).unwrap(), 3);
        assert!(!f.has("var"));
        f.file("var/lib/x/state", "1");
        assert!(f.run(run).unwrap_err().to_string().contains("var/lib/x/state"));
    }
}
