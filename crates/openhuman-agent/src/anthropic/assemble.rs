//! Puts the events of an Anthropic message together: pure, and patient with gateways that imitate the format.
//!
//! | Server behaviour | What happens here |
//! |---|---|
//! | parallel blocks under one index | a `content_block_start` begins a new block; deltas go to the latest of that index |
//! | the whole input in `content_block_start` | taken as it is when no delta follows |
//! | a delta without a block before it | begins one of the kind the delta has |
//! | events of unknown types, `ping` | ignored |
//! | no `message_stop` | a stop reason is enough; with neither, the answer was cut |
//! | `stop_reason: "end_turn"` together with calls | calls count by their presence |
//! | `error` events, also as bare objects | an error of the server |

use serde_json::{Value, json};

use crate::message::ToolCall;
use crate::model::{ModelEvent, StopReason, Usage};
use crate::openai::assemble::{Fault, arguments, excerpt};
use crate::wire_error::error_message;

/// More blocks than this in one reply are refused.
const MAX_BLOCKS: usize = 1024;
/// More bytes of tool input and thinking than this in one reply are refused.
const MAX_KEPT_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug)]
enum Kind {
    Text,
    Call {
        id: String,
        name: String,
        json: String,
        input: Value,
    },
    Thinking {
        text: String,
        signature: String,
    },
    /// Thinking that only the server can read.
    Redacted {
        data: Value,
    },
    Other,
}

#[derive(Debug)]
struct Block {
    index: u64,
    kind: Kind,
}

/// Takes the data of each server-sent event and gives model events.
#[derive(Debug, Default)]
pub struct Assembler {
    blocks: Vec<Block>,
    kept_bytes: usize,
    read: Option<u64>,
    written: Option<u64>,
    reason: Option<StopReason>,
    closed: bool,
    events: usize,
}

impl Assembler {
    /// For a reply that begins now.
    pub fn new() -> Assembler {
        Assembler::default()
    }

    /// True once the server said that the answer is complete.
    pub fn is_complete(&self) -> bool {
        self.closed || self.reason.is_some()
    }

    /// True once `message_stop` was read: nothing follows.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes the data of one event; gives text and thinking at once.
    ///
    /// # Errors
    /// When the data is no event of a message, reports an error of the server, or exceeds a limit.
    pub fn event(&mut self, data: &str) -> Result<Vec<ModelEvent>, Fault> {
        let data = data.trim();
        if self.closed || data.is_empty() {
            return Ok(Vec::new());
        }
        let event: Value = serde_json::from_str(data).map_err(|error| {
            Fault::Garbage(format!("an event that is not JSON ({error}): {}", excerpt(data)))
        })?;
        if !event.is_object() {
            return Err(Fault::Garbage(format!(
                "an event that is not an object: {}",
                excerpt(data)
            )));
        }
        let mut out = Vec::new();
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        let index = event.get("index").and_then(Value::as_u64).unwrap_or(0);
        match kind {
            "message_start" => {
                self.events += 1;
                self.count(event.pointer("/message/usage"));
            }
            "content_block_start" => {
                self.events += 1;
                if let Some(block) = event.get("content_block") {
                    self.open(index, block, &mut out)?;
                }
            }
            "content_block_delta" => {
                self.events += 1;
                if let Some(delta) = event.get("delta") {
                    self.delta(index, delta, &mut out)?;
                }
            }
            "message_delta" => {
                self.events += 1;
                self.count(event.get("usage"));
                self.stop(event.pointer("/delta/stop_reason"));
            }
            "message_stop" => self.closed = true,
            "error" => return Err(server_fault(&event)),
            "content_block_stop" | "ping" => {}
            _ if event.get("error").is_some_and(|error| !error.is_null()) => {
                return Err(server_fault(&event));
            }
            _ => {}
        }
        Ok(out)
    }

