//! A composed reply in the Anthropic format, and a request of that format in the form of the other one: pure.

use serde_json::{Map, Value, json};

use super::chunks::{Frames, Style, tokens};
use super::conversation::Composed;
use super::script::Quirk;

/// What the server pretends to think when it is asked to.
const THOUGHT: &str = "The script says what to answer.";

/// Signs thinking, so that a client that changes it is found out: 64 bits of FNV-1a.
pub(super) fn signature(thinking: &str) -> String {
    let hash = thinking.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("sig_{hash:016x}")
}

/// The same conversation as a chat completions request, for the rules and templates of scripts.
pub(super) fn as_chat(body: &Value) -> Value {
    let mut messages = Vec::new();
    if let Some(system) = body.get("system") {
        messages.push(json!({"role": "system", "content": system}));
    }
    for message in list(body.get("messages")) {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        let mut text = String::new();
        let mut calls = Vec::new();
        let blocks = match message.get("content") {
            Some(Value::String(text)) => vec![json!({"type": "text", "text": text})],
            content => list(content).to_vec(),
        };
        for block in &blocks {
            match block.get("type").and_then(Value::as_str) {
                Some("text") => text.push_str(block.get("text").and_then(Value::as_str).unwrap_or_default()),
                Some("tool_result") => messages.push(json!({
                    "role": "tool", "tool_call_id": block.get("tool_use_id"), "content": block.get("content"),
                })),
                Some("tool_use") => {
                    let input = block.get("input").cloned().unwrap_or_default().to_string();
                    let function = json!({"name": block.get("name"), "arguments": input});
                    calls.push(json!({"id": block.get("id"), "type": "function", "function": function}));
                }
                _ => {}
            }
        }
        match (role, calls.is_empty(), text.is_empty()) {
            ("assistant", false, _) => {
                messages.push(json!({"role": role, "content": text, "tool_calls": calls}));
            }
            (_, _, false) => messages.push(json!({"role": role, "content": text})),
            _ => {}
        }
    }
    let tool = |tool: &Value| json!({"type": "function", "function": {"name": tool.get("name")}});
    let tools: Vec<Value> = list(body.get("tools")).iter().map(tool).collect();
    let choice = body
        .pointer("/tool_choice/type")
        .cloned()
        .unwrap_or(json!("auto"));
    json!({"messages": messages, "tools": tools, "tool_choice": choice})
}

fn list(value: Option<&Value>) -> &[Value] {
    value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn input(arguments: &Value) -> Value {
    if arguments.is_object() {
        arguments.clone()
    } else {
        Value::Object(Map::new())
    }
}

fn stop_reason(reply: &Composed, style: &Style<'_>) -> &'static str {
    if reply.calls.is_empty() || style.has(Quirk::FinishStop) {
        "end_turn"
    } else {
        "tool_use"
    }
}

fn written(reply: &Composed) -> usize {
    let calls: usize = reply
        .calls
        .iter()
        .map(|call| tokens(&call.arguments.to_string()))
        .sum();
    tokens(&reply.text) + calls
}

fn call_id(style: &Style<'_>, at: usize) -> String {
    format!("toolu_{}_{at}", style.id.trim_start_matches("chatcmpl-"))
}

fn message_id(style: &Style<'_>) -> String {
    format!("msg_{}", style.id.trim_start_matches("chatcmpl-"))
}

/// The reply as one JSON document.
pub(super) fn document(reply: &Composed, style: &Style<'_>, prompt_bytes: usize, thinks: bool) -> Value {
    let mut content = Vec::new();
    if thinks {
        content.push(json!({"type": "thinking", "thinking": THOUGHT, "signature": signature(THOUGHT)}));
    }
    if !reply.text.is_empty() {
        content.push(json!({"type": "text", "text": reply.text}));
    }
    for (at, call) in reply.calls.iter().enumerate() {
        let id = call_id(style, at);
        content
            .push(json!({"type": "tool_use", "id": id, "name": call.name, "input": input(&call.arguments)}));
    }
    let mut message = json!({
        "id": message_id(style), "type": "message", "role": "assistant", "model": style.model, "content": content,
        "stop_reason": stop_reason(reply, style), "stop_sequence": null,
    });
    if !style.has(Quirk::NoUsage) {
        let usage = json!({"input_tokens": prompt_bytes.div_ceil(4), "output_tokens": written(reply)});
        message["usage"] = usage;
    }
    message
}

/// Writes events one after the other.
struct Writer<'a> {
    style: &'a Style<'a>,
    frames: Vec<String>,
    index: usize,
}

impl Writer<'_> {
    fn event(&mut self, event: &Value) {
        let name = event.get("type").and_then(Value::as_str).unwrap_or_default();
        self.frames.push(if self.style.has(Quirk::CarriageReturns) {
            format!(": keep-alive\r\nevent: {name}\r\ndata: {event}\r\n\r\n")
        } else {
            format!("event: {name}\ndata: {event}\n\n")
        });
    }

    fn start(&mut self, block: &Value) {
        self.event(&json!({"type": "content_block_start", "index": self.index, "content_block": block}));
    }

    fn delta(&mut self, delta: &Value) {
        self.event(&json!({"type": "content_block_delta", "index": self.index, "delta": delta}));
    }

    fn stop(&mut self) {
        self.event(&json!({"type": "content_block_stop", "index": self.index}));
        if !self.style.has(Quirk::ZeroIndexes) && !self.style.has(Quirk::MalformedParallel) {
            self.index += 1;
        }
        self.noise();
    }

    fn noise(&mut self) {
        if self.style.has(Quirk::EmptyDeltas) {
            self.event(&json!({"type": "ping"}));
            self.event(&json!({"type": "content_block_delta", "index": 99, "delta": {"type": "text_delta", "text": ""}}));
            self.event(&json!({"type": "something_new", "payload": [1, null]}));
            self.event(
                &json!({"type": "content_block_delta", "index": 99, "delta": {"type": "citations_delta"}}),
            );
        }
    }
}

