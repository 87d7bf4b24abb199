//! An agent that is not Mesos: a service that gives the sled its work.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A service of the image, of a component, or of `units` and `files` (Quadlet makes
/// `web.service` of `/etc/containers/systemd/web.container`). The sled is ready when it is, and
/// drained before it stops.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Agent {
    /// Its unit: `nomad.service`. It is started at every boot.
    pub unit: String,
    /// Variables of its environment. They are in the document in clear text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// A program with its arguments that ends with 0 when the agent takes work, within 10 s.
    /// Default: it is ready when its unit is active.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ready: Vec<String>,
    /// A program with its arguments that moves the sled's work away; it runs before the agent
    /// stops, for 10 minutes at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drain: Vec<String>,
}
