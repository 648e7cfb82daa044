//! A turn at the backend: the prompt goes there with what the memory recalls, and its events come back.

use std::time::Duration;

use openhuman_agent::Recalled;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::{ChatEvent, Conversation, Source};
use crate::CoreError;
use crate::link::{BackendEvent, Link};

/// How long the backend may be silent during a turn.
const BACKEND_SILENCE: Duration = Duration::from_secs(180);

/// What the next moment of a turn at the backend brought.
enum Heard {
    /// Something of another turn, or that says nothing to the user.
    Nothing,
    Event(ChatEvent),
    /// The turn is over without an answer; the backend is told when `tell` says so.
    Over {
        last: ChatEvent,
        tell: bool,
    },
}

/// What is known of the turn while it runs.
struct Following {
    calls: CallIds,
    /// The backend's number for the turn, once it accepted it.
    request: Option<String>,
    heard: Instant,
}

impl Conversation {
    /// Tells the backend to stop this turn, and no later one of the thread.
    async fn cancel_at(&self, link: &Link, request: Option<&str>) {
        let mut data = json!({ "thread_id": self.thread });
        if let Some(request) = request {
            data["request_id"] = Value::from(request);
        }
        // Without a connection the turn is over anyway.
        let _ = link.emit("chat:cancel", &data).await;
    }

    /// Sends the prompt with what the memory recalls, and follows the backend's turn until its end.
    pub(super) async fn at_backend(
        &self,
        link: &Link,
        context: Vec<Recalled>,
    ) -> Result<ChatEvent, CoreError> {
        let context: Vec<Source> = context.into_iter().map(Source::from).collect();
        let mut backend = link.chat_events();
        let start = json!({ "thread_id": self.thread, "message": self.prompt, "context": context });
        link.emit("chat:start", &start).await?;
        let mut turn = Following {
            calls: CallIds::default(),
            request: None,
            heard: Instant::now(),
        };
        loop {
            let heard = tokio::select! {
                event = backend.recv() => self.hear(link, &mut turn, event),
                () = self.cancel.cancelled() => Heard::Over {
                    last: ChatEvent::error("the turn was stopped; ask again to retry", "cancelled"),
                    tell: true,
                },
                () = tokio::time::sleep_until(turn.heard + BACKEND_SILENCE) => silent(link),
            };
            match heard {
                Heard::Nothing => {}
                Heard::Event(event) if event.is_last() => return Ok(event),
                // A reader that is slow, or gone, must not keep the turn from being cancelled.
                Heard::Event(event) => {
                    let _ = self.cancel.run_until_cancelled(self.events.send(event)).await;
                }
                Heard::Over { last, tell } => {
                    if tell {
                        self.cancel_at(link, turn.request.as_deref()).await;
                    }
                    return Ok(last);
                }
            }
        }
    }

    /// What an event of the link means for this turn.
    fn hear(&self, link: &Link, turn: &mut Following, event: Result<BackendEvent, RecvError>) -> Heard {
        match event {
            Ok(BackendEvent::Chat { name, data })
                if data["thread_id"] == self.thread.as_str() && is_ours(&mut turn.request, &name, &data) =>
            {
                turn.heard = Instant::now();
                turn.calls
                    .translate(&name, &data)
                    .map_or(Heard::Nothing, Heard::Event)
            }
            Ok(BackendEvent::Chat { .. }) => Heard::Nothing,
            Ok(BackendEvent::Lost) | Err(RecvError::Closed) => Heard::Over {
                last: ChatEvent::error(
                    format!(
                        "the backend {} hung up during the turn; your question is kept, ask again when the link is back",
                        link.url()
                    ),
                    "network",
                ),
                tell: false,
            },
            Err(RecvError::Lagged(missed)) => Heard::Over {
                last: ChatEvent::error(
                    format!(
                        "{missed} events of the backend were lost because this side was too slow; ask again"
                    ),
                    "network",
                ),
                tell: true,
            },
        }
    }
}

fn silent(link: &Link) -> Heard {
    let message = format!(
        "the backend {} sent nothing for {} s; ask again, or ask without a backend",
        link.url(),
        BACKEND_SILENCE.as_secs()
    );
    Heard::Over {
        last: ChatEvent::error(message, "timeout"),
        tell: true,
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
}
