//! Whether a tool's input schema is one that models and clients understand.

use serde_json::Value;

const TYPES: [&str; 7] = [
    "object", "array", "string", "number", "integer", "boolean", "null",
];
const MAX_DEPTH: usize = 12;

/// What is wrong with a tool's input schema.
pub(super) fn problems(schema: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    match schema {
        // No schema: no arguments.
        Value::Null => {}
        Value::Object(fields) if fields.is_empty() => {}
        Value::Object(fields) => {
            if fields.get("type").and_then(Value::as_str) != Some("object") {
                problems.push("its `type` must be \"object\": arguments have names".to_owned());
            }
            visit(schema, "", 0, &mut problems);
        }
        _ => problems.push("it must be a JSON Schema object".to_owned()),
    }
    problems
}

/// The arguments without a description.
pub(super) fn undescribed(schema: &Value) -> Vec<String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let blank = |value: &Value| {
        let description = value.get("description").and_then(Value::as_str);
        description.unwrap_or_default().trim().is_empty()
    };
    properties
        .into_iter()
        .flatten()
        .filter(|(_, value)| blank(value))
        .map(|(name, _)| name.clone())
        .collect()
}

fn visit(schema: &Value, path: &str, depth: usize, problems: &mut Vec<String>) {
    let at = |text: String| {
        if path.is_empty() {
            text
        } else {
            format!("`{path}`: {text}")
        }
    };
    if depth > MAX_DEPTH {
        return problems.push(at("it is nested too deeply".to_owned()));
    }
    let fields = match schema {
        Value::Object(fields) => fields,
        Value::Bool(_) => return,
        _ => return problems.push(at("a schema must be an object".to_owned())),
    };
    let kinds: Vec<&Value> = match fields.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().collect(),
        Some(kind) => vec![kind],
        None => Vec::new(),
    };
    for kind in kinds {
        match kind.as_str() {
            Some(kind) if TYPES.contains(&kind) => {}
            Some(kind) => problems.push(at(format!(
                "'{kind}' is no type; the types are {}",
                TYPES.join(", ")
            ))),
            None => problems.push(at("`type` must be a text".to_owned())),
        }
    }
    let properties = match fields.get("properties") {
        None => None,
        Some(Value::Object(properties)) => Some(properties),
        Some(_) => {
            problems.push(at("`properties` must be an object".to_owned()));
            None
        }
    };
    match fields.get("required") {
        None => {}
        Some(Value::Array(names)) => {
            for name in names {
                match name.as_str() {
                    Some(name) if properties.is_some_and(|all| all.contains_key(name)) => {}
                    Some(name) => problems.push(at(format!(
                        "`required` names '{name}', which is not in `properties`"
                    ))),
                    None => problems.push(at("`required` must list names".to_owned())),
                }
            }
        }
        Some(_) => problems.push(at(
            "`required` must be an array of names, beside `properties`".to_owned()
        )),
    }
    if fields.get("enum").is_some_and(|values| !values.is_array()) {
        problems.push(at("`enum` must be an array".to_owned()));
    }
    let join = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    for (name, value) in properties.into_iter().flatten() {
        visit(value, &join(name), depth + 1, problems);
    }
    if let Some(items) = fields.get("items") {
        visit(items, &format!("{path}[]"), depth + 1, problems);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn good_schemas_pass() {
        for schema in [
            json!(null),
            json!({}),
            json!({"type": "object"}),
            json!({"type": "object", "properties": {"q": {"type": "string"}, "tags": {"type": "array", "items": {"type": ["string", "null"]}}}, "required": ["q"]}),
        ] {
            assert_eq!(problems(&schema), [""; 0], "{schema}");
        }
    }

    #[test]
    fn bad_schemas_are_named_with_their_place() {
        for (schema, text) in [
            (json!([]), "must be a JSON Schema object"),
            (json!({"type": "string"}), "its `type` must be \"object\""),
            (
                json!({"type": "object", "properties": {"a": {"type": "text"}}}),
                "`a`: 'text' is no type",
            ),
            (
                json!({"type": "object", "properties": {}, "required": ["b"]}),
                "`required` names 'b'",
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "string", "required": true}}}),
                "`a`: `required` must be an array",
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "x"}}}}),
                "`a[]`: 'x'",
            ),
            (
                json!({"type": "object", "properties": []}),
                "`properties` must be an object",
            ),
        ] {
            let found = problems(&schema).join("\n");
            assert!(found.contains(text), "{schema}: {found}");
        }
        assert_eq!(
            undescribed(&json!({"properties": {"a": {"description": "x"}, "b": {}}})),
            ["b"]
        );
    }
}
