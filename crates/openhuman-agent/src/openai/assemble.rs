//! Puts the deltas of a chat completion together: pure, and patient with what real servers send.
//!
//! | Server behaviour | What happens here |
//! |---|---|
//! | `finish_reason: "stop"` together with tool calls | calls count by their presence |
//! | all parallel calls with index 0 | a new id, or a new name after arguments, starts a new call |
//! | no index, or no id | the other one decides; with neither, the last call goes on |
//! | a new id in each delta of one call | without a name it continues the call at its index |
//! | empty deltas, `choices: []`, `null` or `""` everywhere | ignored |
//! | arguments as an object | taken as they are |
//! | two objects run together in one call (`{..}{..}`) | taken apart into two calls |
//! | arguments that are no JSON | given on as a string; the turn tells the model |
//! | no `[DONE]` | a finish reason is enough; with neither, the answer was cut |
//! | a whole `message` instead of a `delta` | read the same way |

use serde_json::{Map, Value};

use crate::message::ToolCall;
use crate::model::{ModelEvent, StopReason, Usage};
use crate::wire_error::{error_message, shorten};

/// More calls than this in one reply are refused.
const MAX_CALLS: usize = 256;
/// More bytes of arguments than this in one reply are refused.
const MAX_ARGUMENT_BYTES: usize = 4 * 1024 * 1024;

/// Why a reply cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is not a chat completion; the text says what it is instead.
    Garbage(String),
    /// It stopped before its end; the text says how that was noticed.
    Cut(String),
    /// It exceeds a limit.
    TooLarge {
        /// The limit.
        limit: usize,
        /// What is counted.
        what: &'static str,
    },
    /// The server reports an error inside the reply.
    Server(String),
}

#[derive(Debug, Default)]
struct Building {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    /// Arguments that came as an object.
    object: Option<Value>,
}

impl Building {
    fn has_arguments(&self) -> bool {
        self.object.is_some() || !self.arguments.is_empty()
    }
}

/// Takes the data of each server-sent event and gives model events.
#[derive(Debug, Default)]
pub struct Assembler {
    calls: Vec<Building>,
    argument_bytes: usize,
    usage: Option<Usage>,
    reason: Option<StopReason>,
    closed: bool,
    chunks: usize,
}

impl Assembler {
    /// For a reply that begins now.
    pub fn new() -> Assembler {
        Assembler::default()
    }

    /// True once the server said that the answer is complete; usage figures may still follow.
    pub fn is_complete(&self) -> bool {
        self.closed || self.reason.is_some()
    }

    /// True once `[DONE]` was read: nothing follows.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes the data of one event; gives text deltas at once.
    ///
    /// # Errors
    /// When the data is not a chunk of a chat completion, reports an error of the server, or exceeds a limit.
    pub fn event(&mut self, data: &str) -> Result<Vec<ModelEvent>, Fault> {
        let data = data.trim();
        if self.closed || data.is_empty() {
            return Ok(Vec::new());
        }
        if data == "[DONE]" {
            self.closed = true;
            return Ok(Vec::new());
        }
        let chunk: Value = serde_json::from_str(data).map_err(|error| {
            Fault::Garbage(format!("an event that is not JSON ({error}): {}", excerpt(data)))
        })?;
        self.chunk(&chunk)
    }

    fn chunk(&mut self, chunk: &Value) -> Result<Vec<ModelEvent>, Fault> {
        let mut out = Vec::new();
        let Some(fields) = chunk.as_object() else {
            return Err(Fault::Garbage(format!(
                "an event that is not an object: {}",
                excerpt(&chunk.to_string())
            )));
        };
        if fields.get("error").is_some_and(|error| !error.is_null()) {
            return Err(Fault::Server(
                error_message(chunk).unwrap_or_else(|| excerpt(&chunk.to_string())),
            ));
        }
        let known = fields.contains_key("choices") || fields.contains_key("usage");
        if known {
            self.chunks += 1;
        }
        if let Some(usage) = fields.get("usage").and_then(read_usage) {
            self.usage = Some(usage);
        }
        let choices = fields
            .get("choices")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let first = choices
            .iter()
            .find(|choice| choice.get("index").and_then(Value::as_u64).unwrap_or(0) == 0);
        let Some(choice) = first else { return Ok(out) };
        let delta = choice.get("delta").filter(|delta| delta.is_object());
        if let Some(delta) = delta.or_else(|| choice.get("message")) {
            self.delta(delta, &mut out)?;
        }
        let reason = choice
            .get("finish_reason")
            .and_then(Value::as_str)
            .filter(|reason| !reason.is_empty());
        if let Some(reason) = reason {
            self.reason = Some(match reason {
                "length" => StopReason::Length,
                "content_filter" => StopReason::Filtered,
                _ => StopReason::Stop,
            });
        }
        Ok(out)
    }

