//! Values of attributes and resources: `values::parse` of Mesos.

use serde_json::{Value as Json, json};

use super::{Invalid, Result, invalid};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number with three digits after the point: Mesos computes in thousandths.
    Scalar(f64),
    /// Ranges of whole numbers, both ends included; sorted, none touching another.
    Ranges(Vec<(u64, u64)>),
    /// Items, sorted, each once.
    Set(Vec<String>),
    /// Anything else.
    Text(String),
}

impl Value {
    /// Parses a value. Spaces vanish wherever they are.
    ///
    /// # Errors
    /// Nothing left, brackets that do not match or stand in the middle, bounds
    /// that are not whole numbers.
    pub fn parse(text: &str) -> Result<Self> {
        let bare: String = text.chars().filter(|c| *c != ' ').collect();
        let fail = |why: &str| invalid(format!("error parsing value '{text}': {why}"));
        if bare.is_empty() {
            return fail("expecting non-empty string");
        }
        if [('{', '}'), ('[', ']'), ('(', ')')].iter().any(|(open, close)| !balanced(&bare, *open, *close)) {
            return fail("brackets do not match");
        }
        match (bare.find('['), bare.find('{')) {
            (Some(0), _) => ranges(&bare).map(Self::Ranges).or_else(|e| fail(&e.0)),
            (Some(_), _) => fail("bad '[' found"),
            (None, Some(0)) => Ok(Self::Set(set(tokens(&bare, "{},\n").map(str::to_owned)))),
            (None, Some(_)) => fail("bad '{' found"),
            (None, None) => match bare.parse::<f64>() {
                Ok(n) if n.is_finite() => Ok(Self::Scalar(thousandths(n))),
                // Mesos reads `inf` and `nan` as numbers and then trips over them.
                Ok(_) => fail("expecting a finite number"),
                Err(_) => Ok(Self::Text(bare)),
            },
        }
    }

    /// The value as the endpoints show it in a list by name: a number, or text.
    pub fn brief(&self) -> Json {
        match self {
            Self::Scalar(n) => json!(n),
            _ => json!(self.to_string()),
        }
    }

    /// The fields `type` and `scalar`, `ranges`, `set` or `text` of Mesos's messages.
    pub fn fields(&self) -> (&'static str, &'static str, Json) {
        match self {
            Self::Scalar(n) => ("SCALAR", "scalar", json!({ "value": n })),
            Self::Ranges(ranges) => {
                let ranges: Vec<Json> =
                    ranges.iter().map(|(begin, end)| json!({ "begin": begin, "end": end })).collect();
                ("RANGES", "ranges", json!({ "range": ranges }))
            }
            Self::Set(items) => ("SET", "set", json!({ "item": items })),
            Self::Text(text) => ("TEXT", "text", json!({ "value": text })),
        }
    }

    /// Reads those fields.
    ///
    /// # Errors
    /// A type Mesos does not have, or the field that it asks for missing or wrong.
    pub fn of_fields(message: &Json) -> Result<Self> {
        let kind = message.get("type").and_then(Json::as_str).unwrap_or_default();
        let missing = |field: &str| Invalid(format!("a {kind} without a right '{field}'"));
        match kind {
            "SCALAR" => {
                let n = message.pointer("/scalar/value").and_then(Json::as_f64);
                Ok(Self::Scalar(thousandths(n.ok_or_else(|| missing("scalar"))?)))
            }
            "RANGES" => {
                let list = message.pointer("/ranges/range").and_then(Json::as_array);
                let bound = |range: &Json, end| range.get(end).and_then(Json::as_u64);
                let pairs = list
                    .ok_or_else(|| missing("ranges"))?
                    .iter()
                    .map(|r| Some((bound(r, "begin")?, bound(r, "end")?)))
                    .collect::<Option<Vec<_>>>()
                    .ok_or_else(|| missing("ranges"))?;
                Ok(Self::Ranges(coalesce(pairs)?))
            }
            "SET" => {
                let list = message.pointer("/set/item").and_then(Json::as_array);
                let items: Option<Vec<String>> =
                    list.and_then(|l| l.iter().map(|i| i.as_str().map(str::to_owned)).collect());
                Ok(Self::Set(set(items.ok_or_else(|| missing("set"))?.into_iter())))
            }
            "TEXT" => {
                let text = message.pointer("/text/value").and_then(Json::as_str);
                Ok(Self::Text(text.ok_or_else(|| missing("text"))?.to_owned()))
            }
            other => invalid(format!("unknown type of value '{other}'")),
        }
    }

