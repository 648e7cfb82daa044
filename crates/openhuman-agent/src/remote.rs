//! What every model server over HTTP has in common: sending a request, trying again before the first byte, and
//! watching time and size while the answer is read.

mod reading;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::StreamExt as _;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Response, Url};
use serde_json::Value;
use tokio::time::timeout;

use crate::model::{Endpoint, ModelError};
use crate::openai::assemble::Fault;
use crate::openai::retry::{self, Failure, RetryPolicy};
use crate::secret::Secret;
use crate::wire_error::{ServerError, server_error};

pub(crate) use reading::{ReadReply, read};

/// Bytes of an error page that are read.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// Bytes of a list of models that are read.
const MAX_LIST_BYTES: usize = 8 * 1024 * 1024;

/// Where a server is and how patient to be with it.
pub(crate) struct Options {
    pub(crate) base_url: String,
    /// What is appended to the path of the base URL.
    pub(crate) path: &'static str,
    pub(crate) model: String,
    pub(crate) key: Option<Secret>,
    pub(crate) connect_timeout: Duration,
    pub(crate) first_byte_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) max_response_bytes: usize,
}

/// One model at one server. Keeps its connections.
pub(crate) struct Remote {
    pub(crate) url: Url,
    pub(crate) endpoint: Endpoint,
    options: Options,
    headers: HeaderMap,
    /// The key holds characters no header may have: said with the first request.
    bad_key: bool,
    client: reqwest::Client,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Remote {
    /// Checks the address and prepares the client; nothing is sent. `path` is put behind the base URL, `headers` go
    /// with every request.
    pub(crate) fn new(
        options: Options,
        headers: &[(&'static str, String)],
        example: &str,
    ) -> Result<Remote, ModelError> {
        let shown = without_credentials(&options.base_url);
        let wrong = |reason: String| ModelError::Config { reason };
        let mut url = Url::parse(options.base_url.trim()).map_err(|error| {
            wrong(format!(
                "the base URL `{shown}` is not a URL ({error}); it looks like {example}"
            ))
        })?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong(format!(
                "the base URL `{shown}` must begin with http:// or https:// and name a host"
            )));
        }
        // A query stays behind the path: some servers want their API version there.
        url.set_path(&format!("{}{}", url.path().trim_end_matches('/'), options.path));
        url.set_fragment(None);
        let mut all = HeaderMap::new();
        let mut bad_key = false;
        for (name, value) in headers {
            let Ok(mut value) = HeaderValue::from_str(value) else {
                bad_key = true;
                continue;
            };
            value.set_sensitive(true);
            all.insert(HeaderName::from_static(name), value);
        }
        let client = client_for(&url, options.connect_timeout)?;
        let endpoint = Endpoint {
            base_url: shown,
            model: options.model.clone(),
        };
        Ok(Remote {
            url,
            endpoint,
            options,
            headers: all,
            bad_key,
            client,
        })
    }

    /// The URL with another last part of the path, for example `models`.
    pub(crate) fn sibling(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        let base = url
            .path()
            .strip_suffix(self.options.path)
            .unwrap_or_default()
            .to_owned();
        url.set_path(&format!("{base}{path}"));
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        url
    }

    pub(crate) fn retry_policy(&self) -> &RetryPolicy {
        &self.options.retry
    }

    /// Sends `body` until the server starts a good answer or the retries are used up.
    pub(crate) async fn post(&self, body: &Value) -> Result<Response, ModelError> {
        retry::run(&self.options.retry, |attempt| self.post_once(body, attempt)).await
    }

    /// One attempt, which has this number.
    pub(crate) async fn post_once(&self, body: &Value, attempt: u32) -> Result<Response, Failure> {
        self.attempt(self.client.post(self.url.clone()).json(body), attempt)
            .await
    }

    /// Fetches a JSON document.
    pub(crate) async fn get(&self, url: Url) -> Result<Value, ModelError> {
        let response = retry::run(&self.options.retry, |attempt| {
            self.attempt(self.client.get(url.clone()), attempt)
        })
        .await?;
        let garbage = |reason: String| ModelError::Garbage {
            endpoint: self.endpoint.clone(),
            reason,
        };
        let body = self.error_body(response, MAX_LIST_BYTES).await;
        serde_json::from_slice(&body)
            .map_err(|error| garbage(format!("a list of models that is no JSON ({error})")))
    }

    async fn attempt(&self, request: RequestBuilder, attempt: u32) -> Result<Response, Failure> {
        if self.bad_key {
            return Err(Failure::last(ModelError::Config {
                reason: "the API key holds characters no HTTP header may have".to_owned(),
            }));
        }
        let limit = self.options.first_byte_timeout;
        let request = request.headers(self.headers.clone());
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

    /// At most `limit` bytes of a body; what came when the server stalls.
    async fn error_body(&self, response: Response, limit: usize) -> Vec<u8> {
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        while let Ok(Some(Ok(chunk))) = timeout(self.options.idle_timeout, stream.next()).await {
            body.extend_from_slice(&chunk);
            if body.len() >= limit {
                body.truncate(limit);
                break;
            }
        }
        body
    }

    /// Reads an error answer and decides whether trying again makes sense.
    async fn refused(&self, response: Response, attempt: u32) -> Failure {
        let status = response.status().as_u16();
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        // A date in Retry-After is a time of the server's clock, which may differ from ours.
        let now = header("date")
            .and_then(|date| retry::server_time(&date))
            .unwrap_or_else(std::time::SystemTime::now);
        let retry_after = retry::wait_from_headers(
            header("retry-after-ms").as_deref(),
            header("retry-after").as_deref(),
            now,
        );
        let no_retry = header("x-should-retry").is_some_and(|value| value == "false");
        let body = self.error_body(response, MAX_ERROR_BYTES).await;
        let ServerError { message, code } = server_error(&body);
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
                after: self.options.connect_timeout,
            };
        }
        ModelError::Connect {
            endpoint,
            reason: cause(&error),
        }
    }

    pub(crate) fn fault(&self, fault: Fault) -> ModelError {
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
        match &self.options.key {
            Some(key) if !key.expose().is_empty() && text.contains(key.expose()) => {
                text.replace(key.expose(), "[the API key]")
            }
            _ => text,
        }
    }
}

/// The innermost cause says most, for example "Connection refused".
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A client for requests that are passed on as they are.
#[cfg(feature = "mock")]
pub(crate) fn plain_client(origin: &str) -> Result<reqwest::Client, ModelError> {
    let wrong = |reason: String| ModelError::Config { reason };
    let url = Url::parse(origin).map_err(|error| wrong(format!("`{origin}` is not a URL ({error})")))?;
    client_for(&url, Duration::from_secs(10))
}

fn client_for(url: &Url, connect_timeout: Duration) -> Result<reqwest::Client, ModelError> {
    let wrong = |reason: String| ModelError::Config { reason };
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(url.scheme() == "https")?)
        .connect_timeout(connect_timeout)
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

/// The URL without user name and password, for texts.
pub(crate) fn without_credentials(url: &str) -> String {
    let trimmed = url.trim();
    let Some((scheme, rest)) = trimmed.split_once("://") else {
        return trimmed.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}{}", path.trim_end_matches('/'))
}