    fn delta(&mut self, delta: &Value, out: &mut Vec<ModelEvent>) -> Result<(), Fault> {
        let reasoning = delta.get("reasoning_content").and_then(Value::as_str);
        let reasoning = reasoning
            .or_else(|| delta.get("reasoning").and_then(Value::as_str))
            .unwrap_or_default();
        if !reasoning.is_empty() {
            out.push(ModelEvent::ReasoningDelta {
                text: reasoning.to_owned(),
            });
        }
        let text = match delta.get("content") {
            Some(Value::String(text)) => text.clone(),
            // Some servers send content as a list of parts.
            Some(Value::Array(parts)) => parts
                .iter()
                .filter_map(|part| part.get("text").and_then(Value::as_str))
                .collect(),
            _ => String::new(),
        };
        if !text.is_empty() {
            out.push(ModelEvent::TextDelta { text });
        }
        match delta.get("tool_calls") {
            Some(Value::Array(items)) => items.iter().try_for_each(|item| self.call_delta(item)),
            Some(item @ Value::Object(_)) => self.call_delta(item),
            _ => Ok(()),
        }
    }

    fn call_delta(&mut self, item: &Value) -> Result<(), Fault> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let function = item.get("function").unwrap_or(item);
        let (id, name) = (text(item.get("id")), text(function.get("name")));
        let index = item.get("index").and_then(Value::as_u64);
        let arguments = function.get("arguments").filter(|arguments| !arguments.is_null());
        if id.is_empty() && name.is_empty() && arguments.is_none() {
            return Ok(());
        }
        let at = match self.find(index, &id, &name) {
            Some(at) => at,
            None => {
                if self.calls.len() >= MAX_CALLS {
                    return Err(Fault::TooLarge {
                        limit: MAX_CALLS,
                        what: "tool calls",
                    });
                }
                self.calls.push(Building {
                    index,
                    ..Building::default()
                });
                self.calls.len() - 1
            }
        };
        let Some(call) = self.calls.get_mut(at) else {
            return Ok(());
        };
        if call.id.is_empty() {
            call.id = id;
        }
        if call.name != name && !call.has_arguments() {
            call.name.push_str(&name);
        }
        match arguments {
            Some(Value::String(more)) => {
                call.arguments.push_str(more);
                self.argument_bytes += more.len();
            }
            Some(object) => {
                self.argument_bytes += object.to_string().len();
                call.object = Some(object.clone());
            }
            None => {}
        }
        if self.argument_bytes > MAX_ARGUMENT_BYTES {
            return Err(Fault::TooLarge {
                limit: MAX_ARGUMENT_BYTES,
                what: "bytes of tool arguments",
            });
        }
        Ok(())
    }

    /// The call a delta continues; `None` when it starts a new one.
    fn find(&self, index: Option<u64>, id: &str, name: &str) -> Option<usize> {
        let last = |test: &dyn Fn(&Building) -> bool| self.calls.iter().rposition(test);
        if !id.is_empty()
            && let Some(at) = last(&|call| call.id == id)
        {
            return Some(at);
        }
        let at = match index {
            Some(index) => last(&|call| call.index == Some(index))?,
            None if name.is_empty() && id.is_empty() => self.calls.len().checked_sub(1)?,
            // Without an index, a name or an unknown id starts a call.
            None => return None,
        };
        let call = self.calls.get(at)?;
        let starts_new = if id.is_empty() {
            // A name after arguments, where no id tells calls apart.
            !name.is_empty() && call.has_arguments()
        } else {
            // An unknown id at a known index: a new call when it names a tool, else the same call under another id.
            !name.is_empty() && !call.name.is_empty()
        };
        (!starts_new).then_some(at)
    }

    /// The end of the stream: gives the tool calls, the usage and [`ModelEvent::Done`].
    ///
    /// # Errors
    /// When the stream ended before the server said that the answer is complete.
    pub fn finish(&mut self) -> Result<Vec<ModelEvent>, Fault> {
        if self.chunks == 0 {
            let what = if self.closed {
                "only [DONE]"
            } else {
                "no event of a chat completion"
            };
            return Err(Fault::Garbage(what.to_owned()));
        }
        if !self.is_complete() {
            return Err(Fault::Cut(
                "neither a finish reason nor [DONE] arrived".to_owned(),
            ));
        }
        let mut out = Vec::new();
        for call in self.calls.drain(..).filter(|call| !call.name.is_empty()) {
            for (part, arguments) in arguments(call.object, &call.arguments).into_iter().enumerate() {
                // The turn gives the further calls of a torn-apart one ids of their own.
                let id = if part == 0 { call.id.clone() } else { String::new() };
                out.push(ModelEvent::ToolCall {
                    call: ToolCall {
                        id,
                        name: call.name.clone(),
                        arguments,
                    },
                });
            }
        }
        if let Some(usage) = self.usage {
            out.push(ModelEvent::Usage { usage });
        }
        out.push(ModelEvent::Done {
            reason: self.reason.unwrap_or(StopReason::Stop),
        });
        Ok(out)
    }
}

