use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::accumulate::Accumulate;
use super::filter::{Filter, RawFilter};

/// The largest definition, in bytes of JSON.
const MAX_DEFINITION: usize = 32 * 1024;
const MAX_ID: usize = 128;
const MAX_DESCRIPTION: usize = 1024;
/// The most regular expressions all hooks of one skill may have together.
pub const MAX_REGEXES: usize = 16;

/// Why a definition, a change of one, or an event is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {reason}")]
pub struct HookError {
    /// The field, for example `filter.data_match[2].value`.
    pub at: String,
    /// What is wrong with it.
    pub reason: String,
}

impl HookError {
    pub(super) fn new(at: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self {
            at: at.into(),
            reason: reason.to_string(),
        }
    }
}

/// A definition that has been checked.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) id: String,
    pub(super) filter: Filter,
    pub(super) accumulate: Option<Accumulate>,
    pub(super) enabled: bool,
    pub(super) max_fires: Option<u64>,
    pub(super) priority: Option<f64>,
    pub(super) regexes: usize,
    /// As it was written, for `list` and for partial changes.
    pub(super) json: Value,
}

/// The definition as it is written. A field nobody knows is an error: ignoring a condition would widen the hook.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: String,
    #[serde(default)]
    description: Option<String>,
    filter: RawFilter,
    #[serde(default)]
    accumulate: Option<Accumulate>,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    max_fires: Option<u64>,
    #[serde(default)]
    priority: Option<f64>,
}

impl Definition {
    pub(super) fn parse(json: &Value) -> Result<Self, HookError> {
        let size = json.to_string().len();
        if size > MAX_DEFINITION {
            return Err(HookError::new(
                "hook",
                format!("{size} bytes, at most {MAX_DEFINITION}"),
            ));
        }
        let raw = Raw::deserialize(json).map_err(|error| HookError::new("hook", error))?;
        if raw.id.is_empty() || raw.id.len() > MAX_ID {
            return Err(HookError::new("hook.id", format!("needs 1 to {MAX_ID} bytes")));
        }
        if raw.description.is_some_and(|text| text.len() > MAX_DESCRIPTION) {
            return Err(HookError::new(
                "hook.description",
                format!("more than {MAX_DESCRIPTION} bytes"),
            ));
        }
        if raw.max_fires == Some(0) {
            return Err(HookError::new("hook.max_fires", "needs at least 1"));
        }
        if let Some(accumulate) = &raw.accumulate {
            accumulate.check()?;
        }
        let (filter, regexes) = Filter::compile(raw.filter)?;
        Ok(Self {
            id: raw.id,
            filter,
            accumulate: raw.accumulate,
            enabled: raw.enabled.unwrap_or(true),
            max_fires: raw.max_fires,
            priority: raw.priority,
            regexes,
            json: json.clone(),
        })
    }

    /// The definition with the fields of `changes` in place of its own; a null takes an optional field away.
    pub(super) fn merged(&self, changes: &Value) -> Result<Value, HookError> {
        let Value::Object(changes) = changes else {
            return Err(HookError::new("changes", "needs an object"));
        };
        let mut fields: BTreeMap<String, Value> = match &self.json {
            Value::Object(fields) => fields.clone().into_iter().collect(),
            _ => BTreeMap::new(),
        };
        for (name, value) in changes {
            if name == "id" && value.as_str() != Some(&self.id) {
                return Err(HookError::new("changes.id", "the id of a hook does not change"));
            }
            if value.is_null() {
                fields.remove(name);
            } else {
                fields.insert(name.clone(), value.clone());
            }
        }
        Ok(Value::Object(fields.into_iter().collect()))
    }
}
