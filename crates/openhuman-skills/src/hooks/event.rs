use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::HookError;
use crate::SkillId;

/// The largest event, in bytes of JSON.
const MAX_EVENT: usize = 64 * 1024;
const MAX_TYPE: usize = 256;
const MAX_ENTITIES: usize = 32;

/// Something a skill says has happened. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HookEvent {
    pub(super) kind: String,
    pub(super) source: SkillId,
    pub(super) timestamp: i64,
    pub(super) entities: BTreeMap<String, Entity>,
    /// The whole event as JSON: paths of groups and what the hook is given come from here.
    pub(super) json: Arc<Value>,
    pub(super) size: usize,
}

/// A thing that takes part in an event.
#[derive(Clone, Debug)]
pub(super) struct Entity {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) properties: Value,
}

/// The event as it is written.
#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    timestamp: Option<f64>,
    #[serde(default)]
    entities: BTreeMap<String, RawEntity>,
    #[serde(default)]
    data: Map<String, Value>,
}

#[derive(Deserialize)]
struct RawEntity {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    #[serde(default)]
    properties: Option<Map<String, Value>>,
}

impl HookEvent {
    /// Reads `{type, timestamp?, entities?, data?}` as `source` sent it. The source is always the sender,
    /// whatever the event says; a missing timestamp is `now_ms` (milliseconds since the epoch).
    ///
    /// # Errors
    /// [`HookError`] when the shape is wrong, the type is empty or longer than 256 bytes, there are more than 32
    /// entities, or the event is larger than 64 KB.
    pub fn parse(value: &Value, source: &SkillId, now_ms: i64) -> Result<Self, HookError> {
        let raw = Raw::deserialize(value).map_err(|error| HookError::new("event", error))?;
        if raw.kind.is_empty() || raw.kind.len() > MAX_TYPE {
            return Err(HookError::new(
                "event.type",
                format!("needs 1 to {MAX_TYPE} bytes"),
            ));
        }
        if raw.entities.len() > MAX_ENTITIES {
            return Err(HookError::new(
                "event.entities",
                format!("more than {MAX_ENTITIES}"),
            ));
        }
        let timestamp = raw
            .timestamp
            .filter(|ms| ms.is_finite())
            .map_or(now_ms, |ms| ms as i64);
        let mut entities = BTreeMap::new();
        let mut shown = Map::new();
        for (role, entity) in raw.entities {
            let mut json = json!({"type": entity.kind, "id": entity.id});
            let properties = entity.properties.map_or(Value::Null, Value::Object);
            if let (Some(json), false) = (json.as_object_mut(), properties.is_null()) {
                json.insert("properties".to_owned(), properties.clone());
            }
            shown.insert(role.clone(), json);
            entities.insert(
                role,
                Entity {
                    kind: entity.kind,
                    id: entity.id,
                    properties,
                },
            );
        }
        let json = json!({
            "type": raw.kind, "source": source.as_str(), "timestamp": timestamp,
            "entities": shown, "data": raw.data,
        });
        let size = json.to_string().len();
        if size > MAX_EVENT {
            return Err(HookError::new(
                "event",
                format!("{size} bytes, at most {MAX_EVENT}"),
            ));
        }
        Ok(Self {
            kind: raw.kind,
            source: source.clone(),
            timestamp,
            entities,
            json: Arc::new(json),
            size,
        })
    }

    /// The event as its receivers see it.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.json
    }

    /// The event's type, for example `mail.message.received`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The skill that says it.
    #[must_use]
    pub fn source(&self) -> &SkillId {
        &self.source
    }

    pub(super) fn data(&self) -> &Value {
        self.json.get("data").unwrap_or(&Value::Null)
    }
}

/// The value at a path like `chat.members.0.id`; a number is also an index.
pub(super) fn at<'v>(root: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(root, |value, step| match value {
        Value::Object(fields) => fields.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}
