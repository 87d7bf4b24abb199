//! Users and groups: the image's account files with the document's laid over them, the
//! way groupadd(8), useradd(8) and usermod(8) would do it.
//!
//! Not carried out: ageing of passwords (the day of the last change stays empty, so
//! that the same document gives the same file), subordinate ids, /etc/skel.

use super::place::{self, Place};
use super::{Content, Error, File, Image, KEEP, made_of, one_line, system};
use crate::config::{Account, Config};

/// Ranges of new ids: login.defs of Debian.
const NORMAL: (u32, u32) = (1000, 60_000);
const SYSTEM: (u32, u32) = (100, 999);
/// The group `users`, of those without one of their own.
const USERS: u32 = 100;

/// A line, split at its colons.
type Line = Vec<String>;

/// The four account files.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    passwd: Vec<Line>,
    group: Vec<Line>,
    shadow: Vec<Line>,
    gshadow: Vec<Line>,
}

fn lines(text: Option<&String>) -> Vec<Line> {
    let split = |line: &str| line.split(':').map(str::to_owned).collect();
    text.map(|t| t.lines().filter(|l| !l.is_empty()).map(split).collect()).unwrap_or_default()
}

fn find<'l>(lines: &'l mut [Line], name: &str) -> Option<&'l mut Line> {
    lines.iter_mut().find(|line| line.first().is_some_and(|n| n == name))
}

fn id(lines: &[Line], name: &str) -> Option<u32> {
    lines.iter().find(|l| l.first().is_some_and(|n| n == name))?.get(2)?.parse().ok()
}

fn used(lines: &[Line]) -> impl Iterator<Item = u32> {
    lines.iter().filter_map(|line| line.get(2)?.parse().ok())
}

/// The id that useradd(8) would choose: behind the greatest; for the system the greatest
/// that is free.
fn free(lines: &[Line], system: bool) -> Option<u32> {
    let is_free = |id: &u32| !used(lines).any(|u| u == *id);
    if system {
        return (SYSTEM.0..=SYSTEM.1).rev().find(is_free);
    }
    let greatest = used(lines).filter(|id| (NORMAL.0..=NORMAL.1).contains(id)).max();
    let next = greatest.map_or(NORMAL.0, |id| id + 1);
    Some(next).filter(|id| *id <= NORMAL.1).or_else(|| (NORMAL.0..=NORMAL.1).find(is_free))
}

/// A list of members with one more, or without one.
fn member(line: &mut Line, name: &str, is: bool) {
    let Some(members) = line.last_mut() else { return };
    let mut list: Vec<&str> = members.split(',').filter(|m| !m.is_empty() && (*m != name || is)).collect();
    if is && !list.contains(&name) {
        list.push(name);
    }
    *members = list.join(",");
}

fn set(line: &mut Line, column: usize, value: &str) {
    if let Some(field) = line.get_mut(column) {
        value.clone_into(field);
    }
}

impl Accounts {
    /// The image's accounts with the document's, whose files are added to `out`.
    pub(super) fn lay(out: &mut Place, config: &Config, image: &Image) -> Result<Self, Error> {
        let mut all = Self {
            passwd: lines(image.passwd.as_ref()),
            group: lines(image.group.as_ref()),
            shadow: lines(image.shadow.as_ref()),
            gshadow: lines(image.gshadow.as_ref()),
        };
        if config.users.is_empty() && config.groups.is_empty() {
            return Ok(all);
        }
        for (name, group) in &config.groups {
            all.add_group(name, group)?;
        }
        for (name, user) in &config.users {
            all.user(out, config, name, user)?;
        }
        let shadow = id(&all.group, "shadow").unwrap_or(0);
        let files = [
            ("passwd", 0o644, 0, &all.passwd),
            ("group", 0o644, 0, &all.group),
            ("shadow", 0o640, shadow, &all.shadow),
            ("gshadow", 0o640, shadow, &all.gshadow),
        ];
        for (name, mode, gid, lines) in files {
            let mut text = String::new();
            lines.iter().for_each(|line| text.extend([line.join(":").as_str(), "\n"]));
            let path = format!("/etc/{name}");
            out.add("users", File { path, mode, uid: 0, gid, content: Content::Text(text) })?;
        }
        Ok(all)
    }

