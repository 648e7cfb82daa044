//! The HTTP server around a script.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::chunks::{self, Style};
use super::conversation::{Composed, Conversation};
use super::script::{Fault, Part, Quirk, Reply, Script};
use super::validate::{self, ApiError};

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
    /// Whether a bearer token was sent. The token itself is not kept.
    pub has_token: bool,
    /// The status of the answer.
    pub status: u16,
}

#[derive(Debug)]
struct Shared {
    script: Script,
    requests: Mutex<Vec<RecordedRequest>>,
    /// How often each rule was used.
    used: Mutex<Vec<u32>>,
    replies: AtomicU64,
    stop: CancellationToken,
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
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        // Small pieces go out at once instead of waiting for an acknowledgement.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY could not be set");
            }
        });
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
            .route("/v1/models", get(models))
            .fallback(unknown)
            .layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES))
            .with_state(Arc::clone(&shared));
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await
            {
                tracing::warn!(%error, "the scripted model server ended");
            }
        });
        Ok(MockServer {
            address,
            shared,
            stop,
            task: Some(task),
        })
    }

    /// The base URL for clients: `http://127.0.0.1:PORT/v1`.
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

type Answer = Response<Body>;

async fn completions(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Answer {
    let parsed: Result<Value, _> = serde_json::from_slice(&body);
    let value = parsed.as_ref().cloned().unwrap_or(Value::Null);
    let answer = match parsed {
        Ok(value) => shared.answer(&headers, &value, body.len()),
        Err(error) => Err(ApiError {
            status: 400,
            message: format!("The body is not JSON: {error}."),
            param: None,
            code: None,
        }),
    };
    let answer = answer.unwrap_or_else(|error| refusal(&error));
    shared.record("POST", "/v1/chat/completions", value, &headers, &answer);
    answer
}

async fn models(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answer {
    let answer = match shared.authorize(&headers) {
        Ok(()) => {
            let model =
                json!({"id": shared.script.model, "object": "model", "created": 0, "owned_by": "openhuman"});
            json_answer(StatusCode::OK, &json!({"object": "list", "data": [model]}))
        }
        Err(error) => refusal(&error),
    };
    shared.record("GET", "/v1/models", Value::Null, &headers, &answer);
    answer
}

async fn unknown(State(shared): State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap) -> Answer {
    let message = format!("Invalid URL ({method} {})", uri.path());
    let answer = refusal(&ApiError {
        status: 404,
        message,
        param: None,
        code: Some("unknown_url"),
    });
    shared.record(method.as_str(), uri.path(), Value::Null, &headers, &answer);
    answer
}

impl Shared {
    fn record(&self, method: &str, path: &str, body: Value, headers: &HeaderMap, answer: &Answer) {
        lock(&self.requests).push(RecordedRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            body,
            has_token: headers.contains_key(header::AUTHORIZATION),
            status: answer.status().as_u16(),
        });
    }

    fn authorize(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(key) = &self.script.api_key else {
            return Ok(());
        };
        let sent = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        if sent.and_then(|value| value.strip_prefix("Bearer ")) == Some(key.as_str()) {
            return Ok(());
        }
        let message = "Incorrect API key provided.".to_owned();
        Err(ApiError {
            status: 401,
            message,
            param: None,
            code: Some("invalid_api_key"),
        })
    }

    fn answer(
        self: &Arc<Shared>,
        headers: &HeaderMap,
        body: &Value,
        bytes: usize,
    ) -> Result<Answer, ApiError> {
        self.authorize(headers)?;
        let quirks = &self.script.quirks;
        if quirks.contains(&Quirk::RejectStreamOptions) && body.get("stream_options").is_some() {
            let message = "Unrecognized request argument supplied: stream_options".to_owned();
            return Err(ApiError {
                status: 400,
                message,
                param: None,
                code: None,
            });
        }
        validate::request(body, &self.script.model)?;
        let (reply, fault) = self.reply(&Conversation::read(body));
        let number = self.replies.fetch_add(1, Ordering::Relaxed);
        let style = Style {
            id: format!("chatcmpl-{number}"),
            model: &self.script.model,
            created: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
            usage: body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)),
            quirks,
        };
        match fault {
            Some(Fault::RateLimit { retry_after }) => {
                let message = "Rate limit reached for requests.".to_owned();
                let error = ApiError {
                    status: 429,
                    message,
                    param: None,
                    code: Some("rate_limit_exceeded"),
                };
                let mut answer = refusal(&error);
                answer
                    .headers_mut()
                    .insert(header::RETRY_AFTER, retry_after.into());
                return Ok(answer);
            }
            Some(Fault::NoCredit) => {
                let message = "You exceeded your current quota.".to_owned();
                return Err(ApiError {
                    status: 429,
                    message,
                    param: None,
                    code: Some("insufficient_quota"),
                });
            }
            Some(Fault::ServerError) => {
                let message = "The server had an error while processing your request.".to_owned();
                return Err(ApiError {
                    status: 500,
                    message,
                    param: None,
                    code: None,
                });
            }
            Some(Fault::Garbage) => {
                return Ok(plain(
                    StatusCode::OK,
                    "text/html",
                    Body::from("<html><body>Welcome!</body></html>"),
                ));
            }
            _ => {}
        }
        let streamed = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
        if !streamed || quirks.contains(&Quirk::Document) {
            return Ok(json_answer(
                StatusCode::OK,
                &chunks::document(&reply, &style, bytes),
            ));
        }
        let hold_open = quirks.contains(&Quirk::HoldOpen);
        Ok(self.stream(chunks::stream(&reply, &style, bytes), fault, hold_open))
    }

    /// The reply of the first rule that fits and is not used up.
    fn reply(&self, conversation: &Conversation) -> (Composed, Option<Fault>) {
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

    fn stream(&self, reply: chunks::Frames, fault: Option<Fault>, hold_open: bool) -> Answer {
        let mut frames: Vec<Result<Bytes, io::Error>> = reply
            .frames
            .into_iter()
            .map(|frame| Ok(Bytes::from(frame)))
            .collect();
        let mut pause = Duration::ZERO;
        let mut open = hold_open;
        match fault {
            Some(Fault::Cut) => {
                frames.truncate(reply.middle);
                frames.push(Err(io::Error::from(io::ErrorKind::ConnectionReset)));
            }
            Some(Fault::EndEarly) => frames.truncate(reply.middle),
            Some(Fault::Stall) => {
                frames.truncate(reply.middle);
                open = true;
            }
            Some(Fault::SlowDrip { millis }) => pause = Duration::from_millis(millis),
            Some(Fault::BrokenEvents) => {
                frames.truncate(1);
                frames.push(Ok(Bytes::from_static(
                    b"data: {\"choices\":[{\"delta\":{\"conte\n\n",
                )));
            }
            Some(Fault::ErrorEvent) => {
                frames.truncate(1);
                frames.push(Ok(Bytes::from_static(
                    b"data: {\"error\":{\"message\":\"The engine is overloaded\"}}\n\n",
                )));
            }
            _ => {}
        }
        let frames = stream::iter(frames).then(move |frame| async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            } else {
                // Lets the frame before reach the wire, so that clients see pieces.
                tokio::task::yield_now().await;
            }
            frame
        });
        let tail = stream::pending::<Result<Bytes, io::Error>>().take(usize::from(open));
        let body = frames.chain(tail).take_until(self.stop.clone().cancelled_owned());
        plain(StatusCode::OK, "text/event-stream", Body::from_stream(body))
    }
}

fn plain(status: StatusCode, kind: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    answer
}

fn json_answer(status: StatusCode, value: &Value) -> Answer {
    plain(status, "application/json", Body::from(value.to_string()))
}

fn refusal(error: &ApiError) -> Answer {
    let kind = match error.status {
        401 => "authentication_error",
        429 => "requests",
        500..=599 => "server_error",
        _ => "invalid_request_error",
    };
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body =
        json!({"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}});
    json_answer(status, &body)
}
