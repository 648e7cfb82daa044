//! The methods `openhuman.memory_*`.

use openhuman_memory::{Document, Memory, Query};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RpcError;
use super::params::{parse, to_json};
use crate::Core;

/// The methods answered here.
pub(super) const METHODS: [&str; 2] = ["openhuman.memory_search", "openhuman.memory_add"];

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

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddParams {
    title: String,
    text: String,
}

/// What became of a note.
#[derive(Serialize, JsonSchema)]
pub(super) struct Added {
    document_id: String,
    chunks: usize,
}

/// Answers one of [`METHODS`].
pub(super) async fn call(core: &Core, method: &str, params: Value) -> Result<Value, RpcError> {
    match method {
        "openhuman.memory_search" => to_json(&search(core, parse(params)?).await?),
        "openhuman.memory_add" => to_json(&add(core, parse(params)?).await?),
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

async fn add(core: &Core, params: AddParams) -> Result<Added, RpcError> {
    let document = Document::new(params.title.clone(), params.title, params.text);
    let report = core.with_memory(move |memory| memory.ingest(&document)).await?;
    Ok(Added {
        document_id: report.document_id,
        chunks: report.chunks,
    })
}
