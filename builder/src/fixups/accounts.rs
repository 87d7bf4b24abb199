//! `/etc/passwd`, `group`, `shadow` and `gshadow`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::edit::Edit;
use super::{Context, Error};
use crate::accounts::Unknown;

/// Where systemd-sysusers would learn what to create at boot.
const SYSUSERS: &str = "usr/lib/sysusers.d";

pub(super) fn run(edit: &mut Edit<'_>, context: &Context<'_>) -> Result<(), Error> {
    let mut unknown = of_sysusers(edit, context)?;
    unknown.extend(super::owners::unknown(edit, context));
    unknown.extend(super::units::unknown(edit, context)?);
    unknown.sort_by_cached_key(|(who, _)| (who.what, who.name.clone()));
    unknown.dedup_by(|(a, _), (b, _)| a == b);
    if !unknown.is_empty() {
        return Err(Error::NoNumber(unknown));
    }
    let ids = context.ids;
    let (mut passwd, mut shadow) = (String::new(), String::new());
    let mut users: Vec<_> = ids.users.iter().collect();
    users.sort_by_key(|(_, a)| a.uid);
    for (name, a) in users {
        // Writing to a String cannot fail.
        let _ = writeln!(passwd, "{name}:x:{}:{}:{}:{}:{}", a.uid, a.gid, a.gecos, a.home, a.shell);
        // `*`: no password matches. The day of the last change stays empty, so
        // that nothing ever expires and no date gets into the image.
        let _ = writeln!(shadow, "{name}:*::0:99999:7:::");
    }
    let (mut group, mut gshadow) = (String::new(), String::new());
    let members = members(context);
    let mut groups: Vec<_> = ids.groups.iter().collect();
    groups.sort_by_key(|(_, gid)| **gid);
    for (name, gid) in groups {
        let mut in_it = members.get(name.as_str()).cloned().unwrap_or_default();
        in_it.extend(ids.members.get(name).into_iter().flatten().map(String::as_str));
        let in_it = in_it.into_iter().collect::<Vec<_>>().join(",");
        let _ = writeln!(group, "{name}:x:{gid}:{in_it}");
        let _ = writeln!(gshadow, "{name}:*::{in_it}");
    }
    edit.write("etc/passwd", passwd, 0o644)?;
    edit.write("etc/group", group, 0o644)?;
    let shadow_group =
        ids.gid("shadow").map_err(|_| edit.unexpected("etc/shadow", "there is no group shadow"))?;
    for (path, text) in [("etc/shadow", shadow), ("etc/gshadow", gshadow)] {
        edit.write(path, text, 0o640)?;
        let path = edit.path(path)?;
        if let Some(node) = edit.tree.get_mut(&path) {
            node.gid = shadow_group;
        }
    }
    Ok(())
}

/// `adduser USER GROUP` of postinsts on a first installation, as the packages of Debian 12
/// have it: package, user, group.
const MEMBERS: &[(&str, &str, &str)] = &[
    ("frr", "frr", "frrvty"),
    ("libvirt-daemon-system", "libvirt-qemu", "kvm"),
    ("postgresql-common", "postgres", "ssl-cert"),
];

/// What postinsts of the image's packages make members of groups. They do so only where
/// user and group are there.
fn members<'c>(context: &Context<'c>) -> BTreeMap<&'c str, BTreeSet<&'c str>> {
    let mut members: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let ids = context.ids;
    for (package, user, group) in MEMBERS {
        if context.scripts.iter().any(|script| script.package == *package)
            && let (Ok(_), Ok(gid)) = (ids.uid(user), ids.gid(group))
            && ids.users.get(*user).is_some_and(|account| account.gid != gid)
        {
            members.entry(group).or_default().insert(user);
        }
    }
    members
}

