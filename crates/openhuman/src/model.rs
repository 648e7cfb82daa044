//! Which model runs the local assistant, and what else the environment decides.

use std::sync::Arc;

use openhuman_agent::Model;
use openhuman_agent::extractive::ExtractiveModel;
use openhuman_agent::openai::OpenAiModel;

use crate::CoreError;

pub use openhuman_agent::openai::OpenAiConfig as ModelConfig;

/// The provider named by `OPENAI_API_KEY`, `OPENAI_BASE_URL` and `OPENAI_MODEL`; `None` when neither a key nor a base
/// URL is set, and the assistant is extractive.
#[must_use]
pub fn model_from_env() -> Option<ModelConfig> {
    ModelConfig::from_vars(|name| std::env::var(name).ok())
}

/// Whether `OPENHUMAN_SKILLS_WORKING_MEMORY_ENABLED` leaves the working memory on: anything but `0`, `false`, `off` and
/// `no` does.
#[must_use]
pub fn working_memory_from_env() -> bool {
    let setting = std::env::var("OPENHUMAN_SKILLS_WORKING_MEMORY_ENABLED").ok();
    openhuman_memory::working::is_enabled(setting.as_deref())
}

/// The window of a model of which nothing is known, in tokens.
pub(crate) const CONTEXT_WINDOW: usize = 32_768;

/// The smallest window that a conversation can be held in, with what is recalled and the tools.
pub(crate) const LEAST_WINDOW: usize = 8_192;

/// How many tokens the model reads at once, as `OPENHUMAN_CONTEXT_WINDOW` says; 32,768 without it.
///
/// # Errors
/// When the value is no number, or below 8,192.
pub fn context_window_from_env() -> Result<usize, CoreError> {
    match std::env::var("OPENHUMAN_CONTEXT_WINDOW") {
        Err(_) => Ok(CONTEXT_WINDOW),
        Ok(text) => window(&text).ok_or_else(|| CoreError::Setting {
            setting: "OPENHUMAN_CONTEXT_WINDOW",
            reason: format!("'{text}' is no number of tokens from {LEAST_WINDOW} on"),
        }),
    }
}

fn window(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|tokens| *tokens >= LEAST_WINDOW)
}

/// The adapter for the provider, or the extractive assistant when there is none.
pub(crate) fn adapter(config: Option<ModelConfig>) -> Result<Arc<dyn Model>, CoreError> {
    Ok(match config {
        Some(config) => Arc::new(OpenAiModel::new(config)?),
        None => Arc::new(ExtractiveModel::new()),
    })
}
