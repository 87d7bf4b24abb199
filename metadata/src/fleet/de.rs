//! Serde reads a YAML node: what a text is, is up to the type that asks for it, and
//! an error knows the place.

use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;
use yaml::diagnostic::{Diagnostic, Place};
use yaml::{Key, Node, Value};

/// Reads a value of a node.
///
/// # Errors
/// The first mistake, at its place.
pub(super) fn from_node<'de, T: de::Deserialize<'de>>(node: &'de Node) -> Result<T, Diagnostic> {
    T::deserialize(Reader(node))
        .map_err(|e| Diagnostic::at(e.place.as_ref().unwrap_or(&node.place), e.message))
}

#[derive(Debug)]
struct Error {
    message: String,
    place: Option<Place>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), place: None }
    }
}

#[derive(Clone, Copy)]
struct Reader<'de>(&'de Node);

impl<'de> Reader<'de> {
    /// The innermost place wins.
    fn here<T>(self, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|e| Error { place: e.place.or_else(|| Some(self.0.place.clone())), ..e })
    }

    fn parsed<T: std::str::FromStr>(self, what: &str) -> Result<T, Error> {
        let text = self.0.text();
        let parsed = text.and_then(|text| text.parse().ok());
        let shown = text.map_or(self.0.kind().to_owned(), |t| format!("`{t}`"));
        self.here(
            parsed.ok_or_else(|| de::Error::custom(format_args!("this should be {what}, it is {shown}"))),
        )
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $what:literal),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.here(visitor.$visit(self.parsed($what)?))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.here(match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::Scalar { text, .. } => visitor.visit_borrowed_str(text),
            Value::List(list) => visitor.visit_seq(Entries(list.iter())),
            Value::Map(map) => visitor.visit_map(Pairs { rest: map.iter(), value: None }),
        })
    }

    parsed! {
        deserialize_bool visit_bool "true or false",
        deserialize_u8 visit_u8 "a number", deserialize_u16 visit_u16 "a number",
        deserialize_u32 visit_u32 "a number", deserialize_u64 visit_u64 "a number",
        deserialize_i8 visit_i8 "a number", deserialize_i16 visit_i16 "a number",
        deserialize_i32 visit_i32 "a number", deserialize_i64 visit_i64 "a number",
        deserialize_f32 visit_f32 "a number", deserialize_f64 visit_f64 "a number"
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.value {
            Value::Null => visitor.visit_none(),
            _ => self.here(visitor.visit_some(self)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let text = self.parsed::<String>("one word")?;
        self.here(visitor.visit_enum(text.into_deserializer()))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, v: V) -> Result<V::Value, Error> {
        self.here(v.visit_newtype_struct(self))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    // `IpAddr` asks whether it is read by a person: it is.
    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier i128 u128
    }
}

struct Entries<'de>(std::slice::Iter<'de, Node>);

impl<'de> de::SeqAccess<'de> for Entries<'de> {
    type Error = Error;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.next().map(|node| Reader(node).here(seed.deserialize(Reader(node)))).transpose()
    }
}

struct Pairs<'de> {
    rest: std::slice::Iter<'de, (Key, Node)>,
    value: Option<&'de Node>,
}

impl<'de> de::MapAccess<'de> for Pairs<'de> {
    type Error = Error;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        let read = seed.deserialize(de::value::BorrowedStrDeserializer::new(&key.name));
        read.map(Some).map_err(|e: Error| Error { place: e.place.or_else(|| Some(key.place.clone())), ..e })
    }
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let node = self.value.take().ok_or_else(|| de::Error::custom("a value is missing"))?;
        Reader(node).here(seed.deserialize(Reader(node)))
    }
}