    /// Whether all of this is in the other: a number not larger, ranges and
    /// items included. Text has to be the same.
    pub fn within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scalar(a), Self::Scalar(b)) => a <= b,
            (Self::Ranges(a), Self::Ranges(b)) => {
                a.iter().all(|(lo, hi)| b.iter().any(|(begin, end)| begin <= lo && hi <= end))
            }
            (Self::Set(a), Self::Set(b)) => a.iter().all(|item| b.contains(item)),
            _ => self == other,
        }
    }

    /// The sum of two values of one type; `None` when they are not, or are text.
    pub fn plus(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Scalar(a), Self::Scalar(b)) => Some(Self::Scalar(thousandths(a + b))),
            (Self::Ranges(a), Self::Ranges(b)) => {
                coalesce(a.iter().chain(b).copied().collect()).ok().map(Self::Ranges)
            }
            (Self::Set(a), Self::Set(b)) => Some(Self::Set(set(a.iter().chain(b).cloned()))),
            _ => None,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scalar(n) => write!(f, "{n}"),
            Self::Ranges(ranges) => {
                let ranges: Vec<String> = ranges.iter().map(|(b, e)| format!("{b}-{e}")).collect();
                write!(f, "[{}]", ranges.join(", "))
            }
            Self::Set(items) => write!(f, "{{{}}}", items.join(", ")),
            Self::Text(text) => f.write_str(text),
        }
    }
}

fn thousandths(n: f64) -> f64 {
    (n * 1000.0).round() / 1000.0
}

fn balanced(text: &str, open: char, close: char) -> bool {
    let mut depth = 0_usize;
    for c in text.chars() {
        if c == open {
            depth += 1;
        } else if c == close {
            match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            }
        }
    }
    depth == 0
}

fn tokens<'a>(text: &'a str, separators: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(move |c| separators.contains(c)).filter(|t| !t.is_empty())
}

/// As loose as Mesos: only the numbers matter, so `[1,3]` is the range 1 to 3.
fn ranges(bare: &str) -> Result<Vec<(u64, u64)>> {
    let numbers: Vec<u64> = tokens(bare, "[]-,\n")
        .map(|t| t.parse().map_err(|_| Invalid(format!("expecting non-negative integers in '{t}'"))))
        .collect::<Result<_>>()?;
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() || pairs.is_empty() {
        return invalid("expecting one or more \"ranges\"");
    }
    coalesce(pairs.iter().map(|[begin, end]| (*begin, *end)).collect())
}

fn coalesce(mut pairs: Vec<(u64, u64)>) -> Result<Vec<(u64, u64)>> {
    if let Some((begin, end)) = pairs.iter().find(|(begin, end)| begin > end) {
        return invalid(format!("the range {begin}-{end} ends before it begins"));
    }
    pairs.sort_unstable();
    let mut out: Vec<(u64, u64)> = Vec::new();
    for (begin, end) in pairs {
        match out.last_mut() {
            Some(last) if begin <= last.1.saturating_add(1) => last.1 = last.1.max(end),
            _ => out.push((begin, end)),
        }
    }
    Ok(out)
}

fn set(items: impl Iterator<Item = String>) -> Vec<String> {
    items.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}
