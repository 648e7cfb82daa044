//! The assistant without a model: it quotes what was recalled, and runs a tool when asked by name.
//!
//! Deterministic and offline. Used when no provider is configured; it says so in each answer.

mod passage;
mod quote;
mod sentence;
mod stem;
mod words;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Map, Value};

use crate::message::{Message, Role, ToolCall, ToolSpec};
use crate::model::{Model, ModelError, ModelEvent, ModelRequest, StopReason, ToolChoice, Usage};

/// How to connect a model, at the end of each answer.
const NO_MODEL: &str =
    "No language model is connected: set OPENAI_BASE_URL or OPENAI_API_KEY to connect one.";

/// A model that composes nothing: it picks the sentences of the recalled context that share the most words with the
/// question, quotes up to five of them with `[1]`-style markers, and lists the sources. The words of a heading count
/// for the sentences below it. A long text after the question and a blank line is one more source, "your text". When
/// the question names a tool (`notes__find_notes {"query":"staking"}`), it calls that tool and shows the result.
///
/// ```
/// use futures_util::StreamExt as _;
/// use openhuman_agent::{Message, Model as _, ModelEvent, ModelRequest, Recalled, extractive::ExtractiveModel};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let request = ModelRequest {
///     messages: vec![Message::user("What is my staking plan?")],
///     context: vec![Recalled {
///         title: "Plan".to_owned(), source: "plan.md".to_owned(), score: 1.0,
///         text: "Water the plants. My staking plan is 3 ETH in May.".to_owned(),
///     }],
///     ..ModelRequest::default()
/// };
/// let mut reply = ExtractiveModel::new().stream(request).await.unwrap();
/// let Some(Ok(ModelEvent::TextDelta { text })) = reply.next().await else { panic!() };
/// assert!(text.contains("“My staking plan is 3 ETH in May.” [1]"));
/// assert!(text.contains("[1] Plan (plan.md)"));
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ExtractiveModel;

impl ExtractiveModel {
    /// The model; it has no settings.
    pub fn new() -> ExtractiveModel {
        ExtractiveModel
    }
}

impl Model for ExtractiveModel {
    fn name(&self) -> String {
        "extractive".to_owned()
    }

    fn stream(
        &self,
        request: ModelRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<ModelEvent, ModelError>>, ModelError>> {
        async move {
            let mut events = match reply(&request) {
                Reply::Text(text) => vec![ModelEvent::TextDelta { text }],
                Reply::Calls(calls) => calls
                    .into_iter()
                    .map(|call| ModelEvent::ToolCall { call })
                    .collect(),
            };
            // Nothing is spent, and saying so keeps the turn from estimating.
            events.push(ModelEvent::Usage {
                usage: Usage::default(),
            });
            events.push(ModelEvent::Done {
                reason: StopReason::Stop,
            });
            Ok(stream::iter(events.into_iter().map(Ok)).boxed())
        }
        .boxed()
    }
}

enum Reply {
    Text(String),
    Calls(Vec<ToolCall>),
}

fn reply(request: &ModelRequest) -> Reply {
    let asked = request
        .messages
        .iter()
        .rposition(|message| message.role == Role::User);
    let after = asked
        .and_then(|at| request.messages.get(at + 1..))
        .unwrap_or_default();
    if after.iter().any(|message| message.role == Role::Tool) {
        return Reply::Text(show_results(after));
    }
    let prompt = request.prompt();
    let (question, own_text) = quote::split_prompt(prompt);
    let mut mentions = mentions(prompt, &request.tools);
    if let Some(text) = own_text {
        // A name inside a text that came along is not a call; the first word of it is.
        let text_at = prompt.trim_end().len() - text.len();
        mentions.retain(|mention| mention.at <= text_at);
    }
    let known: Vec<&Mention<'_>> = mentions.iter().filter(|mention| mention.known).collect();
    if known.is_empty() {
        let unknown = mentions
            .first()
            .filter(|mention| mention.has_arguments || request.context.is_empty());
        return Reply::Text(match unknown {
            Some(mention) => no_such_tool(mention.name, &request.tools),
            None => quote::quote(question, own_text, &request.context),
        });
    }
    if request.tool_choice == ToolChoice::None {
        return Reply::Text(format!(
            "No tool may be called now, so nothing was run.\n\n{NO_MODEL}"
        ));
    }
    let mut calls = Vec::new();
    for mention in known {
        match &mention.arguments {
            Ok(arguments) => {
                let id = format!("call_{}_{}", request.messages.len(), calls.len());
                calls.push(ToolCall {
                    id,
                    name: mention.name.to_owned(),
                    arguments: arguments.clone(),
                });
            }
            Err(reason) => {
                return Reply::Text(format!(
                    "The arguments after `{}` are not a JSON object ({reason}), so it was not called. Write it like \
                     {} {{\"name\":\"value\"}}.\n\n{NO_MODEL}",
                    mention.name, mention.name
                ));
            }
        }
    }
    Reply::Calls(calls)
}

/// A tool named in a prompt.
struct Mention<'a> {
    /// Where the name starts in the prompt, in bytes.
    at: usize,
    name: &'a str,
    known: bool,
    has_arguments: bool,
    arguments: Result<Value, String>,
}