/// systemd-sysusers must find nothing to do: a user it made at boot would get a
/// number that differs from sled to sled.
fn of_sysusers(edit: &Edit<'_>, context: &Context<'_>) -> Result<Vec<(Unknown, String)>, Error> {
    let mut unknown = Vec::new();
    let ids = context.ids;
    for file in edit.names(SYSUSERS, ".conf")? {
        let path = format!("{SYSUSERS}/{file}");
        let tree_path = edit.path(&path)?;
        let by = edit.tree.get(&tree_path).map(|node| node.origin.to_string()).unwrap_or_default();
        for line in edit.read_text(&path)?.unwrap_or_default().lines() {
            let mut words = line.split_whitespace();
            let (kind, Some(name)) = (words.next().unwrap_or_default(), words.next()) else { continue };
            let name = name.trim_matches(['"', '\'']);
            let why = format!("/{path} of {by}");
            match kind.trim_end_matches('!') {
                "u" => unknown.extend(ids.uid(name).err().map(|who| (who, why))),
                "g" => unknown.extend(ids.gid(name).err().map(|who| (who, why))),
                "m" => {
                    unknown.extend(ids.uid(name).err().map(|who| (who, why.clone())));
                    let Some(group) = words.next() else { continue };
                    unknown.extend(ids.gid(group).err().map(|who| (who, why.clone())));
                    let primary = ids.users.get(name).map(|account| account.gid);
                    let gid = ids.groups.get(group).copied();
                    let member = ids.members.get(group).is_some_and(|all| all.contains(name));
                    if let (Some(primary), Some(gid)) = (primary, gid)
                        && primary != gid
                        && !member
                    {
                        let problem = format!(
                            "of {by} wants {name} in the group {group}; \
                             write `groups: [{group}]` for it in the recipe's `users:`"
                        );
                        return Err(edit.unexpected(&path, problem));
                    }
                }
                _ => {}
            }
        }
    }
    Ok(unknown)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, text, user};
    use super::*;

    #[test]
    fn files_are_sorted_by_number_and_shadow_is_for_its_group_only() {
        let mut f = Fixture::new();
        f.recipe.users = vec![user("messagebus", 996, None)];
        f.run(run).unwrap();
        assert_eq!(
            text(&f.tree, "etc/passwd"),
            "root:x:0:0:root:/root:/bin/bash\n\
             messagebus:x:996:996::/nonexistent:/usr/sbin/nologin\n\
             nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        );
        assert!(text(&f.tree, "etc/group").contains("shadow:x:42:\nmessagebus:x:996:\n"));
        assert!(text(&f.tree, "etc/shadow").starts_with("root:*::0:99999:7:::\n"));
        let shadow = f.node("etc/shadow");
        assert_eq!((shadow.mode, shadow.uid, shadow.gid), (0o640, 0, 42));
    }

    #[test]
    fn a_user_sysusers_would_make_at_boot_is_an_error_now() {
        let mut f = Fixture::new();
        f.file("usr/lib/sysusers.d/x.conf", "# c\ng shadow 42 -\nu surprise - \"S\"\n");
        f.file("usr/lib/sysusers.d/y.conf", "u! second -\ng \"third\" -\nm surprise fourth\n");
        f.file("usr/bin/crontab", "");
        f.scripts = vec![("cron".into(), String::new())];
        f.file("usr/lib/systemd/system/munge.service", "[Service]\nUser=munge\n");
        f.recipe.enable.insert("munge.service".into(), Vec::new());
        let all = f.run(run).unwrap_err().to_string();
        for one in [
            "user surprise: /usr/lib/sysusers.d/x.conf of package test",
            "user second",
            "group third",
            "group fourth",
            "group crontab: /usr/bin/crontab",
            "user munge: munge.service",
        ] {
            assert!(all.contains(one), "{one} in {all}");
        }
        assert_eq!(all.lines().count(), 7, "{all}");
    }

    #[test]
    fn members_of_groups_are_the_recipes_and_those_postinsts_make() {
        let mut f = Fixture::new();
        let frr = user("frr", 900, None);
        f.recipe.users = vec![crate::recipe::model::User { groups: vec!["adm".into()], ..frr }];
        f.recipe.groups = vec![crate::recipe::model::Group { name: "frrvty".into(), gid: 901 }];
        f.run(run).unwrap();
        assert!(text(&f.tree, "etc/group").contains("adm:x:4:frr\n"));
        assert!(text(&f.tree, "etc/group").contains("frrvty:x:901:\n"));
        f.scripts = vec![("frr".into(), String::new())];
        f.run(run).unwrap();
        assert!(text(&f.tree, "etc/group").contains("frrvty:x:901:frr\n"));
        assert!(text(&f.tree, "etc/gshadow").contains("frrvty:*::frr\n"));
        // Who is not in a group that sysusers.d wants is named.
        f.file("usr/lib/sysusers.d/x.conf", "m frr shadow\n");
        let error = f.run(run).unwrap_err().to_string();
        assert!(error.contains("groups: [shadow]"), "{error}");
    }
}
