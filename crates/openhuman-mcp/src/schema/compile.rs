//! From the JSON of a schema to what the check walks over.

use std::collections::HashMap;

use regex::Regex;
use serde_json::{Map, Value};

use super::node::{Id, ListRules, Node, NumberRules, ObjectRules, Schema, TYPES, TextRules, Types};

/// How deep a schema may nest, references not counted.
const DEPTH: usize = 64;

/// The largest automaton of one pattern, in bytes.
const PATTERN_SIZE: usize = 256 * 1024;

/// Compiles a schema.
pub(super) fn compile(schema: &Value) -> Result<Schema, String> {
    let mut compiler = Compiler {
        document: schema,
        nodes: Vec::new(),
        by_pointer: HashMap::new(),
        anchors: HashMap::new(),
    };
    compiler.find_anchors(schema, "", 0);
    let root = compiler.at("", schema, 0)?;
    Ok(Schema {
        nodes: compiler.nodes,
        root,
    })
}

struct Compiler<'a> {
    document: &'a Value,
    nodes: Vec<Node>,
    /// Where each part of the document is compiled to, so that references may go in circles.
    by_pointer: HashMap<String, Id>,
    anchors: HashMap<String, String>,
}

impl<'a> Compiler<'a> {
    /// Compiles the part of the document at `pointer`, once.
    fn at(&mut self, pointer: &str, schema: &'a Value, depth: usize) -> Result<Id, String> {
        if let Some(&id) = self.by_pointer.get(pointer) {
            return Ok(id);
        }
        if depth > DEPTH {
            return Err(format!("it nests deeper than {DEPTH} levels"));
        }
        let id = self.nodes.len();
        self.nodes.push(Node::default());
        self.by_pointer.insert(pointer.to_owned(), id);
        self.nodes[id] = match schema {
            Value::Bool(fits) => Node {
                never: !fits,
                ..Node::default()
            },
            Value::Object(map) => self.node(pointer, map, depth)?,
            _ => return Err(format!("'{pointer}' is neither an object nor true or false")),
        };
        Ok(id)
    }

    fn node(&mut self, pointer: &str, map: &'a Map<String, Value>, depth: usize) -> Result<Node, String> {
        let mut node = Node {
            types: types(pointer, map)?,
            options: map.get("enum").and_then(Value::as_array).cloned(),
            constant: map.get("const").cloned(),
            number: number_rules(map),
            text: text_rules(map),
            list: self.list_rules(pointer, map, depth)?,
            object: self.object_rules(pointer, map, depth)?,
            ..Node::default()
        };
        node.all_of = self.each(pointer, map, "allOf", depth)?.unwrap_or_default();
        node.any_of = self.each(pointer, map, "anyOf", depth)?;
        node.one_of = self.each(pointer, map, "oneOf", depth)?;
        node.not = self.one(pointer, map, "not", depth)?;
        if let Some(condition) = self.one(pointer, map, "if", depth)? {
            let then = self.one(pointer, map, "then", depth)?;
            let otherwise = self.one(pointer, map, "else", depth)?;
            node.condition = Some((condition, then, otherwise));
        }
        for key in ["$ref", "$dynamicRef"] {
            if let Some(reference) = map.get(key).and_then(Value::as_str) {
                node.all_of.push(self.reference(reference, depth)?);
            }
        }
        Ok(node)
    }

