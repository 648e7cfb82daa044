use super::*;

fn run(events: &[Value]) -> Result<Vec<ModelEvent>, Fault> {
    let mut assembler = Assembler::new();
    let mut out = Vec::new();
    for event in events {
        out.extend(assembler.event(&event.to_string())?);
    }
    out.extend(assembler.finish()?);
    Ok(out)
}

fn start(index: u64, block: &Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u64, delta: &Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn stop(reason: &str) -> Value {
    json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 7}})
}

fn calls(events: &[ModelEvent]) -> Vec<(String, Value)> {
    let call = |event: &ModelEvent| match event {
        ModelEvent::ToolCall { call } => Some((call.id.clone(), call.arguments.clone())),
        _ => None,
    };
    events.iter().filter_map(call).collect()
}

#[test]
fn text_thinking_calls_and_usage_come_out() {
    let usage = json!({"input_tokens": 5, "cache_read_input_tokens": 90, "output_tokens": 1});
    let events = [
        json!({"type": "message_start", "message": {"id": "m", "usage": usage}}),
        json!({"type": "ping"}),
        start(0, &json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, &json!({"type": "thinking_delta", "thinking": "hm"})),
        delta(0, &json!({"type": "signature_delta", "signature": "sig"})),
        json!({"type": "content_block_stop", "index": 0}),
        start(1, &json!({"type": "text", "text": ""})),
        delta(1, &json!({"type": "text_delta", "text": "I look."})),
        start(
            2,
            &json!({"type": "tool_use", "id": "a", "name": "s__one", "input": {}}),
        ),
        delta(2, &json!({"type": "input_json_delta", "partial_json": ""})),
        delta(2, &json!({"type": "input_json_delta", "partial_json": "{\"k\":"})),
        delta(2, &json!({"type": "input_json_delta", "partial_json": "1}"})),
        start(
            3,
            &json!({"type": "tool_use", "id": "b", "name": "s__two", "input": {}}),
        ),
        stop("tool_use"),
        json!({"type": "message_stop"}),
        json!({"type": "error", "error": {"message": "after the end"}}),
    ];
    let mut assembler = Assembler::new();
    let mut out = Vec::new();
    for event in &events {
        out.extend(assembler.event(&event.to_string()).unwrap());
    }
    assert!(assembler.is_closed());
    out.extend(assembler.finish().unwrap());
    assert_eq!(
        calls(&out),
        [("a".to_owned(), json!({"k": 1})), ("b".to_owned(), json!({}))]
    );
    assert!(out.contains(&ModelEvent::ReasoningDelta {
        text: "hm".to_owned()
    }));
    let usage = Usage {
        prompt_tokens: 95,
        completion_tokens: 7,
    };
    assert!(out.contains(&ModelEvent::Usage { usage }));
    let thought = json!({"type": "thinking", "thinking": "hm", "signature": "sig"});
    assert_eq!(assembler.take_thoughts(), [thought]);
}

#[test]
fn one_index_for_all_blocks_and_input_in_the_start_are_understood() {
    let events = [
        start(
            0,
            &json!({"type": "tool_use", "id": "a", "name": "x", "input": {"whole": true}}),
        ),
        start(
            0,
            &json!({"type": "tool_use", "id": "b", "name": "y", "input": {}}),
        ),
        delta(
            0,
            &json!({"type": "input_json_delta", "partial_json": "{\"n\":2}"}),
        ),
        delta(9, &json!({"type": "input_json_delta", "partial_json": "lost"})),
        json!({"type": "brand_new"}),
        stop("end_turn"),
    ];
    assert_eq!(
        calls(&run(&events).unwrap()),
        [
            ("a".to_owned(), json!({"whole": true})),
            ("b".to_owned(), json!({"n": 2}))
        ]
    );
}

#[test]
fn stop_reasons_and_cuts_are_told_apart() {
    let text = || start(0, &json!({"type": "text", "text": "a"}));
    let reason = |name: &str| match run(&[text(), stop(name)]).unwrap().last() {
        Some(ModelEvent::Done { reason }) => *reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason("max_tokens"), StopReason::Length);
    assert_eq!(reason("refusal"), StopReason::Filtered);
    assert_eq!(reason("end_turn"), StopReason::Stop);
    assert!(matches!(run(&[text()]), Err(Fault::Cut(_))));
    assert!(matches!(run(&[]), Err(Fault::Garbage(_))));
    let cut_call = [
        start(
            0,
            &json!({"type": "tool_use", "id": "a", "name": "x", "input": {}}),
        ),
        delta(0, &json!({"type": "input_json_delta", "partial_json": "{\"n\":"})),
        stop("max_tokens"),
    ];
    assert_eq!(calls(&run(&cut_call).unwrap())[0].1, json!("{\"n\":"));
}

#[test]
fn errors_of_the_server_name_their_kind() {
    let overloaded = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let expected = Fault::Server("overloaded_error: Overloaded".to_owned());
    assert_eq!(run(&[overloaded]), Err(expected));
    assert!(matches!(run(&[json!([1])]), Err(Fault::Garbage(_))));
    assert!(matches!(Assembler::new().event("{"), Err(Fault::Garbage(_))));
    let endless = delta(
        0,
        &json!({"type": "input_json_delta", "partial_json": "x".repeat(1 << 20)}),
    );
    let many: Vec<Value> = std::iter::repeat_n(endless, 5).collect();
    assert!(matches!(run(&many), Err(Fault::TooLarge { .. })));
}

#[test]
fn a_document_is_read_whole() {
    let document = json!({
        "type": "message", "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 2},
        "content": [{"type": "text", "text": "t"}, {"type": "tool_use", "id": "a", "name": "x", "input": {"n": 1}}],
    });
    let mut assembler = Assembler::new();
    let mut out = assembler.document(document.to_string().as_bytes()).unwrap();
    out.extend(assembler.finish().unwrap());
    assert_eq!(calls(&out), [("a".to_owned(), json!({"n": 1}))]);
    let cut = document.to_string();
    assert!(matches!(
        Assembler::new().document(&cut.as_bytes()[..40]),
        Err(Fault::Cut(_))
    ));
}
