//! A conversation: recall before, a turn here or at the backend, and remember after.

mod backend;
mod event;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use openhuman_agent::{FailureKind, Message, Recalled, Role, TurnEvent, TurnInput};
use openhuman_memory::{Document, Memory, SessionMessage, SessionRecord, SessionRole};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::event::{ChatEvent, Route, Source};
use crate::bridge::{at_hand, recall};
use crate::core::Inner;
use crate::{Core, CoreError, ErrorKind};

/// Messages of the thread that the model sees again.
const HISTORY: usize = 24;

/// Events waiting for a slow reader before the turn waits too.
const QUEUE: usize = 256;

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

    /// Asks the memory and reports what it offers. A model can do without a memory that fails, and the user is told;
    /// the extractive assistant has nothing else.
    async fn recall(&self, has_model: bool) -> Result<Vec<Recalled>, CoreError> {
        let (memory, prompt) = (self.core.memory().clone(), self.prompt.clone());
        let search = move || {
            let mut found = recall(&memory, &prompt)?;
            if has_model {
                found.extend(at_hand(&memory)?);
            }
            Ok::<_, openhuman_memory::MemoryError>(found)
        };
        match tokio::task::spawn_blocking(search).await? {
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
            Err(error) => Err(CoreError::from(error)),
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
