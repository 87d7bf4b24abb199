//! What an agent says about itself to the master: Mesos's `SlaveInfo`.

use serde_json::{Value as Json, json};

use crate::grammar::attributes::{self, Attribute};
use crate::grammar::resources::{self, Resource, UNRESERVED};
use crate::grammar::{Invalid, Result};

/// The agent's information.
#[derive(Clone, Debug, PartialEq)]
pub struct Info {
    /// Name it is shown under.
    pub hostname: String,
    /// Port it listens on.
    pub port: u16,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
    /// Its resources.
    pub resources: Vec<Resource>,
    /// Its fault domain.
    pub domain: Option<Json>,
}

impl Info {
    /// As it is kept and sent.
    pub fn to_json(&self) -> Json {
        json!({
            "hostname": self.hostname,
            "port": self.port,
            "attributes": attributes::to_json(&self.attributes),
            "resources": resources::to_json(&self.resources),
            "domain": self.domain,
        })
    }

    /// Reads what [`Info::to_json`] wrote.
    ///
    /// # Errors
    /// When it is not that.
    pub fn of_json(json: &Json) -> Result<Self> {
        let field = |name: &str| {
            json.get(name).ok_or_else(|| Invalid(format!("the agent's information has no '{name}'")))
        };
        let port = field("port")?.as_u64().and_then(|p| u16::try_from(p).ok());
        Ok(Self {
            hostname: field("hostname")?.as_str().unwrap_or_default().to_owned(),
            port: port.ok_or_else(|| Invalid("the agent's information has no right 'port'".to_owned()))?,
            attributes: attributes::of_json(field("attributes")?)?,
            resources: resources::of_json(field("resources")?, UNRESERVED)?,
            domain: json.get("domain").filter(|d| !d.is_null()).cloned(),
        })
    }

    /// What the agent's and the master's `/state` say of it.
    pub fn state(&self) -> Json {
        let unreserved = || self.resources.iter().filter(|r| r.role == UNRESERVED);
        let mut reserved = serde_json::Map::new();
        for role in self.resources.iter().map(|r| &r.role).filter(|r| *r != UNRESERVED) {
            let of_role = self.resources.iter().filter(|r| r.role == *role);
            reserved.insert(role.clone(), resources::brief(of_role));
        }
        let full: Vec<Resource> = unreserved().cloned().collect();
        let mut state = json!({
            "hostname": self.hostname,
            "port": self.port,
            "attributes": attributes::brief(&self.attributes),
            "resources": resources::brief(&self.resources),
            "unreserved_resources": resources::brief(unreserved()),
            "unreserved_resources_full": resources::to_json(&full),
            "reserved_resources": reserved,
        });
        // Mesos leaves the field out.
        if let (Some(domain), Some(object)) = (&self.domain, state.as_object_mut()) {
            object.insert("domain".to_owned(), domain.clone());
        }
        state
    }
}
