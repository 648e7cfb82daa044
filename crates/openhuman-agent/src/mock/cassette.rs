//! Recording a real model server and playing the recording back.
//!
//! A cassette is a text of one JSON object per line: request and answer. Keys never get into it: headers are not kept
//! but for the content type, and texts are searched for keys, bearer tokens and web tokens.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, Method, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::answer::{json_answer, plain};
use super::server::{Answer, serve};

/// What stands where a secret was.
const REDACTED: &str = "[redacted]";
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// One exchange of a cassette.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The path behind the base URL, for example `/v1/chat/completions`.
    pub path: String,
    /// The request's body; null for none.
    pub request: Value,
    /// The status of the answer.
    pub status: u16,
    /// The content type of the answer.
    pub content_type: String,
    /// The body of the answer.
    pub answer: String,
}

/// Exchanges in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cassette {
    /// The exchanges.
    pub exchanges: Vec<Exchange>,
}

impl Cassette {
    /// Reads the text form.
    ///
    /// # Errors
    /// When a line is no exchange.
    pub fn parse(text: &str) -> Result<Cassette, serde_json::Error> {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let exchanges = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Cassette { exchanges })
    }

    /// The text form.
    pub fn to_text(&self) -> String {
        let line = |exchange: &Exchange| serde_json::to_string(exchange).unwrap_or_default() + "\n";
        self.exchanges.iter().map(line).collect()
    }
}

/// Removes secrets from a text: the `known` ones, and what looks like an API key, a bearer token or a web token.
pub fn redact(text: &str, known: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in known.iter().filter(|secret| secret.len() >= 4) {
        text = text.replace(secret.as_str(), REDACTED);
    }
    let of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find(of_token) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !of_token(c)).unwrap_or(from.len()));
        out.push_str(before);
        let after_bearer = out.len() >= 7
            && out
                .get(out.len() - 7..)
                .is_some_and(|end| end.eq_ignore_ascii_case("bearer "));
        let looks_secret = word.len() >= 20
            && (["sk-", "sk_", "gsk_", "xai-", "ghp_", "AIza", "eyJ", "pk-", "rk-"]
                .iter()
                .any(|prefix| word.starts_with(prefix)));
        out.push_str(if looks_secret || (after_bearer && word.len() >= 8) {
            REDACTED
        } else {
            word
        });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A server between a client and a real model server that writes down what passes; or, without a real one, a server
/// that plays a cassette back. Dropping it stops it.
#[derive(Debug)]
pub struct CassetteServer {
    address: SocketAddr,
    tape: Arc<Tape>,
    stop: CancellationToken,
    _task: JoinHandle<()>,
}

#[derive(Debug)]
struct Tape {
    known: Vec<String>,
    recorded: Mutex<Cassette>,
    left: Mutex<VecDeque<Exchange>>,
    #[cfg(feature = "openai")]
    upstream: Option<(String, reqwest::Client)>,
}

impl CassetteServer {
    /// Plays `cassette` back. A request gets the answer of the first exchange with the same method, path and body that
    /// was not used yet; one that is not on the cassette gets a 404 that says so.
    ///
    /// # Errors
    /// When no loopback port can be bound.
    pub async fn play(cassette: Cassette) -> io::Result<CassetteServer> {
        CassetteServer::start(Tape {
            known: Vec::new(),
            recorded: Mutex::default(),
            left: Mutex::new(cassette.exchanges.into()),
            #[cfg(feature = "openai")]
            upstream: None,
        })
        .await
    }

    /// Passes every request on to `upstream` (an origin like `http://127.0.0.1:11434`) and records it. `secrets` never
    /// get onto the cassette, nor does the key of a request.
    ///
    /// # Errors
    /// When no loopback port can be bound or the client cannot be prepared.
    #[cfg(feature = "openai")]
    pub async fn record(upstream: &str, secrets: Vec<String>) -> io::Result<CassetteServer> {
        let client = crate::remote::plain_client(upstream).map_err(io::Error::other)?;
        CassetteServer::start(Tape {
            known: secrets,
            recorded: Mutex::default(),
            left: Mutex::default(),
            upstream: Some((upstream.trim_end_matches('/').to_owned(), client)),
        })
        .await
    }

    async fn start(tape: Tape) -> io::Result<CassetteServer> {
        let (tape, stop) = (Arc::new(tape), CancellationToken::new());
        let router = Router::new()
            .fallback(pass)
            .layer(DefaultBodyLimit::max(MAX_BYTES))
            .with_state(Arc::clone(&tape));
        let (address, task) = serve(router, stop.clone()).await?;
        Ok(CassetteServer {
            address,
            tape,
            stop,
            _task: task,
        })
    }

