//! One pass of a compiled schema over a value.

use serde_json::{Map, Value};

use super::Role;
use super::node::{Id, ListRules, Node, NumberRules, ObjectRules, Schema, TextRules};

/// How many schemas may be entered inside each other. Deeper values than that are left alone.
const DEPTH: usize = 128;

/// How many schemas one check may enter: nested alternatives must not multiply.
const STEPS: usize = 100_000;

/// Where and how a value breaks its schema.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    /// `a.b[0]`, empty for the whole.
    path: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Missing(String),
    Text(String),
}

impl Problem {
    fn here(text: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            kind: Kind::Text(text.into()),
        }
    }

    /// Puts a step in front of the path, on the way back.
    fn under(mut self, step: &str) -> Self {
        let joined = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{step}{joined}{}", self.path);
        self
    }

    pub(super) fn text(&self, role: Role) -> String {
        let (whole, part) = match role {
            Role::Arguments => ("the arguments", "the argument"),
            Role::Result => ("the result", "the value"),
        };
        match &self.kind {
            Kind::Missing(name) if self.path.is_empty() => format!("{part} '{name}' is missing"),
            Kind::Missing(name) => format!("{part} '{}.{name}' is missing", self.path),
            Kind::Text(text) if self.path.is_empty() => format!("{whole} {text}"),
            Kind::Text(text) => format!("{part} '{}' {text}", self.path),
        }
    }
}

impl Schema {
    pub(super) fn check(&self, value: &Value) -> Result<(), Problem> {
        let mut walk = Walk {
            nodes: &self.nodes,
            steps: 0,
        };
        walk.check(self.root, value, 0)
    }
}

struct Walk<'a> {
    nodes: &'a [Node],
    steps: usize,
}

