//! Chat over HTTP: one request, and the events of its turn as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use futures_util::stream::{self, StreamExt as _};
use openhuman_agent::{NoTools, Tools, TurnEvent, TurnInput};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::chat::{self, Start, TurnId};
use crate::http::{refused, signed_in};
use crate::shared::Shared;

/// Counts a turn while it lives.
struct Counted(Arc<Shared>, String);

impl Counted {
    fn begin(shared: &Arc<Shared>, user: &str) -> Option<Counted> {
        let limit = shared.limits.turns;
        let mut turns = shared.http_turns();
        let running = turns.entry(user.to_owned()).or_default();
        if *running >= limit {
            return None;
        }
        *running += 1;
        Some(Counted(Arc::clone(shared), user.to_owned()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut turns = self.0.http_turns();
        if let Some(running) = turns.get_mut(&self.1) {
            *running -= 1;
            if *running == 0 {
                turns.remove(&self.1);
            }
        }
    }
}

/// `POST /chat` with the payload of `chat:start`: answers with `chat_accepted` and what follows, as an event stream that
/// ends with `chat_done` or `chat_error`. Closing the connection ends the turn. The tools are those of the user's desktop
/// that connected first to this instance, if any.
pub(crate) async fn chat(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let session = match signed_in(&shared, &headers) {
        Ok(session) => session,
        Err(answer) => return *answer,
    };
    if shared.takes_nothing_new() {
        return refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "The backend is shutting down; try again in a moment",
        );
    }
    let start = match Start::parse(serde_json::from_slice(&body).unwrap_or(Value::Null)) {
        Ok(start) => start,
        Err((_, reason)) => return refused(StatusCode::BAD_REQUEST, &reason),
    };
    let Some(counted) = Counted::begin(&shared, &session.user) else {
        let limit = shared.limits.turns;
        let message = format!("Too many turns are running (limit {limit}); wait for an answer and try again");
        return refused(StatusCode::TOO_MANY_REQUESTS, &message);
    };
    shared.metrics.turns.add();
    let id = TurnId {
        thread_id: start.thread_id.clone(),
        request_id: shared.next_serial(),
    };
    let user = session.user;
    let tools: Arc<dyn Tools> = match shared.desktop_tools(&user) {
        Some(tools) => tools,
        None => Arc::new(NoTools),
    };
    let input = TurnInput {
        history: shared.conversations().history(&user, &start.thread_id),
        prompt: start.message,
        context: start.context,
    };
    let cancel: CancellationToken = shared.stop.child_token();
    let turn = shared.agent(tools).run(input, cancel);
    let first = (chat::ACCEPTED, id.payload(json!({})));
    let rest = turn.filter_map(move |event| {
        let told = id.event(&event);
        if matches!(event, TurnEvent::Failed { .. }) {
            counted.0.metrics.turns_failed.add();
        }
        // Remembered before it is said: the next message may follow at once.
        if let TurnEvent::Done { messages, .. } = event {
            let thread = &id.thread_id;
            counted.0.conversations().append(&counted.1, thread, messages);
        }
        std::future::ready(told)
    });
    let frames = stream::once(std::future::ready(first))
        .chain(rest)
        .map(|(name, payload)| {
            Ok::<_, Infallible>(Bytes::from(format!("event: {name}\ndata: {payload}\n\n")))
        });
    let mut response = Response::new(Body::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
