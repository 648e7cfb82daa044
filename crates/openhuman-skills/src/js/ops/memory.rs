//! Adding to the user's memory.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::{HostError, Op, OpResult, give};
use crate::MemoryDocument;
use crate::js::host::Host;
use crate::js::raw::Args;

pub(super) const OPS: &[Op] = &[Op {
    name: "memory.insert",
    run: insert,
}];

/// The longest title and text, in bytes.
const MAX_TITLE: usize = 1024;
const MAX_CONTENT: usize = 1024 * 1024;
const MAX_METADATA: usize = 64 * 1024;

fn insert<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let document =
        document(args.json(0)?).map_err(|text| HostError::Type(format!("memory.insert: {text}")))?;
    if !host.skill.grant().memory.insert {
        return Err(HostError::Failed(
            "memory.insert: not granted; ask for permissions.memory.insert".to_owned(),
        ));
    }
    let Some(port) = host.shared.ports.memory.clone() else {
        return Err(HostError::Failed(
            "memory.insert: this host has no memory".to_owned(),
        ));
    };
    let skill = host.skill.id.clone();
    host.wait_for(async move { port.insert(&skill, document).await })?
        .map_err(|text| HostError::Failed(format!("memory.insert: {text}")))?;
    give(args, true)
}

fn document(value: Value) -> Result<MemoryDocument, String> {
    let Value::Object(fields) = value else {
        return Err("the argument must be an object with `title` and `content`".to_owned());
    };
    let required = |name: &str, limit: usize| match fields.get(name) {
        Some(Value::String(text)) if !text.trim().is_empty() && text.len() <= limit => Ok(text.clone()),
        Some(Value::String(text)) if text.len() > limit => {
            Err(format!("`{name}` is longer than {limit} bytes"))
        }
        _ => Err(format!("`{name}` must be a text that is not empty")),
    };
    let one_of = |name: &str, allowed: [&str; 3], default: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(default.to_owned()),
        Some(Value::String(text)) if allowed.contains(&text.as_str()) => Ok(text.clone()),
        Some(_) => Err(format!("`{name}` must be one of {}", allowed.join(", "))),
    };
    let moment = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(Value::Null),
        Some(value @ (Value::Number(_) | Value::String(_))) => Ok(value.clone()),
        Some(_) => Err(format!("`{name}` must be a number or a text")),
    };
    let metadata = match fields.get("metadata") {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(value @ Value::Object(_)) if value.to_string().len() <= MAX_METADATA => value.clone(),
        Some(Value::Object(_)) => return Err(format!("`metadata` is larger than {MAX_METADATA} bytes")),
        Some(_) => return Err("`metadata` must be an object".to_owned()),
    };
    let document_id = match fields.get("documentId") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) if !id.is_empty() && id.len() <= 256 => Some(id.clone()),
        Some(_) => return Err("`documentId` must be a text of 1 to 256 bytes".to_owned()),
    };
    Ok(MemoryDocument {
        title: required("title", MAX_TITLE)?,
        content: required("content", MAX_CONTENT)?,
        source_type: one_of("sourceType", ["doc", "chat", "email"], "doc")?,
        priority: one_of("priority", ["high", "medium", "low"], "medium")?,
        metadata,
        created_at: moment("createdAt")?,
        updated_at: moment("updatedAt")?,
        document_id,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_checked() {
        let good =
            document(json!({"title": "t", "content": "c", "sourceType": "email", "createdAt": 5})).unwrap();
        assert_eq!(
            (good.priority.as_str(), good.created_at, good.document_id),
            ("medium", json!(5), None)
        );
        for bad in [
            json!(null),
            json!({}),
            json!({"title": " ", "content": "c"}),
            json!({"title": "t"}),
            json!({"title": "t", "content": 5}),
            json!({"title": "t", "content": "c", "sourceType": "web"}),
            json!({"title": "t", "content": "c", "priority": 1}),
            json!({"title": "t", "content": "c", "metadata": []}),
            json!({"title": "t", "content": "c", "documentId": ""}),
            json!({"title": "t", "content": "c", "updatedAt": {}}),
        ] {
            assert!(document(bad.clone()).is_err(), "{bad}");
        }
    }
}