    /// The number of a user, by number or name.
    pub(super) fn uid(&self, uid: Option<u32>, name: Option<&String>) -> Option<u32> {
        uid.or_else(|| id(&self.passwd, name?))
    }

    /// The number of a group, by number or name.
    pub(super) fn gid(&self, gid: Option<u32>, name: Option<&String>) -> Option<u32> {
        gid.or_else(|| id(&self.group, name?))
    }

    fn add_group(&mut self, name: &str, group: &Account) -> Result<(), Error> {
        let field = format!("groups.{name}");
        is_name(&field, name)?;
        let hash = plain(&field, group.password_hash.as_deref())?.unwrap_or("*");
        if find(&mut self.group, name).is_some() {
            return Err(Error::new(field, "the image has this group, and a group cannot be changed"));
        }
        let gid = group.id.or_else(|| free(&self.group, group.system));
        let gid = gid.ok_or_else(|| Error::new(&*field, "no number is free; give `id`"))?;
        if group.id.is_some_and(|gid| used(&self.group).any(|u| u == gid)) {
            return Err(Error::new(field, format!("the number {gid} is another group's")));
        }
        self.push_group(name, gid, hash);
        Ok(())
    }

    fn push_group(&mut self, name: &str, gid: u32, hash: &str) {
        self.group.push([name, "x", &gid.to_string(), ""].map(str::to_owned).into());
        self.gshadow.push([name, hash, "", ""].map(str::to_owned).into());
    }

    fn user(&mut self, out: &mut Place, config: &Config, name: &str, user: &Account) -> Result<(), Error> {
        let field = format!("users.{name}");
        is_name(&field, name)?;
        let [comment, home, shell, hash] = [&user.comment, &user.home, &user.shell, &user.password_hash]
            .map(|t| plain(&field, t.as_deref()));
        let (comment, home, shell, hash) = (comment?, home?, shell?, hash?);
        let primary = match &user.primary_group {
            Some(group) => Some(group.parse().ok().or_else(|| id(&self.group, group)).ok_or_else(|| {
                Error::new(format!("{field}.primary-group"), format!("there is no group `{group}`"))
            })?),
            None => None,
        };
        if let Some(uid) = user.id
            && id(&self.passwd, name) != Some(uid)
            && used(&self.passwd).any(|u| u == uid)
        {
            return Err(Error::new(field, format!("the number {uid} is another user's")));
        }
        if let Some(line) = find(&mut self.passwd, name) {
            let (uid, gid) = (user.id.map(|n| n.to_string()), primary.map(|n| n.to_string()));
            for (column, value) in
                [(2, uid.as_deref()), (3, gid.as_deref()), (4, comment), (5, home), (6, shell)]
            {
                value.into_iter().for_each(|value| set(line, column, value));
            }
            if let Some(line) = find(&mut self.shadow, name) {
                hash.into_iter().for_each(|hash| set(line, 1, hash));
            }
        } else {
            self.add_user(out, config, name, user, primary)?;
        }
        if !user.groups.is_empty() {
            for line in self.group.iter_mut().chain(&mut self.gshadow) {
                let is = line.first().is_some_and(|group| user.groups.contains(group));
                member(line, name, is);
            }
        }
        if let Some(group) = user.groups.iter().find(|group| id(&self.group, group).is_none()) {
            return Err(Error::new(format!("{field}.groups"), format!("there is no group `{group}`")));
        }
        // sshd reads them as the user.
        let keys = system::keys(&format!("{field}.ssh-keys"), &user.ssh_keys)?;
        if !keys.is_empty() {
            out.text(&field, format!("/etc/ssh/authorized_keys.d/{name}"), keys)?;
        }
        Ok(())
    }

