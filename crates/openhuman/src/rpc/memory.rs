//! The methods `openhuman.memory_*`.

mod documents;
mod forgetting;
mod graph;
mod profile;
mod threads;

use openhuman_memory::{Memory, Query};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(super) use self::documents::{AddParams, Added};
use super::RpcError;
use super::params::{parse, to_json};
use crate::Core;

/// What a prompt recalls without a wish of its own, in tokens.
const RECALLED: usize = 1_500;

/// The most text that one call recalls, in tokens.
const MOST_RECALLED: usize = 16_000;

/// The methods answered here.
pub(super) const METHODS: [&str; 34] = [
    "openhuman.memory_search",
    "openhuman.memory_context",
    "openhuman.memory_check",
    "openhuman.memory_embedding",
    "openhuman.memory_add",
    "openhuman.memory_doc_put",
    "openhuman.memory_doc_ingest",
    "openhuman.memory_doc_list",
    "openhuman.memory_list_documents",
    "openhuman.memory_doc_delete",
    "openhuman.memory_delete_document",
    "openhuman.memory_namespace_list",
    "openhuman.memory_list_namespaces",
    "openhuman.memory_clear_namespace",
    "openhuman.memory_query_namespace",
    "openhuman.memory_context_query",
    "openhuman.memory_graph_upsert",
    "openhuman.memory_graph_query",
    "openhuman.memory_graph_walk",
    "openhuman.memory_profile_list",
    "openhuman.memory_profile_text",
    "openhuman.memory_profile_remember",
    "openhuman.memory_profile_pin",
    "openhuman.memory_profile_close",
    "openhuman.memory_profile_export",
    "openhuman.memory_profile_import",
    "openhuman.memory_forget",
    "openhuman.memory_outdated_backups",
    "openhuman.memory_delete_backup",
    "openhuman.memory_threads",
    "openhuman.memory_thread_export",
    "openhuman.memory_thread_forget",
    "openhuman.memory_expand",
    "openhuman.memory_unload",
];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchParams {
    query: String,
    /// How many passages; 8 without it.
    limit: Option<usize>,
}

/// A passage that was found.
#[derive(Serialize, JsonSchema)]
pub(super) struct Passage {
    title: String,
    source: String,
    text: String,
    score: f32,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Found {
    hits: Vec<Passage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContextParams {
    query: String,
    max_tokens: Option<usize>,
    /// Also tell what was found, and why.
    #[serde(default)]
    explain: bool,
}

/// Answers one of [`METHODS`].
pub(super) async fn call(core: &Core, method: &str, params: Value) -> Result<Value, RpcError> {
    match method {
        "openhuman.memory_search" => to_json(&search(core, parse(params)?).await?),
        "openhuman.memory_context" => context(core, parse(params)?).await,
        "openhuman.memory_check" => to_json(&core.check_memory().await?),
        "openhuman.memory_embedding" => to_json(&core.blocking(Core::embedding).await?),
        "openhuman.memory_unload" => {
            // For a front end that locks itself and leaves the core running.
            core.with_memory(|memory| {
                memory.unload();
                Ok(())
            })
            .await?;
            Ok(serde_json::json!({ "ok": true }))
        }
        other if documents::METHODS.contains(&other) => documents::call(core, other, params).await,
        other if graph::METHODS.contains(&other) => graph::call(core, other, params).await,
        other if profile::METHODS.contains(&other) => profile::call(core, other, params).await,
        other if forgetting::METHODS.contains(&other) => forgetting::call(core, other, params).await,
        other if threads::METHODS.contains(&other) => threads::call(core, other, params).await,
        other => Err(RpcError::unknown_method(other)),
    }
}

async fn search(core: &Core, params: SearchParams) -> Result<Found, RpcError> {
    let query = Query {
        limit: params.limit.unwrap_or(8).clamp(1, 100),
        ..Query::new(params.query)
    };
    let search = move |memory: &Memory| memory.search(&query);
    let hits = core.with_memory(search).await?.into_iter().map(|hit| Passage {
        title: hit.title,
        source: hit.source,
        text: hit.text,
        score: hit.score,
    });
    Ok(Found { hits: hits.collect() })
}

async fn context(core: &Core, params: ContextParams) -> Result<Value, RpcError> {
    let most = params.max_tokens.unwrap_or(RECALLED).min(MOST_RECALLED);
    let mut recalled = core.recall(&params.query, most).await?;
    if !params.explain {
        recalled.found.clear();
    }
    to_json(&recalled)
}
