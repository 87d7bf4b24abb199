//! Moves `etc/` below /usr, where PID 1 finds the lower layer of /etc.

use super::edit::Edit;
use super::{Context, ETC_LOWER, Error};

pub(super) fn run(edit: &mut Edit<'_>, _: &Context<'_>) -> Result<(), Error> {
    let (from, to) = (edit.path("etc")?, edit.path(ETC_LOWER)?);
    edit.rename(&from, &to)
}

#[cfg(test)]
mod tests {
    use formats::tree::{Kind, Node, Origin, TreePath};

    use super::super::testing::{Fixture, text};
    use super::*;

    #[test]
    fn everything_moves_with_its_mode_and_hard_links_follow() {
        let mut f = Fixture::new();
        f.put("etc/shadow", Node::file(*b"x", 0o640, Origin::Fixup("test")));
        let target = TreePath::parse(b"etc/shadow").unwrap();
        f.put("usr/same", Node::new(Kind::Hardlink(target), 0o640, Origin::Fixup("test")));
        f.run(run).unwrap();
        assert!(!f.has("etc"));
        assert_eq!(text(&f.tree, "usr/share/sledos/etc/shadow"), "x");
        assert_eq!(f.node("usr/share/sledos/etc/shadow").mode, 0o640);
        assert!(
            matches!(&f.node("usr/same").kind, Kind::Hardlink(to) if to.to_string() == "usr/share/sledos/etc/shadow")
        );
    }
}