    fn add_user(
        &mut self,
        out: &mut Place,
        config: &Config,
        name: &str,
        user: &Account,
        primary: Option<u32>,
    ) -> Result<(), Error> {
        let field = format!("users.{name}");
        let uid = user.id.or_else(|| free(&self.passwd, user.system));
        let uid = uid.ok_or_else(|| Error::new(&*field, "no number is free; give `id`"))?;
        let gid = match primary {
            Some(gid) => gid,
            None if user.user_group == Some(false) => USERS,
            None if find(&mut self.group, name).is_some() => {
                let problem = "there is a group of this name; give it as `primary-group`";
                return Err(Error::new(field, problem));
            }
            None => {
                let same = Some(uid).filter(|id| !used(&self.group).any(|u| u == *id));
                let gid = same.or_else(|| free(&self.group, user.system)).unwrap_or(USERS);
                self.push_group(name, gid, "!");
                gid
            }
        };
        let home = user.home.clone().unwrap_or_else(|| format!("/home/{name}"));
        let (comment, shell) =
            (user.comment.as_deref().unwrap_or(""), user.shell.as_deref().unwrap_or("/bin/sh"));
        let (number, group) = (uid.to_string(), gid.to_string());
        self.passwd.push([name, "x", &number, &group, comment, &home, shell].map(str::to_owned).into());
        let hash = user.password_hash.as_deref().filter(|hash| !hash.is_empty()).unwrap_or("*");
        let [least, most, warn] = if user.system { ["", "", ""] } else { ["0", "99999", "7"] };
        self.shadow.push([name, hash, "", least, most, warn, "", "", ""].map(str::to_owned).into());
        // The document may say how it is to be, and users may share one.
        let given = config.files.contains_key(&home) || out.has(&home);
        if given {
            return Ok(());
        }
        if user.create_home != Some(false) && place::check_given(&field, &home).is_ok() {
            let file = File { path: home, mode: 0o700, uid, gid, content: Content::Directory };
            out.add(&field, file)?;
        } else if user.create_home != Some(false) {
            out.warn(&field, format_args!("{home} cannot be made"));
        }
        Ok(())
    }
}

/// What is made of the image's and the document's accounts, in /etc.
#[cfg(feature = "fleet")]
const FILES: [&str; 4] = ["passwd", "group", "shadow", "gshadow"];

/// Names and texts of the document's accounts; what the image has is not known.
#[cfg(feature = "fleet")]
pub(super) fn check(out: &mut Place, config: &Config) -> Result<(), Error> {
    for (name, group) in &config.groups {
        let field = format!("groups.{name}");
        is_name(&field, name)?;
        plain(&field, group.password_hash.as_deref())?;
        let known = Account { id: None, password_hash: None, system: false, ..group.clone() };
        if known != Account::default() {
            return Err(Error::new(field, "a group has `id`, `password-hash` and `system`, nothing else"));
        }
    }
    for (name, user) in &config.users {
        let field = format!("users.{name}");
        is_name(&field, name)?;
        for text in [&user.comment, &user.home, &user.shell, &user.password_hash] {
            plain(&field, text.as_deref())?;
        }
        if user.primary_group.is_none() && user.user_group != Some(false) && config.groups.contains_key(name)
        {
            return Err(Error::new(field, "there is a group of this name; give it as `primary-group`"));
        }
        if !system::keys(&format!("{field}.ssh-keys"), &user.ssh_keys)?.is_empty() {
            out.text(&field, format!("/etc/ssh/authorized_keys.d/{name}"), String::new())?;
        }
    }
    if !config.users.is_empty() || !config.groups.is_empty() {
        for file in FILES {
            out.text("users", format!("/etc/{file}"), String::new())?;
        }
    }
    Ok(())
}

/// The number of an owner. One that is not known is root, with a warning: a sled that
/// stays down would be worse than a file that too few can read.
pub(super) fn owner(
    out: &mut Place,
    field: &str,
    id: Option<u32>,
    name: Option<&String>,
    default: u32,
) -> u32 {
    match (id, name) {
        (Some(id), _) if id != KEEP => id,
        (None, Some(name)) => {
            out.warn(field, format_args!("neither the document nor the image has `{name}`; root owns it"));
            0
        }
        _ => default,
    }
}

/// Source: useradd(8), "CAVEATS".
fn is_name(field: &str, name: &str) -> Result<(), Error> {
    let good = made_of(name.strip_suffix('$').unwrap_or(name), |c| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
    });
    if good && name.len() <= 32 && !name.starts_with(['-', '.']) {
        return Ok(());
    }
    Err(Error::new(field, "is not a name: letters, digits, `_`, `-` and `.`, at most 32"))
}

/// A text that can stand between colons.
fn plain<'t>(field: &str, text: Option<&'t str>) -> Result<Option<&'t str>, Error> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(None) };
    if one_line(field, text)?.contains(':') {
        return Err(Error::new(field, format!("`{text}` has a colon in it")));
    }
    Ok(Some(text))
}