/// The arguments of the call or, when several objects run together, of each call.
pub(crate) fn arguments(object: Option<Value>, text: &str) -> Vec<Value> {
    if let Some(object) = object {
        return vec![object];
    }
    if text.trim().is_empty() {
        return vec![Value::Object(Map::new())];
    }
    let parsed: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text)
        .into_iter::<Value>()
        .collect();
    let Ok(mut values) = parsed else {
        return vec![Value::String(text.to_owned())];
    };
    if let [Value::String(inner)] = values.as_slice()
        && let Ok(object @ Value::Object(_)) = serde_json::from_str(inner)
    {
        // Encoded twice.
        return vec![object];
    }
    if values.len() > 1 {
        values.dedup();
        // `{}` in front of the real arguments is a server's placeholder.
        let real = values
            .iter()
            .any(|value| value.as_object().is_some_and(|map| !map.is_empty()));
        values.retain(|value| !real || value.as_object().is_none_or(|map| !map.is_empty()));
        if !values.iter().all(Value::is_object) {
            return vec![Value::String(text.to_owned())];
        }
    }
    values
}

/// Reads a reply that was not streamed.
///
/// # Errors
/// When it is not a chat completion or reports an error of the server.
pub fn document(bytes: &[u8]) -> Result<Vec<ModelEvent>, Fault> {
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) if error.is_eof() => {
            return Err(Fault::Cut("the JSON document ends too early".to_owned()));
        }
        Err(error) => {
            let text = String::from_utf8_lossy(bytes);
            return Err(Fault::Garbage(format!(
                "a document that is not JSON ({error}): {}",
                excerpt(&text)
            )));
        }
    };
    let mut assembler = Assembler::new();
    let mut out = assembler.chunk(&value)?;
    // A document is whole by itself; some servers leave the finish reason out.
    assembler.closed = true;
    if value
        .get("choices")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty)
    {
        return Err(Fault::Garbage(format!(
            "a document without choices: {}",
            excerpt(&value.to_string())
        )));
    }
    out.extend(assembler.finish()?);
    Ok(out)
}

fn read_usage(value: &Value) -> Option<Usage> {
    let field = |name: &str| value.get(name).and_then(Value::as_u64);
    let (prompt, completion) = (field("prompt_tokens"), field("completion_tokens"));
    (prompt.is_some() || completion.is_some()).then(|| Usage {
        prompt_tokens: prompt.unwrap_or(0),
        completion_tokens: completion.unwrap_or(0),
    })
}

/// The beginning of foreign text, on one line.
pub(crate) fn excerpt(text: &str) -> String {
    let line = shorten(text);
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("`{} ...`", &line[..end]),
        None => format!("`{line}`"),
    }
}

#[cfg(test)]
mod tests;
