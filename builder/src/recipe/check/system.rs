//! `users:`, `groups:`, `provisioning:` and the attributes of overlays.

use std::collections::BTreeMap;

use crate::recipe::model::{Attributes, Group, Provisioning, User};
use crate::recipe::values;
use yaml::diagnostic::{Diagnostic, Place};
use yaml::{Cursor, Problems, Wrong};

pub(super) fn attributes(at: Cursor<'_>) -> Option<Attributes> {
    let fields = at.fields()?;
    let mode = fields.optional("mode", |at| {
        let quoted = at.is_quoted();
        at.text(|text| values::mode(text, quoted))
    });
    let user = fields.optional("user", |at| at.text(values::user_name));
    let group = fields.optional("group", |at| at.text(values::user_name));
    let capabilities = fields.optional("capabilities", |at| at.text(values::capabilities));
    fields.finish();
    let attributes = Attributes { mode: mode?, user: user?, group: group?, capabilities: capabilities? };
    if matches!(attributes, Attributes { mode: None, user: None, group: None, capabilities: None }) {
        let wrong = Wrong::new("these attributes set nothing");
        return at.wrong(wrong.hint("give `mode`, `user`, `group` or `capabilities`"));
    }
    Some(attributes)
}

pub(super) fn provisioning(at: Cursor<'_>) -> Option<Provisioning> {
    let fields = at.fields()?;
    let trust = fields.or("trust", Vec::new(), |at| super::texts(at, values::public_key));
    let metadata = fields.or("metadata", Vec::new(), |at| super::texts(at, values::metadata_url));
    let identify = fields.or("identify", Vec::new(), |at| super::texts(at, values::identity_key));
    let fresh_only = fields.or("freshness", false, |at| at.text(values::freshness));
    fields.finish();
    let (trust, metadata) = (trust?, metadata?);
    if trust.is_empty() && !metadata.is_empty() {
        return at.wrong(
            Wrong::new("`metadata` without a key that is trusted")
                .why("a document nobody vouches for is refused by every sled")
                .hint("add `trust: [RW…]`, the second line of the .pub file that `sledos keys new` writes"),
        );
    }
    Some(Provisioning { trust, metadata, identify: identify?, fresh_only: fresh_only? })
}

pub(super) fn users(at: Cursor<'_>) -> Option<Vec<User>> {
    at.list(|at| {
        let fields = at.fields()?;
        let name = fields.required("name", |at| at.text(values::user_name));
        let uid = fields.required("uid", number);
        let group = fields.optional("group", |at| at.text(values::user_name));
        let groups = fields.or("groups", Vec::new(), |at| super::texts(at, values::user_name));
        let home = fields.or("home", "/nonexistent".to_owned(), |at| at.text(values::passwd_path));
        let shell = fields.or("shell", "/usr/sbin/nologin".to_owned(), |at| at.text(values::passwd_path));
        let gecos = fields.or("gecos", String::new(), |at| at.text(values::passwd_field));
        fields.finish();
        Some(User {
            name: name?,
            uid: uid?,
            group: group?,
            groups: groups?,
            home: home?,
            shell: shell?,
            gecos: gecos?,
        })
    })
}

pub(super) fn groups(at: Cursor<'_>) -> Option<Vec<Group>> {
    at.list(|at| {
        let fields = at.fields()?;
        let name = fields.required("name", |at| at.text(values::user_name));
        let gid = fields.required("gid", number);
        fields.finish();
        Some(Group { name: name?, gid: gid? })
    })
}

/// 0 is root, 65534 nobody, 65535 an error in 16 bits.
fn number(at: Cursor<'_>) -> Option<u32> {
    at.integer(1..=65533).and_then(|n| u32::try_from(n).ok())
}

/// Reports names and numbers used twice. A user without `group` makes a group, too.
pub(super) fn clashes(
    users: &[User],
    groups: &[Group],
    users_at: Option<Cursor<'_>>,
    groups_at: Option<Cursor<'_>>,
    problems: &Problems,
) {
    let nodes = |at: Option<Cursor<'_>>| -> Vec<Place> {
        at.map(|at| at.node.entries().map(|n| n.place.clone()).collect()).unwrap_or_default()
    };
    let (user_places, group_places) = (nodes(users_at), nodes(groups_at));
    let mut uids: BTreeMap<u32, (&str, &Place)> = BTreeMap::new();
    let mut gids: BTreeMap<u32, (&str, &Place)> = BTreeMap::new();
    let mut names: BTreeMap<&str, &Place> = BTreeMap::new();
    let clash = |place: &Place, message: String, first: &Place| {
        problems.report(
            Diagnostic::at(place, message).also("first here", first).hint("give one of them another"),
        );
    };
    for (user, place) in users.iter().zip(&user_places) {
        if let Some((other, first)) = uids.insert(user.uid, (&user.name, place)) {
            clash(place, format!("`{}` and `{other}` have the same uid {}", user.name, user.uid), first);
        }
        if user.group.is_none() {
            gids.insert(user.uid, (&user.name, place));
            names.insert(&user.name, place);
        }
    }
    for (group, place) in groups.iter().zip(&group_places) {
        if let Some((other, first)) = gids.insert(group.gid, (&group.name, place)) {
            clash(
                place,
                format!("the groups `{}` and `{other}` have the same gid {}", group.name, group.gid),
                first,
            );
        }
        if let Some(first) = names.insert(&group.name, place) {
            clash(
                place,
                format!("there are two groups `{}`: a user without `group` makes one", group.name),
                first,
            );
        }
    }
}
