//! The adapter for every server that speaks OpenAI chat completions: OpenAI, Ollama, LM Studio, llama-server, vLLM,
//! OpenRouter and many more.
//!
//! The parts that read the wire ([`sse`] and [`assemble`]) are pure; this module sends the request, retries before
//! the first byte, and watches time and size.

pub mod assemble;
pub mod retry;
pub mod sse;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt as _};
use futures_util::{FutureExt as _, stream};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout, timeout_at};

use crate::model::{Endpoint, Model, ModelError, ModelEvent, ModelRequest};
use crate::secret::Secret;
use assemble::{Assembler, Fault};
use retry::{Failure, RetryPolicy};

/// The base URL used when none is set.
pub const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";
/// The model used when none is set.
pub const DEFAULT_MODEL: &str = "gpt-5-mini";
/// Bytes of an error page that are read.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// What some servers put in front of UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How long a server may keep the connection open after it said that the answer is complete.
const GRACE: Duration = Duration::from_millis(500);

/// How to reach a model.
#[derive(Clone)]
pub struct OpenAiConfig {
    /// Where the API is, up to what precedes `/chat/completions`. `http` and `https` are both accepted; the user who
    /// configures a plain `http` address beyond the own machine accepts that the traffic is readable.
    pub base_url: String,
    /// The API key; `None` for local servers that want none.
    pub api_key: Option<Secret>,
    /// The model's name at the server.
    pub model: String,
    /// How long connecting may take. Default 10 s.
    pub connect_timeout: Duration,
    /// How long the server may take until the headers of its answer, and after them until the first byte; local models
    /// read long prompts slowly. Default 300 s.
    pub first_byte_timeout: Duration,
    /// How long the server may pause within an answer. Default 90 s.
    pub idle_timeout: Duration,
    /// Retries before the first byte of an answer.
    pub retry: RetryPolicy,
    /// Bytes one answer may have on the wire. Default 32 MiB.
    pub max_response_bytes: usize,
    /// Fields added to each request, for example `temperature` or `max_completion_tokens`. Default: none.
    pub extra: Map<String, Value>,
}

impl Default for OpenAiConfig {
    fn default() -> OpenAiConfig {
        OpenAiConfig {
            base_url: DEFAULT_BASE_URL.to_owned(),
            api_key: None,
            model: DEFAULT_MODEL.to_owned(),
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(90),
            retry: RetryPolicy::default(),
            max_response_bytes: 32 * 1024 * 1024,
            extra: Map::new(),
        }
    }
}

impl OpenAiConfig {
    /// The configuration in the usual variables, read through `var` (an environment, a settings file):
    /// `OPENAI_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_MODEL`. `None` when neither key nor base URL is set: then no
    /// provider is configured. Empty values count as not set.
    ///
    /// ```
    /// use openhuman_agent::openai::OpenAiConfig;
    ///
    /// let local = |name: &str| (name == "OPENAI_BASE_URL").then(|| "http://127.0.0.1:11434/v1".to_owned());
    /// let config = OpenAiConfig::from_vars(local).unwrap();
    /// assert!(config.api_key.is_none());
    /// assert!(OpenAiConfig::from_vars(|_| None).is_none());
    /// ```
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Option<OpenAiConfig> {
        let var = |name: &str| {
            var(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let (key, base_url) = (var("OPENAI_API_KEY"), var("OPENAI_BASE_URL"));
        if key.is_none() && base_url.is_none() {
            return None;
        }
        let defaults = OpenAiConfig::default();
        Some(OpenAiConfig {
            base_url: base_url.unwrap_or(defaults.base_url),
            api_key: key.map(Secret::new),
            model: var("OPENAI_MODEL").unwrap_or(defaults.model),
            ..OpenAiConfig::default()
        })
    }
}

impl fmt::Debug for OpenAiConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiConfig")
            .field("base_url", &without_credentials(&self.base_url))
            .field("api_key", &self.api_key)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// A model behind an OpenAI-compatible server. Cheap to clone; keeps its connections.
#[derive(Clone)]
pub struct OpenAiModel {
    inner: Arc<Inner>,
}

struct Inner {
    config: OpenAiConfig,
    url: reqwest::Url,
    endpoint: Endpoint,
    client: reqwest::Client,
}

impl fmt::Debug for OpenAiModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiModel")
            .field("config", &self.inner.config)
            .finish()
    }
}

