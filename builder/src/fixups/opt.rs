//! What packages ship outside of /usr, /etc and /var.
//!
//! The image is /usr, and PID 1 makes the rest of / in memory. So /opt of packages lies in
//! [`OPT`], and tmpfiles.d links each of its entries to its place at boot. Files in other
//! places would be lost without anybody noticing: they are an error.

use formats::tree::{Kind, TreePath};

use super::edit::Edit;
use super::{Context, Error};

/// Where /opt of the image is.
pub const OPT: &str = "usr/lib/opt";
const TMPFILES: &str = "usr/lib/tmpfiles.d/sledos-opt.conf";

/// Directories with a fix-up of their own, and the links of the merged /usr.
const ELSEWHERE: [&[u8]; 8] = [b"usr", b"etc", b"var", b"opt", b"bin", b"lib", b"lib64", b"sbin"];

pub(super) fn run(edit: &mut Edit<'_>, _: &Context<'_>) -> Result<(), Error> {
    let tops: Vec<TreePath> = edit.tree.children(&TreePath::root()).map(|(path, _)| path.clone()).collect();
    for top in tops.iter().filter(|top| !ELSEWHERE.contains(&top.as_bytes())) {
        let lost = {
            let mut all = edit.tree.get(top).map(|node| (top, node)).into_iter().chain(edit.tree.below(top));
            all.find(|(_, node)| !node.is_dir())
                .map(|(path, node)| (path.to_string(), node.origin.to_string()))
        };
        if let Some((path, by)) = lost {
            let problem = format!(
                "{by} ships it where nothing of an image is: / is in memory, and only /usr, /etc and /opt come with \
                 it; exclude it, or keep it below /usr and link it with a line of tmpfiles.d in an overlay"
            );
            return Err(edit.unexpected(&path, problem));
        }
        edit.tree.remove(top);
    }
    move_opt(edit)
}

fn move_opt(edit: &mut Edit<'_>) -> Result<(), Error> {
    let opt = edit.path("opt")?;
    let entries: Vec<TreePath> = edit.tree.children(&opt).map(|(path, _)| path.clone()).collect();
    let mut lines = String::from("# Packages' /opt; made by the build.\n");
    let mut notes = Vec::new();
    for entry in &entries {
        let all = edit.tree.get(entry).into_iter().chain(edit.tree.below(entry).map(|(_, node)| node));
        let mut files = all.filter(|node| !matches!(node.kind, Kind::Dir));
        let Some(first) = files.next() else { continue };
        notes.push(format!(
            "{} ships /{entry} ({} files): it is in /{OPT}, read-only, and linked at boot",
            first.origin,
            1 + files.count()
        ));
        let name = tmpfiles_escaped(entry.name());
        lines += &format!("L+ /opt/{name} - - - - /{OPT}/{name}\n");
        let to = edit.path(OPT)?.join(entry.name()).map_err(|_| edit.unexpected("opt", "bad path"))?;
        edit.rename(entry, &to)?;
    }
    edit.tree.remove(&opt);
    if !notes.is_empty() {
        edit.write(TMPFILES, lines, 0o644)?;
    }
    notes.into_iter().for_each(|note| edit.note(note));
    Ok(())
}

/// A name as a field of tmpfiles.d(5): C-style escapes, and `%` is a specifier.
fn tmpfiles_escaped(name: &[u8]) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._+-".contains(&b);
    name.iter()
        .map(|b| match b {
            b'%' => "%%".to_owned(),
            b if plain(*b) => char::from(*b).to_string(),
            b => format!("\\x{b:02x}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use formats::tree::{Node, Origin};

    use super::super::testing::{Fixture, text};
    use super::*;

    #[test]
    fn opt_lies_below_usr_and_is_linked_at_boot() {
        let mut f = Fixture::new();
        f.file("opt/t x%/bin/tool", "tool");
        f.put("opt/empty/dir", Node::dir(Origin::Package("base-files".into())));
        f.put("home/nobody", Node::dir(Origin::Package("base-files".into())));
        let first = TreePath::parse(b"opt/t x%/bin/tool").unwrap();
        f.put("usr/bin/same", Node::new(Kind::Hardlink(first), 0o755, Origin::Package("test".into())));
        f.run(run).unwrap();
        assert_eq!(text(&f.tree, "usr/lib/opt/t x%/bin/tool"), "tool");
        assert!(text(&f.tree, TMPFILES).ends_with("\nL+ /opt/t\\x20x%% - - - - /usr/lib/opt/t\\x20x%%\n"));
        assert!(
            matches!(&f.node("usr/bin/same").kind, Kind::Hardlink(to) if to.is_below(&TreePath::parse(OPT.as_bytes()).unwrap()))
        );
        assert_eq!(f.notes.len(), 1);
        assert!(f.notes[0].contains("package test ships /opt/t x% (1 files)"), "{:?}", f.notes);
        assert!(!f.has("opt") && !f.has("home") && !f.has("usr/lib/opt/empty"));

        let mut f = Fixture::new();
        f.put("opt/empty", Node::dir(Origin::Package("base-files".into())));
        f.run(run).unwrap();
        assert!(!f.has(TMPFILES) && f.notes.is_empty());
    }

    #[test]
    fn files_in_other_places_name_their_package() {
        for path in [
            "srv/www/index.html",
            "home/x/.profile",
            "root/.bashrc",
            "boot/memtest",
            "mnt/x",
            "lib32/ld.so",
            "x",
        ] {
            let mut f = Fixture::new();
            f.file(path, "");
            let error = f.run(run).unwrap_err().to_string();
            assert!(error.contains(&format!("/{path}: package test ships it")), "{error}");
            let mut f = Fixture::new();
            f.put(path, Node::symlink("target", Origin::Package("test".into())));
            assert!(f.run(run).is_err(), "{path}");
        }
    }
}
