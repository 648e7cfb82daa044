//! The adapter for every server that speaks OpenAI chat completions: OpenAI, Ollama, LM Studio, llama-server, vLLM,
//! OpenRouter and many more.
//!
//! The parts that read the wire ([`sse`] and [`assemble`]) are pure.

pub mod assemble;
mod reply;
pub mod retry;
pub mod sse;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use serde_json::{Map, Value};

use crate::model::{Endpoint, Model, ModelError, ModelEvent, ModelInfo, ModelRequest};
use crate::remote::{Options, Remote, read, without_credentials};
use crate::secret::Secret;
use reply::Reply;
use retry::RetryPolicy;

/// The base URL used when none is set.
pub const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";
/// The model used when none is set.
pub const DEFAULT_MODEL: &str = "gpt-5-mini";

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
    remote: Arc<Remote>,
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
        let options = Options {
            base_url: config.base_url.clone(),
            path: "/chat/completions",
            model: config.model.clone(),
            key: config.api_key.clone(),
            connect_timeout: config.connect_timeout,
            first_byte_timeout: config.first_byte_timeout,
            idle_timeout: config.idle_timeout,
            retry: config.retry.clone(),
            max_response_bytes: config.max_response_bytes,
        };
        let key = config.api_key.as_ref();
        let headers: Vec<(&'static str, String)> = key
            .map(|key| ("authorization", format!("Bearer {}", key.expose())))
            .into_iter()
            .collect();
        let remote = Remote::new(options, &headers, "http://127.0.0.1:11434/v1")?;
        if config.model.trim().is_empty() {
            return Err(ModelError::Config {
                reason: "the model name is empty; set OPENAI_MODEL".to_owned(),
            });
        }
        Ok(OpenAiModel {
            inner: Arc::new(Inner {
                config,
                remote: Arc::new(remote),
            }),
        })
    }

    /// Which model at which server.
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.remote.endpoint
    }

    /// The models the server offers, in its order.
    ///
    /// # Errors
    /// As a request to the model; [`ModelError::Garbage`] when the answer is no list.
    pub async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
        let remote = &self.inner.remote;
        let list = remote.get(remote.sibling("/models", &[])).await?;
        wire::models(&list).ok_or_else(|| ModelError::Garbage {
            endpoint: remote.endpoint.clone(),
            reason: "a list of models without `data`".to_owned(),
        })
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
            Ok(read(Arc::clone(&inner.remote), response, Reply::new()))
        }
        .boxed()
    }
}

impl Inner {
    /// Sends the request until the server starts a good answer or the retries are used up.
    async fn open(&self, request: &ModelRequest) -> Result<reqwest::Response, ModelError> {
        let mut include_usage = true;
        loop {
            let body = wire::request_body(&self.config.model, request, include_usage, &self.config.extra);
            match self.remote.post(&body).await {
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
            OpenAiModel::new(config).unwrap().inner.remote.url.to_string()
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
}