impl OpenAiModel {
    /// Checks the configuration and prepares the client; nothing is sent.
    ///
    /// # Errors
    /// [`ModelError::Config`] when the base URL, the model name or the key cannot be used, or when the system's
    /// certificate store cannot be read (only asked for with `https`).
    pub fn new(config: OpenAiConfig) -> Result<OpenAiModel, ModelError> {
        let shown = without_credentials(&config.base_url);
        let wrong = |reason: String| ModelError::Config { reason };
        let mut url = reqwest::Url::parse(config.base_url.trim()).map_err(|error| {
            wrong(format!(
                "the base URL `{shown}` is not a URL ({error}); it looks like http://127.0.0.1:11434/v1"
            ))
        })?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong(format!(
                "the base URL `{shown}` must begin with http:// or https:// and name a host"
            )));
        }
        // A query stays behind the path: some servers want their API version there.
        url.set_path(&format!("{}/chat/completions", url.path().trim_end_matches('/')));
        url.set_fragment(None);
        if config.model.trim().is_empty() {
            return Err(wrong("the model name is empty; set OPENAI_MODEL".to_owned()));
        }
        let client = client(&config, &url)?;
        let endpoint = Endpoint {
            base_url: shown,
            model: config.model.clone(),
        };
        Ok(OpenAiModel {
            inner: Arc::new(Inner {
                config,
                url,
                endpoint,
                client,
            }),
        })
    }

    /// Which model at which server.
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.endpoint
    }
}

impl Model for OpenAiModel {
    fn name(&self) -> String {
        self.inner.config.model.clone()
    }

    fn stream(
        &self,
        request: ModelRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<ModelEvent, ModelError>>, ModelError>> {
        let inner = Arc::clone(&self.inner);
        async move {
            let response = inner.open(&request).await?;
            Ok(read(inner, response))
        }
        .boxed()
    }
}

fn client(config: &OpenAiConfig, url: &reqwest::Url) -> Result<reqwest::Client, ModelError> {
    let wrong = |reason: String| ModelError::Config { reason };
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(url.scheme() == "https")?)
        .connect_timeout(config.connect_timeout)
        // A redirect would carry the prompt to a server nobody configured.
        .redirect(reqwest::redirect::Policy::none());
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    if host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| wrong(format!("the HTTP client could not be prepared: {error}")))
}

