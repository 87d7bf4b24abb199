//! Owners, modes and capabilities that postinsts give (`chown`, `dpkg-statoverride`,
//! `setcap`), because the user is not there when the package is unpacked, and those of the
//! recipe's `attributes:`, which win.
//!
//! Only files of packages: those of overlays have their own attributes. What postinsts do
//! below /var is for tmpfiles.d and `StateDirectory=`.

use formats::tree::{Kind, Origin, TreePath};

use super::edit::Edit;
use super::{Context, Error};
use crate::accounts::Unknown;
use crate::capabilities::{self, Capabilities};
use crate::recipe::glob::Glob;
use crate::unpack::attributes::Chosen;

/// What a package's postinst makes of files.
struct Override {
    /// Whose postinst.
    package: &'static str,
    /// A pattern.
    paths: &'static str,
    user: &'static str,
    group: &'static str,
    /// `None`: as it is shipped.
    mode: Option<u16>,
    capabilities: Option<&'static str>,
}

const fn owned(
    package: &'static str,
    paths: &'static str,
    user: &'static str,
    group: &'static str,
    mode: u16,
) -> Override {
    Override { package, paths, user, group, mode: Some(mode), capabilities: None }
}

const fn capable(package: &'static str, paths: &'static str, capabilities: &'static str) -> Override {
    let capabilities = Some(capabilities);
    Override { package, paths, user: "root", group: "root", mode: None, capabilities }
}

/// Read from the postinsts of Debian 12. Ceph, keepalived, nfs-common, podman and slurm
/// give away nothing but directories of /var; uidmap ships its set-id bits.
const OVERRIDES: &[Override] = &[
    owned("cron", "usr/bin/crontab", "root", "crontab", 0o2755),
    owned("dbus", "usr/lib/dbus-1.0/dbus-daemon-launch-helper", "root", "messagebus", 0o4754),
    capable("fping", "usr/bin/fping", "cap_net_raw=ep"),
    owned("frr", "etc/frr", "frr", "frr", 0o750),
    owned("frr", "etc/frr/*", "frr", "frr", 0o640),
    capable("iputils-arping", "usr/bin/arping", "cap_net_raw=ep"),
    capable("iputils-ping", "usr/bin/ping", "cap_net_raw=ep"),
    owned("libvirt-daemon-system", "etc/libvirt/qemu.conf", "root", "root", 0o600),
    // The administrators' group may ask the daemon.
    owned("lldpd", "usr/sbin/lldpcli", "_lldpd", "adm", 0o4750),
    owned("mariadb-server", "usr/lib/mysql/plugin/auth_pam_tool_dir", "mysql", "root", 0o700),
    owned("mariadb-server", "usr/lib/mysql/plugin/auth_pam_tool_dir/auth_pam_tool", "root", "root", 0o4755),
    capable("mtr-tiny", "usr/bin/mtr-packet", "cap_net_raw=ep"),
    owned("munge", "etc/munge", "munge", "munge", 0o700),
    // A set-group-id agent cannot be traced.
    owned("openssh-client", "usr/bin/ssh-agent", "root", "_ssh", 0o2755),
    owned("pkexec", "usr/bin/pkexec", "root", "root", 0o4755),
    owned("polkitd", "etc/polkit-1/rules.d", "polkitd", "root", 0o700),
    owned("polkitd", "usr/lib/polkit-1/polkit-agent-helper-1", "root", "root", 0o4755),
    owned("polkitd", "usr/share/polkit-1/rules.d", "polkitd", "root", 0o700),
    owned("ssl-cert", "etc/ssl/private", "root", "ssl-cert", 0o710),
    owned("sudo", "etc/sudoers", "root", "root", 0o440),
    owned("tomcat10", "etc/tomcat10/Catalina", "root", "tomcat", 0o775),
    owned("tomcat10", "etc/tomcat10/policy.d", "root", "tomcat", 0o755),
    owned("tomcat10", "etc/tomcat10/policy.d/*.policy", "root", "tomcat", 0o640),
];

/// Paths that a pattern matches, of nodes that have a mode of their own.
fn matching(edit: &Edit<'_>, pattern: &str) -> Vec<TreePath> {
    let Ok(glob) = Glob::parse(pattern) else { return Vec::new() };
    // A pattern without a wildcard is looked up.
    if !pattern.contains(['*', '?', '[', '{']) {
        let path = edit.path(pattern).ok();
        return path.filter(|path| edit.tree.get(path).is_some()).into_iter().collect();
    }
    let (prefix, _) = pattern.split_once(['*', '?', '[', '{']).unwrap_or((pattern, ""));
    let dir = prefix.rsplit_once('/').map_or("", |(dir, _)| dir);
    let Ok(dir) = edit.path(dir) else { return Vec::new() };
    let all = edit.tree.below(&dir).map(|(path, _)| path);
    all.filter(|path| glob.matches(path.as_bytes())).cloned().collect()
}

