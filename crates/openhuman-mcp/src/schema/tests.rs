use proptest::prelude::*;
use serde_json::json;

use super::*;

fn told(schema: &Value, value: &Value) -> Result<(), String> {
    Lazy::default().check(schema, value, Role::Arguments)
}

#[test]
fn a_contradiction_is_named_with_its_place() {
    let schema = json!({
        "type": "object", "required": ["title", "list"],
        "properties": {
            "title": {"type": "string", "minLength": 1, "pattern": "^[a-z]+$"},
            "count": {"type": "integer", "minimum": 1, "maximum": 50},
            "either": {"type": ["string", "null"]},
            "mode": {"enum": ["fast", "slow"]},
            "list": {"type": "array", "maxItems": 2, "items": {"type": "object", "required": ["id"],
                "properties": {"id": {"type": "number"}}, "additionalProperties": false}},
        },
    });
    let with = |more: Value| {
        let mut all = json!({"title": "t", "list": []});
        all.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        told(&schema, &all)
    };
    let cases = [
        (
            json!({"title": 1}),
            "the argument 'title' must be string, not number",
        ),
        (
            json!({"title": null}),
            "the argument 'title' must be string, not null",
        ),
        (
            json!({"title": ""}),
            "the argument 'title' must have at least 1 characters",
        ),
        (
            json!({"title": "A"}),
            "the argument 'title' must match the pattern ^[a-z]+$",
        ),
        (
            json!({"count": 1.5}),
            "the argument 'count' must be integer, not number",
        ),
        (json!({"count": 51}), "the argument 'count' must be at most 50"),
        (
            json!({"either": 1}),
            "the argument 'either' must be string or null, not number",
        ),
        (
            json!({"mode": "x"}),
            "the argument 'mode' must be one of \"fast\", \"slow\"",
        ),
        (json!({"list": [{}]}), "the argument 'list[0].id' is missing"),
        (
            json!({"list": [{"id": 1, "x": 2}]}),
            "the argument 'list[0].x' is not allowed",
        ),
        (
            json!({"list": [{"id": 1}, {"id": 1}, {"id": 1}]}),
            "the argument 'list' must have at most 2 items",
        ),
    ];
    for (more, text) in cases {
        assert_eq!(with(more.clone()).unwrap_err(), text, "{more}");
    }
    assert_eq!(
        told(&schema, &json!({"list": []})).unwrap_err(),
        "the argument 'title' is missing"
    );
    assert_eq!(
        told(&schema, &json!([1])).unwrap_err(),
        "the arguments must be object, not array"
    );
    for fine in [
        json!({}),
        json!({"count": 2.0, "either": null, "unknown": true, "mode": "fast"}),
        json!({"count": null, "mode": null}),
        json!({"list": [{"id": 1}]}),
    ] {
        assert_eq!(with(fine.clone()), Ok(()), "{fine}");
    }
    let result = Lazy::default().check(
        &schema,
        &json!({"list": [], "title": "t", "count": null}),
        Role::Result,
    );
    assert_eq!(
        result.unwrap_err(),
        "the value 'count' must be integer, not null",
        "only a model's null counts as left out"
    );
}