/// TLS with the ring provider and the system's certificates. For plain `http` no certificates are needed, so a
/// machine without any can still use a local model.
fn tls(verify: bool) -> Result<rustls::ClientConfig, ModelError> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    let wrong = |error: rustls::Error| ModelError::Config {
        reason: format!("TLS could not be prepared: {error}; check the system's certificate store"),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(wrong)?;
    let builder = if verify {
        builder.with_platform_verifier().map_err(wrong)?
    } else {
        builder.with_root_certificates(rustls::RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}

impl Inner {
    /// Sends the request until the server starts a good answer or the retries are used up.
    async fn open(&self, request: &ModelRequest) -> Result<reqwest::Response, ModelError> {
        let mut include_usage = true;
        loop {
            let body = wire::request_body(&self.config.model, request, include_usage, &self.config.extra);
            let result = retry::run(&self.config.retry, |attempt| self.attempt(&body, attempt)).await;
            match result {
                // Some older servers reject the field that asks for usage figures.
                Err(ModelError::Rejected { message, .. })
                    if include_usage && message.contains("stream_options") =>
                {
                    include_usage = false;
                }
                other => return other,
            }
        }
    }

    async fn attempt(&self, body: &Value, attempt: u32) -> Result<reqwest::Response, Failure> {
        let mut request = self.client.post(self.url.clone()).json(body);
        if let Some(key) = &self.config.api_key {
            let mut value = reqwest::header::HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                .map_err(|_| {
                    Failure::last(ModelError::Config {
                        reason: "the API key holds characters no HTTP header may have".to_owned(),
                    })
                })?;
            value.set_sensitive(true);
            request = request.header(reqwest::header::AUTHORIZATION, value);
        }
        let limit = self.config.first_byte_timeout;
        let response = match timeout(limit, request.send()).await {
            Err(_) => {
                let phase = "waiting for the answer to begin";
                return Err(Failure::last(ModelError::Timeout {
                    endpoint: self.endpoint.clone(),
                    phase,
                    after: limit,
                }));
            }
            Ok(Err(error)) => return Err(Failure::again(self.transport_error(error), None)),
            Ok(Ok(response)) => response,
        };
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refused(response, attempt).await)
    }

    /// Reads an error answer and decides whether trying again makes sense.
    async fn refused(&self, response: reqwest::Response, attempt: u32) -> Failure {
        let status = response.status().as_u16();
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let now = std::time::SystemTime::now();
        let retry_after = retry::wait_from_headers(
            header("retry-after-ms").as_deref(),
            header("retry-after").as_deref(),
            now,
        );
        let no_retry = header("x-should-retry").is_some_and(|value| value == "false");
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        while let Ok(Some(Ok(chunk))) = timeout(self.config.idle_timeout, stream.next()).await {
            body.extend_from_slice(&chunk);
            if body.len() >= MAX_ERROR_BYTES {
                body.truncate(MAX_ERROR_BYTES);
                break;
            }
        }
        let wire::ServerError { message, code } = wire::server_error(&body);
        let message = self.without_key(message);
        let endpoint = self.endpoint.clone();
        match status {
            401 | 403 => Failure::last(ModelError::Unauthorized {
                endpoint,
                status,
                message,
            }),
            404 => Failure::last(ModelError::NotFound { endpoint, message }),
            429 => {
                let error = ModelError::RateLimited {
                    endpoint,
                    attempts: attempt,
                    retry_after,
                    message,
                };
                // No credit does not come back by waiting.
                let hopeless = no_retry || code.as_deref() == Some("insufficient_quota");
                if hopeless {
                    Failure::last(error)
                } else {
                    Failure::again(error, retry_after)
                }
            }
            408 | 500..=599 => {
                let error = ModelError::Server {
                    endpoint,
                    status: Some(status),
                    attempts: attempt,
                    message,
                };
                if no_retry {
                    Failure::last(error)
                } else {
                    Failure::again(error, retry_after)
                }
            }
            _ => Failure::last(ModelError::Rejected {
                endpoint,
                status,
                message,
            }),
        }
    }

    fn transport_error(&self, error: reqwest::Error) -> ModelError {
        let endpoint = self.endpoint.clone();
        // The query of the URL can hold a key.
        let error = error.without_url();
        if error.is_timeout() {
            return ModelError::Timeout {
                endpoint,
                phase: "connecting",
                after: self.config.connect_timeout,
            };
        }
        // The innermost cause says most, for example "Connection refused".
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        ModelError::Connect {
            endpoint,
            reason: cause.to_string(),
        }
    }

    fn fault(&self, fault: Fault) -> ModelError {
        let endpoint = self.endpoint.clone();
        match fault {
            Fault::Garbage(reason) => ModelError::Garbage {
                endpoint,
                reason: self.without_key(reason),
            },
            Fault::Cut(reason) => ModelError::Cut { endpoint, reason },
            Fault::TooLarge { limit, what } => ModelError::TooLarge {
                endpoint,
                limit,
                what,
            },
            Fault::Server(message) => ModelError::Server {
                endpoint,
                status: None,
                attempts: 1,
                message: self.without_key(message),
            },
        }
    }

    /// What the server says, without our key: a proxy's error page may repeat the request.
    fn without_key(&self, text: String) -> String {
        match &self.config.api_key {
            Some(key) if !key.expose().is_empty() && text.contains(key.expose()) => {
                text.replace(key.expose(), "[the API key]")
            }
            _ => text,
        }
    }
}

/// Reads the body as it comes and yields the events in it.
fn read(
    inner: Arc<Inner>,
    response: reqwest::Response,
) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
    struct Reading {
        inner: Arc<Inner>,
        body: BoxStream<'static, reqwest::Result<Bytes>>,
        reply: Reply,
        bytes: usize,
        ready: std::collections::VecDeque<ModelEvent>,
        over: bool,
        grace: Option<Instant>,
    }
    let reading = Reading {
        reply: Reply::new(),
        body: response.bytes_stream().boxed(),
        inner,
        bytes: 0,
        ready: std::collections::VecDeque::new(),
        over: false,
        grace: None,
    };
    stream::unfold(reading, |mut reading| async move {
        loop {
            if let Some(event) = reading.ready.pop_front() {
                return Some((Ok(event), reading));
            }
            if reading.over {
                return None;
            }
            if reading.reply.is_complete() && reading.grace.is_none() {
                reading.grace = Some(Instant::now() + GRACE);
            }
            let step = next_chunk(
                &reading.inner,
                &mut reading.body,
                &mut reading.bytes,
                reading.grace,
            )
            .await;
            let events = match step {
                Ok(Some(chunk)) => reading
                    .reply
                    .push(&chunk)
                    .map_err(|fault| reading.inner.fault(fault)),
                Ok(None) => reading.reply.finish().map_err(|fault| reading.inner.fault(fault)),
                Err(error) => Err(error),
            };
            match events {
                Ok(events) => {
                    reading.over = events
                        .iter()
                        .any(|event| matches!(event, ModelEvent::Done { .. }));
                    reading.ready.extend(events);
                }
                Err(error) => {
                    reading.over = true;
                    return Some((Err(error), reading));
                }
            }
        }
    })
    .boxed()
}

