//! Which model runs the local assistant.

use std::sync::Arc;

use openhuman_agent::extractive::ExtractiveModel;
use openhuman_agent::openai::{OpenAiConfig, OpenAiModel};
use openhuman_agent::{Model, Secret};

use crate::CoreError;

/// The public OpenAI endpoint, used when a key is given without a base URL.
const OPENAI: &str = "https://api.openai.com/v1";

/// The model asked for when none is named.
const DEFAULT_MODEL: &str = "gpt-5-mini";

/// An OpenAI-compatible provider: OpenAI, Ollama, LM Studio, llama-server, vLLM, OpenRouter and others.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// The base URL up to and including `/v1`.
    pub base_url: String,
    /// The key, when the provider wants one. It never prints.
    pub api_key: Option<Secret>,
    /// The model's name as the provider knows it.
    pub model: String,
}

impl ModelConfig {
    /// The provider named by `OPENAI_API_KEY`, `OPENAI_BASE_URL` and `OPENAI_MODEL`; `None` when neither a key nor a
    /// base URL is set, and the assistant is extractive.
    #[must_use]
    pub fn from_env() -> Option<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let key = variable("OPENAI_API_KEY");
        let base_url = variable("OPENAI_BASE_URL");
        if key.is_none() && base_url.is_none() {
            return None;
        }
        Some(Self {
            base_url: base_url.unwrap_or_else(|| OPENAI.into()),
            api_key: key.map(Secret::from),
            model: variable("OPENAI_MODEL").unwrap_or_else(|| DEFAULT_MODEL.into()),
        })
    }
}

/// The adapter for the provider, or the extractive assistant when there is none.
pub(crate) fn adapter(config: Option<&ModelConfig>) -> Result<Arc<dyn Model>, CoreError> {
    Ok(match config {
        Some(config) => Arc::new(OpenAiModel::new(OpenAiConfig {
            api_key: config.api_key.clone(),
            ..OpenAiConfig::new(&config.base_url, &config.model)
        })?),
        None => Arc::new(ExtractiveModel::new()),
    })
}