    /// Reads a reply that was not streamed.
    ///
    /// # Errors
    /// When it is not a message or reports an error of the server.
    pub fn document(&mut self, bytes: &[u8]) -> Result<Vec<ModelEvent>, Fault> {
        let value: Value = match serde_json::from_slice(bytes) {
            Ok(value) => value,
            Err(error) if error.is_eof() => {
                return Err(Fault::Cut("the JSON document ends too early".to_owned()));
            }
            Err(error) => return Err(Fault::Garbage(format!("a document that is not JSON ({error})"))),
        };
        if value.get("error").is_some_and(|error| !error.is_null()) {
            return Err(server_fault(&value));
        }
        let Some(content) = value.get("content").and_then(Value::as_array) else {
            return Err(Fault::Garbage(format!(
                "a document without content: {}",
                excerpt(&value.to_string())
            )));
        };
        let mut out = Vec::new();
        self.events += 1;
        for (index, block) in (0..).zip(content) {
            self.open(index, block, &mut out)?;
        }
        self.count(value.get("usage"));
        self.stop(value.get("stop_reason"));
        // A document is whole by itself.
        self.closed = true;
        Ok(out)
    }

    fn open(&mut self, index: u64, block: &Value, out: &mut Vec<ModelEvent>) -> Result<(), Fault> {
        let text = |name: &str| {
            block
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let kind = match block.get("type").and_then(Value::as_str) {
            Some("text") => {
                push_text(&text("text"), out);
                Kind::Text
            }
            Some("tool_use") => Kind::Call {
                id: text("id"),
                name: text("name"),
                json: String::new(),
                input: block.get("input").cloned().unwrap_or(Value::Null),
            },
            Some("thinking") => {
                push_reasoning(&text("thinking"), out);
                Kind::Thinking {
                    text: text("thinking"),
                    signature: text("signature"),
                }
            }
            Some("redacted_thinking") => Kind::Redacted {
                data: block.get("data").cloned().unwrap_or(Value::Null),
            },
            _ => Kind::Other,
        };
        self.begin(index, kind)
    }

    fn begin(&mut self, index: u64, kind: Kind) -> Result<(), Fault> {
        if self.blocks.len() >= MAX_BLOCKS {
            return Err(Fault::TooLarge {
                limit: MAX_BLOCKS,
                what: "content blocks",
            });
        }
        self.blocks.push(Block { index, kind });
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: &Value, out: &mut Vec<ModelEvent>) -> Result<(), Fault> {
        let text = |name: &str| delta.get(name).and_then(Value::as_str).unwrap_or_default();
        let at = self.blocks.iter().rposition(|block| block.index == index);
        match delta.get("type").and_then(Value::as_str) {
            Some("text_delta") => push_text(text("text"), out),
            Some("thinking_delta") => {
                let more = text("thinking");
                push_reasoning(more, out);
                if at.is_none() {
                    self.begin(
                        index,
                        Kind::Thinking {
                            text: String::new(),
                            signature: String::new(),
                        },
                    )?;
                }
                self.kept_bytes += more.len();
                if let Some(Kind::Thinking { text, .. }) = self.latest(index) {
                    text.push_str(more);
                }
            }
            Some("signature_delta") => {
                let more = text("signature");
                self.kept_bytes += more.len();
                if let Some(Kind::Thinking { signature, .. }) = self.latest(index) {
                    signature.push_str(more);
                }
            }
            Some("input_json_delta") => {
                let more = text("partial_json");
                self.kept_bytes += more.len();
                if let Some(Kind::Call { json, .. }) = self.latest(index) {
                    json.push_str(more);
                }
            }
            _ => {}
        }
        if self.kept_bytes > MAX_KEPT_BYTES {
            return Err(Fault::TooLarge {
                limit: MAX_KEPT_BYTES,
                what: "bytes of tool input and thinking",
            });
        }
        Ok(())
    }

    fn latest(&mut self, index: u64) -> Option<&mut Kind> {
        let found = self.blocks.iter_mut().rev().find(|block| block.index == index);
        found.map(|block| &mut block.kind)
    }

    fn count(&mut self, usage: Option<&Value>) {
        let Some(usage) = usage.filter(|usage| usage.is_object()) else {
            return;
        };
        let field = |name: &str| usage.get(name).and_then(Value::as_u64);
        if let Some(fresh) = field("input_tokens") {
            // What came out of the prompt cache was read as well.
            let cached = field("cache_read_input_tokens").unwrap_or(0)
                + field("cache_creation_input_tokens").unwrap_or(0);
            self.read = Some(fresh.saturating_add(cached));
        }
        self.written = field("output_tokens").or(self.written);
    }

    fn stop(&mut self, reason: Option<&Value>) {
        if let Some(reason) = reason.and_then(Value::as_str).filter(|reason| !reason.is_empty()) {
            self.reason = Some(match reason {
                "max_tokens" | "model_context_window_exceeded" => StopReason::Length,
                "refusal" => StopReason::Filtered,
                _ => StopReason::Stop,
            });
        }
    }

    /// The end of the stream: gives the tool calls, the usage and [`ModelEvent::Done`].
    ///
    /// # Errors
    /// When the stream ended before the server said that the answer is complete.
    pub fn finish(&mut self) -> Result<Vec<ModelEvent>, Fault> {
        if self.events == 0 {
            return Err(Fault::Garbage("no event of a message".to_owned()));
        }
        if !self.is_complete() {
            return Err(Fault::Cut(
                "neither a stop reason nor message_stop arrived".to_owned(),
            ));
        }
        let mut out = Vec::new();
        for block in &self.blocks {
            let Kind::Call {
                id,
                name,
                json,
                input,
            } = &block.kind
            else {
                continue;
            };
            if name.is_empty() {
                continue;
            }
            let whole = input
                .as_object()
                .filter(|input| json.trim().is_empty() && !input.is_empty());
            let parts = arguments(whole.map(|input| Value::Object(input.clone())), json);
            for (part, arguments) in parts.into_iter().enumerate() {
                let id = if part == 0 { id.clone() } else { String::new() };
                let name = name.clone();
                out.push(ModelEvent::ToolCall {
                    call: ToolCall { id, name, arguments },
                });
            }
        }
        if self.read.is_some() || self.written.is_some() {
            let usage = Usage {
                prompt_tokens: self.read.unwrap_or(0),
                completion_tokens: self.written.unwrap_or(0),
            };
            out.push(ModelEvent::Usage { usage });
        }
        out.push(ModelEvent::Done {
            reason: self.reason.unwrap_or(StopReason::Stop),
        });
        Ok(out)
    }

    /// The blocks of thinking, in the form in which they are sent back.
    pub fn take_thoughts(&mut self) -> Vec<Value> {
        let thought = |block: Block| match block.kind {
            Kind::Thinking { text, signature } if !signature.is_empty() => {
                Some(json!({"type": "thinking", "thinking": text, "signature": signature}))
            }
            Kind::Redacted { data } => Some(json!({"type": "redacted_thinking", "data": data})),
            _ => None,
        };
        self.blocks.drain(..).filter_map(thought).collect()
    }
}

fn push_text(text: &str, out: &mut Vec<ModelEvent>) {
    if !text.is_empty() {
        out.push(ModelEvent::TextDelta {
            text: text.to_owned(),
        });
    }
}

fn push_reasoning(text: &str, out: &mut Vec<ModelEvent>) {
    if !text.is_empty() {
        out.push(ModelEvent::ReasoningDelta {
            text: text.to_owned(),
        });
    }
}

fn server_fault(event: &Value) -> Fault {
    let kind = event.pointer("/error/type").and_then(Value::as_str);
    let message = error_message(event).unwrap_or_else(|| excerpt(&event.to_string()));
    Fault::Server(kind.map_or_else(|| message.clone(), |kind| format!("{kind}: {message}")))
}

#[cfg(test)]
mod tests;
