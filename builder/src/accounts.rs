//! The users and groups of an image: names to numbers, before anything is unpacked.
//!
//! Debian's static ones are in base-passwd's master files, which have the forms of
//! passwd(5) and group(5); the recipe adds its own. Archive members get their
//! owners from here by name, and the image its `/etc/passwd` and `/etc/group`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use formats::tree::TreePath;

use crate::recipe::model::{Group, User};
use crate::unpack::Package;
use crate::unpack::entry::Owner;

const PASSWD: &str = "usr/share/base-passwd/passwd.master";
const GROUP: &str = "usr/share/base-passwd/group.master";

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

/// All users and groups of an image. Names and numbers are distinct.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// By name.
    pub users: BTreeMap<String, Account>,
    /// Name → number.
    pub groups: BTreeMap<String, u32>,
    /// Group → users that are in it besides those whose primary group it is.
    pub members: BTreeMap<String, BTreeSet<String>>,
}

/// Why the users and groups of an image are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// base-passwd is not among the packages, or lacks its files.
    #[error(
        "cannot tell the numbers of Debian's users and groups: no package has the file /{0}; \
         add base-passwd to `packages:`"
    )]
    NoMaster(&'static str),
    /// A file of base-passwd cannot be read.
    #[error("cannot read /{file} of the package base-passwd")]
    Unreadable {
        /// The file.
        file: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A line of base-passwd's files is not one of passwd(5) or group(5).
    #[error("/{file} line {line}: {text:?} does not have the fields it should; base-passwd is damaged")]
    Line {
        /// The file.
        file: &'static str,
        /// Counted from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// A name is given twice.
    #[error("there are two {what}s {name}; remove the one in the recipe's `{what}s:`")]
    Name {
        /// `user` or `group`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A number is given twice.
    #[error("the {what} {name} has the number {id}, which {other} has already; choose another in the recipe")]
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
    #[error(
        "the user {user} is to be in the group {group}, which does not exist; add it to the recipe's `groups:`"
    )]
    NoGroup {
        /// The user.
        user: String,
        /// Its group.
        group: String,
    },
    /// A field would break the colon-separated files.
    #[error("the user or group {name:?} has a colon or a line break in one of its fields; remove it")]
    Field {
        /// The name.
        name: String,
    },
}

/// A user or group the image does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} {name} does not exist in the image; add it to the recipe's `{what}s:`")]
pub struct Unknown {
    /// `user` or `group`.
    pub what: &'static str,
    /// Its name.
    pub name: String,
}

impl Ids {
    /// Debian's static users and groups, as the package base-passwd lists them,
    /// and those of the recipe.
    ///
    /// # Errors
    /// When base-passwd is not among the packages, or two have a name or number.
    pub fn of(packages: &[Package], users: &[User], groups: &[Group]) -> Result<Self, Error> {
        Self::from_masters(&master(packages, PASSWD)?, &master(packages, GROUP)?)?.with(users, groups)
    }

    /// The users and groups of files in the form of passwd(5) and group(5).
    ///
    /// # Errors
    /// When a line cannot be read, or a name or number is given twice.
    pub fn from_masters(passwd: &str, group: &str) -> Result<Self, Error> {
        let mut ids = Self::default();
        for (line, text, fields) in lines(group) {
            let bad = || Error::Line { file: GROUP, line, text: text.to_owned() };
            let [name, _, gid, _] = fields[..] else { return Err(bad()) };
            ids.add_group(name, gid.parse().map_err(|_| bad())?)?;
        }
        for (line, text, fields) in lines(passwd) {
            let bad = || Error::Line { file: PASSWD, line, text: text.to_owned() };
            let [name, _, uid, gid, gecos, home, shell] = fields[..] else { return Err(bad()) };
            let (uid, gid) = (uid.parse().map_err(|_| bad())?, gid.parse().map_err(|_| bad())?);
            let [gecos, home, shell] = [gecos, home, shell].map(str::to_owned);
            ids.add_user(name, Account { uid, gid, gecos, home, shell })?;
        }
        Ok(ids)
    }

    /// These and the recipe's. A user who names no group gets one of the same
    /// name and number.
    ///
    /// # Errors
    /// When a name or number is given twice, or a user's group is not there.
    pub fn with(mut self, users: &[User], groups: &[Group]) -> Result<Self, Error> {
        for group in groups {
            self.add_group(&group.name, group.gid)?;
        }
        for user in users.iter().filter(|user| user.group.is_none()) {
            self.add_group(&user.name, user.uid)?;
        }
        for user in users {
            let group = user.group.as_ref().unwrap_or(&user.name);
            let missing = || Error::NoGroup { user: user.name.clone(), group: group.clone() };
            let gid = self.groups.get(group).copied().ok_or_else(missing)?;
            let (gecos, home, shell) = (user.gecos.clone(), user.home.clone(), user.shell.clone());
            self.add_user(&user.name, Account { uid: user.uid, gid, gecos, home, shell })?;
            for group in &user.groups {
                if !self.groups.contains_key(group) {
                    return Err(Error::NoGroup { user: user.name.clone(), group: group.clone() });
                }
                self.members.entry(group.clone()).or_default().insert(user.name.clone());
            }
        }
        Ok(self)
    }

    /// Number of a user.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn uid(&self, user: &str) -> Result<u32, Unknown> {
        let found = self.users.get(user).map(|account| account.uid);
        found.ok_or_else(|| Unknown { what: "user", name: user.to_owned() })
    }

    /// Number of a group.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn gid(&self, group: &str) -> Result<u32, Unknown> {
        let found = self.groups.get(group).copied();
        found.ok_or_else(|| Unknown { what: "group", name: group.to_owned() })
    }

    /// The numbers of an archive member's user and group. The name counts; a
    /// member without names keeps its numbers.
    ///
    /// # Errors
    /// With the one that is not known.
    pub fn resolve(&self, user: &Owner, group: &Owner) -> Result<(u32, u32), Unknown> {
        let uid = if user.name.is_empty() { user.id } else { self.uid(&user.name)? };
        let gid = if group.name.is_empty() { group.id } else { self.gid(&group.name)? };
        Ok((uid, gid))
    }

    fn add_group(&mut self, name: &str, gid: u32) -> Result<(), Error> {
        plain(name, &[])?;
        if self.groups.contains_key(name) {
            return Err(Error::Name { what: "group", name: name.to_owned() });
        }
        if let Some((other, _)) = self.groups.iter().find(|(_, id)| **id == gid) {
            let (name, other) = (name.to_owned(), other.clone());
            return Err(Error::Number { what: "group", name, other, id: gid });
        }
        self.groups.insert(name.to_owned(), gid);
        Ok(())
    }

    fn add_user(&mut self, name: &str, account: Account) -> Result<(), Error> {
        plain(name, &[&account.gecos, &account.home, &account.shell])?;
        if self.users.contains_key(name) {
            return Err(Error::Name { what: "user", name: name.to_owned() });
        }
        if let Some((other, _)) = self.users.iter().find(|(_, a)| a.uid == account.uid) {
            let (name, other, id) = (name.to_owned(), other.clone(), account.uid);
            return Err(Error::Number { what: "user", name, other, id });
        }
        self.users.insert(name.to_owned(), account);
        Ok(())
    }
}