/// Files a postinst would change: those of packages, by the table, when the package with the
/// postinst is in the image. Of those that the recipe speaks of it does not.
fn applies(edit: &Edit<'_>, context: &Context<'_>, entry: &Override) -> Vec<TreePath> {
    if !context.scripts.iter().any(|script| script.package == entry.package) {
        return Vec::new();
    }
    let speaks: Vec<Glob> =
        context.recipe.attributes.keys().filter_map(|pattern| Glob::parse(pattern).ok()).collect();
    let mut paths = matching(edit, entry.paths);
    paths.retain(|path| {
        let of_package = edit.tree.get(path).is_some_and(|node| {
            matches!(node.origin, Origin::Package(_) | Origin::Fixup(_))
                && !matches!(node.kind, Kind::Symlink(_))
        });
        of_package && !speaks.iter().any(|glob| glob.matches(path.as_bytes()))
    });
    paths
}

/// Owners of files that the image does not have, each with the file.
pub(super) fn unknown(edit: &Edit<'_>, context: &Context<'_>) -> Vec<(Unknown, String)> {
    let mut unknown = Vec::new();
    for entry in OVERRIDES {
        let who = [context.ids.uid(entry.user).err(), context.ids.gid(entry.group).err()];
        if who.iter().all(Option::is_none) {
            continue;
        }
        if let Some(path) = applies(edit, context, entry).first() {
            let why = format!("/{path} of the package {} belongs to it", entry.package);
            unknown.extend(who.into_iter().flatten().map(|who| (who, why.clone())));
        }
    }
    unknown
}

pub(super) fn run(edit: &mut Edit<'_>, context: &Context<'_>) -> Result<(), Error> {
    for entry in OVERRIDES {
        let capabilities = entry.capabilities.and_then(|text| Capabilities::parse(text).ok());
        for path in applies(edit, context, entry) {
            let no_number = |who| Error::NoNumber(vec![(who, format!("/{path}"))]);
            let owner = (
                context.ids.uid(entry.user).map_err(no_number)?,
                context.ids.gid(entry.group).map_err(no_number)?,
            );
            change(edit, &path, |node| {
                (node.uid, node.gid) = owner;
                node.mode = entry.mode.unwrap_or(node.mode);
                if let Some(capabilities) = capabilities {
                    node.xattrs.insert(capabilities::XATTR.to_vec(), capabilities.to_xattr());
                }
            });
        }
    }
    of_recipe(edit, context)
}

/// `attributes:` of the recipe.
fn of_recipe(edit: &mut Edit<'_>, context: &Context<'_>) -> Result<(), Error> {
    let given = &context.recipe.attributes;
    let mut paths = Vec::new();
    for pattern in given.keys() {
        let mut found = matching(edit, pattern);
        found.retain(|path| {
            edit.tree.get(path).is_some_and(|node| {
                !matches!(node.kind, Kind::Symlink(_)) && !matches!(node.origin, Origin::Overlay(_))
            })
        });
        if found.is_empty() {
            let problem = format!("{pattern:?} matches no file of a package; correct or remove it");
            return Err(Error::Attributes(problem));
        }
        paths.extend(found);
    }
    paths.sort();
    paths.dedup();
    let globs: Vec<(&String, Glob)> =
        given.keys().filter_map(|pattern| Some((pattern, Glob::parse(pattern).ok()?))).collect();
    let matches = |pattern: &str, path: &TreePath| {
        globs.iter().any(|(text, glob)| *text == pattern && glob.matches(path.as_bytes()))
    };
    for path in paths {
        let chosen = Chosen::of(given, &path, &matches).map_err(|found| {
            let (what, first, second) = (found.what, found.first, found.second);
            Error::Attributes(format!("{first:?} and {second:?} give /{path} a different {what}"))
        })?;
        let (user, group) =
            chosen.owner(context.ids).map_err(|who| Error::NoNumber(vec![(who, format!("/{path}"))]))?;
        let is_dir = edit.tree.get(&path).is_some_and(formats::tree::Node::is_dir);
        if is_dir && let Some((_, pattern)) = chosen.capabilities {
            let problem =
                format!("{pattern:?} gives the directory /{path} capabilities; only files have them");
            return Err(Error::Attributes(problem));
        }
        change(edit, &path, |node| {
            node.uid = user.unwrap_or(node.uid);
            node.gid = group.unwrap_or(node.gid);
            node.mode = chosen.mode.map_or(node.mode, |(mode, _)| mode);
            chosen.set_capabilities(node);
        });
    }
    Ok(())
}