/// The next piece of the body; `None` at its end. Once the answer is complete and a `grace` period is set, errors
/// and the end of that period are an end too.
async fn next_chunk(
    inner: &Inner,
    body: &mut BoxStream<'static, reqwest::Result<Bytes>>,
    bytes: &mut usize,
    grace: Option<Instant>,
) -> Result<Option<Bytes>, ModelError> {
    let endpoint = || inner.endpoint.clone();
    // Some servers send the headers at once and read the prompt then.
    let (idle, phase) = if *bytes == 0 {
        (inner.config.first_byte_timeout, "waiting for the answer to begin")
    } else {
        (inner.config.idle_timeout, "in the middle of the answer")
    };
    let complete = grace.is_some();
    let until = grace.unwrap_or_else(|| Instant::now() + idle);
    match timeout_at(until, body.next()).await {
        Ok(Some(Ok(chunk))) => {
            *bytes = bytes.saturating_add(chunk.len());
            let limit = inner.config.max_response_bytes;
            if *bytes > limit {
                return Err(ModelError::TooLarge {
                    endpoint: endpoint(),
                    limit,
                    what: "bytes",
                });
            }
            Ok(Some(chunk))
        }
        Ok(None) => Ok(None),
        Ok(Some(Err(_))) | Err(_) if complete => Ok(None),
        Ok(Some(Err(error))) => Err(ModelError::Cut {
            endpoint: endpoint(),
            reason: inner.transport_error(error).to_cause(),
        }),
        Err(_) => Err(ModelError::Timeout {
            endpoint: endpoint(),
            phase,
            after: idle,
        }),
    }
}

impl ModelError {
    /// The network's words without the advice around them.
    fn to_cause(&self) -> String {
        match self {
            ModelError::Connect { reason, .. } => reason.clone(),
            other => other.to_string(),
        }
    }
}

/// A reply being read: server-sent events, or one JSON document from a server that does not stream.
enum Reply {
    Unknown(Vec<u8>),
    Events(sse::Parser, Assembler),
    Document(Vec<u8>),
    Over,
}

impl Reply {
    fn new() -> Reply {
        Reply::Unknown(Vec::new())
    }

    fn is_complete(&self) -> bool {
        matches!(self, Reply::Events(_, assembler) if assembler.is_complete())
    }

