//! The stream `openhuman.chat_start`, and its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Dispatcher, RpcError, Shared};
use crate::Route;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChatParams {
    thread_id: String,
    message: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CancelParams {
    thread_id: String,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Cancelled {
    /// Whether a turn was running.
    cancelled: bool,
}

impl Dispatcher {
    pub(super) async fn chat_start(&self, params: ChatParams) -> Result<BoxStream<'static, Value>, RpcError> {
        let core = self.core().await?;
        let cancel = self.shared.stop.child_token();
        let thread = params.thread_id;
        let number = self.shared.started.fetch_add(1, Ordering::Relaxed);
        let earlier = self
            .shared
            .turns()
            .insert(thread.clone(), (number, cancel.clone()));
        if let Some((_, earlier)) = earlier {
            earlier.cancel();
        }
        let ended = TurnEnded {
            shared: self.shared.clone(),
            thread: thread.clone(),
            number,
        };
        let events = core.chat(thread, params.message, Route::Auto, &cancel);
        Ok(Box::pin(events.map(move |event| {
            let mut event = serde_json::to_value(event).unwrap_or_else(|error| {
                json!({ "type": "chat.error", "message": error.to_string(), "error_type": "inference" })
            });
            event["thread_id"] = Value::from(ended.thread.clone());
            event
        })))
    }

    pub(super) fn chat_cancel(&self, params: &CancelParams) -> Cancelled {
        let turn = self.shared.turns().remove(&params.thread_id);
        if let Some((_, turn)) = &turn {
            turn.cancel();
        }
        Cancelled {
            cancelled: turn.is_some(),
        }
    }
}

/// Forgets a turn when its stream is read to the end or dropped.
struct TurnEnded {
    shared: Arc<Shared>,
    thread: String,
    number: u64,
}

impl Drop for TurnEnded {
    fn drop(&mut self) {
        self.shared.ended(&self.thread, self.number);
    }
}