/// The reply as a stream of events.
pub(super) fn stream(reply: &Composed, style: &Style<'_>, prompt_bytes: usize, thinks: bool) -> Frames {
    let mut writer = Writer {
        style,
        frames: Vec::new(),
        index: 0,
    };
    let mut message = json!({
        "id": message_id(style), "type": "message", "role": "assistant", "model": style.model, "content": [],
        "stop_reason": null, "stop_sequence": null,
    });
    if !style.has(Quirk::NoUsage) {
        message["usage"] = json!({"input_tokens": prompt_bytes.div_ceil(4), "output_tokens": 1});
    }
    writer.event(&json!({"type": "message_start", "message": message}));
    writer.noise();
    if thinks {
        writer.start(&json!({"type": "thinking", "thinking": "", "signature": ""}));
        writer.delta(&json!({"type": "thinking_delta", "thinking": THOUGHT}));
        writer.delta(&json!({"type": "signature_delta", "signature": signature(THOUGHT)}));
        writer.stop();
    }
    let mut middle = writer.frames.len();
    if !reply.text.is_empty() {
        writer.start(&json!({"type": "text", "text": ""}));
        let words: Vec<&str> = reply.text.split_inclusive(' ').collect();
        for (at, word) in words.iter().enumerate() {
            writer.delta(&json!({"type": "text_delta", "text": word}));
            if at == words.len() / 2 {
                middle = writer.frames.len();
            }
            writer.noise();
        }
        writer.stop();
    }
    for (at, call) in reply.calls.iter().enumerate() {
        let arguments = input(&call.arguments);
        let whole = style.has(Quirk::ObjectArguments);
        let first = if whole { arguments.clone() } else { json!({}) };
        writer
            .start(&json!({"type": "tool_use", "id": call_id(style, at), "name": call.name, "input": first}));
        middle = writer.frames.len();
        if !whole {
            let text = arguments.to_string();
            let (first, second) = text.split_at(text.floor_char_boundary(text.len() / 2));
            writer.delta(&json!({"type": "input_json_delta", "partial_json": ""}));
            writer.delta(&json!({"type": "input_json_delta", "partial_json": first}));
            middle = writer.frames.len();
            writer.noise();
            writer.delta(&json!({"type": "input_json_delta", "partial_json": second}));
        }
        writer.stop();
    }
    let mut end = json!({
        "type": "message_delta", "delta": {"stop_reason": stop_reason(reply, style), "stop_sequence": null},
    });
    if !style.has(Quirk::NoUsage) {
        end["usage"] = json!({"output_tokens": written(reply)});
    }
    writer.event(&end);
    if !style.has(Quirk::NoDone) && !style.has(Quirk::HoldOpen) {
        writer.event(&json!({"type": "message_stop"}));
    }
    Frames {
        frames: writer.frames,
        middle,
    }
}
