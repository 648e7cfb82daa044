//! The adapter for servers that speak Anthropic messages: Anthropic's own API and the gateways that imitate it.
//!
//! Text, parallel tool calls, thinking, usage, and overload errors are read from the stream of server-sent events. The
//! thinking that led to a tool call has to be sent back with the call's result, signed by the server; the adapter keeps
//! it in memory for the latest calls. After a restart it is gone, and the request that continues such a turn is sent
//! without thinking, which the API allows.

pub mod assemble;
mod reply;
mod wire;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Map, Value};

use crate::model::{Endpoint, Model, ModelError, ModelEvent, ModelInfo, ModelRequest};
use crate::openai::retry::{self, Failure, RetryPolicy};
use crate::remote::{Options, Remote, read, without_credentials};
use crate::secret::Secret;
use reply::Reply;

/// The base URL used when none is set.
pub const DEFAULT_BASE_URL: &str = "https://api.anthropic.com";
/// The model used when none is set.
pub const DEFAULT_MODEL: &str = "claude-sonnet-4-5";
/// The version of the API that the adapter speaks.
const API_VERSION: &str = "2023-06-01";
/// For how many tool calls the thinking before them is kept.
const KEPT_THOUGHTS: usize = 256;
/// The smallest thinking budget that the API takes, in tokens.
const LEAST_THINKING: u32 = 1024;
/// Models asked for on one page of the list, and pages at most.
const PAGE: &str = "1000";
const MAX_PAGES: usize = 10;

/// How to reach a model.
#[derive(Clone)]
pub struct AnthropicConfig {
    /// Where the API is, with or without `/v1` at the end. Plain `http` beyond the own machine can be read on the way.
    pub base_url: String,
    /// The API key, sent as `x-api-key`; `None` for gateways that want none.
    pub api_key: Option<Secret>,
    /// The model's name.
    pub model: String,
    /// The most tokens one reply may have, thinking included; the API demands a number. Default 8,192.
    pub max_tokens: u32,
    /// Tokens of visible thinking before an answer, from 1,024 to below `max_tokens`; `None` for none. Default `None`.
    pub thinking_tokens: Option<u32>,
    /// How long connecting may take. Default 10 s.
    pub connect_timeout: Duration,
    /// How long the server may take until the first byte of its answer. Default 300 s.
    pub first_byte_timeout: Duration,
    /// How long the server may pause within an answer. Default 90 s.
    pub idle_timeout: Duration,
    /// Retries before the first event of an answer.
    pub retry: RetryPolicy,
    /// Bytes one answer may have on the wire. Default 32 MiB.
    pub max_response_bytes: usize,
    /// Fields added to each request, for example `temperature`. Default: none.
    pub extra: Map<String, Value>,
}

impl Default for AnthropicConfig {
    fn default() -> AnthropicConfig {
        AnthropicConfig {
            base_url: DEFAULT_BASE_URL.to_owned(),
            api_key: None,
            model: DEFAULT_MODEL.to_owned(),
            max_tokens: 8192,
            thinking_tokens: None,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(90),
            retry: RetryPolicy::default(),
            max_response_bytes: 32 * 1024 * 1024,
            extra: Map::new(),
        }
    }
}