/// Finds every `skillId__tool` in the prompt, with the JSON object that may follow.
fn mentions<'a>(prompt: &'a str, tools: &[ToolSpec]) -> Vec<Mention<'a>> {
    let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut found = Vec::new();
    let mut rest = prompt;
    while let Some(start) = rest.find(of_name) {
        let word_on = &rest[start..];
        let (word, after) = word_on.split_at(word_on.find(|c| !of_name(c)).unwrap_or(word_on.len()));
        let at = prompt.len() - word_on.len();
        rest = after;
        let parts = word.split_once("__");
        if parts.is_none_or(|(skill, tool)| skill.is_empty() || tool.is_empty()) {
            continue;
        }
        let known = tools.iter().any(|tool| tool.name == word);
        let object = after.trim_start_matches(|c: char| c.is_whitespace() || c == '`' || c == ':');
        let mut arguments = Ok(Value::Object(Map::new()));
        let has_arguments = object.starts_with('{');
        if has_arguments {
            let mut values = serde_json::Deserializer::from_str(object).into_iter::<Map<String, Value>>();
            arguments = match values.next() {
                Some(Ok(map)) => {
                    rest = object.get(values.byte_offset()..).unwrap_or_default();
                    Ok(Value::Object(map))
                }
                Some(Err(error)) => Err(error.to_string()),
                None => Err("nothing there".to_owned()),
            };
        }
        found.push(Mention {
            at,
            name: word,
            known,
            has_arguments,
            arguments,
        });
    }
    found
}

fn no_such_tool(name: &str, tools: &[ToolSpec]) -> String {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    let list = if names.is_empty() {
        "No tools are available; install or start a skill first.".to_owned()
    } else {
        format!("The tools are: {}.", names.join(", "))
    };
    format!("There is no tool named `{name}`. {list}\n\n{NO_MODEL}")
}

fn show_results(messages: &[Message]) -> String {
    let calls: Vec<&ToolCall> = messages.iter().flat_map(|message| &message.tool_calls).collect();
    let mut out = String::new();
    for result in messages.iter().filter(|message| message.role == Role::Tool) {
        let call = calls
            .iter()
            .find(|call| Some(&call.id) == result.tool_call_id.as_ref());
        let name = call.map_or("the tool", |call| call.name.as_str());
        let text = match serde_json::from_str::<Value>(&result.content) {
            Ok(value @ (Value::Object(_) | Value::Array(_))) => {
                serde_json::to_string_pretty(&value).unwrap_or_else(|_| result.content.clone())
            }
            _ => result.content.clone(),
        };
        out.push_str(&format!("`{name}` answered:\n\n{text}\n\n"));
    }
    out + NO_MODEL
}

#[cfg(test)]
mod tests;
