//! Which events a hook is about.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::Value;

use super::HookError;
use super::definition::MAX_REGEXES;
use super::event::{HookEvent, at};

const MAX_DEPTH: usize = 8;
const MAX_FILTERS: usize = 64;
const MAX_CONDITIONS: usize = 128;
const MAX_LIST: usize = 256;
const MAX_TEXT: usize = 512;
/// The most memory one regular expression may take, in bytes, twice: compiled, and while it matches.
const MAX_REGEX: usize = 256 * 1024;

/// A filter as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFilter {
    event_types: Option<Vec<String>>,
    source_skills: Option<Vec<String>>,
    entities: Option<BTreeMap<String, RawEntityFilter>>,
    data_match: Option<Vec<RawCondition>>,
    any_of: Option<Vec<RawFilter>>,
    all_of: Option<Vec<RawFilter>>,
    none_of: Option<Vec<RawFilter>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntityFilter {
    types: Option<Vec<String>>,
    ids: Option<Vec<String>>,
    properties: Option<Vec<RawCondition>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCondition {
    path: String,
    op: Op,
    #[serde(default)]
    value: Value,
}

/// How a value is compared. A negated operator is true where the other is false, also when there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Op {
    Eq,
    Neq,
    Gt,
    Gte,
    Lt,
    Lte,
    Contains,
    NotContains,
    StartsWith,
    EndsWith,
    Regex,
    In,
    NotIn,
    Exists,
    NotExists,
}

/// A checked filter. Everything it states must hold; an empty one matches every event.
#[derive(Debug, Default)]
pub(super) struct Filter {
    event_types: Option<Vec<String>>,
    source_skills: Option<Vec<String>>,
    entities: Vec<(String, EntityFilter)>,
    data: Vec<Condition>,
    any_of: Option<Vec<Filter>>,
    all_of: Vec<Filter>,
    none_of: Vec<Filter>,
}

#[derive(Debug)]
struct EntityFilter {
    types: Option<Vec<String>>,
    ids: Option<Vec<String>>,
    properties: Vec<Condition>,
}

#[derive(Debug)]
struct Condition {
    path: String,
    test: Test,
    negated: bool,
}

#[derive(Debug)]
enum Test {
    Exists,
    Equals(Value),
    Ordered(Value, fn(Ordering) -> bool),
    Contains(Value),
    StartsWith(String),
    EndsWith(String),
    Matches(Box<Regex>),
    In(Vec<Value>),
}

/// Counts what one definition holds.
#[derive(Default)]
struct Counter {
    filters: usize,
    conditions: usize,
    regexes: usize,
}

impl Filter {
    /// Checks a filter; also says how many regular expressions it has.
    pub(super) fn compile(raw: RawFilter) -> Result<(Self, usize), HookError> {
        let mut counter = Counter::default();
        let filter = compile(raw, "filter", 1, &mut counter)?;
        Ok((filter, counter.regexes))
    }

    pub(super) fn matches(&self, event: &HookEvent) -> bool {
        let kinds = self.event_types.as_ref();
        let sources = self.source_skills.as_ref();
        kinds.is_none_or(|globs| globs.iter().any(|glob| glob_matches(glob, &event.kind)))
            && sources.is_none_or(|ids| ids.iter().any(|id| id == event.source.as_str()))
            && self.entities.iter().all(|(role, filter)| {
                event.entities.get(role).is_some_and(|entity| {
                    filter
                        .types
                        .as_ref()
                        .is_none_or(|types| types.contains(&entity.kind))
                        && filter.ids.as_ref().is_none_or(|ids| ids.contains(&entity.id))
                        && filter
                            .properties
                            .iter()
                            .all(|test| test.holds(&entity.properties))
                })
            })
            && self.data.iter().all(|test| test.holds(event.data()))
            && self.all_of.iter().all(|filter| filter.matches(event))
            && self
                .any_of
                .as_ref()
                .is_none_or(|any| any.iter().any(|filter| filter.matches(event)))
            && !self.none_of.iter().any(|filter| filter.matches(event))
    }
}

fn compile(raw: RawFilter, path: &str, depth: usize, counter: &mut Counter) -> Result<Filter, HookError> {
    counter.filters += 1;
    if depth > MAX_DEPTH || counter.filters > MAX_FILTERS {
        return Err(HookError::new(
            path,
            format!("filters nest at most {MAX_DEPTH} deep, and a hook has at most {MAX_FILTERS}"),
        ));
    }
    let at = |field: &str| format!("{path}.{field}");
    let mut children = |filters: Option<Vec<RawFilter>>, field: &str| {
        let named = |(index, raw)| compile(raw, &format!("{path}.{field}[{index}]"), depth + 1, counter);
        filters
            .map(|filters| {
                filters
                    .into_iter()
                    .enumerate()
                    .map(named)
                    .collect::<Result<Vec<_>, _>>()
            })
            .transpose()
    };
    let any_of = children(raw.any_of, "any_of")?;
    let all_of = children(raw.all_of, "all_of")?.unwrap_or_default();
    let none_of = children(raw.none_of, "none_of")?.unwrap_or_default();
    let mut entities = Vec::new();
    for (role, entity) in raw.entities.unwrap_or_default() {
        let path = format!("{path}.entities.{role}");
        let filter = EntityFilter {
            types: texts(entity.types, || format!("{path}.types"))?,
            ids: texts(entity.ids, || format!("{path}.ids"))?,
            properties: conditions(entity.properties, &format!("{path}.properties"), counter)?,
        };
        entities.push((role, filter));
    }
    Ok(Filter {
        event_types: texts(raw.event_types, || at("event_types"))?,
        source_skills: texts(raw.source_skills, || at("source_skills"))?,
        entities,
        data: conditions(raw.data_match, &at("data_match"), counter)?,
        any_of,
        all_of,
        none_of,
    })
}

