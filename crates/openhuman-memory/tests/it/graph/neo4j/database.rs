//! What the imitation keeps: nodes and relationships with properties, as Neo4j has them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// A code and a message.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) String, pub(super) String);

impl Refusal {
    pub(super) fn client(code: &str, message: &str) -> Self {
        Self(format!("Neo.ClientError.{code}"), message.to_owned())
    }
}

pub(super) type Properties = Map<String, Value>;

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Database {
    pub(super) spaces: BTreeMap<String, i64>,
    /// By `key`, like all nodes below.
    pub(super) entities: BTreeMap<String, Properties>,
    pub(super) aliases: BTreeMap<String, (Properties, String)>,
    pub(super) evidence: BTreeMap<String, Properties>,
    pub(super) episodes: BTreeMap<String, Properties>,
    /// Episode and entity.
    pub(super) mentions: BTreeSet<(String, String)>,
    pub(super) facts: Vec<Relation>,
}

/// `RELATES_TO`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Relation {
    pub(super) subject: String,
    pub(super) object: String,
    pub(super) properties: Properties,
}

impl Relation {
    /// A property; what is absent is null.
    pub(super) fn get(&self, name: &str) -> &Value {
        self.properties.get(name).unwrap_or(&Value::Null)
    }

    pub(super) fn int(&self, name: &str) -> i64 {
        self.get(name).as_i64().unwrap()
    }

    pub(super) fn is_believed(&self) -> bool {
        self.get("retired").is_null()
    }

    pub(super) fn holds_at(&self, time: Option<i64>) -> bool {
        let Some(time) = time else { return true };
        self.int("from") <= time && self.get("until").as_i64().is_none_or(|until| until > time)
    }

    /// As `SET r = map`: a null takes the property away.
    pub(super) fn set(&mut self, properties: &Properties) {
        for (name, value) in properties {
            if value.is_null() {
                self.properties.remove(name);
            } else {
                self.properties.insert(name.clone(), value.clone());
            }
        }
    }
}

pub(super) fn text<'a>(properties: &'a Properties, name: &str) -> &'a str {
    properties.get(name).and_then(Value::as_str).unwrap_or_default()
}
