//! The HTTP server around a script: routes, what is recorded, and stopping.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, Response, Uri, header};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::answer::{Format, json_answer, refusal};
use super::conversation::{Composed, Conversation};
use super::script::{Fault, Part, Reply, Script};
use super::validate::ApiError;

/// The largest request, in bytes.
const MAX_REQUEST_BYTES: usize = 32 * 1024 * 1024;

/// A running server. Dropping it stops it; [`shutdown`](MockServer::shutdown) also waits until it is gone.
#[derive(Debug)]
pub struct MockServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// A request the server received.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// The method, for example `POST`.
    pub method: String,
    /// The path, for example `/v1/chat/completions`.
    pub path: String,
    /// The body as JSON; null when there was none.
    pub body: Value,
    /// Whether a bearer token or an `x-api-key` was sent. The key itself is not kept.
    pub has_token: bool,
    /// The status of the answer.
    pub status: u16,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) script: Script,
    requests: Mutex<Vec<RecordedRequest>>,
    /// How often each rule was used.
    used: Mutex<Vec<u32>>,
    replies: AtomicU64,
    pub(super) stop: CancellationToken,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MockServer {
    /// Starts a server on a free loopback port. It answers from when this returns.
    ///
    /// # Panics
    /// When no loopback port can be bound; [`try_start`](MockServer::try_start) gives the error instead.
    pub async fn start(script: Script) -> MockServer {
        match MockServer::try_start(script).await {
            Ok(server) => server,
            Err(error) => panic!("the scripted model server could not listen on 127.0.0.1: {error}"),
        }
    }

    /// Starts a server on a free loopback port.
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub async fn try_start(script: Script) -> io::Result<MockServer> {
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            used: Mutex::new(vec![0; script.rules.len()]),
            script,
            requests: Mutex::default(),
            replies: AtomicU64::new(0),
            stop: stop.clone(),
        });
        let router = Router::new()
            .route("/v1/chat/completions", post(completions))
            .route("/v1/messages", post(messages))
            .route("/v1/models", get(models))
            .fallback(unknown)
            .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
            .with_state(Arc::clone(&shared));
        let (address, task) = serve(router, stop.clone()).await?;
        Ok(MockServer {
            address,
            shared,
            stop,
            task: Some(task),
        })
    }

    /// The base URL for clients of the OpenAI format: `http://127.0.0.1:PORT/v1`. The adapter for the Anthropic format
    /// takes it too.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// All requests so far, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.shared.requests).clone()
    }

    /// Stops the server and waits until its task has ended. Replies under way are cut.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // The task only ends early when the runtime does.
            let _ = task.await;
        }
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Serves `router` on a free loopback port until `stop` fires.
pub(super) async fn serve(
    router: Router,
    stop: CancellationToken,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    // Small pieces go out at once instead of waiting for an acknowledgement.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    let task = tokio::spawn(async move {
        let serving = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = serving.await {
            tracing::warn!(%error, "the scripted model server ended");
        }
    });
    Ok((address, task))
}

pub(super) type Answer = Response<Body>;

async fn completions(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Answer {
    respond(&shared, Format::OpenAi, "/v1/chat/completions", &headers, &body)
}

async fn messages(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Answer {
    respond(&shared, Format::Anthropic, "/v1/messages", &headers, &body)
}

fn respond(shared: &Arc<Shared>, format: Format, path: &str, headers: &HeaderMap, body: &Bytes) -> Answer {
    let parsed: Result<Value, _> = serde_json::from_slice(body);
    let value = parsed.as_ref().cloned().unwrap_or(Value::Null);
    let answer = match parsed {
        Ok(value) => shared.answer(format, headers, &value, body.len()),
        Err(error) => Err(ApiError {
            status: 400,
            message: format!("The body is not JSON: {error}."),
            param: None,
            code: None,
        }),
    };
    let answer = answer.unwrap_or_else(|error| refusal(format, &error));
    shared.record("POST", path, value, headers, &answer);
    answer
}

async fn models(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answer {
    let format = Format::of(&headers);
    let answer = match shared.authorize(format, &headers) {
        Ok(()) => {
            let id = &shared.script.model;
            let list = match format {
                Format::OpenAi => {
                    let model = json!({"id": id, "object": "model", "created": 0, "owned_by": "openhuman"});
                    json!({"object": "list", "data": [model]})
                }
                Format::Anthropic => {
                    let model = json!({"id": id, "type": "model", "display_name": id,
                        "created_at": "2026-01-01T00:00:00Z"});
                    json!({"data": [model], "has_more": false, "first_id": id, "last_id": id})
                }
            };
            json_answer(200, &list)
        }
        Err(error) => refusal(format, &error),
    };
    shared.record("GET", "/v1/models", Value::Null, &headers, &answer);
    answer
}

async fn unknown(State(shared): State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap) -> Answer {
    let message = format!("Invalid URL ({method} {})", uri.path());
    let error = ApiError {
        status: 404,
        message,
        param: None,
        code: Some("unknown_url"),
    };
    let answer = refusal(Format::of(&headers), &error);
    shared.record(method.as_str(), uri.path(), Value::Null, &headers, &answer);
    answer
}

impl Shared {
    fn record(&self, method: &str, path: &str, body: Value, headers: &HeaderMap, answer: &Answer) {
        lock(&self.requests).push(RecordedRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            body,
            has_token: headers.contains_key(header::AUTHORIZATION) || headers.contains_key("x-api-key"),
            status: answer.status().as_u16(),
        });
    }

    /// A number of its own for each reply.
    pub(super) fn next_reply(&self) -> u64 {
        self.replies.fetch_add(1, Ordering::Relaxed)
    }

    /// The reply of the first rule that fits and is not used up.
    pub(super) fn reply(&self, conversation: &Conversation) -> (Composed, Option<Fault>) {
        let mut used = lock(&self.used);
        for (rule, used) in self.script.rules.iter().zip(used.iter_mut()) {
            if rule.times.is_none_or(|times| *used < times) && conversation.fits(&rule.when) {
                *used = used.saturating_add(1);
                return (conversation.compose(&rule.reply), rule.fault);
            }
        }
        let part = Part {
            template: self.script.fallback.clone(),
            otherwise: None,
        };
        (conversation.compose(&Reply::Text(vec![part])), None)
    }
}
