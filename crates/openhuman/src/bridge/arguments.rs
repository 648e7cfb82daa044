//! Whether the arguments of a call can be meant for a tool, as its `inputSchema` says.
//!
//! The engine hands a tool whatever object it gets, as existing skills expect. Here, where models and users call, a
//! contradiction is told instead: what is missing, and what has another type than declared. Nothing else of a schema is
//! looked at, and a schema that makes no sense contradicts nothing.

use serde_json::{Map, Value};

/// How deep objects and lists are followed.
const DEPTH: usize = 8;

/// Says what contradicts the schema, in words for whoever calls; the first contradiction only.
pub(crate) fn check(schema: &Value, arguments: &Value) -> Result<(), String> {
    let arguments = match arguments {
        Value::Object(fields) => fields,
        other => return Err(format!("the arguments must be an object, not {}", kind(other))),
    };
    check_object(schema, arguments, "", DEPTH)
}

fn check_object(schema: &Value, fields: &Map<String, Value>, path: &str, depth: usize) -> Result<(), String> {
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            return Err(format!("the argument '{}' is missing", below(path, name)));
        }
    }
    let is_required = |name: &str| {
        required.is_some_and(|required| required.iter().any(|known| known.as_str() == Some(name)))
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        match fields.get(name) {
            // Models write null for what they leave out.
            None => {}
            Some(Value::Null) if !is_required(name) => {}
            Some(value) => check_value(property, value, &below(path, name), depth)?,
        }
    }
    Ok(())
}

fn check_value(schema: &Value, value: &Value, path: &str, depth: usize) -> Result<(), String> {
    let declared = declared(schema);
    if !declared.is_empty() && !declared.iter().any(|name| is_a(name, value)) {
        return Err(format!(
            "the argument '{path}' must be {}, not {}",
            declared.join(" or "),
            kind(value)
        ));
    }
    let Some(depth) = depth.checked_sub(1) else {
        return Ok(());
    };
    match value {
        Value::Object(fields) => check_object(schema, fields, path, depth),
        Value::Array(items) => match schema.get("items") {
            Some(item) if item.is_object() => items
                .iter()
                .enumerate()
                .try_for_each(|(index, value)| check_value(item, value, &format!("{path}[{index}]"), depth)),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The types a schema declares, without those nobody knows; none when one of them is unknown.
fn declared(schema: &Value) -> Vec<&str> {
    const KNOWN: [&str; 7] = [
        "string", "number", "integer", "boolean", "object", "array", "null",
    ];
    let names: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if names.iter().all(|name| KNOWN.contains(name)) {
        names
    } else {
        Vec::new()
    }
}

fn is_a(name: &str, value: &Value) -> bool {
    match (name, value) {
        ("integer", Value::Number(number)) => number.as_f64().is_some_and(|number| number.fract() == 0.0),
        ("number", Value::Number(_)) => true,
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

fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_contradiction_is_named_with_its_place() {
        let schema = json!({
            "type": "object", "required": ["title", "list"],
            "properties": {
                "title": { "type": "string" }, "count": { "type": "integer" }, "any": {},
                "either": { "type": ["string", "null"] },
                "list": { "type": "array", "items": { "type": "object", "required": ["id"],
                    "properties": { "id": { "type": "number" } } } },
            },
        });
        let text = |arguments: Value| check(&schema, &arguments).unwrap_err();
        assert_eq!(text(json!([1])), "the arguments must be an object, not array");
        assert_eq!(text(json!({ "list": [] })), "the argument 'title' is missing");
        let with = |more: Value| {
            let mut all = json!({ "title": "t", "list": [] });
            all.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            all
        };
        assert_eq!(
            text(with(json!({ "title": 1 }))),
            "the argument 'title' must be string, not number"
        );
        assert_eq!(
            text(with(json!({ "title": null }))),
            "the argument 'title' must be string, not null"
        );
        assert_eq!(
            text(with(json!({ "count": 1.5 }))),
            "the argument 'count' must be integer, not number"
        );
        assert_eq!(
            text(with(json!({ "either": 1 }))),
            "the argument 'either' must be string or null, not number"
        );
        assert_eq!(
            text(with(json!({ "list": [{}] }))),
            "the argument 'list[0].id' is missing"
        );
        for fine in [
            json!({}),
            json!({ "count": 2.0, "either": null, "any": [1], "unknown": true }),
            json!({ "count": null }),
            json!({ "list": [{ "id": 1, "more": 1 }] }),
        ] {
            assert_eq!(check(&schema, &with(fine.clone())), Ok(()), "{fine}");
        }
    }

    #[test]
    fn a_schema_that_makes_no_sense_contradicts_nothing() {
        for schema in [
            json!(null),
            json!("x"),
            json!({ "required": "a", "properties": [] }),
            json!({ "properties": { "a": { "type": "any" } } }),
            json!({ "properties": { "a": true } }),
        ] {
            assert_eq!(check(&schema, &json!({ "a": 1 })), Ok(()), "{schema}");
        }
    }
}
