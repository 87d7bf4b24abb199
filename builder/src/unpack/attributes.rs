//! Modes, owners and capabilities by pattern: what the recipe says about one path.

use std::collections::BTreeMap;

use formats::tree::{Node, TreePath};

use crate::accounts::{Ids, Unknown};
use crate::capabilities::{self, Capabilities};
use crate::recipe::model::Attributes;

/// Attributes of a path, each with the pattern that says it.
#[derive(Debug, Default)]
pub(crate) struct Chosen<'a> {
    pub(crate) mode: Option<(u16, &'a str)>,
    pub(crate) user: Option<(&'a str, &'a str)>,
    pub(crate) group: Option<(&'a str, &'a str)>,
    pub(crate) capabilities: Option<(Capabilities, &'a str)>,
}

/// Two patterns that give a path different attributes.
#[derive(Debug)]
pub(crate) struct Contradiction {
    /// `mode`, `user`, `group` or `capabilities`.
    pub(crate) what: &'static str,
    pub(crate) first: String,
    pub(crate) second: String,
}

impl<'a> Chosen<'a> {
    /// All that patterns which match `path` say.
    pub(crate) fn of(
        given: &'a BTreeMap<String, Attributes>,
        path: &TreePath,
        matches: &dyn Fn(&str, &TreePath) -> bool,
    ) -> Result<Self, Contradiction> {
        let mut chosen = Self::default();
        for (pattern, given) in given.iter().filter(|(pattern, _)| matches(pattern, path)) {
            choose("mode", &mut chosen.mode, given.mode, pattern)?;
            choose("user", &mut chosen.user, given.user.as_deref(), pattern)?;
            choose("group", &mut chosen.group, given.group.as_deref(), pattern)?;
            choose("capabilities", &mut chosen.capabilities, given.capabilities, pattern)?;
        }
        Ok(chosen)
    }

    /// Numbers of the user and group.
    pub(crate) fn owner(&self, ids: &Ids) -> Result<(Option<u32>, Option<u32>), Unknown> {
        let user = self.user.map(|(name, _)| ids.uid(name)).transpose()?;
        let group = self.group.map(|(name, _)| ids.gid(name)).transpose()?;
        Ok((user, group))
    }

    /// Gives a file its capabilities, if there are any for it.
    pub(crate) fn set_capabilities(&self, node: &mut Node) {
        if let Some((capabilities, _)) = self.capabilities {
            node.xattrs.insert(capabilities::XATTR.to_vec(), capabilities.to_xattr());
        }
    }
}

/// Sets what is not set yet.
fn choose<'a, T: PartialEq>(
    what: &'static str,
    slot: &mut Option<(T, &'a str)>,
    value: Option<T>,
    pattern: &'a str,
) -> Result<(), Contradiction> {
    match (&slot, value) {
        (_, None) => Ok(()),
        (Some((old, first)), Some(value)) if *old != value => {
            Err(Contradiction { what, first: (*first).to_owned(), second: pattern.to_owned() })
        }
        (_, Some(value)) => {
            *slot = Some((value, pattern));
            Ok(())
        }
    }
}