fn master(packages: &[Package], file: &'static str) -> Result<String, Error> {
    let path = TreePath::parse(file.as_bytes()).map_err(|_| Error::NoMaster(file))?;
    let from = packages.iter().find(|p| &*p.name == "base-passwd").ok_or(Error::NoMaster(file))?;
    let content = from.archive.file(&path).ok_or(Error::NoMaster(file))?;
    let unreadable = |source| Error::Unreadable { file, source };
    let bytes = content.to_vec().map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|e| unreadable(io::Error::new(io::ErrorKind::InvalidData, e)))
}

fn plain(name: &str, fields: &[&str]) -> Result<(), Error> {
    let bad = |s: &str| s.contains([':', '\n']);
    if name.is_empty() || bad(name) || fields.iter().any(|f| bad(f)) {
        return Err(Error::Field { name: name.to_owned() });
    }
    Ok(())
}

/// Line number, line and fields.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str, Vec<&str>)> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty());
    lines.map(|(n, line)| (n, line, line.split(':').collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
    const GROUP: &str = "root:*:0:\nshadow:*:42:\nnogroup:*:65534:\n";

    fn user(name: &str, uid: u32, group: Option<&str>) -> User {
        User {
            name: name.into(),
            uid,
            group: group.map(Into::into),
            groups: Vec::new(),
            home: "/nonexistent".into(),
            shell: "/usr/sbin/nologin".into(),
            gecos: String::new(),
        }
    }

    fn with(users: &[User]) -> Result<Ids, Error> {
        Ids::from_masters(PASSWD, GROUP).unwrap().with(users, &[])
    }

    #[test]
    fn recipe_users_get_a_group_of_their_own_or_the_one_they_name() {
        let ids = with(&[user("sshd", 995, Some("nogroup")), user("messagebus", 996, None)]).unwrap();
        assert_eq!((ids.uid("sshd"), ids.users["sshd"].gid), (Ok(995), 65534));
        assert_eq!(
            ids.gid("sshd").unwrap_err().to_string(),
            "the group sshd does not exist in the image; add it to the recipe's `groups:`"
        );
        assert_eq!((ids.uid("messagebus"), ids.gid("messagebus")), (Ok(996), Ok(996)));
        assert_eq!(ids.gid("shadow"), Ok(42));
    }

    #[test]
    fn users_are_members_of_groups_that_exist() {
        let member = |groups: &[&str]| User {
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..user("web", 900, None)
        };
        let ids = with(&[member(&["shadow", "web"])]).unwrap();
        assert_eq!(ids.members["shadow"], BTreeSet::from(["web".to_owned()]));
        assert!(matches!(with(&[member(&["no"])]).unwrap_err(), Error::NoGroup { .. }));
    }

    #[test]
    fn names_win_over_numbers() {
        let ids = with(&[]).unwrap();
        let owner = |name: &str, id| Owner { name: name.into(), id };
        assert_eq!(ids.resolve(&owner("root", 7), &owner("shadow", 999)), Ok((0, 42)));
        assert_eq!(ids.resolve(&owner("", 7), &owner("", 9)), Ok((7, 9)));
        let unknown = ids.resolve(&owner("root", 0), &owner("docker", 0)).unwrap_err();
        assert_eq!((unknown.what, unknown.name.as_str()), ("group", "docker"));
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        let wrong = |user| with(&[user]).unwrap_err();
        assert!(matches!(wrong(user("root", 900, Some("nogroup"))), Error::Name { what: "user", .. }));
        assert!(matches!(wrong(user("x", 42, None)), Error::Number { what: "group", id: 42, .. }));
        assert!(matches!(wrong(user("x", 900, Some("no"))), Error::NoGroup { .. }));
        assert!(matches!(wrong(user("a:b", 900, None)), Error::Field { .. }));
        let short = Ids::from_masters("\nroot:*:0:0\n", GROUP).unwrap_err();
        assert!(matches!(short, Error::Line { file: super::PASSWD, line: 2, .. }), "{short}");
        let word = Ids::from_masters(PASSWD, "root:*:zero:\n").unwrap_err();
        assert!(matches!(word, Error::Line { file: super::GROUP, line: 1, .. }), "{word}");
    }
}
