//! JSON Schema for arguments and results.
//!
//! A schema is compiled once per tool, when it is first needed, and then checks in one pass over the value. What
//! tools use of draft 2020-12 (and of draft 7, where it differs) is understood: types, enumerations, limits,
//! patterns, objects, lists, combinations, conditions and references inside of the schema. Formats are notes, as the
//! draft has it, and what is not known is ignored: the check tells honest mistakes, it does not guard anything.
//! Patterns run in linear time, references are never fetched, and depth is bounded.

use std::sync::OnceLock;

use serde_json::{Map, Value};

mod check;
mod compile;
mod node;

/// A schema that is compiled when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Lazy(OnceLock<Option<node::Schema>>);

impl Lazy {
    /// Says where and how `value` breaks the schema; the first place only. A schema that makes no sense is broken
    /// by nothing.
    pub(crate) fn check(&self, schema: &Value, value: &Value, role: Role) -> Result<(), String> {
        let compiled = self.0.get_or_init(|| match compile::compile(schema) {
            Ok(compiled) => Some(compiled),
            Err(reason) => {
                tracing::warn!(%reason, "a tool's schema cannot be used; its values are not checked");
                None
            }
        });
        let Some(compiled) = compiled else { return Ok(()) };
        let Err(problem) = compiled.check(value) else {
            return Ok(());
        };
        // Models write null for what they leave out.
        if role == Role::Arguments
            && let Some(without) = without_nulls(value)
            && compiled.check(&without).is_ok()
        {
            return Ok(());
        }
        Err(problem.text(role))
    }
}

/// What a value is, for the words about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Arguments,
    Result,
}

/// The value without the members of objects that are null, if there are any.
fn without_nulls(value: &Value) -> Option<Value> {
    fn has_null(value: &Value) -> bool {
        match value {
            Value::Object(map) => map.values().any(|value| value.is_null() || has_null(value)),
            Value::Array(items) => items.iter().any(has_null),
            _ => false,
        }
    }
    fn strip(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let kept = map.iter().filter(|(_, value)| !value.is_null());
                Value::Object(
                    kept.map(|(key, value)| (key.clone(), strip(value)))
                        .collect::<Map<_, _>>(),
                )
            }
            Value::Array(items) => Value::Array(items.iter().map(strip).collect()),
            other => other.clone(),
        }
    }
    has_null(value).then(|| strip(value))
}

#[cfg(test)]
mod tests;
