//! A conversation: recall before, a turn here or at the backend, and remember after.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use openhuman_agent::{FailureKind, Message, Recalled, Role, TurnEvent, TurnInput};
use openhuman_memory::{Document, Memory, SessionMessage, SessionRecord, SessionRole};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::bridge::recall;
use crate::core::Inner;
use crate::link::{BackendEvent, Link};
use crate::{Core, CoreError, ErrorKind};

/// Messages of the thread that the model sees again.
const HISTORY: usize = 24;

/// Events waiting for a slow reader before the turn waits too.
const QUEUE: usize = 256;

/// How long the backend may be silent during a turn.
const BACKEND_SILENCE: Duration = Duration::from_secs(180);

/// Where a turn runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Route {
    /// At the connected backend, else here.
    #[default]
    Auto,
    /// Here, with the configured provider or extractively.
    Local,
    /// At the backend; an error when there is no link.
    Backend,
}

/// A passage from the memory that was given to the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The document's title.
    pub title: String,
    /// Where it came from: a path, a conversation, a URL.
    pub source: String,
    /// The passage.
    pub text: String,
    /// How well it matches; higher is better, comparable within one list only.
    pub score: f32,
}

/// What happens during a turn, in order. Every stream ends with exactly one `Done` or `Error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum ChatEvent {
    /// What the memory offered for the prompt.
    #[serde(rename = "recall")]
    Recall {
        /// The passages, best first.
        sources: Vec<Source>,
    },
    /// Something the user should know that does not end the turn.
    #[serde(rename = "chat.notice")]
    Notice {
        /// What happened, and what it means for the answer.
        message: String,
    },
    /// A piece of the answer.
    #[serde(rename = "chat.delta")]
    Delta {
        /// The text to append.
        delta: String,
    },
    /// A tool was called.
    #[serde(rename = "tool.call")]
    ToolCall {
        /// The call's id within the turn.
        id: String,
        /// `skillId__toolName`.
        name: String,
        /// The arguments.
        args: Value,
    },
    /// A tool answered.
    #[serde(rename = "tool.result")]
    ToolResult {
        /// The call's id within the turn.
        id: String,
        /// `skillId__toolName`.
        name: String,
        /// The text of the result.
        output: String,
        /// Whether the call succeeded.
        success: bool,
        /// How long it took, when it ran here.
        #[serde(skip_serializing_if = "Option::is_none")]
        millis: Option<u64>,
    },
    /// The answer is complete and remembered.
    #[serde(rename = "chat.done")]
    Done {
        /// The whole answer.
        answer: String,
    },
    /// The turn ended without an answer. What the user said is kept.
    #[serde(rename = "chat.error")]
    Error {
        /// What failed, with what, and what to do next.
        message: String,
        /// `inference`, `cancelled`, `network`, `timeout` or `tool_error`.
        error_type: String,
    },
}

impl ChatEvent {
    fn error(message: impl Into<String>, error_type: &str) -> Self {
        Self::Error {
            message: message.into(),
            error_type: error_type.into(),
        }
    }

    /// Whether the stream ends with this event.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Error { .. })
    }
}

impl Core {
    /// Asks the assistant. The prompt and the answer belong to the thread and are remembered, sealed, before `Done` is
    /// reported. Dropping the stream, or cancelling the token, ends the turn.
    pub fn chat(
        &self,
        thread: impl Into<String>,
        prompt: impl Into<String>,
        route: Route,
        cancel: &CancellationToken,
    ) -> BoxStream<'static, ChatEvent> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let cancel = cancel.child_token();
        let turn = Conversation {
            core: self.clone(),
            thread: thread.into(),
            prompt: prompt.into(),
            events: sender,
            cancel: cancel.clone(),
        };
        let stop = self.inner().stop.clone();
        let stopped = cancel.clone();
        self.inner().turns.spawn(async move {
            let mut turn = std::pin::pin!(turn.run(route));
            tokio::select! {
                () = &mut turn => {}
                () = stop.cancelled() => {
                    stopped.cancel();
                    turn.await;
                }
            }
        });
        let state = (receiver, cancel.drop_guard());
        Box::pin(stream::unfold(
            state,
            |(mut receiver, guard): (mpsc::Receiver<ChatEvent>, DropGuard)| async {
                receiver.recv().await.map(|event| (event, (receiver, guard)))
            },
        ))
    }
}

struct Conversation {
    core: Core,
    thread: String,
    prompt: String,
    events: mpsc::Sender<ChatEvent>,
    cancel: CancellationToken,
}

