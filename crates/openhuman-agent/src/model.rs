//! The port to a model, and the errors every adapter speaks.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::context;
use crate::message::{Message, Recalled, Role, ToolCall, ToolSpec};

/// Something that continues a conversation: a server, a local engine, a script.
///
/// Dropping the returned future or stream cancels the request.
pub trait Model: Send + Sync {
    /// A short name for people, for example `gpt-5-mini`.
    fn name(&self) -> String;

    /// Asks for the next message. The stream yields deltas as they arrive, then whole tool calls, then at most one
    /// [`ModelEvent::Usage`], and ends with [`ModelEvent::Done`]. A stream that ends without `Done`, or yields an
    /// error, has failed; what it yielded before is not an answer.
    fn stream(
        &self,
        request: ModelRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<ModelEvent, ModelError>>, ModelError>>;
}

/// What the model is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelRequest {
    /// System message first (if any), then the conversation, as it is kept: without the recalled context.
    /// Adapters that send text use [`ModelRequest::rendered_messages`].
    pub messages: Vec<Message>,
    /// The tools on offer.
    #[serde(default)]
    pub tools: Vec<ToolSpec>,
    /// Whether the model may call them now.
    #[serde(default)]
    pub tool_choice: ToolChoice,
    /// What was recalled for the last user message.
    #[serde(default)]
    pub context: Vec<Recalled>,
    /// Where the results of tools came from, by call id.
    #[serde(default)]
    pub labels: BTreeMap<String, Label>,
}

/// Where the result of a tool came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The tool.
    pub tool: String,
    /// Whether somebody vouches for what it gives.
    pub trusted: bool,
}

impl ModelRequest {
    /// The messages with the recalled context put in front of the last user message, and with labels around the results
    /// of tools: delimited and marked as data.
    pub fn rendered_messages(&self) -> Vec<Message> {
        let mut messages = self.messages.clone();
        if !self.context.is_empty()
            && let Some(last) = messages
                .iter_mut()
                .rev()
                .find(|message| message.role == Role::User)
        {
            last.content = context::render(&self.context, &last.content);
        }
        for message in messages.iter_mut().filter(|message| message.role == Role::Tool) {
            let label = message.tool_call_id.as_ref().and_then(|id| self.labels.get(id));
            if let Some(label) = label {
                message.content = context::label(&message.content, &label.tool, label.trusted);
            }
        }
        messages
    }

    /// The text of the last user message; empty when there is none.
    pub fn prompt(&self) -> &str {
        let last = self
            .messages
            .iter()
            .rev()
            .find(|message| message.role == Role::User);
        last.map_or("", |message| message.content.as_str())
    }
}

/// Whether a model may call tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// The model must answer in text: a budget is nearly used up.
    None,
}

/// One step of a model's reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelEvent {
    /// More of the answer.
    TextDelta {
        /// The text to append.
        text: String,
    },
    /// More of the model's reasoning, for display only; it is not kept.
    ReasoningDelta {
        /// The text to append.
        text: String,
    },
    /// One complete tool call.
    ToolCall {
        /// The call.
        call: ToolCall,
    },
    /// What the request cost.
    Usage {
        /// The figures of the server.
        usage: Usage,
    },
    /// The reply is complete.
    Done {
        /// Why the model stopped.
        reason: StopReason,
    },
}

/// Tokens one request has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
}

impl Usage {
    /// Both together.
    pub fn total(self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

/// Why a model stopped. Whether tools are to be called is decided by the presence of calls, never by this value:
/// several servers say `stop` together with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// The answer is complete, or tools are to be called.
    Stop,
    /// The server's token limit cut the answer.
    Length,
    /// The server's content filter cut the answer.
    Filtered,
}

/// A model that a server offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// The name to ask for.
    pub id: String,
    /// A name for people, where the server has one.
    pub name: Option<String>,
    /// How many tokens it reads at once, where the server says.
    pub context_tokens: Option<u64>,
}

/// Which model at which server, for error texts. Holds no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The base URL, without user name and password.
    pub base_url: String,
    /// The model asked for.
    pub model: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model `{}` at {}", self.model, self.base_url)
    }
}

