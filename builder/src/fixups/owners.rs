//! Owners, modes and capabilities that postinsts set (`dpkg-statoverride`,
//! `setcap`) because the user is not there when the package is unpacked.

use super::edit::Edit;
use super::{Context, Error};

/// A file and what its package makes of it.
struct Override {
    path: &'static str,
    user: &'static str,
    group: &'static str,
    mode: u16,
}

const OVERRIDES: &[Override] = &[
    // dbus: starts system services for the bus only.
    Override {
        path: "usr/lib/dbus-1.0/dbus-daemon-launch-helper",
        user: "root",
        group: "messagebus",
        mode: 0o4754,
    },
    // openssh-client: a set-group-id agent cannot be traced.
    Override { path: "usr/bin/ssh-agent", user: "root", group: "_ssh", mode: 0o2755 },
    // lldpd: the administrators' group may ask the daemon.
    Override { path: "usr/sbin/lldpcli", user: "_lldpd", group: "adm", mode: 0o4750 },
];

/// `cap_net_raw=ep` in the form of `struct vfs_cap_data` revision 2
/// (linux/capability.h): magic and effective flag, then permitted and
/// inheritable for capabilities 0..31 and 32..63, all little-endian.
const CAP_NET_RAW_EP: [u32; 5] = [0x0200_0001, 1 << 13, 0, 0, 0];

/// iputils-ping: anybody may ping.
const PING: &str = "usr/bin/ping";

pub(super) fn run(edit: &mut Edit<'_>, context: &Context<'_>) -> Result<(), Error> {
    for entry in OVERRIDES {
        let path = edit.path(entry.path)?;
        if edit.tree.get(&path).is_none() {
            continue;
        }
        let (Ok(uid), Ok(gid)) = (context.ids.uid(entry.user), context.ids.gid(entry.group)) else {
            let problem = format!(
                "belongs to {}:{}; add it to the recipe's `users:` or `groups:`",
                entry.user, entry.group
            );
            return Err(edit.unexpected(entry.path, problem));
        };
        if let Some(node) = edit.tree.get_mut(&path) {
            (node.uid, node.gid, node.mode) = (uid, gid, entry.mode);
            edit.count(1);
        }
    }
    let ping = edit.path(PING)?;
    if let Some(node) = edit.tree.get_mut(&ping) {
        let value = CAP_NET_RAW_EP.iter().flat_map(|word| word.to_le_bytes()).collect();
        node.xattrs.insert(b"security.capability".to_vec(), value);
        edit.count(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, user};
    use super::*;

    #[test]
    fn files_that_are_there_get_their_owner() {
        let mut f = Fixture::new();
        f.recipe.users = vec![user("_lldpd", 991, None)];
        f.file("usr/sbin/lldpcli", "");
        f.file("usr/bin/ping", "");
        assert_eq!(f.run(run).unwrap(), 2);
        let node = f.node("usr/sbin/lldpcli");
        assert_eq!((node.uid, node.gid, node.mode), (991, 4, 0o4750));
        let capability = &f.node("usr/bin/ping").xattrs[&b"security.capability".to_vec()];
        assert_eq!(capability.len(), 20);
        assert_eq!(capability[..8], [1, 0, 0, 2, 0, 0x20, 0, 0]);
    }

    #[test]
    fn an_unknown_group_is_named() {
        let mut f = Fixture::new();
        f.file("usr/bin/ssh-agent", "");
        assert!(f.run(run).unwrap_err().to_string().contains("root:_ssh"));
    }
}
