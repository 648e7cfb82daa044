//! A composed reply as bytes on the wire: pure.

use serde_json::{Value, json};

use super::conversation::Composed;
use super::script::Quirk;

/// A reply ready to be sent as server-sent events.
pub(super) struct Frames {
    pub(super) frames: Vec<String>,
    /// How many frames come before the middle: inside the last call's arguments, or inside the text.
    pub(super) middle: usize,
}

/// How a reply is written.
pub(super) struct Style<'a> {
    pub(super) id: String,
    pub(super) model: &'a str,
    pub(super) created: u64,
    pub(super) usage: bool,
    pub(super) quirks: &'a [Quirk],
}

impl Style<'_> {
    pub(super) fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    fn call_id(&self, at: usize) -> String {
        format!("call_{}_{at}", self.id.trim_start_matches("chatcmpl-"))
    }

    fn frame(&self, fields: Value) -> String {
        let mut chunk = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
        });
        if let (Some(chunk), Value::Object(fields)) = (chunk.as_object_mut(), fields) {
            chunk.extend(fields);
        }
        self.event(&chunk.to_string())
    }

    fn event(&self, data: &str) -> String {
        if self.has(Quirk::CarriageReturns) {
            format!(": keep-alive\r\nevent: message\r\ndata: {data}\r\n\r\n")
        } else {
            format!("data: {data}\n\n")
        }
    }

    fn delta(&self, delta: &Value, finish: Option<&str>) -> String {
        self.frame(json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
    }
}

/// A rough count, for usage figures.
pub(super) fn tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}

fn usage(reply: &Composed, prompt_bytes: usize) -> Value {
    let arguments: usize = reply
        .calls
        .iter()
        .map(|call| tokens(&call.arguments.to_string()))
        .sum();
    let (prompt, completion) = (prompt_bytes.div_ceil(4), tokens(&reply.text) + arguments);
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
}

/// The reply as one JSON document.
pub(super) fn document(reply: &Composed, style: &Style<'_>, prompt_bytes: usize) -> Value {
    let calls: Vec<Value> = reply
        .calls
        .iter()
        .enumerate()
        .map(|(at, call)| {
            let arguments = arguments(&call.arguments, style);
            json!({"id": style.call_id(at), "type": "function", "function": {"name": call.name, "arguments": arguments}})
        })
        .collect();
    let mut message = json!({"role": "assistant", "content": reply.text});
    let finish = if calls.is_empty() || style.has(Quirk::FinishStop) {
        "stop"
    } else {
        "tool_calls"
    };
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
        if reply.text.is_empty() {
            message["content"] = Value::Null;
        }
    }
    json!({
        "id": style.id, "object": "chat.completion", "created": style.created, "model": style.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": usage(reply, prompt_bytes),
    })
}

fn arguments(arguments: &Value, style: &Style<'_>) -> Value {
    let object = if arguments.is_null() {
        json!({})
    } else {
        arguments.clone()
    };
    if style.has(Quirk::ObjectArguments) {
        object
    } else {
        json!(object.to_string())
    }
}

/// The reply as a stream of events.
pub(super) fn stream(reply: &Composed, style: &Style<'_>, prompt_bytes: usize) -> Frames {
    let mut frames = vec![style.delta(&json!({"role": "assistant", "content": ""}), None)];
    let mut middle = frames.len();
    let words: Vec<&str> = reply.text.split_inclusive(' ').collect();
    for (at, word) in words.iter().enumerate() {
        frames.push(style.delta(&json!({"content": word}), None));
        if at == words.len() / 2 {
            middle = frames.len();
        }
        noise(&mut frames, style);
    }
    for (at, call) in reply.calls.iter().enumerate() {
        middle = call_frames(
            &mut frames,
            at,
            &call.name,
            &arguments(&call.arguments, style),
            style,
        );
    }
    if style.has(Quirk::MalformedParallel) && !reply.calls.is_empty() {
        frames.push(style.delta(
            &json!({"tool_calls": [{"index": 7, "function": {"arguments": "{"}}, {}, null]}),
            None,
        ));
    }
    let finish = if reply.calls.is_empty() || style.has(Quirk::FinishStop) {
        "stop"
    } else {
        "tool_calls"
    };
    frames.push(style.delta(&json!({}), Some(finish)));
    if style.usage && !style.has(Quirk::NoUsage) {
        frames.push(style.frame(json!({"choices": [], "usage": usage(reply, prompt_bytes)})));
    }
    if !style.has(Quirk::NoDone) && !style.has(Quirk::HoldOpen) {
        frames.push(style.event("[DONE]"));
    }
    Frames { frames, middle }
}

/// One call in three pieces: name, then its arguments in two halves. Gives the place between the halves.
fn call_frames(
    frames: &mut Vec<String>,
    at: usize,
    name: &str,
    arguments: &Value,
    style: &Style<'_>,
) -> usize {
    let malformed = style.has(Quirk::MalformedParallel);
    let index = if malformed || style.has(Quirk::ZeroIndexes) {
        0
    } else {
        at
    };
    let item = |piece: usize, function: Value| {
        let mut item = json!({"index": index, "function": function});
        // A well-behaved server sends the id once; with equal indexes only the id tells calls apart.
        let with_id = match piece {
            0 => !(malformed && at > 0),
            _ => style.has(Quirk::FreshIds) || (style.has(Quirk::ZeroIndexes) && !malformed),
        };
        if with_id {
            let id = style.call_id(at);
            item["id"] = json!(if style.has(Quirk::FreshIds) {
                format!("{id}_{piece}")
            } else {
                id
            });
        }
        if piece == 0 {
            item["type"] = json!("function");
        }
        style.delta(&json!({"tool_calls": [item]}), None)
    };
    let Value::String(text) = arguments else {
        frames.push(item(0, json!({"name": name, "arguments": arguments})));
        return frames.len();
    };
    let (first, second) = text.split_at(text.floor_char_boundary(text.len() / 2));
    frames.push(item(0, json!({"name": name, "arguments": ""})));
    noise(frames, style);
    frames.push(item(1, json!({"arguments": first})));
    let middle = frames.len();
    noise(frames, style);
    frames.push(item(2, json!({"arguments": second})));
    middle
}

fn noise(frames: &mut Vec<String>, style: &Style<'_>) {
    if style.has(Quirk::EmptyDeltas) {
        frames.push(style.delta(&json!({}), None));
        frames.push(style.delta(&json!({"content": null, "tool_calls": null}), None));
        frames.push(style.delta(&json!({"content": "", "tool_calls": []}), Some("")));
        frames.push(style.frame(json!({"choices": []})));
    }
}