    fn list_rules(
        &mut self,
        pointer: &str,
        map: &'a Map<String, Value>,
        depth: usize,
    ) -> Result<Option<Box<ListRules>>, String> {
        let mut rules = ListRules {
            fewest: count(map, "minItems"),
            most: count(map, "maxItems"),
            unique: map.get("uniqueItems").and_then(Value::as_bool) == Some(true),
            ..ListRules::default()
        };
        // Draft 7 wrote the list of the first items as `items` and the rest as `additionalItems`.
        let tuple = map.get("items").is_some_and(Value::is_array);
        let (first, rest) = if tuple {
            ("items", "additionalItems")
        } else {
            ("prefixItems", "items")
        };
        rules.first = self.each(pointer, map, first, depth)?.unwrap_or_default();
        rules.rest = self.one(pointer, map, rest, depth)?;
        if let Some(id) = self.one(pointer, map, "contains", depth)? {
            let least = count(map, "minContains").unwrap_or(1);
            rules.contains = Some((id, least, count(map, "maxContains")));
        }
        let says_something = rules.fewest.is_some()
            || rules.most.is_some()
            || rules.unique
            || !rules.first.is_empty()
            || rules.rest.is_some()
            || rules.contains.is_some();
        Ok(says_something.then(|| Box::new(rules)))
    }

    fn object_rules(
        &mut self,
        pointer: &str,
        map: &'a Map<String, Value>,
        depth: usize,
    ) -> Result<Option<Box<ObjectRules>>, String> {
        let mut rules = ObjectRules {
            required: strings(map.get("required")),
            others: self.one(pointer, map, "additionalProperties", depth)?,
            names: self.one(pointer, map, "propertyNames", depth)?,
            fewest: count(map, "minProperties"),
            most: count(map, "maxProperties"),
            ..ObjectRules::default()
        };
        rules.properties = self
            .named(pointer, map, "properties", depth)?
            .into_iter()
            .collect();
        for (source, id) in self.named(pointer, map, "patternProperties", depth)? {
            rules.patterns.push((pattern(&source)?, id));
        }
        for key in ["dependentRequired", "dependencies"] {
            for (name, needed) in map.get(key).and_then(Value::as_object).into_iter().flatten() {
                if needed.is_array() {
                    rules.needs.push((name.clone(), strings(Some(needed))));
                }
            }
        }
        for key in ["dependentSchemas", "dependencies"] {
            rules.implies.extend(self.named(pointer, map, key, depth)?);
        }
        let says_something = !rules.required.is_empty()
            || !rules.properties.is_empty()
            || !rules.patterns.is_empty()
            || rules.others.is_some()
            || rules.names.is_some()
            || rules.fewest.is_some()
            || rules.most.is_some()
            || !rules.needs.is_empty()
            || !rules.implies.is_empty();
        Ok(says_something.then(|| Box::new(rules)))
    }