impl Conversation {
    async fn run(self, route: Route) {
        let last = match self.turn(route).await {
            Ok(last) => last,
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                ChatEvent::error(error.to_string(), "network")
            }
            Err(error) => ChatEvent::error(error.to_string(), "inference"),
        };
        let _ = self.events.send(last).await;
    }

    async fn turn(&self, route: Route) -> Result<ChatEvent, CoreError> {
        let inner = self.core.inner();
        let history = self.open_thread().await?;
        let link = match route {
            Route::Local => None,
            Route::Auto => inner.connected_link().await,
            Route::Backend => Some(
                inner
                    .connected_link()
                    .await
                    .ok_or_else(|| inner.not_connected())?,
            ),
        };
        let has_model = link.is_some() || inner.model_is_configured;
        let context = self.recall(has_model).await?;
        let last = match link {
            Some(link) => self.at_backend(&link, context).await?,
            None => self.locally(inner, history, context).await,
        };
        if let ChatEvent::Done { answer } = &last {
            // An extractive answer only quotes what is known already.
            self.remember(answer, has_model).await?;
        }
        Ok(last)
    }

    /// Tells the backend to stop this turn, and no later one of the thread.
    async fn cancel_at(&self, link: &Link, request: Option<&str>) {
        let mut data = json!({ "thread_id": self.thread });
        if let Some(request) = request {
            data["request_id"] = Value::from(request);
        }
        // Without a connection the turn is over anyway.
        let _ = link.emit("chat:cancel", &data).await;
    }

    /// Reads the thread's latest messages and writes the user's new one, so that it survives whatever follows.
    async fn open_thread(&self) -> Result<Vec<Message>, CoreError> {
        let memory = self.core.inner().memory.clone();
        let (thread, prompt) = (self.thread.clone(), self.prompt.clone());
        let records = tokio::task::spawn_blocking(move || -> Result<_, CoreError> {
            let session = memory.session(&thread)?;
            let records = session.read()?;
            session.append(&said(SessionRole::User, prompt))?;
            Ok(records)
        })
        .await??;
        let mut messages: Vec<Message> = records.iter().filter_map(as_message).collect();
        messages.drain(..messages.len().saturating_sub(HISTORY));
        // A provider refuses a history that starts with an answer to something it does not see.
        let first_question = messages
            .iter()
            .position(|message| message.role == Role::User)
            .unwrap_or(messages.len());
        messages.drain(..first_question);
        Ok(messages)
    }

    async fn locally(&self, inner: &Inner, history: Vec<Message>, context: Vec<Recalled>) -> ChatEvent {
        let input = TurnInput {
            history,
            prompt: self.prompt.clone(),
            context,
        };
        let mut turn = inner.agent.run(input, self.cancel.clone());
        while let Some(event) = turn.next().await {
            let event = match event {
                TurnEvent::Notice { message } => ChatEvent::Notice { message },
                TurnEvent::TextDelta { text } => ChatEvent::Delta { delta: text },
                TurnEvent::ToolCall { call } => ChatEvent::ToolCall {
                    id: call.id,
                    name: call.name,
                    args: call.arguments,
                },
                TurnEvent::ToolResult {
                    id,
                    name,
                    text,
                    is_error,
                    millis,
                } => ChatEvent::ToolResult {
                    id,
                    name,
                    output: text,
                    success: !is_error,
                    millis: Some(millis),
                },
                TurnEvent::Done { answer, .. } => return ChatEvent::Done { answer },
                TurnEvent::Failed { kind, message } => return ChatEvent::error(message, error_type(kind)),
                _ => continue,
            };
            if self.events.send(event).await.is_err() {
                break;
            }
        }
        ChatEvent::error(
            "the turn was stopped before it had an answer; ask again to retry",
            "cancelled",
        )
    }

    /// Sends the prompt with what the memory recalls, and follows the backend's turn until its end.
    async fn at_backend(&self, link: &Link, context: Vec<Recalled>) -> Result<ChatEvent, CoreError> {
        let context: Vec<Source> = context.into_iter().map(Source::from).collect();
        let mut backend = link.chat_events();
        let start = json!({ "thread_id": self.thread, "message": self.prompt, "context": context });
        link.emit("chat:start", &start).await?;
        let mut calls = CallIds::default();
        let mut request = None;
        let mut heard = Instant::now();
        loop {
            let event = tokio::select! {
                event = backend.recv() => event,
                () = self.cancel.cancelled() => {
                    self.cancel_at(link, request.as_deref()).await;
                    return Ok(ChatEvent::error("the turn was stopped; ask again to retry", "cancelled"));
                }
                () = tokio::time::sleep_until(heard + BACKEND_SILENCE) => {
                    self.cancel_at(link, request.as_deref()).await;
                    return Ok(ChatEvent::error(
                        format!(
                            "the backend {} sent nothing for {} s; ask again, or ask without a backend",
                            link.url(),
                            BACKEND_SILENCE.as_secs()
                        ),
                        "timeout",
                    ));
                }
            };
            let event = match event {
                Ok(BackendEvent::Chat { name, data })
                    if data["thread_id"] == self.thread.as_str() && is_ours(&mut request, &name, &data) =>
                {
                    heard = Instant::now();
                    calls.translate(&name, &data)
                }
                Ok(BackendEvent::Chat { .. }) => None,
                Ok(BackendEvent::Lost) | Err(broadcast::error::RecvError::Closed) => {
                    return Ok(ChatEvent::error(
                        format!(
                            "the backend {} hung up during the turn; your question is kept, ask again when the link is back",
                            link.url()
                        ),
                        "network",
                    ));
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    self.cancel_at(link, request.as_deref()).await;
                    return Ok(ChatEvent::error(
                        format!(
                            "{missed} events of the backend were lost because this side was too slow; ask again"
                        ),
                        "network",
                    ));
                }
            };
            match event {
                Some(event) if event.is_last() => return Ok(event),
                // A reader that is slow, or gone, must not keep the turn from being cancelled.
                Some(event) => {
                    let _ = self.cancel.run_until_cancelled(self.events.send(event)).await;
                }
                None => {}
            }
        }
    }

    /// Asks the memory and reports what it offers. A model can do without a memory that fails, and the user is told;
    /// the extractive assistant has nothing else.
    async fn recall(&self, has_model: bool) -> Result<Vec<Recalled>, CoreError> {
        let (memory, prompt) = (self.core.memory().clone(), self.prompt.clone());
        match tokio::task::spawn_blocking(move || recall(&memory, &prompt)).await? {
            Ok(recalled) => {
                if !recalled.is_empty() {
                    let sources = recalled.iter().cloned().map(Source::from).collect();
                    let _ = self.events.send(ChatEvent::Recall { sources }).await;
                }
                Ok(recalled)
            }
            Err(error) if has_model => {
                let message =
                    format!("the memory could not be searched, so the answer goes without it: {error}");
                let _ = self.events.send(ChatEvent::Notice { message }).await;
                Ok(Vec::new())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps the answer in the thread and, when it says something new, in the searchable memory.
    async fn remember(&self, answer: &str, worth_recalling: bool) -> Result<(), CoreError> {
        let memory = self.core.inner().memory.clone();
        let (thread, prompt, answer) = (self.thread.clone(), self.prompt.clone(), answer.to_owned());
        tokio::task::spawn_blocking(move || remember(&memory, &thread, &prompt, answer, worth_recalling))
            .await?
    }
}

/// Whether an event of the thread belongs to the turn whose id is in `request`. That is the first turn which the
/// backend accepts after the question; what an earlier turn of the thread still says is not taken for an answer.
fn is_ours(request: &mut Option<String>, name: &str, data: &Value) -> bool {
    let Some(id) = data["request_id"].as_str() else {
        return true;
    };
    match request {
        Some(ours) => ours == id,
        None if name == "chat_accepted" => {
            *request = Some(id.to_owned());
            true
        }
        // A question that is refused is never accepted; an earlier turn that gave way ends as cancelled.
        None => name == "chat_error" && data["error_type"] != "cancelled",
    }
}

fn remember(
    memory: &Memory,
    thread: &str,
    prompt: &str,
    answer: String,
    worth_recalling: bool,
) -> Result<(), CoreError> {
    let session = memory.session(thread)?;
    let exchange = format!("You asked: {prompt}\n\nThe answer was: {answer}");
    session.append(&said(SessionRole::Assistant, answer))?;
    if worth_recalling {
        let number = session.read()?.len();
        memory.ingest(&Document {
            namespace: "conversations".into(),
            source: format!("conversation {thread}"),
            ..Document::new(
                format!("{thread}/{number}"),
                format!("Conversation {thread}"),
                exchange,
            )
        })?;
    }
    Ok(())
}

/// The contract's word for why a turn failed.
fn error_type(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Cancelled => "cancelled",
        FailureKind::Budget => "timeout",
        _ => "inference",
    }
}

fn said(role: SessionRole, text: String) -> SessionRecord {
    SessionRecord::text(jiff::Timestamp::now().as_millisecond(), role, text)
}

fn as_message(record: &SessionRecord) -> Option<Message> {
    match record {
        SessionRecord::Message { message, .. } => match message.role {
            SessionRole::User => Some(Message::user(text_of(message))),
            SessionRole::Assistant => Some(Message::assistant(text_of(message))),
            _ => None,
        },
        _ => None,
    }
}

fn text_of(message: &SessionMessage) -> String {
    message
        .content
        .iter()
        .filter_map(|block| block.text.as_deref())
        .collect::<Vec<_>>()
        .join("\n")
}

impl From<Recalled> for Source {
    fn from(recalled: Recalled) -> Self {
        Self {
            title: recalled.title,
            source: recalled.source,
            text: recalled.text,
            score: recalled.score,
        }
    }
}

/// The backend's tool events carry an id for each call. Another backend's may carry names only; then calls of one name
/// are taken to be answered in order.
#[derive(Default)]
struct CallIds {
    called: u64,
    open: Vec<(String, String)>,
}

impl CallIds {
    fn translate(&mut self, event: &str, data: &Value) -> Option<ChatEvent> {
        let text = |key: &str| data[key].as_str().unwrap_or_default().to_owned();
        Some(match event {
            "chat_delta" => ChatEvent::Delta { delta: text("delta") },
            "tool_call" => {
                self.called += 1;
                let name = full_name(data);
                let id = data["tool_call_id"]
                    .as_str()
                    .map_or_else(|| format!("call-{}", self.called), str::to_owned);
                self.open.push((name.clone(), id.clone()));
                ChatEvent::ToolCall {
                    id,
                    name,
                    args: data["args"].clone(),
                }
            }
            "tool_result" => {
                let name = full_name(data);
                let known = data["tool_call_id"].as_str();
                let at = self.open.iter().position(|(open, id)| match known {
                    Some(known) => id == known,
                    None => *open == name,
                });
                let id = at.map_or_else(String::new, |at| self.open.remove(at).1);
                let millis = data["millis"].as_u64();
                ChatEvent::ToolResult {
                    id,
                    name,
                    output: text("output"),
                    success: data["success"] == true,
                    millis,
                }
            }
            "chat_done" => ChatEvent::Done {
                answer: text("full_response"),
            },
            "chat_error" => ChatEvent::error(text("message"), &text("error_type")),
            _ => return None,
        })
    }
}

/// `skillId__toolName`, or the bare name of a tool that belongs to no skill.
fn full_name(data: &Value) -> String {
    let text = |key: &str| data[key].as_str().unwrap_or_default();
    match (text("skill_id"), text("tool_name")) {
        ("", tool) => tool.to_owned(),
        (skill, tool) => format!("{skill}__{tool}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_overtaken_turn_still_says_does_not_end_or_colour_the_next_one() {
        let of = |id: &str| json!({ "thread_id": "t", "request_id": id });
        let cancelled = json!({ "thread_id": "t", "request_id": "1", "error_type": "cancelled" });
        let mut request = None;
        assert!(!is_ours(&mut request, "chat_delta", &of("1")));
        assert!(!is_ours(&mut request, "chat_error", &cancelled));
        assert!(is_ours(&mut request, "chat_accepted", &of("2")));
        assert!(!is_ours(&mut request, "chat_done", &of("1")));
        assert!(is_ours(&mut request, "chat_done", &of("2")));

        let refused = json!({ "thread_id": "t", "request_id": "3", "error_type": "inference" });
        assert!(is_ours(&mut None, "chat_error", &refused));
        assert!(is_ours(&mut None, "chat_error", &json!({ "thread_id": "t" })));
    }

    #[test]
    fn backend_events_become_the_same_events_as_a_local_turn() {
        let mut calls = CallIds::default();
        let call = json!({ "skill_id": "notes", "tool_name": "find_notes", "args": { "query": "x" } });
        assert_eq!(
            calls.translate("tool_call", &call),
            Some(ChatEvent::ToolCall {
                id: "call-1".into(),
                name: "notes__find_notes".into(),
                args: json!({ "query": "x" })
            })
        );
        let result =
            json!({ "skill_id": "notes", "tool_name": "find_notes", "output": "[]", "success": true });
        assert_eq!(
            calls.translate("tool_result", &result),
            Some(ChatEvent::ToolResult {
                id: "call-1".into(),
                name: "notes__find_notes".into(),
                output: "[]".into(),
                success: true,
                millis: None
            })
        );
        let done = calls
            .translate("chat_done", &json!({ "full_response": "so" }))
            .unwrap();
        assert!(done.is_last());
        assert_eq!(calls.translate("chat_accepted", &json!({})), None);
    }

    #[test]
    fn events_have_the_names_that_the_front_end_knows() {
        let event = serde_json::to_value(ChatEvent::Delta { delta: "a".into() }).unwrap();
        assert_eq!(event, json!({ "type": "chat.delta", "delta": "a" }));
        let event = serde_json::to_value(ChatEvent::error("no", "network")).unwrap();
        assert_eq!(
            event,
            json!({ "type": "chat.error", "message": "no", "error_type": "network" })
        );
    }
}
