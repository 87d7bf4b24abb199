//! Whose images a fleet takes: `images.trust`.

use super::{Fleet, at};
use crate::signature::TrustedKey;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use yaml::diagnostic::{Diagnostic, Diagnostics};

/// The word for images that nobody signed.
const NONE: &str = "none";

/// The value of `images.trust`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// It is not there.
    #[default]
    Unsaid,
    /// `none`: images are taken without a signature.
    Unsigned,
    /// Public minisign keys.
    Keys(Vec<String>),
}

/// Who vouches for images.
#[derive(Clone, Debug)]
pub enum Release {
    /// Nobody has to: whoever can write them decides what sleds run.
    Unsigned,
    /// Each needs a signature by one of these keys.
    By(Vec<TrustedKey>),
}

/// Who vouches for the images of a fleet.
///
/// # Errors
/// When the file does not say it.
pub fn release(fleet: &Fleet) -> Result<Release, Diagnostics> {
    let place = at(&fleet.root, &["images", "trust"]).or_else(|| fleet.root.get("images")).map(|n| &n.place);
    let wrong = |what: String| match place {
        Some(place) => Diagnostic::at(place, what),
        None => Diagnostic::nowhere(what),
    };
    match &fleet.file.images.trust {
        Trust::Unsigned => Ok(Release::Unsigned),
        Trust::Keys(keys) => {
            let keys = keys.iter().map(|key| TrustedKey::parse(key));
            Ok(Release::By(keys.collect::<Result<_, _>>().map_err(|e| wrong(e.to_string()))?))
        }
        Trust::Unsaid => Err(wrong("the fleet file does not say whose images it takes".to_owned())
            .why("documents are signed for them: who can write an image would decide what sleds run")
            .hint(
                "add `images: {trust: [RW…]}` with the second line of the .pub file of the key that `sledos sign` \
                 uses; or `images: {trust: none}` when you build images here and do not sign them",
            )
            .into()),
    }
}

impl<'de> Deserialize<'de> for Trust {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Trust;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of public keys, or `none`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Trust, E> {
                if text == NONE {
                    Ok(Trust::Unsigned)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Trust, A::Error> {
                let mut keys = Vec::new();
                while let Some(key) = list.next_element()? {
                    keys.push(key);
                }
                let none = "no image is signed by a key of an empty list: write a key, or `none`";
                if keys.is_empty() { Err(de::Error::custom(none)) } else { Ok(Trust::Keys(keys)) }
            }
        }
        d.deserialize_any(Either)
    }
}

impl JsonSchema for Trust {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Trust".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let key = serde_json::json!({"type": "string", "format": "public-key"});
        schemars::json_schema!({"anyOf": [{"type": "array", "items": key, "minItems": 1}, {"const": NONE}]})
    }
}