#[test]
fn combinations_conditions_and_references_decide_as_the_draft_has_it() {
    let tree = json!({
        "$defs": {"tree": {"type": "object", "required": ["v"], "properties": {
            "v": {"type": "integer"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}},
            "short": {"$anchor": "short", "maxLength": 3}},
        "properties": {
            "tree": {"$ref": "#/$defs/tree"},
            "name": {"$ref": "#short"},
            "any": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "one": {"oneOf": [{"multipleOf": 3}, {"multipleOf": 5}]},
            "not": {"not": {"const": "no"}},
            "pair": {"prefixItems": [{"type": "string"}, {"type": "number"}], "items": false},
            "set": {"uniqueItems": true, "contains": {"type": "null"}},
            "price": {"multipleOf": 0.01},
        },
        "if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"maxProperties": 3},
        "dependentRequired": {"c": ["d"]},
        "patternProperties": {"^x-": {"type": "boolean"}},
        "propertyNames": {"maxLength": 8},
    });
    let fits = |value: Value| told(&tree, &value).is_ok();
    for fine in [
        json!({"tree": {"v": 1, "kids": [{"v": 2, "kids": []}]}}),
        json!({"name": "abc"}),
        json!({"any": 1}),
        json!({"one": 9}),
        json!({"not": "yes"}),
        json!({"pair": ["a", 1]}),
        json!({"set": [1, 2, null]}),
        json!({"price": 4.35}),
        json!({"a": 1, "b": 2, "e": 3, "f": 4}),
        json!({"c": 1, "d": 1}),
        json!({"x-y": true}),
    ] {
        assert!(fits(fine.clone()), "{fine}");
    }
    for wrong in [
        json!({"tree": {"v": 1, "kids": [{"v": "x"}]}}),
        json!({"name": "abcd"}),
        json!({"any": 1.5}),
        json!({"one": 15}),
        json!({"one": 7}),
        json!({"not": "no"}),
        json!({"pair": ["a", 1, 2]}),
        json!({"set": [1, 1.0, null]}),
        json!({"set": [1]}),
        json!({"price": 4.355}),
        json!({"a": 1}),
        json!({"e": 1, "f": 1, "g": 1, "h": 1}),
        json!({"c": 1}),
        json!({"x-y": 1}),
        json!({"far-too-long": 1}),
    ] {
        assert!(!fits(wrong.clone()), "{wrong}");
    }
    let draft7 = json!({"items": [{"type": "string"}], "additionalItems": {"type": "number"}});
    assert!(told(&draft7, &json!(["a", 1])).is_ok());
    assert!(told(&draft7, &json!([1])).is_err());
    assert!(told(&json!({"minimum": 1, "exclusiveMinimum": true}), &json!(1)).is_err());
}

#[test]
fn a_schema_that_makes_no_sense_contradicts_nothing() {
    for schema in [
        json!(null),
        json!("x"),
        json!({"required": "a", "properties": []}),
        json!({"properties": {"a": {"type": "any"}}}),
        json!({"properties": {"a": {"$ref": "https://example.invalid/x"}}}),
        json!({"properties": {"a": {"$ref": "#/nowhere"}}}),
        json!({"properties": {"a": {"pattern": "("}}}),
    ] {
        assert_eq!(told(&schema, &json!({"a": 1})), Ok(()), "{schema}");
    }
}

#[test]
fn circles_and_explosions_end() {
    let circle = json!({"$ref": "#"});
    assert_eq!(told(&circle, &json!({})), Ok(()));
    let mut doubling = json!({"type": "integer"});
    for _ in 0..30 {
        doubling = json!({"anyOf": [doubling.clone(), {"not": {"type": "object"}}]});
    }
    let _ = told(&doubling, &json!({}));
    let mut bomb = json!({"$defs": {}});
    for level in 0..40_u32 {
        let below = format!("#/$defs/l{}", level + 1);
        bomb["$defs"][format!("l{level}")] = json!({"anyOf": [{"$ref": below}, {"$ref": below}]});
    }
    bomb["$defs"]["l40"] = json!(false);
    bomb["$ref"] = json!("#/$defs/l0");
    let _ = told(&bomb, &json!({}));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..12).prop_map(Value::from),
        prop::sample::select(vec!["string", "integer", "object", "#", "#/properties", "a"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 5, |inner| {
        let key = prop::sample::select(vec![
            "type",
            "enum",
            "const",
            "properties",
            "required",
            "items",
            "prefixItems",
            "anyOf",
            "oneOf",
            "allOf",
            "not",
            "$ref",
            "$defs",
            "if",
            "then",
            "else",
            "minimum",
            "maxLength",
            "pattern",
            "a",
            "contains",
            "patternProperties",
            "additionalProperties",
            "dependencies",
            "uniqueItems",
            "multipleOf",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6).prop_map(|pairs| Value::Object(
                pairs
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn any_schema_and_any_value_have_an_answer_and_it_is_the_same_twice(schema in any_json(), value in any_json()) {
        let lazy = Lazy::default();
        let first = lazy.check(&schema, &value, Role::Result);
        prop_assert_eq!(&first, &lazy.check(&schema, &value, Role::Result));
        prop_assert_eq!(first, Lazy::default().check(&schema, &value, Role::Result));
    }
}
