//! JSON values that remember where they were written, and a reader that collects what is wrong with them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Lint;

/// How deep values are looked into; what is deeper is kept as a whole.
const MAX_DEPTH: usize = 24;
/// How many problems of one manifest are reported.
const MAX_PROBLEMS: usize = 20;

/// A JSON value and the byte at which it starts.
pub(super) struct Node<'t> {
    offset: usize,
    text: &'t str,
    kind: Kind<'t>,
}

enum Kind<'t> {
    Scalar(Value),
    Array(Vec<Node<'t>>),
    Object(Vec<(String, Node<'t>)>),
}

/// The members of an object in their order, duplicates included.
struct Members<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'de: 't, 't> Deserialize<'de> for Members<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((Cow::Owned(key), value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Collect).map(Self)
    }
}

impl<'t> Node<'t> {
    /// Parses a text; the error is at the line and column where the JSON stops being JSON.
    pub(super) fn parse(text: &'t str) -> Result<Self, Lint> {
        let checked: Result<Value, _> = serde_json::from_str(text);
        let raw = checked.and_then(|_| serde_json::from_str::<&RawValue>(text));
        let node = raw.and_then(|raw| Self::build(text, raw, 0));
        node.map_err(|error| Lint {
            path: String::new(),
            line: error.line(),
            column: error.column(),
            message: format!("is not JSON: {}", reason(&error)),
        })
    }

    fn build(whole: &'t str, raw: &'t RawValue, depth: usize) -> Result<Self, serde_json::Error> {
        let text = raw.get();
        // Borrowed from `whole`, so the difference of the addresses is the position.
        let offset = (text.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        let kind = match text.as_bytes().first() {
            Some(b'{') if depth < MAX_DEPTH => {
                let Members(members) = serde_json::from_str(text)?;
                let members = members
                    .into_iter()
                    .map(|(key, raw)| Ok((key.into_owned(), Self::build(whole, raw, depth + 1)?)));
                Kind::Object(members.collect::<Result<_, serde_json::Error>>()?)
            }
            Some(b'[') if depth < MAX_DEPTH => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                let items = items.into_iter().map(|raw| Self::build(whole, raw, depth + 1));
                Kind::Array(items.collect::<Result<_, _>>()?)
            }
            _ => Kind::Scalar(serde_json::from_str(text)?),
        };
        Ok(Self { offset, text, kind })
    }
}

/// The text of a JSON error without its position.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// A value with its path.
#[derive(Clone)]
pub(super) struct At<'n> {
    node: &'n Node<'n>,
    pub(super) path: String,
}

impl<'n> At<'n> {
    pub(super) fn root(node: &'n Node<'n>) -> Self {
        Self {
            node,
            path: String::new(),
        }
    }

    /// A member of an object; null counts as absent, and the last one of a name counts.
    pub(super) fn get(&self, key: &str) -> Option<At<'n>> {
        let Kind::Object(members) = &self.node.kind else {
            return None;
        };
        let (_, node) = members.iter().rev().find(|(name, _)| name == key)?;
        let is_null = matches!(node.kind, Kind::Scalar(Value::Null));
        (!is_null).then(|| self.member(key, node))
    }

    pub(super) fn members(&self) -> Vec<(&'n str, At<'n>)> {
        match &self.node.kind {
            Kind::Object(members) => members
                .iter()
                .map(|(key, node)| (key.as_str(), self.member(key, node)))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn member(&self, key: &str, node: &'n Node<'n>) -> At<'n> {
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        At { node, path }
    }

    pub(super) fn items(&self) -> Option<Vec<At<'n>>> {
        let Kind::Array(items) = &self.node.kind else {
            return None;
        };
        let items = items.iter().enumerate().map(|(index, node)| At {
            node,
            path: format!("{}[{index}]", self.path),
        });
        Some(items.collect())
    }

    pub(super) fn is_object(&self) -> bool {
        matches!(self.node.kind, Kind::Object(_))
    }

    pub(super) fn scalar(&self) -> Option<&'n Value> {
        match &self.node.kind {
            Kind::Scalar(value) => Some(value),
            _ => None,
        }
    }

    /// The value as JSON, whatever it is.
    pub(super) fn value(&self) -> Value {
        serde_json::from_str(self.node.text).unwrap_or(Value::Null)
    }

    /// The value as it is written, cut to a line's length.
    pub(super) fn preview(&self) -> String {
        let flat: String = self.node.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut shown: String = flat.chars().take(60).collect();
        if shown.len() < flat.len() {
            shown.push('…');
        }
        shown
    }
}

