//! Docker's daemon.

use serde::{Deserialize, Serialize};

/// What goes into daemon.json; what is not given is as the image has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default)]
pub struct Docker {
    /// Where images and containers are kept. Default: /var/lib/docker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_root: Option<String>,
    /// Mirrors of Docker Hub, as URLs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// Registries without TLS, as `host:port`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub insecure_registries: Vec<String>,
    /// Greatest size of a container's log file: `50m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_max_size: Option<String>,
    /// How many log files a container keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_max_files: Option<u32>,
    /// Address of the bridge docker0: `172.17.0.1/16`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge_address: Option<crate::values::Cidr>,
    /// Labels of the daemon, `key=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}
