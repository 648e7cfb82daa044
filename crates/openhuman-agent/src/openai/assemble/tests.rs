use super::*;
use serde_json::json;

/// The calls (name, arguments) in a stream whose chunks have these `tool_calls`.
fn calls(deltas: &[Value]) -> Vec<(String, Value)> {
    let mut assembler = Assembler::new();
    let mut out = Vec::new();
    for delta in deltas {
        let chunk =
            json!({"choices": [{"index": 0, "delta": {"tool_calls": [delta]}, "finish_reason": null}]});
        out.extend(assembler.event(&chunk.to_string()).unwrap());
    }
    out.extend(
        assembler
            .event(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#)
            .unwrap(),
    );
    out.extend(assembler.finish().unwrap());
    out.into_iter()
        .filter_map(|event| match event {
            ModelEvent::ToolCall { call } => Some((call.name, call.arguments)),
            _ => None,
        })
        .collect()
}

fn two() -> Vec<(String, Value)> {
    vec![
        ("a".to_owned(), json!({"x": 1})),
        ("b".to_owned(), json!({"y": 2})),
    ]
}

fn delta(index: Option<u64>, id: &str, name: &str, arguments: &str) -> Value {
    let mut delta = json!({"function": {}});
    if let Some(index) = index {
        delta["index"] = json!(index);
    }
    if !id.is_empty() {
        delta["id"] = json!(id);
    }
    if !name.is_empty() {
        delta["function"]["name"] = json!(name);
    }
    delta["function"]["arguments"] = json!(arguments);
    delta
}

#[test]
fn interleaved_parallel_calls_by_index() {
    let deltas = [
        delta(Some(0), "1", "a", ""),
        delta(Some(1), "2", "b", ""),
        delta(Some(0), "", "", "{\"x\""),
        delta(Some(1), "", "", "{\"y\":"),
        delta(Some(0), "", "", ":1}"),
        delta(Some(1), "", "", "2}"),
    ];
    assert_eq!(calls(&deltas), two());
}

#[test]
fn all_indexes_zero_are_told_apart_by_id() {
    let deltas = [
        delta(Some(0), "1", "a", "{\"x\""),
        delta(Some(0), "1", "", ":1}"),
        delta(Some(0), "2", "b", ""),
        delta(Some(0), "2", "", "{\"y\":2}"),
    ];
    assert_eq!(calls(&deltas), two());
}

#[test]
fn all_indexes_zero_without_ids_are_told_apart_by_name() {
    let deltas = [
        delta(Some(0), "", "a", ""),
        delta(Some(0), "", "", "{\"x\":1}"),
        delta(Some(0), "", "b", ""),
        delta(Some(0), "", "", "{\"y\":2}"),
    ];
    assert_eq!(calls(&deltas), two());
}

#[test]
fn no_index_at_all() {
    let deltas = [
        delta(None, "1", "a", "{\"x\""),
        delta(None, "", "", ":1}"),
        delta(None, "2", "b", "{\"y\":"),
        delta(None, "2", "", "2}"),
    ];
    assert_eq!(calls(&deltas), two());
}

#[test]
fn a_fresh_id_in_each_delta_stays_one_call() {
    let deltas = [
        delta(Some(0), "r1", "a", "{\"x\""),
        delta(Some(0), "r2", "", ":1}"),
        delta(Some(1), "r3", "b", "{\"y\":"),
        delta(Some(1), "r4", "", "2}"),
    ];
    assert_eq!(calls(&deltas), two());
}

#[test]
fn the_name_repeated_with_each_delta_is_read_once() {
    let deltas = [
        delta(Some(0), "1", "a", "{\"x\""),
        delta(Some(0), "1", "a", ":1}"),
    ];
    assert_eq!(calls(&deltas), two()[..1]);
}

#[test]
fn a_name_in_pieces_is_joined() {
    let deltas = [
        delta(Some(0), "1", "prices__", ""),
        delta(Some(0), "", "get_price", ""),
        delta(Some(0), "", "", "{}"),
    ];
    assert_eq!(calls(&deltas), [("prices__get_price".to_owned(), json!({}))]);
}

#[test]
fn arguments_as_object_null_missing_or_encoded_twice() {
    let object = json!({"index": 0, "id": "1", "function": {"name": "a", "arguments": {"x": 1}}});
    assert_eq!(calls(&[object]), two()[..1]);
    let null = json!({"index": 0, "id": "1", "function": {"name": "a", "arguments": null}});
    assert_eq!(calls(&[null]), [("a".to_owned(), json!({}))]);
    assert_eq!(
        calls(&[delta(Some(0), "1", "a", "")]),
        [("a".to_owned(), json!({}))]
    );
    assert_eq!(
        calls(&[delta(Some(0), "1", "a", "\"{\\\"x\\\":1}\"")]),
        two()[..1]
    );
}

#[test]
fn objects_run_together_are_taken_apart() {
    let found = calls(&[delta(Some(0), "1", "a", "{\"x\":1}{\"x\":2}")]);
    assert_eq!(
        found,
        [
            ("a".to_owned(), json!({"x": 1})),
            ("a".to_owned(), json!({"x": 2}))
        ]
    );
    assert_eq!(calls(&[delta(Some(0), "1", "a", "{}{\"x\":1}")]), two()[..1]);
    assert_eq!(
        calls(&[delta(Some(0), "1", "a", "{\"x\":1}{\"x\":1}")]),
        two()[..1]
    );
}

#[test]
fn broken_arguments_are_handed_on_as_text() {
    assert_eq!(
        calls(&[delta(Some(0), "1", "a", "{\"x\":")]),
        [("a".to_owned(), json!("{\"x\":"))]
    );
}

#[test]
fn empty_deltas_mean_nothing() {
    let mut assembler = Assembler::new();
    for chunk in [
        r#"{"choices":[]}"#,
        r#"{"choices":null,"usage":null}"#,
        r#"{"choices":[{"delta":null}]}"#,
        r#"{"choices":[{"delta":{"content":null,"tool_calls":null}}]}"#,
        r#"{"choices":[{"delta":{"content":"","tool_calls":[{}]}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"another choice"}}]}"#,
        "",
    ] {
        assert_eq!(assembler.event(chunk), Ok(Vec::new()), "{chunk}");
    }
    let text = assembler
        .event(r#"{"choices":[{"delta":{"content":"hi"},"finish_reason":"length"}]}"#)
        .unwrap();
    assert_eq!(
        text,
        [ModelEvent::TextDelta {
            text: "hi".to_owned()
        }]
    );
    assert_eq!(
        assembler.finish().unwrap(),
        [ModelEvent::Done {
            reason: StopReason::Length
        }]
    );
}

#[test]
fn reasoning_and_usage_are_read() {
    let mut assembler = Assembler::new();
    let events = assembler
        .event(r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#)
        .unwrap();
    assert_eq!(
        events,
        [ModelEvent::ReasoningDelta {
            text: "hm".to_owned()
        }]
    );
    assembler
        .event(r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#)
        .unwrap();
    assembler.event("[DONE]").unwrap();
    let usage = Usage {
        prompt_tokens: 3,
        completion_tokens: 4,
    };
    assert_eq!(assembler.finish().unwrap()[0], ModelEvent::Usage { usage });
}

#[test]
fn a_stream_without_an_end_was_cut() {
    let mut assembler = Assembler::new();
    assembler
        .event(r#"{"choices":[{"delta":{"content":"half an ans"}}]}"#)
        .unwrap();
    assert!(matches!(assembler.finish(), Err(Fault::Cut(_))));
}

#[test]
fn garbage_is_named() {
    let garbage = |data: &str| match Assembler::new().event(data) {
        Err(Fault::Garbage(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert!(garbage("<html>").contains("`<html>`"));
    assert!(garbage("[1]").contains("not an object"));
    assert!(matches!(Assembler::new().finish(), Err(Fault::Garbage(_))));
    let failed = Assembler::new().event(r#"{"error":{"message":"overloaded"}}"#);
    assert_eq!(failed, Err(Fault::Server("overloaded".to_owned())));
}

#[test]
fn limits_hold() {
    let mut assembler = Assembler::new();
    let many = (0..300)
        .map(|n| delta(Some(n), &n.to_string(), "a", ""))
        .collect::<Vec<_>>();
    let chunk = json!({"choices": [{"delta": {"tool_calls": many}}]}).to_string();
    assert_eq!(
        assembler.event(&chunk),
        Err(Fault::TooLarge {
            limit: MAX_CALLS,
            what: "tool calls"
        })
    );
    let big = delta(Some(0), "1", "a", &"x".repeat(MAX_ARGUMENT_BYTES + 1));
    let chunk = json!({"choices": [{"delta": {"tool_calls": [big]}}]}).to_string();
    assert!(matches!(
        Assembler::new().event(&chunk),
        Err(Fault::TooLarge { .. })
    ));
}

#[test]
fn a_document_is_read_like_a_stream() {
    let whole = json!({"choices": [{"message": {"content": null, "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "a", "arguments": "{\"x\":1}"}},
        {"id": "2", "type": "function", "function": {"name": "b", "arguments": {"y": 2}}}
    ]}}]});
    let events = document(whole.to_string().as_bytes()).unwrap();
    assert_eq!(
        events
            .iter()
            .filter(|event| matches!(event, ModelEvent::ToolCall { .. }))
            .count(),
        2
    );
    assert!(matches!(document(b"{\"choices\":[{\"mess"), Err(Fault::Cut(_))));
    assert!(matches!(document(b"{\"hello\":1}"), Err(Fault::Garbage(_))));
    assert!(matches!(document(b"{nonsense"), Err(Fault::Garbage(_))));
    assert!(matches!(document(b"{\"error\":\"no\"}"), Err(Fault::Server(_))));
}
