use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::SkillId;

fn event(value: &Value) -> HookEvent {
    HookEvent::parse(value, &SkillId::new("chat").unwrap(), 5).unwrap()
}

fn filter(value: Value) -> Result<Filter, HookError> {
    let raw = RawFilter::deserialize(value).map_err(|error| HookError::new("filter", error))?;
    Ok(Filter::compile(raw)?.0)
}

fn data(op: &str, value: &Value, found: &Value) -> bool {
    filter(json!({"data_match": [{"path": "a.b", "op": op, "value": value}]}))
        .unwrap()
        .matches(&event(&json!({"type": "t", "data": {"a": {"b": found}}})))
}

#[test]
fn fifteen_operators() {
    for (op, value, yes, no) in [
        ("eq", json!(1), json!(1.0), json!("1")),
        (
            "eq",
            json!({"x": [1]}),
            json!({"x": [1.0]}),
            json!({"x": [1], "y": 2}),
        ),
        ("neq", json!(1), json!(2), json!(1)),
        ("gt", json!(1), json!(1.5), json!(1)),
        ("gte", json!(1), json!(1), json!(0)),
        ("lt", json!("b"), json!("a"), json!(0)),
        ("lte", json!(i64::MAX), json!(i64::MAX), json!(u64::MAX)),
        ("contains", json!("ell"), json!("hello"), json!("HELLO")),
        ("contains", json!(2), json!([1, 2.0]), json!([1])),
        ("contains", json!("k"), json!({"k": null}), json!({})),
        ("not_contains", json!("x"), json!("hello"), json!("x")),
        ("starts_with", json!("he"), json!("hello"), json!("ohe")),
        ("ends_with", json!("lo"), json!("hello"), json!(5)),
        ("regex", json!("^h.l+o$"), json!("hello"), json!("help")),
        ("in", json!([1, "a"]), json!("a"), json!("b")),
        ("not_in", json!([1, "a"]), json!("b"), json!(1.0)),
        ("exists", Value::Null, Value::Null, Value::Null),
    ] {
        assert!(data(op, &value, &yes), "{op}");
        assert!(op == "exists" || !data(op, &value, &no), "{op}");
    }
    let missing = event(&json!({"type": "t"}));
    for (op, holds) in [
        ("exists", false),
        ("not_exists", true),
        ("eq", false),
        ("neq", true),
        ("gt", false),
    ] {
        let filter = filter(json!({"data_match": [{"path": "a.0", "op": op, "value": 1}]})).unwrap();
        assert_eq!(filter.matches(&missing), holds, "{op}");
    }
}

#[test]
fn types_sources_entities_and_combinations() {
    let event = event(&json!({
        "type": "chat.message.sent", "source": "spoofed",
        "entities": {"sender": {"type": "person", "id": "7", "properties": {"vip": true}}},
    }));
    for (value, holds) in [
        (json!({}), true),
        (json!({"event_types": []}), false),
        (json!({"event_types": ["chat.message.*"]}), true),
        (json!({"event_types": ["mail.*", "*.sent"]}), true),
        (json!({"event_types": ["chat.message"]}), false),
        (json!({"source_skills": ["chat"]}), true),
        (json!({"source_skills": ["spoofed"]}), false),
        (
            json!({"entities": {"sender": {"types": ["person"], "ids": ["7", "8"]}}}),
            true,
        ),
        (json!({"entities": {"sender": {"ids": ["8"]}}}), false),
        (json!({"entities": {"receiver": {}}}), false),
        (
            json!({"entities": {"sender": {"properties": [{"path": "vip", "op": "eq", "value": true}]}}}),
            true,
        ),
        (json!({"any_of": []}), false),
        (json!({"any_of": [{"event_types": ["x"]}, {}]}), true),
        (json!({"all_of": [{}, {"event_types": ["x"]}]}), false),
        (json!({"none_of": [{"event_types": ["x"]}]}), true),
        (json!({"none_of": [{}]}), false),
    ] {
        assert_eq!(filter(value.clone()).unwrap().matches(&event), holds, "{value}");
    }
}

#[test]
fn wrong_filters_say_where() {
    let mut deep = json!({});
    for _ in 0..9 {
        deep = json!({"all_of": [deep]});
    }
    let regexes: Vec<Value> = (0..17)
        .map(|_| json!({"path": "a", "op": "regex", "value": "a"}))
        .collect();
    for (value, part) in [
        (json!({"event_type": ["x"]}), "event_type"),
        (json!({"data_match": [{"path": "a", "op": "like"}]}), "like"),
        (
            json!({"data_match": [{"path": "a", "op": "regex", "value": "("}]}),
            "data_match[0].value",
        ),
        (
            json!({"data_match": [{"path": "a", "op": "regex", "value": "\\w{200}{200}"}]}),
            "size limit",
        ),
        (json!({"data_match": [{"path": "", "op": "exists"}]}), "path"),
        (
            json!({"any_of": [{"data_match": [{"path": "a", "op": "in", "value": 1}]}]}),
            "any_of[0].data_match[0]",
        ),
        (
            json!({"data_match": [{"path": "a", "op": "gt", "value": null}]}),
            "number or a text",
        ),
        (json!({"event_types": ["x".repeat(600)]}), "event_types"),
        (json!({"any_of": vec![json!({}); 64]}), "at most 64"),
        (
            json!({"data_match": vec![json!({"path": "a", "op": "exists"}); 129]}),
            "at most 128",
        ),
        (json!({"data_match": regexes}), "at most 16"),
        (deep, "at most 8 deep"),
    ] {
        let error = filter(value).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

proptest! {
    #[test]
    fn globs_are_regular_expressions_with_one_symbol(glob in "[ab.*]{0,8}", text in "[ab.]{0,10}") {
        let pattern = format!("^{}$", regex::escape(&glob).replace("\\*", ".*"));
        prop_assert_eq!(glob_matches(&glob, &text), Regex::new(&pattern).unwrap().is_match(&text));
    }

    #[test]
    fn negated_operators_are_the_opposite(value in -2i64..2, found in proptest::option::of(-2i64..2)) {
        let event = event(&json!({"type": "t", "data": found.map_or(json!({}), |found| json!({"a": found}))}));
        for (op, opposite) in [("eq", "neq"), ("in", "not_in"), ("contains", "not_contains"), ("exists", "not_exists")] {
            let value = if op == "in" { json!([value]) } else { json!(value) };
            let holds = |op| {
                filter(json!({"data_match": [{"path": "a", "op": op, "value": value}]})).unwrap().matches(&event)
            };
            prop_assert_ne!(holds(op), holds(opposite));
        }
    }
}