/// Changes a node; of a file with several names all of them, since they are one file.
fn change(edit: &mut Edit<'_>, path: &TreePath, change: impl Fn(&mut formats::tree::Node)) {
    let first = match edit.tree.get(path).map(|node| &node.kind) {
        Some(Kind::Hardlink(first)) => first.clone(),
        Some(_) => path.clone(),
        None => return,
    };
    for (at, node) in edit.tree.iter_mut() {
        if *at == first || matches!(&node.kind, Kind::Hardlink(to) if *to == first) {
            change(node);
        }
    }
    edit.count(1);
}

#[cfg(test)]
mod tests {
    use formats::tree::Node;

    use super::super::testing::{Fixture, user};
    use super::*;
    use crate::recipe::model::{Attributes, Group};

    fn attributes(mode: Option<u16>, user: Option<&str>, capabilities: Option<&str>) -> Attributes {
        Attributes {
            mode,
            user: user.map(Into::into),
            group: None,
            capabilities: capabilities.map(|text| Capabilities::parse(text).unwrap()),
        }
    }

    #[test]
    fn files_that_are_there_get_what_their_postinst_gives() {
        let mut f = Fixture::new();
        f.scripts =
            ["cron", "frr", "iputils-ping", "lldpd"].map(|name| (name.to_owned(), String::new())).into();
        f.recipe.users = vec![user("_lldpd", 991, None), user("frr", 900, None)];
        for file in ["usr/sbin/lldpcli", "usr/bin/ping", "etc/frr/daemons"] {
            f.file(file, "");
        }
        f.put("etc/frr/site.conf", Node::file(*b"", 0o600, Origin::Overlay("site".into())));
        assert_eq!(f.run(run).unwrap(), 3 + 1, "and the directory");
        let node = |f: &Fixture, path: &str| {
            let node = f.node(path);
            (node.uid, node.gid, node.mode)
        };
        assert_eq!(node(&f, "usr/sbin/lldpcli"), (991, 4, 0o4750));
        assert_eq!(node(&f, "etc/frr"), (900, 900, 0o750));
        assert_eq!(node(&f, "etc/frr/daemons"), (900, 900, 0o640));
        assert_eq!(node(&f, "etc/frr/site.conf"), (0, 0, 0o600), "an overlay's");
        let capability = &f.node("usr/bin/ping").xattrs[capabilities::XATTR];
        assert_eq!(capability.len(), 20);

        let mut f = Fixture::new();
        f.scripts =
            ["cron", "frr", "iputils-ping", "lldpd"].map(|name| (name.to_owned(), String::new())).into();
        f.file("usr/bin/crontab", "");
        let error = f.run(run).unwrap_err().to_string();
        assert!(error.contains("group crontab: /usr/bin/crontab"), "{error}");
        f.recipe.groups = vec![Group { name: "crontab".into(), gid: 950 }];
        f.run(run).unwrap();
        assert_eq!(node(&f, "usr/bin/crontab"), (0, 950, 0o2755));
    }

    #[test]
    fn the_recipe_has_the_last_word_on_all_names_of_a_file() {
        let mut f = Fixture::new();
        f.scripts =
            ["cron", "frr", "iputils-ping", "lldpd"].map(|name| (name.to_owned(), String::new())).into();
        f.file("usr/bin/crontab", "");
        f.file("usr/bin/tool", "");
        let link = Kind::Hardlink(TreePath::parse(b"usr/bin/tool").unwrap());
        f.put("usr/bin/other-name", Node::new(link, 0o644, Origin::Package("test".into())));
        let give = |f: &mut Fixture, pattern: &str, given| f.recipe.attributes.insert(pattern.into(), given);
        give(&mut f, "usr/bin/crontab", attributes(Some(0o755), None, None));
        give(&mut f, "usr/bin/other-*", attributes(Some(0o750), Some("nobody"), Some("cap_net_raw=ep")));
        f.run(run).unwrap();
        assert_eq!(f.node("usr/bin/crontab").mode, 0o755, "no group crontab is wanted");
        for name in ["usr/bin/tool", "usr/bin/other-name"] {
            let node = f.node(name);
            assert_eq!((node.uid, node.mode, node.xattrs.len()), (65534, 0o750, 1), "{name}");
        }
        for (pattern, given, says) in [
            ("usr/bin/none", attributes(Some(0o755), None, None), "matches no file"),
            ("usr/*", attributes(None, None, Some("cap_chown=p")), "only files have them"),
            ("usr/bin/tool", attributes(None, Some("mysql"), None), "user mysql"),
            ("usr/bin/to*", attributes(Some(0o711), None, None), "a different mode"),
        ] {
            let before = f.recipe.attributes.clone();
            give(&mut f, "usr/bin/tool", attributes(Some(0o700), None, None));
            give(&mut f, pattern, given);
            let error = f.run(run).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            f.recipe.attributes = before;
        }
    }
}
