//! Users and groups. Source: passwd(5), group(5), shadow(5), useradd(8), usermod(8).

use serde::{Deserialize, Serialize};

/// A user: a new one, or a change to one of the image's. What is not given is as
/// useradd(8) does it, or stays. A group has `id`, `password-hash` and `system` only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default)]
pub struct Account {
    /// Number. Default: the one behind the greatest from 1000 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// Full name, and whatever else the GECOS field has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Home directory. Default: `/home/NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// Whether the home directory of a new user is made, with mode 0700. Default: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_home: Option<bool>,
    /// Login shell. Default: `/bin/sh`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// Name or number of the primary group. Default: a group of the user's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_group: Option<String>,
    /// Whether a new user gets a group of the same name; else it is in `users` (100). Default: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_group: Option<bool>,
    /// Names of further groups. They replace those the image has for this user.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Hash of the password, as crypt(5) writes it. Default: none that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Public keys that may log in, as in authorized_keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<String>,
    /// Whether a new one is the system's: numbers go down from 999.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub system: bool,
}