    /// Decides by the first byte that is no white space, since content types lie.
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<ModelEvent>, Fault> {
        match self {
            Reply::Unknown(start) => {
                start.extend_from_slice(bytes);
                let text = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start);
                let Some(first) = text.iter().find(|byte| !byte.is_ascii_whitespace()) else {
                    // Blank so far: keeping it would mean to search it again and again.
                    start.clear();
                    return Ok(Vec::new());
                };
                if BYTE_ORDER_MARK.starts_with(text) {
                    return Ok(Vec::new());
                }
                let document = *first == b'{';
                let start = text.to_vec();
                *self = if document {
                    Reply::Document(Vec::new())
                } else {
                    Reply::Events(sse::Parser::new(), Assembler::new())
                };
                self.push(&start)
            }
            Reply::Document(document) => {
                document.extend_from_slice(bytes);
                Ok(Vec::new())
            }
            Reply::Events(parser, assembler) => {
                let events = parser
                    .push(bytes)
                    .map_err(|error| Fault::Garbage(error.to_string()))?;
                let mut out = Vec::new();
                for event in events {
                    out.extend(assembler.event(&event.data)?);
                }
                if assembler.is_closed() {
                    out.extend(assembler.finish()?);
                    *self = Reply::Over;
                }
                Ok(out)
            }
            Reply::Over => Ok(Vec::new()),
        }
    }

    fn finish(&mut self) -> Result<Vec<ModelEvent>, Fault> {
        match std::mem::replace(self, Reply::Over) {
            Reply::Unknown(_) => Err(Fault::Garbage("an empty answer".to_owned())),
            Reply::Document(document) => assemble::document(&document),
            Reply::Events(parser, mut assembler) => {
                let mut out = Vec::new();
                if let Some(event) = parser.finish() {
                    out.extend(assembler.event(&event.data)?);
                }
                out.extend(assembler.finish()?);
                Ok(out)
            }
            Reply::Over => Ok(Vec::new()),
        }
    }
}

/// The URL without user name and password, for texts.
fn without_credentials(url: &str) -> String {
    let trimmed = url.trim();
    let Some((scheme, rest)) = trimmed.split_once("://") else {
        return trimmed.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}{}", path.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_prints() {
        let config = OpenAiConfig {
            api_key: Some("sk-private".into()),
            base_url: "http://me:hidden@127.0.0.1:1/v1?k=hidden".to_owned(),
            ..OpenAiConfig::default()
        };
        let model = OpenAiModel::new(config).unwrap();
        let text = format!("{model:?} {}", model.endpoint());
        assert!(!text.contains("private") && !text.contains("hidden"), "{text}");
        assert!(text.contains("http://127.0.0.1:1/v1"), "{text}");
    }

    #[test]
    fn a_query_in_the_base_url_stays_behind_the_path() {
        let url = |base_url: &str| {
            let config = OpenAiConfig {
                base_url: base_url.to_owned(),
                ..OpenAiConfig::default()
            };
            OpenAiModel::new(config).unwrap().inner.url.to_string()
        };
        assert_eq!(
            url("http://127.0.0.1:1/v1/?api-version=3#top"),
            "http://127.0.0.1:1/v1/chat/completions?api-version=3"
        );
        assert_eq!(url("http://127.0.0.1:1"), "http://127.0.0.1:1/chat/completions");
    }

    #[test]
    fn a_bad_configuration_says_what_to_do() {
        let with = |base_url: &str, model: &str| {
            let config = OpenAiConfig {
                base_url: base_url.to_owned(),
                model: model.to_owned(),
                ..OpenAiConfig::default()
            };
            OpenAiModel::new(config).unwrap_err().to_string()
        };
        assert!(with("127.0.0.1:11434", "m").contains("base URL"));
        assert!(with("ftp://host/v1", "m").contains("http://"));
        assert!(with("http://localhost/v1", " ").contains("OPENAI_MODEL"));
    }

    #[test]
    fn a_byte_order_mark_is_no_garbage() {
        let mut reply = Reply::new();
        let mut events = Vec::new();
        let text = "\u{feff}\n{\"choices\":[{\"message\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}";
        for byte in text.as_bytes() {
            events.extend(reply.push(&[*byte]).unwrap());
        }
        events.extend(reply.finish().unwrap());
        assert!(
            events.contains(&ModelEvent::TextDelta {
                text: "hi".to_owned()
            }),
            "{events:?}"
        );
    }
}