    fn one(
        &mut self,
        pointer: &str,
        map: &'a Map<String, Value>,
        key: &str,
        depth: usize,
    ) -> Result<Option<Id>, String> {
        match map.get(key) {
            Some(schema) if schema.is_object() || schema.is_boolean() => {
                self.at(&format!("{pointer}/{key}"), schema, depth + 1).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn each(
        &mut self,
        pointer: &str,
        map: &'a Map<String, Value>,
        key: &str,
        depth: usize,
    ) -> Result<Option<Vec<Id>>, String> {
        let Some(list) = map.get(key).and_then(Value::as_array) else {
            return Ok(None);
        };
        let compiled = list
            .iter()
            .enumerate()
            .map(|(index, schema)| self.at(&format!("{pointer}/{key}/{index}"), schema, depth + 1));
        compiled.collect::<Result<_, _>>().map(Some)
    }

    fn named(
        &mut self,
        pointer: &str,
        map: &'a Map<String, Value>,
        key: &str,
        depth: usize,
    ) -> Result<Vec<(String, Id)>, String> {
        let members = map.get(key).and_then(Value::as_object).into_iter().flatten();
        let schemas = members.filter(|(_, schema)| schema.is_object() || schema.is_boolean());
        schemas
            .map(|(name, schema)| {
                let pointer = format!("{pointer}/{key}/{}", escaped(name));
                Ok((name.clone(), self.at(&pointer, schema, depth + 1)?))
            })
            .collect()
    }

    fn reference(&mut self, reference: &str, depth: usize) -> Result<Id, String> {
        let Some(fragment) = reference.strip_prefix('#') else {
            return Err(format!(
                "it refers to '{reference}', and only references inside of the schema are followed"
            ));
        };
        let fragment = percent_decoded(fragment);
        let pointer = match fragment.as_str() {
            "" => String::new(),
            path if path.starts_with('/') => path.to_owned(),
            anchor => self
                .anchors
                .get(anchor)
                .cloned()
                .ok_or_else(|| format!("it refers to the anchor '{anchor}', which is not there"))?,
        };
        let target = self
            .document
            .pointer(&pointer)
            .ok_or_else(|| format!("it refers to '{reference}', which is not there"))?;
        self.at(&pointer, target, depth + 1)
    }

    fn find_anchors(&mut self, value: &Value, pointer: &str, depth: usize) {
        if depth > DEPTH {
            return;
        }
        match value {
            Value::Object(map) => {
                for key in ["$anchor", "$dynamicAnchor"] {
                    if let Some(anchor) = map.get(key).and_then(Value::as_str) {
                        self.anchors.insert(anchor.to_owned(), pointer.to_owned());
                    }
                }
                for (key, value) in map {
                    self.find_anchors(value, &format!("{pointer}/{}", escaped(key)), depth + 1);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    self.find_anchors(value, &format!("{pointer}/{index}"), depth + 1);
                }
            }
            _ => {}
        }
    }
}

/// The declared types. A type nobody knows makes the whole schema unusable.
fn types(pointer: &str, map: &Map<String, Value>) -> Result<Option<Types>, String> {
    let declared: Vec<&str> = match map.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(None),
    };
    let names = declared.iter().map(|name| {
        let known = TYPES.iter().copied().find(|known| known == name);
        known.ok_or_else(|| format!("'{pointer}' has the type '{name}', which JSON has not"))
    });
    Ok(Some(Types {
        names: names.collect::<Result<_, _>>()?,
    }))
}

fn number_rules(map: &Map<String, Value>) -> Option<Box<NumberRules>> {
    let number = |key: &str| map.get(key).and_then(Value::as_f64);
    // In draft 4 `exclusiveMinimum` was a switch beside `minimum`.
    let excluded = |key: &str| map.get(key).and_then(Value::as_bool) == Some(true);
    let mut rules = NumberRules {
        minimum: number("minimum"),
        maximum: number("maximum"),
        above: number("exclusiveMinimum"),
        below: number("exclusiveMaximum"),
        multiple_of: number("multipleOf").filter(|step| *step > 0.0),
    };
    if excluded("exclusiveMinimum") {
        rules.above = rules.minimum.take();
    }
    if excluded("exclusiveMaximum") {
        rules.below = rules.maximum.take();
    }
    let limits = [
        rules.minimum,
        rules.maximum,
        rules.above,
        rules.below,
        rules.multiple_of,
    ];
    limits.iter().any(Option::is_some).then(|| Box::new(rules))
}

/// A pattern that this engine does not understand, such as one that looks ahead, is left out.
fn text_rules(map: &Map<String, Value>) -> Option<Box<TextRules>> {
    let rules = TextRules {
        shortest: count(map, "minLength"),
        longest: count(map, "maxLength"),
        pattern: map
            .get("pattern")
            .and_then(Value::as_str)
            .and_then(|source| pattern(source).ok()),
    };
    let says_something = rules.shortest.is_some() || rules.longest.is_some() || rules.pattern.is_some();
    says_something.then(|| Box::new(rules))
}

fn pattern(source: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(source)
        .size_limit(PATTERN_SIZE)
        .build()
        .map_err(|_| format!("its pattern '{source}' cannot be used"))
}

/// A count, also where it is written as `3.0`.
fn count(map: &Map<String, Value>, key: &str) -> Option<u64> {
    let value = map.get(key)?;
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        (number >= 0.0 && number.fract() == 0.0).then_some(number as u64)
    })
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = text.get(at + 1..at + 3);
        match (
            bytes[at],
            digits.and_then(|pair| u8::from_str_radix(pair, 16).ok()),
        ) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
