//! The users and groups of an image: names to numbers, before anything is unpacked.

use std::collections::BTreeMap;

use crate::recipe::Recipe;

/// A line of passwd(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// User number.
    pub uid: u32,
    /// Number of the primary group.
    pub gid: u32,
    /// Comment.
    pub gecos: String,
    /// Home directory.
    pub home: String,
    /// Shell.
    pub shell: String,
}

/// All users and groups of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// By name.
    pub users: BTreeMap<String, Account>,
    /// Name → number.
    pub groups: BTreeMap<String, u32>,
}

/// Where base-passwd keeps Debian's own users and groups.
pub const MASTERS: [&str; 2] = ["usr/share/base-passwd/passwd.master", "usr/share/base-passwd/group.master"];

/// Why there is no [`Ids`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdsError {
    /// A line of base-passwd's files is not one of passwd(5) or group(5).
    #[error("{file} line {line}: not a line of {file}: {text:?}")]
    Line {
        /// `passwd.master` or `group.master`.
        file: &'static str,
        /// Counted from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// A name is given twice.
    #[error("the {what} {name} is there already; remove it from the recipe's `users:` or `groups:`")]
    Name {
        /// `user` or `group`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A number is given twice.
    #[error("the {what} {name} has number {id}, which {other} has already; choose another in the recipe")]
    Number {
        /// `user` or `group`.
        what: &'static str,
        /// The later name.
        name: String,
        /// The earlier name.
        other: String,
        /// The number.
        id: u32,
    },
    /// A user's primary group is not there.
    #[error("the user {user} has the group {group}, which is not there; add it to the recipe's `groups:`")]
    NoGroup {
        /// The user.
        user: String,
        /// Its group.
        group: String,
    },
    /// A field would break the colon-separated files.
    #[error("the user or group {name:?} has a colon or a line break in one of its fields")]
    Field {
        /// The name.
        name: String,
    },
}

impl Ids {
    /// Number of a user.
    pub fn uid(&self, user: &str) -> Option<u32> {
        self.users.get(user).map(|a| a.uid)
    }

    /// Number of a group.
    pub fn gid(&self, group: &str) -> Option<u32> {
        self.groups.get(group).copied()
    }

    fn add_group(&mut self, name: &str, gid: u32) -> Result<(), IdsError> {
        plain(name, &[])?;
        if let Some((other, _)) = self.groups.iter().find(|(_, id)| **id == gid) {
            let (name, other) = (name.to_owned(), other.clone());
            return Err(IdsError::Number { what: "group", name, other, id: gid });
        }
        match self.groups.insert(name.to_owned(), gid) {
            None => Ok(()),
            Some(_) => Err(IdsError::Name { what: "group", name: name.to_owned() }),
        }
    }

    fn add_user(&mut self, name: &str, account: Account) -> Result<(), IdsError> {
        plain(name, &[&account.gecos, &account.home, &account.shell])?;
        if let Some((other, _)) = self.users.iter().find(|(_, a)| a.uid == account.uid) {
            let (name, other, id) = (name.to_owned(), other.clone(), account.uid);
            return Err(IdsError::Number { what: "user", name, other, id });
        }
        match self.users.insert(name.to_owned(), account) {
            None => Ok(()),
            Some(_) => Err(IdsError::Name { what: "user", name: name.to_owned() }),
        }
    }
}

fn plain(name: &str, fields: &[&str]) -> Result<(), IdsError> {
    let bad = |s: &str| s.contains([':', '\n']);
    if name.is_empty() || bad(name) || fields.iter().any(|f| bad(f)) {
        return Err(IdsError::Field { name: name.to_owned() });
    }
    Ok(())
}

/// The users and groups of Debian's base-passwd and of the recipe. The first two
/// arguments are the bytes of the files in [`MASTERS`].
///
/// # Errors
/// When a line cannot be read, or a name or number is given twice.
pub fn ids(passwd_master: &[u8], group_master: &[u8], recipe: &Recipe) -> Result<Ids, IdsError> {
    let mut ids = Ids::default();
    for (line, text, fields) in lines(group_master) {
        let [name, _, gid, _] = fields[..] else { return Err(bad_line("group.master", line, text)) };
        let gid = gid.parse().map_err(|_| bad_line("group.master", line, text))?;
        ids.add_group(name, gid)?;
    }
    for (line, text, fields) in lines(passwd_master) {
        let bad = || bad_line("passwd.master", line, text);
        let [name, _, uid, gid, gecos, home, shell] = fields[..] else { return Err(bad()) };
        let (uid, gid) = (uid.parse().map_err(|_| bad())?, gid.parse().map_err(|_| bad())?);
        let [gecos, home, shell] = [gecos, home, shell].map(str::to_owned);
        ids.add_user(name, Account { uid, gid, gecos, home, shell })?;
    }
    for group in &recipe.groups {
        ids.add_group(&group.name, group.gid)?;
    }
    for user in recipe.users.iter().filter(|u| u.group.is_none()) {
        ids.add_group(&user.name, user.uid)?;
    }
    for user in &recipe.users {
        let group = user.group.as_ref().unwrap_or(&user.name);
        let gid = ids
            .gid(group)
            .ok_or_else(|| IdsError::NoGroup { user: user.name.clone(), group: group.clone() })?;
        let (gecos, home, shell) = (user.gecos.clone(), user.home.clone(), user.shell.clone());
        ids.add_user(&user.name, Account { uid: user.uid, gid, gecos, home, shell })?;
    }
    Ok(ids)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &str, Vec<&str>)> {
    // Bytes that are not UTF-8 make a line without fields, which is refused.
    let text = bytes.split(|b| *b == b'\n').map(|l| std::str::from_utf8(l).unwrap_or("?"));
    text.enumerate().filter(|(_, l)| !l.is_empty()).map(|(n, l)| (n + 1, l, l.split(':').collect()))
}

fn bad_line(file: &'static str, line: usize, text: &str) -> IdsError {
    IdsError::Line { file, line, text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{GROUP_MASTER, PASSWD_MASTER, recipe, user};
    use super::*;

    #[test]
    fn recipe_users_get_a_group_of_their_own_or_the_one_they_name() {
        let mut recipe = recipe();
        recipe.users = vec![user("sshd", 995, Some("nogroup")), user("messagebus", 996, None)];
        let ids = ids(PASSWD_MASTER, GROUP_MASTER, &recipe).unwrap();
        assert_eq!((ids.uid("sshd"), ids.gid("sshd")), (Some(995), None));
        assert_eq!(ids.users["sshd"].gid, 65534);
        assert_eq!((ids.uid("messagebus"), ids.gid("messagebus")), (Some(996), Some(996)));
        assert_eq!(ids.gid("shadow"), Some(42));
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        let with = |users| {
            let mut recipe = recipe();
            recipe.users = users;
            ids(PASSWD_MASTER, GROUP_MASTER, &recipe).unwrap_err()
        };
        assert!(matches!(
            with(vec![user("root", 900, Some("nogroup"))]),
            IdsError::Name { what: "user", .. }
        ));
        assert!(matches!(with(vec![user("x", 42, None)]), IdsError::Number { what: "group", id: 42, .. }));
        assert!(matches!(with(vec![user("x", 900, Some("no"))]), IdsError::NoGroup { .. }));
        assert!(matches!(with(vec![user("a:b", 900, None)]), IdsError::Field { .. }));
        let bad = ids(b"root:*:0:0\n", GROUP_MASTER, &recipe()).unwrap_err();
        assert!(matches!(bad, IdsError::Line { file: "passwd.master", line: 1, .. }), "{bad}");
    }
}
