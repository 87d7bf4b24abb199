//! Configuration that a postinst makes from nothing or copies from a template.
//! What an overlay or a package has already put there stays.

use formats::tree::Node;

use super::edit::Edit;
use super::{Context, Error};

/// Template, configuration file, group, mode. Copied when the template is there.
const COPIES: &[(&str, &str, &str, u16)] = &[
    ("usr/share/base-files/motd", "etc/motd", "root", 0o644),
    ("usr/share/base-files/profile", "etc/profile", "root", 0o644),
    ("usr/share/chrony/chrony.conf", "etc/chrony/chrony.conf", "root", 0o644),
    ("usr/share/chrony/chrony.keys", "etc/chrony/chrony.keys", "_chrony", 0o640),
    ("usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf", "root", 0o644),
    ("usr/share/openssh/sshd_config", "etc/ssh/sshd_config", "root", 0o644),
    ("usr/share/readline/inputrc", "etc/inputrc", "root", 0o644),
];

/// Empty files. The machine id is empty rather than missing: without the file
/// systemd takes every boot for the first one, enables every unit and asks
/// questions on the console. PID 1 puts the real one over it.
const EMPTY: &[(&str, u16)] = &[
    ("etc/environment", 0o644),
    ("etc/machine-id", 0o444),
    ("etc/security/opasswd", 0o600),
    ("etc/subgid", 0o644),
    ("etc/subuid", 0o644),
    // systemd sets a clock that is behind this file's time to it.
    ("usr/lib/clock-epoch", 0o644),
];

/// Links.
const LINKS: &[(&str, &str)] = &[
    ("etc/localtime", "/usr/share/zoneinfo/Etc/UTC"),
    ("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf"),
];

/// Empty directories: PATH and ldconfig look there, and nothing may appear there later.
const LOCAL: [&str; 4] = ["usr/local/bin", "usr/local/lib", "usr/local/sbin", "usr/local/share"];

pub(super) fn run(edit: &mut Edit<'_>, context: &Context<'_>) -> Result<(), Error> {
    for (from, to, group, mode) in COPIES {
        if edit.has(to) {
            continue;
        }
        let Some(bytes) = edit.read(from)? else { continue };
        let gid = context.ids.gid(group).map_err(|_| {
            edit.unexpected(to, format!("belongs to the group {group}; add it to the recipe's `users:`"))
        })?;
        edit.write(to, bytes, *mode)?;
        let to = edit.path(to)?;
        if let Some(node) = edit.tree.get_mut(&to) {
            node.gid = gid;
        }
    }
    for (path, mode) in EMPTY {
        if !edit.has(path) {
            edit.write(path, "", *mode)?;
        }
    }
    for path in LOCAL {
        if !edit.has(path) {
            let node = Node::dir(edit.origin());
            edit.insert(edit.path(path)?, node)?;
        }
    }
    for (path, target) in LINKS {
        if !edit.has(path) {
            edit.link(path, target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, text, user};
    use super::*;

    #[test]
    fn templates_are_copied_but_never_over_what_is_there() {
        let mut f = Fixture::new();
        f.recipe.users = vec![user("_chrony", 990, None)];
        f.file("usr/share/chrony/chrony.keys", "# keys\n");
        f.file("usr/share/openssh/sshd_config", "theirs\n");
        f.file("etc/ssh/sshd_config", "ours\n");
        f.run(run).unwrap();
        assert_eq!(text(&f.tree, "etc/ssh/sshd_config"), "ours\n");
        let keys = f.node("etc/chrony/chrony.keys");
        assert_eq!((keys.mode, keys.gid), (0o640, 990));
        assert_eq!(text(&f.tree, "etc/machine-id"), "");
        assert_eq!(text(&f.tree, "etc/resolv.conf"), "-> ../run/systemd/resolve/stub-resolv.conf");
        assert!(!f.has("etc/profile"));
        assert!(f.has("usr/local/sbin"));
    }

    #[test]
    fn a_group_without_number_is_named() {
        let mut f = Fixture::new();
        f.file("usr/share/chrony/chrony.keys", "");
        assert!(f.run(run).unwrap_err().to_string().contains("the group _chrony"));
    }
}