fn texts(list: Option<Vec<String>>, path: impl FnOnce() -> String) -> Result<Option<Vec<String>>, HookError> {
    if let Some(list) = &list
        && (list.len() > MAX_LIST || list.iter().any(|text| text.len() > MAX_TEXT))
    {
        let reason = format!("at most {MAX_LIST} texts of at most {MAX_TEXT} bytes");
        return Err(HookError::new(path(), reason));
    }
    Ok(list)
}

fn conditions(
    list: Option<Vec<RawCondition>>,
    path: &str,
    counter: &mut Counter,
) -> Result<Vec<Condition>, HookError> {
    let named = |(index, raw)| condition(raw, &format!("{path}[{index}]"), counter);
    list.unwrap_or_default()
        .into_iter()
        .enumerate()
        .map(named)
        .collect()
}

fn condition(raw: RawCondition, path: &str, counter: &mut Counter) -> Result<Condition, HookError> {
    counter.conditions += 1;
    if counter.conditions > MAX_CONDITIONS {
        return Err(HookError::new(
            path,
            format!("a hook has at most {MAX_CONDITIONS} conditions"),
        ));
    }
    if raw.path.is_empty() || raw.path.len() > MAX_TEXT {
        return Err(HookError::new(
            format!("{path}.path"),
            format!("needs 1 to {MAX_TEXT} bytes"),
        ));
    }
    let wrong = |reason: &str| HookError::new(format!("{path}.value"), reason);
    let text = |value: Value| match value {
        Value::String(text) if text.len() <= MAX_TEXT => Ok(text),
        _ => Err(wrong("needs a text of at most 512 bytes")),
    };
    let list = |value: Value| match value {
        Value::Array(items) if items.len() <= MAX_LIST => Ok(items),
        _ => Err(wrong("needs a list of at most 256 values")),
    };
    let ordered = |value: Value, accepts| match value {
        Value::Number(_) | Value::String(_) => Ok(Test::Ordered(value, accepts)),
        _ => Err(wrong("needs a number or a text")),
    };
    let test = match raw.op {
        Op::Exists | Op::NotExists => Test::Exists,
        Op::Eq | Op::Neq => Test::Equals(raw.value),
        Op::Gt => ordered(raw.value, Ordering::is_gt)?,
        Op::Gte => ordered(raw.value, Ordering::is_ge)?,
        Op::Lt => ordered(raw.value, Ordering::is_lt)?,
        Op::Lte => ordered(raw.value, Ordering::is_le)?,
        Op::Contains | Op::NotContains => Test::Contains(raw.value),
        Op::StartsWith => Test::StartsWith(text(raw.value)?),
        Op::EndsWith => Test::EndsWith(text(raw.value)?),
        Op::In | Op::NotIn => Test::In(list(raw.value)?),
        Op::Regex => {
            counter.regexes += 1;
            if counter.regexes > MAX_REGEXES {
                return Err(wrong(&format!(
                    "a skill has at most {MAX_REGEXES} regular expressions"
                )));
            }
            let mut builder = RegexBuilder::new(&text(raw.value)?);
            builder
                .size_limit(MAX_REGEX)
                .dfa_size_limit(MAX_REGEX)
                .nest_limit(32);
            Test::Matches(Box::new(
                builder.build().map_err(|error| wrong(&error.to_string()))?,
            ))
        }
    };
    let negated = matches!(raw.op, Op::Neq | Op::NotContains | Op::NotIn | Op::NotExists);
    Ok(Condition {
        path: raw.path,
        test,
        negated,
    })
}

impl Condition {
    fn holds(&self, root: &Value) -> bool {
        at(root, &self.path).is_some_and(|value| self.test.accepts(value)) != self.negated
    }
}

impl Test {
    fn accepts(&self, found: &Value) -> bool {
        match self {
            Self::Exists => true,
            Self::Equals(value) => equal(found, value),
            Self::Ordered(value, accepts) => compare(found, value).is_some_and(accepts),
            Self::Contains(value) => match (found, value) {
                (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
                (Value::Array(items), value) => items.iter().any(|item| equal(item, value)),
                (Value::Object(fields), Value::String(name)) => fields.contains_key(name),
                _ => false,
            },
            Self::StartsWith(start) => found.as_str().is_some_and(|text| text.starts_with(start)),
            Self::EndsWith(end) => found.as_str().is_some_and(|text| text.ends_with(end)),
            Self::Matches(regex) => found.as_str().is_some_and(|text| regex.is_match(text)),
            Self::In(values) => values.iter().any(|value| equal(found, value)),
        }
    }
}

/// Equality of JSON values in which 1 and 1.0 are the same number.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => compare(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// The order of two numbers or two texts.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// Whether `text` matches a pattern in which `*` stands for any characters, dots included.
fn glob_matches(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut g, mut t) = (0, 0);
    // Where the last `*` was, and where its match ends at present.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if glob.get(g) == Some(&b'*') {
            star = Some((g, t));
            g += 1;
        } else if glob.get(g) == text.get(t) {
            g += 1;
            t += 1;
        } else if let Some((at, end)) = star {
            star = Some((at, end + 1));
            g = at + 1;
            t = end + 1;
        } else {
            return false;
        }
    }
    glob.iter().skip(g).all(|byte| *byte == b'*')
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
