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

/// The adapter for the provider, or the extractive assistant when there is none.
pub(crate) fn adapter(config: Option<ModelConfig>) -> Result<Arc<dyn Model>, CoreError> {
    Ok(match config {
        Some(config) => Arc::new(OpenAiModel::new(config)?),
        None => Arc::new(ExtractiveModel::new()),
    })
}