impl Walk<'_> {
    fn fits(&mut self, id: Id, value: &Value, depth: usize) -> bool {
        self.check(id, value, depth).is_ok()
    }

    fn check(&mut self, id: Id, value: &Value, depth: usize) -> Result<(), Problem> {
        self.steps += 1;
        if depth > DEPTH || self.steps > STEPS {
            return Ok(());
        }
        let nodes = self.nodes;
        let node = &nodes[id];
        if node.never {
            return Err(Problem::here("is not allowed"));
        }
        if let Some(types) = &node.types
            && !types.names.iter().any(|name| is_a(name, value))
        {
            let wanted = types.names.join(" or ");
            return Err(Problem::here(format!("must be {wanted}, not {}", kind(value))));
        }
        if let Some(options) = &node.options
            && !options.iter().any(|option| equal(option, value))
        {
            return Err(Problem::here(format!("must be one of {}", listed(options))));
        }
        if let Some(constant) = &node.constant
            && !equal(constant, value)
        {
            return Err(Problem::here(format!("must be {}", short(constant))));
        }
        match value {
            Value::Number(number) => {
                if let (Some(rules), Some(number)) = (&node.number, number.as_f64()) {
                    check_number(rules, number)?;
                }
            }
            Value::String(text) => {
                if let Some(rules) = &node.text {
                    check_text(rules, text)?;
                }
            }
            Value::Array(items) => {
                if let Some(rules) = &node.list {
                    self.check_list(rules, items, depth)?;
                }
            }
            Value::Object(map) => {
                if let Some(rules) = &node.object {
                    self.check_object(rules, map, value, depth)?;
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
        self.check_combinations(node, value, depth)
    }

    fn check_combinations(&mut self, node: &Node, value: &Value, depth: usize) -> Result<(), Problem> {
        for &id in &node.all_of {
            self.check(id, value, depth + 1)?;
        }
        if let Some(ids) = &node.any_of {
            let mut first = None;
            let fits = ids.iter().any(|&id| match self.check(id, value, depth + 1) {
                Ok(()) => true,
                Err(problem) => {
                    first.get_or_insert(problem);
                    false
                }
            });
            if !fits {
                // With one alternative its problem says more than that none fits.
                return Err(match (ids.len(), first) {
                    (1, Some(problem)) => problem,
                    _ => Problem::here("fits none of the allowed forms"),
                });
            }
        }
        if let Some(ids) = &node.one_of {
            let fitting = ids.iter().filter(|&&id| self.fits(id, value, depth + 1)).count();
            if fitting != 1 {
                let text = if fitting == 0 {
                    "fits none of the allowed forms"
                } else {
                    "fits more than one of the allowed forms"
                };
                return Err(Problem::here(text));
            }
        }
        if let Some(id) = node.not
            && self.fits(id, value, depth + 1)
        {
            return Err(Problem::here("has a form that is not allowed"));
        }
        if let Some((condition, then, otherwise)) = node.condition {
            let branch = if self.fits(condition, value, depth + 1) {
                then
            } else {
                otherwise
            };
            if let Some(id) = branch {
                self.check(id, value, depth + 1)?;
            }
        }
        Ok(())
    }

    fn check_list(&mut self, rules: &ListRules, items: &[Value], depth: usize) -> Result<(), Problem> {
        let length = items.len() as u64;
        if let Some(fewest) = rules.fewest.filter(|fewest| length < *fewest) {
            return Err(Problem::here(format!("must have at least {fewest} items")));
        }
        if let Some(most) = rules.most.filter(|most| length > *most) {
            return Err(Problem::here(format!("must have at most {most} items")));
        }
        for (index, item) in items.iter().enumerate() {
            if let Some(id) = rules.first.get(index).copied().or(rules.rest) {
                self.check(id, item, depth + 1)
                    .map_err(|problem| problem.under(&format!("[{index}]")))?;
            }
        }
        if let Some((id, least, most)) = rules.contains {
            let found = items.iter().filter(|item| self.fits(id, item, depth + 1)).count() as u64;
            if found < least || most.is_some_and(|most| found > most) {
                return Err(Problem::here("has too few or too many items of the wanted form"));
            }
        }
        let twice = |(index, item): (usize, &Value)| items[..index].iter().any(|other| equal(other, item));
        if rules.unique && items.iter().enumerate().any(twice) {
            return Err(Problem::here("must not have an item twice"));
        }
        Ok(())
    }

    fn check_object(
        &mut self,
        rules: &ObjectRules,
        map: &Map<String, Value>,
        value: &Value,
        depth: usize,
    ) -> Result<(), Problem> {
        let missing = |name: &String| Problem {
            path: String::new(),
            kind: Kind::Missing(name.clone()),
        };
        if let Some(name) = rules.required.iter().find(|name| !map.contains_key(*name)) {
            return Err(missing(name));
        }
        for (name, needed) in &rules.needs {
            if map.contains_key(name)
                && let Some(absent) = needed.iter().find(|other| !map.contains_key(*other))
            {
                return Err(missing(absent));
            }
        }
        let size = map.len() as u64;
        if let Some(fewest) = rules.fewest.filter(|fewest| size < *fewest) {
            return Err(Problem::here(format!("must have at least {fewest} members")));
        }
        if let Some(most) = rules.most.filter(|most| size > *most) {
            return Err(Problem::here(format!("must have at most {most} members")));
        }
        for (name, member) in map {
            let mut known = false;
            let named = rules.properties.get(name).copied();
            let matching = rules.patterns.iter().filter(|(regex, _)| regex.is_match(name));
            for id in named.into_iter().chain(matching.map(|(_, id)| *id)) {
                known = true;
                self.check(id, member, depth + 1)
                    .map_err(|problem| problem.under(name))?;
            }
            if let Some(id) = rules.others.filter(|_| !known) {
                self.check(id, member, depth + 1)
                    .map_err(|problem| problem.under(name))?;
            }
            if let Some(id) = rules.names
                && !self.fits(id, &Value::String(name.clone()), depth + 1)
            {
                return Err(Problem::here("has a name that is not allowed").under(name));
            }
        }
        for (name, id) in &rules.implies {
            if map.contains_key(name) {
                self.check(*id, value, depth + 1)?;
            }
        }
        Ok(())
    }
}

fn check_number(rules: &NumberRules, number: f64) -> Result<(), Problem> {
    let broken = |text: String| Err(Problem::here(text));
    if let Some(limit) = rules.minimum.filter(|limit| number < *limit) {
        return broken(format!("must be at least {limit}"));
    }
    if let Some(limit) = rules.maximum.filter(|limit| number > *limit) {
        return broken(format!("must be at most {limit}"));
    }
    if let Some(limit) = rules.above.filter(|limit| number <= *limit) {
        return broken(format!("must be more than {limit}"));
    }
    if let Some(limit) = rules.below.filter(|limit| number >= *limit) {
        return broken(format!("must be less than {limit}"));
    }
    if let Some(step) = rules.multiple_of {
        let times = number / step;
        // Decimal fractions are not exact: 4.35 is meant to be a multiple of 0.01.
        let off = (times - times.round()).abs();
        if !times.is_finite() || off > 1e-9 * times.abs().max(1.0) {
            return broken(format!("must be a multiple of {step}"));
        }
    }
    Ok(())
}

fn check_text(rules: &TextRules, text: &str) -> Result<(), Problem> {
    if rules.shortest.is_some() || rules.longest.is_some() {
        let length = text.chars().count() as u64;
        if let Some(shortest) = rules.shortest.filter(|shortest| length < *shortest) {
            return Err(Problem::here(format!("must have at least {shortest} characters")));
        }
        if let Some(longest) = rules.longest.filter(|longest| length > *longest) {
            return Err(Problem::here(format!("must have at most {longest} characters")));
        }
    }
    match &rules.pattern {
        Some(pattern) if !pattern.is_match(text) => Err(Problem::here(format!(
            "must match the pattern {}",
            pattern.as_str()
        ))),
        _ => Ok(()),
    }
}

fn is_a(name: &str, value: &Value) -> bool {
    match (name, value) {
        ("integer", Value::Number(number)) => {
            number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        _ => name == kind(value),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Equality as JSON Schema has it: `1` and `1.0` are the same.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, value)| right.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => left == right,
    }
}

/// The allowed values come from the schema, not from the caller; they may be long all the same.
fn listed(options: &[Value]) -> String {
    const SHOWN: usize = 12;
    let mut text = options
        .iter()
        .take(SHOWN)
        .map(short)
        .collect::<Vec<_>>()
        .join(", ");
    if options.len() > SHOWN {
        text.push_str(", ..");
    }
    text
}

fn short(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text,
    }
}
