//! The Mesos agent. Source: Apache Mesos 1.11, "Agent options", "Attributes and
//! resources".

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What becomes `MESOS_*` in the agent's environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Mesos {
    /// `zk://host1:2181,host2:2181/mesos` or `host:port`.
    pub master: String,
    /// Attributes: a text, a number, or a range as `[a-b]`. Nothing volatile
    /// belongs here: a changed attribute keeps an agent from coming back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// What the agent offers. Memory and disk should be given: what the agent
    /// finds out by itself drifts.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Region and zone. The master has to have a domain, too, or it ignores the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_domain: Option<FaultDomain>,
    /// Isolators, as in `--isolation`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub isolation: Vec<String>,
    /// Containerizers, in order. Default: the image's (`mesos,docker`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containerizers: Vec<String>,
    /// Principal and secret the agent shows the master.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// `equal` or `additive`. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconfiguration_policy: Option<String>,
    /// Name of the network whose address the agent announces. Default: `data`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Further flags: `executor_registration_timeout: 10mins` is `MESOS_EXECUTOR_REGISTRATION_TIMEOUT`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, String>,
}

/// Resources of an agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default)]
pub struct Resources {
    /// Processors; fractions are allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// Memory in MB (2^20 bytes), as Mesos counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem: Option<u64>,
    /// Disk below the work directory in MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
    /// Port ranges: `["31000-32000"]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// Whole GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u32>,
    /// Further scalars by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom: BTreeMap<String, f64>,
    /// The role all of them are reserved for. Default: `*`, any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

impl Resources {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where the agent is, for schedulers that spread tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct FaultDomain {
    /// Region.
    pub region: String,
    /// Zone.
    pub zone: String,
}

/// A principal and its secret.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Credential {
    /// Who.
    pub principal: String,
    /// Known to the master. It is in the document in clear text.
    pub secret: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({:?}, …)", self.principal)
    }
}