/// Reads typed values and collects what is wrong, with the place of each problem.
pub(super) struct Reader<'t> {
    text: &'t str,
    pub(super) problems: Vec<Lint>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            problems: Vec::new(),
        }
    }

    /// Reports a problem at a value.
    pub(super) fn report(&mut self, at: &At<'_>, message: impl Into<String>) {
        if self.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let (line, column) = position(self.text, at.node.offset);
        self.problems.push(Lint {
            path: at.path.clone(),
            line,
            column,
            message: message.into(),
        });
    }

    /// Reports that a value is not what it must be.
    pub(super) fn wrong(&mut self, at: &At<'_>, must: &str) {
        self.report(at, format!("is {}; it must be {must}", at.preview()));
    }

    /// Reports keys that are written twice, here and below: readers would disagree about which one counts.
    pub(super) fn duplicates(&mut self, at: &At<'_>) {
        let members = at.members();
        let mut seen = std::collections::BTreeSet::new();
        for (key, member) in &members {
            if !seen.insert(*key) {
                self.report(member, "is written twice; keep one of the two");
            }
            self.duplicates(member);
        }
        for item in at.items().unwrap_or_default() {
            self.duplicates(&item);
        }
    }

    pub(super) fn object<'n>(&mut self, at: &At<'n>, key: &str) -> Option<At<'n>> {
        let found = at.get(key)?;
        if found.is_object() {
            return Some(found);
        }
        self.wrong(&found, "an object");
        None
    }

    pub(super) fn text(&mut self, at: &At<'_>, key: &str) -> Option<String> {
        let found = at.get(key)?;
        self.as_text(&found)
    }

    pub(super) fn as_text(&mut self, at: &At<'_>) -> Option<String> {
        if let Some(Value::String(text)) = at.scalar() {
            return Some(text.clone());
        }
        self.wrong(at, "text");
        None
    }

    pub(super) fn flag(&mut self, at: &At<'_>, key: &str) -> bool {
        let Some(found) = at.get(key) else { return false };
        if let Some(Value::Bool(flag)) = found.scalar() {
            return *flag;
        }
        self.wrong(&found, "true or false");
        false
    }

    pub(super) fn number(&mut self, at: &At<'_>, key: &str, least: u64) -> Option<u64> {
        let found = at.get(key)?;
        let number = found.scalar().and_then(Value::as_u64);
        if number.is_none_or(|number| number < least) {
            self.wrong(&found, &format!("a whole number, at least {least}"));
            return None;
        }
        number
    }

    /// The items of an array; absent is empty.
    pub(super) fn items<'n>(&mut self, at: &At<'n>, key: &str) -> Vec<At<'n>> {
        let Some(found) = at.get(key) else {
            return Vec::new();
        };
        found.items().unwrap_or_else(|| {
            self.wrong(&found, "an array");
            Vec::new()
        })
    }

    /// An array of texts that pass a check; `must` says what they must be.
    pub(super) fn texts(
        &mut self,
        at: &At<'_>,
        key: &str,
        must: &str,
        check: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let mut texts = Vec::new();
        for item in self.items(at, key) {
            match item.scalar() {
                Some(Value::String(text)) if check(text) => texts.push(text.clone()),
                _ => self.wrong(&item, must),
            }
        }
        texts
    }
}

/// The line and the column, both from 1, of a byte; columns count characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[start..].chars().count() + 1)
}
