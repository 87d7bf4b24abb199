//! The users and groups of an image by name.

use std::collections::BTreeMap;

use formats::tree::TreePath;

use super::Package;
use super::entry::Owner;
use crate::recipe::model;

/// User and group numbers by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    users: BTreeMap<String, u32>,
    groups: BTreeMap<String, u32>,
}

/// Why the users and groups of an image are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// base-passwd is not among the packages, or lacks its files.
    #[error(
        "cannot tell the numbers of Debian's users and groups: no package has the file /{0}; add base-passwd"
    )]
    NoMaster(&'static str),
    /// A file of base-passwd cannot be read.
    #[error("cannot read /{file} of the package base-passwd")]
    Unreadable {
        /// The file.
        file: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line is not in the form of passwd(5) or group(5).
    #[error("line {line} of {file} is not in the form name:password:number:…")]
    Line {
        /// The file.
        file: &'static str,
        /// The line, from 1.
        line: usize,
    },
    /// A name with two numbers.
    #[error("the {what} {name} has two numbers, {first} and {second}; change the recipe's")]
    Twice {
        /// `user` or `group`.
        what: &'static str,
        /// Its name.
        name: String,
        /// The number known first.
        first: u32,
        /// The other number.
        second: u32,
    },
    /// A user's primary group does not exist.
    #[error(
        "the user {user} is to be in the group {group}, which does not exist; add it to the recipe's groups"
    )]
    NoGroup {
        /// The user.
        user: String,
        /// The group.
        group: String,
    },
}

const PASSWD: &str = "usr/share/base-passwd/passwd.master";
const GROUP: &str = "usr/share/base-passwd/group.master";

impl Ids {
    /// Debian's static users and groups, as the package base-passwd lists them,
    /// and those of the recipe.
    ///
    /// # Errors
    /// When base-passwd is not among the packages, or a name has two numbers.
    pub fn of(packages: &[Package], users: &[model::User], groups: &[model::Group]) -> Result<Self, Error> {
        let mut ids = Self::from_masters(&master(packages, PASSWD)?, &master(packages, GROUP)?)?;
        for group in groups {
            add("group", &mut ids.groups, &group.name, group.gid)?;
        }
        for user in users {
            add("user", &mut ids.users, &user.name, user.uid)?;
            if user.group.is_none() {
                add("group", &mut ids.groups, &user.name, user.uid)?;
            }
        }
        for user in users {
            if let Some(group) = user.group.as_ref().filter(|g| !ids.groups.contains_key(*g)) {
                return Err(Error::NoGroup { user: user.name.clone(), group: group.clone() });
            }
        }
        Ok(ids)
    }

    /// The users and groups of files in the form of passwd(5) and group(5).
    ///
    /// # Errors
    /// When a line is damaged or a name has two numbers.
    pub fn from_masters(passwd: &str, group: &str) -> Result<Self, Error> {
        Ok(Self { users: table("user", PASSWD, passwd)?, groups: table("group", GROUP, group)? })
    }

    /// The number of a user.
    pub fn user(&self, name: &str) -> Option<u32> {
        self.users.get(name).copied()
    }

    /// The number of a group.
    pub fn group(&self, name: &str) -> Option<u32> {
        self.groups.get(name).copied()
    }

    /// The numbers of an archive member's user and group.
    ///
    /// # Errors
    /// With what is not known.
    pub(super) fn resolve(&self, user: &Owner, group: &Owner) -> Result<(u32, u32), Unknown> {
        let find = |what, owner: &Owner, known: Option<u32>| match &*owner.name {
            "" => Ok(owner.id),
            name => known.ok_or_else(|| Unknown { what, name: name.to_owned() }),
        };
        Ok((find("user", user, self.user(&user.name))?, find("group", group, self.group(&group.name))?))
    }
}

/// A user or group the image does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} {name} does not exist in the image; add it to the recipe's {what}s")]
pub struct Unknown {
    /// `user` or `group`.
    pub what: &'static str,
    /// Its name.
    pub name: String,
}

pub(crate) fn master(packages: &[Package], file: &'static str) -> Result<String, Error> {
    let path = TreePath::parse(file.as_bytes()).map_err(|_| Error::NoMaster(file))?;
    let from = packages.iter().find(|p| &*p.name == "base-passwd").ok_or(Error::NoMaster(file))?;
    let content = from.archive.file(&path).ok_or(Error::NoMaster(file))?;
    let bytes = content.to_vec().map_err(|source| Error::Unreadable { file, source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn table(what: &'static str, file: &'static str, text: &str) -> Result<BTreeMap<String, u32>, Error> {
    let mut out = BTreeMap::new();
    for (line, text) in (1..).zip(text.lines()).filter(|(_, l)| !l.trim().is_empty()) {
        let mut fields = text.split(':');
        let (Some(name), Some(Ok(number))) = (fields.next(), fields.nth(1).map(str::parse)) else {
            return Err(Error::Line { file, line });
        };
        add(what, &mut out, name, number)?;
    }
    Ok(out)
}

fn add(what: &'static str, to: &mut BTreeMap<String, u32>, name: &str, number: u32) -> Result<(), Error> {
    match to.insert(name.to_owned(), number) {
        Some(first) if first != number => {
            Err(Error::Twice { what, name: name.to_owned(), first, second: number })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_win_over_numbers() {
        let ids = Ids::from_masters("root:*:0:0:::\n", "root:*:0:\nshadow:*:42:\n").unwrap();
        let owner = |name: &str, id| Owner { name: name.into(), id };
        assert_eq!(ids.resolve(&owner("root", 7), &owner("shadow", 999)), Ok((0, 42)));
        assert_eq!(ids.resolve(&owner("", 7), &owner("", 9)), Ok((7, 9)));
        let unknown = ids.resolve(&owner("root", 0), &owner("docker", 0)).unwrap_err();
        assert_eq!((unknown.what, unknown.name.as_str()), ("group", "docker"));
    }

    #[test]
    fn damaged_and_contradicting_lines() {
        assert!(matches!(Ids::from_masters("root:*:0:\nx:*:\n", ""), Err(Error::Line { line: 2, .. })));
        assert!(matches!(Ids::from_masters("", "a:*:1:\na:*:2:\n"), Err(Error::Twice { .. })));
    }
}