impl AnthropicConfig {
    /// The configuration in the usual variables, read through `var`: `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL`,
    /// `ANTHROPIC_MODEL`. `None` when neither key nor base URL is set. Empty values count as not set.
    ///
    /// ```
    /// use openhuman_agent::anthropic::AnthropicConfig;
    ///
    /// let config = AnthropicConfig::from_vars(|name| (name == "ANTHROPIC_API_KEY").then(|| "k".to_owned())).unwrap();
    /// assert_eq!(config.base_url, "https://api.anthropic.com");
    /// assert!(AnthropicConfig::from_vars(|_| None).is_none());
    /// ```
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Option<AnthropicConfig> {
        let var = |name: &str| {
            var(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let (key, base_url) = (var("ANTHROPIC_API_KEY"), var("ANTHROPIC_BASE_URL"));
        if key.is_none() && base_url.is_none() {
            return None;
        }
        let defaults = AnthropicConfig::default();
        Some(AnthropicConfig {
            base_url: base_url.unwrap_or(defaults.base_url),
            api_key: key.map(Secret::new),
            model: var("ANTHROPIC_MODEL").unwrap_or(defaults.model),
            ..AnthropicConfig::default()
        })
    }
}

impl fmt::Debug for AnthropicConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnthropicConfig")
            .field("base_url", &without_credentials(&self.base_url))
            .field("api_key", &self.api_key)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// A model behind the Anthropic messages API. Cheap to clone; keeps its connections.
#[derive(Clone)]
pub struct AnthropicModel {
    inner: Arc<Inner>,
}

struct Inner {
    config: AnthropicConfig,
    remote: Arc<Remote>,
    thoughts: Arc<Thoughts>,
}

impl fmt::Debug for AnthropicModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnthropicModel")
            .field("config", &self.inner.config)
            .finish()
    }
}

impl AnthropicModel {
    /// Checks the configuration and prepares the client; nothing is sent.
    ///
    /// # Errors
    /// [`ModelError::Config`] when the base URL, the model name, the key or the thinking budget cannot be used, or when
    /// the system's certificate store cannot be read (only asked for with `https`).
    pub fn new(config: AnthropicConfig) -> Result<AnthropicModel, ModelError> {
        let wrong = |reason: &str| ModelError::Config {
            reason: reason.to_owned(),
        };
        let has_version = config.base_url.trim().trim_end_matches('/').ends_with("/v1");
        let options = Options {
            base_url: config.base_url.clone(),
            path: if has_version { "/messages" } else { "/v1/messages" },
            model: config.model.clone(),
            key: config.api_key.clone(),
            connect_timeout: config.connect_timeout,
            first_byte_timeout: config.first_byte_timeout,
            idle_timeout: config.idle_timeout,
            retry: config.retry.clone(),
            max_response_bytes: config.max_response_bytes,
        };
        let mut headers = vec![("anthropic-version", API_VERSION.to_owned())];
        if let Some(key) = &config.api_key {
            headers.push(("x-api-key", key.expose().to_owned()));
        }
        let remote = Remote::new(options, &headers, DEFAULT_BASE_URL)?;
        if config.model.trim().is_empty() {
            return Err(wrong("the model name is empty; set ANTHROPIC_MODEL"));
        }
        if config
            .thinking_tokens
            .is_some_and(|tokens| tokens < LEAST_THINKING || tokens >= config.max_tokens)
        {
            return Err(wrong(
                "thinking_tokens must be at least 1,024 and below max_tokens",
            ));
        }
        Ok(AnthropicModel {
            inner: Arc::new(Inner {
                config,
                remote: Arc::new(remote),
                thoughts: Arc::default(),
            }),
        })
    }

    /// Which model at which server.
    pub fn endpoint(&self) -> &Endpoint {
        &self.inner.remote.endpoint
    }

    /// The models the server offers, newest first; all pages.
    ///
    /// # Errors
    /// As a request to the model; [`ModelError::Garbage`] when the answer is no list.
    pub async fn models(&self) -> Result<Vec<ModelInfo>, ModelError> {
        let remote = &self.inner.remote;
        let path = if self.inner.appends_version() {
            "/v1/models"
        } else {
            "/models"
        };
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut query = vec![("limit", PAGE)];
            query.extend(after.as_deref().map(|id| ("after_id", id)));
            let page = remote.get(remote.sibling(path, &query)).await?;
            let Some((models, next)) = wire::models(&page) else {
                return Err(ModelError::Garbage {
                    endpoint: remote.endpoint.clone(),
                    reason: "a list of models without `data`".to_owned(),
                });
            };
            all.extend(models);
            after = next;
            if after.is_none() {
                break;
            }
        }
        Ok(all)
    }
}