/// Why a model gave no answer. The text names the server and the model and says what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The configuration cannot work; nothing was sent.
    #[error("the model configuration cannot be used: {reason}")]
    Config {
        /// What is wrong and how to mend it.
        reason: String,
    },
    /// No connection to the server.
    #[error(
        "could not reach {endpoint}: {reason}. Check that the server is running and that the base URL \
         (OPENAI_BASE_URL or ANTHROPIC_BASE_URL) is right."
    )]
    Connect {
        /// Which model and server.
        endpoint: Endpoint,
        /// What the network said.
        reason: String,
    },
    /// The server did not accept the API key (401 or 403).
    #[error(
        "{endpoint} refused the API key (HTTP {status}): {message}. Set a valid key (OPENAI_API_KEY or ANTHROPIC_API_KEY)."
    )]
    Unauthorized {
        /// Which model and server.
        endpoint: Endpoint,
        /// The HTTP status.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// The server does not know the model or the path (404).
    #[error(
        "{endpoint} was not found (HTTP 404): {message}. Check the model name, and that the base URL ends where \
         `/chat/completions` (OpenAI) or `/v1/messages` (Anthropic) begins."
    )]
    NotFound {
        /// Which model and server.
        endpoint: Endpoint,
        /// The server's words.
        message: String,
    },
    /// The server rejected the request (other 4xx).
    #[error(
        "{endpoint} rejected the request (HTTP {status}): {message}. Check that the model supports chat with tools."
    )]
    Rejected {
        /// Which model and server.
        endpoint: Endpoint,
        /// The HTTP status.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// Too many requests, or no credit left (429), also after the retries.
    #[error("{endpoint} is limiting requests (HTTP 429) after {attempts} attempt(s): {message}. {}", wait_hint(*.retry_after))]
    RateLimited {
        /// Which model and server.
        endpoint: Endpoint,
        /// How often it was tried.
        attempts: u32,
        /// The wait the server asked for.
        retry_after: Option<Duration>,
        /// The server's words.
        message: String,
    },
    /// The server failed (5xx), also after the retries, or reported an error inside the stream.
    #[error("{endpoint} failed{} after {attempts} attempt(s): {message}. Try again later or use another server.", status_hint(*.status))]
    Server {
        /// Which model and server.
        endpoint: Endpoint,
        /// The HTTP status, when there was one.
        status: Option<u16>,
        /// How often it was tried.
        attempts: u32,
        /// The server's words.
        message: String,
    },
    /// Nothing arrived in time.
    #[error("{endpoint} sent nothing for {} s while {phase}. Try again, or raise the timeout for a slow server.", .after.as_secs_f32())]
    Timeout {
        /// Which model and server.
        endpoint: Endpoint,
        /// What was waited for.
        phase: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// The answer stopped before its end.
    #[error("{endpoint} hung up in the middle of its answer ({reason}). Try again.")]
    Cut {
        /// Which model and server.
        endpoint: Endpoint,
        /// How it was noticed.
        reason: String,
    },
    /// The answer is not in the chat completions format.
    #[error(
        "{endpoint} sent something that is not a chat completion: {reason}. Check that the base URL points to an \
         OpenAI-compatible API, or to Anthropic's with the Anthropic adapter."
    )]
    Garbage {
        /// Which model and server.
        endpoint: Endpoint,
        /// What was found instead.
        reason: String,
    },
    /// The answer is larger than the limit.
    #[error(
        "{endpoint} sent more than the limit of {limit} {what}. Ask for a shorter answer or raise the limit."
    )]
    TooLarge {
        /// Which model and server.
        endpoint: Endpoint,
        /// The limit.
        limit: usize,
        /// What is counted, for example `bytes`.
        what: &'static str,
    },
    /// A failure of another adapter.
    #[error("{message}")]
    Other {
        /// What failed, with what, and what to do next.
        message: String,
    },
}

impl ModelError {
    /// True when the same request may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            ModelError::Connect { .. }
                | ModelError::RateLimited { .. }
                | ModelError::Server { .. }
                | ModelError::Timeout { .. }
                | ModelError::Cut { .. }
        )
    }

    /// True when time ran out.
    pub fn is_timeout(&self) -> bool {
        matches!(self, ModelError::Timeout { .. })
    }
}

fn wait_hint(retry_after: Option<Duration>) -> String {
    match retry_after {
        Some(wait) => format!("Try again in {} s.", wait.as_secs().max(1)),
        None => "Try again later or check the account's credit.".to_owned(),
    }
}

fn status_hint(status: Option<u16>) -> String {
    status.map_or_else(String::new, |status| format!(" (HTTP {status})"))
}