    /// The base URL for clients: `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What was recorded so far.
    pub fn cassette(&self) -> Cassette {
        lock(&self.tape.recorded).clone()
    }
}

impl Drop for CassetteServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn pass(State(tape): State<Arc<Tape>>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BYTES).await else {
        return failed(400, "the request could not be read");
    };
    let path = parts
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    #[cfg(feature = "openai")]
    if tape.upstream.is_some() {
        return tape.recording(&parts.method, &path, &parts.headers, body).await;
    }
    tape.playing(&parts.method, &path, &body)
}

fn failed(status: u16, message: &str) -> Answer {
    json_answer(status, &serde_json::json!({"error": {"message": message}}))
}

impl Tape {
    fn request_body(&self, body: &Bytes) -> Value {
        let text = redact(&String::from_utf8_lossy(body), &self.known);
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    fn playing(&self, method: &Method, path: &str, body: &Bytes) -> Answer {
        let request = self.request_body(body);
        let mut left = lock(&self.left);
        let fits = |exchange: &Exchange| {
            exchange.method == method.as_str() && exchange.path == path && exchange.request == request
        };
        match left.iter().position(fits).and_then(|at| left.remove(at)) {
            Some(exchange) => {
                let mut answer = plain(exchange.status, "text/plain", Body::from(exchange.answer));
                if let Ok(kind) = exchange.content_type.parse() {
                    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
                }
                answer
            }
            None => failed(404, "this request is not on the cassette; record it again"),
        }
    }

    #[cfg(feature = "openai")]
    async fn recording(&self, method: &Method, path: &str, headers: &HeaderMap, body: Bytes) -> Answer {
        let Some((upstream, client)) = &self.upstream else {
            return failed(500, "nothing to record from");
        };
        let request = self.request_body(&body);
        let mut known = self.known.clone();
        let mut forward = client.request(method.clone(), format!("{upstream}{path}"));
        for name in ["authorization", "x-api-key", "anthropic-version", "content-type"] {
            if let Some(value) = headers.get(name) {
                forward = forward.header(name, value.clone());
                if matches!(name, "authorization" | "x-api-key")
                    && let Ok(value) = value.to_str()
                {
                    known.push(value.trim_start_matches("Bearer ").to_owned());
                }
            }
        }
        let answer = match forward.body(body).send().await {
            Ok(answer) => answer,
            Err(error) => return failed(502, &error.without_url().to_string()),
        };
        let status = answer.status().as_u16();
        let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
        let Ok(bytes) = answer.bytes().await else {
            return failed(502, "the server hung up in the middle of its answer");
        };
        let content_type = kind
            .as_ref()
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or("application/json")
            .to_owned();
        lock(&self.recorded).exchanges.push(Exchange {
            method: method.to_string(),
            path: path.to_owned(),
            request,
            status,
            content_type,
            answer: redact(&String::from_utf8_lossy(&bytes), &known),
        });
        let mut passed = plain(status, "application/json", Body::from(bytes));
        if let Some(kind) = kind {
            passed.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_in_all_their_forms() {
        let known = vec!["hunter2-secret".to_owned()];
        let text = "key sk-abcdefghijklmnopqrstuv, Bearer abc.def-123, hunter2-secret, eyJhbGciOiJIUzI1NiJ9.e30.x \
                    and sk-short, a skeleton, Bearer of";
        let clean = redact(text, &known);
        assert_eq!(clean.matches(REDACTED).count(), 4, "{clean}");
        for kept in ["sk-short", "skeleton", "Bearer of"] {
            assert!(clean.contains(kept), "{clean}");
        }
        assert_eq!(redact("é “plain” text", &[]), "é “plain” text");
    }

    #[test]
    fn the_text_form_can_be_read_back() {
        let exchange = Exchange {
            method: "POST".to_owned(),
            path: "/v1/messages".to_owned(),
            request: serde_json::json!({"a": 1}),
            status: 200,
            content_type: "text/event-stream".to_owned(),
            answer: "data: é\n\n".to_owned(),
        };
        let cassette = Cassette {
            exchanges: vec![exchange.clone(), exchange],
        };
        assert_eq!(Cassette::parse(&cassette.to_text()).unwrap(), cassette);
        assert!(Cassette::parse("{}").is_err());
    }
}