impl Model for AnthropicModel {
    fn name(&self) -> String {
        self.inner.config.model.clone()
    }

    fn stream(
        &self,
        request: ModelRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<ModelEvent, ModelError>>, ModelError>> {
        let inner = Arc::clone(&self.inner);
        async move {
            let body = wire::request_body(&inner.config, &request, &inner.thoughts);
            retry::run(inner.remote.retry_policy(), |attempt| inner.begin(&body, attempt)).await
        }
        .boxed()
    }
}

impl Inner {
    fn appends_version(&self) -> bool {
        let base = self.config.base_url.trim().trim_end_matches('/');
        !base.ends_with("/v1")
    }

    /// One attempt up to the first event: an overloaded server says so with HTTP 529, or with an error event behind
    /// HTTP 200. Nothing has been shown then, so both are tried again.
    async fn begin(
        &self,
        body: &Value,
        attempt: u32,
    ) -> Result<BoxStream<'static, Result<ModelEvent, ModelError>>, Failure> {
        let response = self.remote.post_once(body, attempt).await?;
        let reply = Reply::new(Arc::clone(&self.thoughts));
        let mut events = read(Arc::clone(&self.remote), response, reply);
        match events.next().await {
            Some(Err(ModelError::Server {
                endpoint,
                status: None,
                message,
                ..
            })) => Err(Failure::again(
                ModelError::Server {
                    endpoint,
                    status: None,
                    attempts: attempt,
                    message,
                },
                None,
            )),
            Some(Err(error)) => Err(Failure::last(error)),
            Some(Ok(first)) => Ok(stream::iter([Ok(first)]).chain(events).boxed()),
            None => Ok(events),
        }
    }
}

/// The signed thinking before the latest tool calls, by call id.
#[derive(Default)]
pub(crate) struct Thoughts {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_call: HashMap<String, Arc<Vec<Value>>>,
    /// The calls, oldest first.
    order: VecDeque<String>,
}

impl Thoughts {
    pub(crate) fn keep(&self, call_id: &str, blocks: &Arc<Vec<Value>>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { by_call, order } = &mut *kept;
        if by_call.insert(call_id.to_owned(), Arc::clone(blocks)).is_none() {
            order.push_back(call_id.to_owned());
        }
        while order.len() > KEPT_THOUGHTS {
            if let Some(oldest) = order.pop_front() {
                by_call.remove(&oldest);
            }
        }
    }

    pub(crate) fn before(&self, call_id: &str) -> Option<Arc<Vec<Value>>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.by_call.get(call_id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_base_url_lead_to_the_same_place() {
        for base_url in [
            "http://127.0.0.1:1",
            "http://127.0.0.1:1/v1/",
            "http://127.0.0.1:1/",
        ] {
            let config = AnthropicConfig {
                base_url: base_url.to_owned(),
                ..AnthropicConfig::default()
            };
            let model = AnthropicModel::new(config).unwrap();
            assert_eq!(model.inner.remote.url.as_str(), "http://127.0.0.1:1/v1/messages");
        }
    }

    #[test]
    fn a_key_never_prints_and_a_bad_budget_is_refused() {
        let with = |thinking_tokens| {
            AnthropicModel::new(AnthropicConfig {
                base_url: "http://127.0.0.1:1".to_owned(),
                api_key: Some("sk-ant-private".into()),
                thinking_tokens,
                ..AnthropicConfig::default()
            })
        };
        assert!(!format!("{:?}", with(Some(2048)).unwrap()).contains("private"));
        assert!(with(Some(10)).unwrap_err().to_string().contains("1,024"));
        assert!(with(Some(9000)).is_err());
    }

    #[test]
    fn only_the_latest_thoughts_are_kept() {
        let thoughts = Thoughts::default();
        let blocks = Arc::new(vec![Value::Null]);
        for n in 0..KEPT_THOUGHTS + 1 {
            thoughts.keep(&n.to_string(), &blocks);
        }
        assert!(thoughts.before("0").is_none() && thoughts.before("1").is_some());
    }
}
