//! `/etc/passwd`, `group`, `shadow` and `gshadow`.

use std::fmt::Write as _;

use super::edit::Edit;
use super::{Context, Error};

/// Where systemd-sysusers would learn what to create at boot.
const SYSUSERS: &str = "usr/lib/sysusers.d";

pub(super) fn run(edit: &mut Edit<'_>, context: &Context<'_>) -> Result<(), Error> {
    everyone_is_known(edit, context)?;
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
    let mut groups: Vec<_> = ids.groups.iter().collect();
    groups.sort_by_key(|(_, gid)| **gid);
    for (name, gid) in groups {
        let _ = writeln!(group, "{name}:x:{gid}:");
        let _ = writeln!(gshadow, "{name}:*::");
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

/// systemd-sysusers must find nothing to do: a user it made at boot would get a
/// number that differs from sled to sled.
fn everyone_is_known(edit: &Edit<'_>, context: &Context<'_>) -> Result<(), Error> {
    for file in edit.names(SYSUSERS, ".conf")? {
        let path = format!("{SYSUSERS}/{file}");
        for line in edit.read_text(&path)?.unwrap_or_default().lines() {
            let mut words = line.split_whitespace();
            let (kind, Some(name)) = (words.next().unwrap_or_default(), words.next()) else { continue };
            let (known, key) = match kind.trim_end_matches('!') {
                "u" => (context.ids.uid(name).is_ok(), "users"),
                "g" => (context.ids.gid(name).is_ok(), "groups"),
                _ => continue,
            };
            if !known {
                let problem =
                    format!("asks for {name:?}, which has no number; add it to the recipe's `{key}:`");
                return Err(edit.unexpected(&path, problem));
            }
        }
    }
    Ok(())
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
        assert!(f.run(run).unwrap_err().to_string().contains("surprise"));
    }
}
