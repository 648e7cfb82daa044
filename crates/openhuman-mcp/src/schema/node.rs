//! What a compiled schema is made of.

use std::collections::HashMap;

use regex::Regex;
use serde_json::Value;

/// Indices into [`Schema::nodes`].
pub(super) type Id = usize;

#[derive(Debug)]
pub(crate) struct Schema {
    pub(super) nodes: Vec<Node>,
    pub(super) root: Id,
}

/// One (sub)schema.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// `false`: nothing fits.
    pub(super) never: bool,
    pub(super) types: Option<Types>,
    pub(super) options: Option<Vec<Value>>,
    pub(super) constant: Option<Value>,
    pub(super) number: Option<Box<NumberRules>>,
    pub(super) text: Option<Box<TextRules>>,
    pub(super) list: Option<Box<ListRules>>,
    pub(super) object: Option<Box<ObjectRules>>,
    pub(super) all_of: Vec<Id>,
    pub(super) any_of: Option<Vec<Id>>,
    pub(super) one_of: Option<Vec<Id>>,
    pub(super) not: Option<Id>,
    pub(super) condition: Option<(Id, Option<Id>, Option<Id>)>,
}

/// A set of JSON types, one bit each, and their names as the schema orders them.
#[derive(Debug, Clone)]
pub(super) struct Types {
    pub(super) names: Vec<&'static str>,
}

pub(super) const TYPES: [&str; 7] = [
    "string", "number", "integer", "boolean", "object", "array", "null",
];

#[derive(Debug, Default)]
pub(super) struct NumberRules {
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    pub(super) above: Option<f64>,
    pub(super) below: Option<f64>,
    pub(super) multiple_of: Option<f64>,
}

#[derive(Debug, Default)]
pub(super) struct TextRules {
    pub(super) shortest: Option<u64>,
    pub(super) longest: Option<u64>,
    pub(super) pattern: Option<Regex>,
}

#[derive(Debug, Default)]
pub(super) struct ListRules {
    pub(super) first: Vec<Id>,
    pub(super) rest: Option<Id>,
    pub(super) contains: Option<(Id, u64, Option<u64>)>,
    pub(super) fewest: Option<u64>,
    pub(super) most: Option<u64>,
    pub(super) unique: bool,
}

#[derive(Debug, Default)]
pub(super) struct ObjectRules {
    pub(super) required: Vec<String>,
    pub(super) properties: HashMap<String, Id>,
    pub(super) patterns: Vec<(Regex, Id)>,
    pub(super) others: Option<Id>,
    pub(super) names: Option<Id>,
    pub(super) fewest: Option<u64>,
    pub(super) most: Option<u64>,
    pub(super) needs: Vec<(String, Vec<String>)>,
    pub(super) implies: Vec<(String, Id)>,
}
