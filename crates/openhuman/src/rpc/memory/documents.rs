//! Documents, under the names of earlier programs as well.

use openhuman_memory::graph::Speaker;
use openhuman_memory::{DEFAULT_NAMESPACE, Document, DocumentInfo, Memory, MemoryError, Query};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::knowledge::learn;
use crate::rpc::RpcError;
use crate::rpc::params::{parse, to_json};
use crate::{Core, CoreError};

pub(super) const METHODS: [&str; 12] = [
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
];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::rpc) struct AddParams {
    title: String,
    text: String,
}

/// What became of a note.
#[derive(Serialize, JsonSchema)]
pub(in crate::rpc) struct Added {
    document_id: String,
    chunks: usize,
}

/// What earlier programs kept beside a text (`priority`, `tags`, `metadata`, `category`) is not kept here, and refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutParams {
    namespace: Option<String>,
    key: String,
    #[serde(default)]
    title: String,
    content: String,
    #[serde(default)]
    source_type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParams {
    namespace: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamespaceParams {
    namespace: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentParams {
    namespace: String,
    document_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryParams {
    namespace: String,
    query: String,
    limit: Option<usize>,
}

pub(super) async fn call(core: &Core, method: &str, params: Value) -> Result<Value, RpcError> {
    match method {
        "openhuman.memory_add" => {
            let AddParams { title, text } = parse(params)?;
            // A note that the user types: `I` is the user.
            let document = Document::new(title.clone(), title, text);
            put(core, document, Speaker::Named("User")).await
        }
        "openhuman.memory_doc_put" | "openhuman.memory_doc_ingest" => {
            let params: PutParams = parse(params)?;
            let document = Document {
                namespace: params.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
                source: params.source_type,
                ..Document::new(params.key, params.title, params.content)
            };
            put(core, document, Speaker::Nobody).await
        }
        "openhuman.memory_doc_list" | "openhuman.memory_list_documents" => {
            let params: ListParams = parse(params)?;
            let documents = documents(core, params.namespace).await?;
            Ok(json!({ "count": documents.len(), "documents": documents }))
        }
        "openhuman.memory_namespace_list" | "openhuman.memory_list_namespaces" => {
            let mut namespaces: Vec<String> = documents(core, None)
                .await?
                .into_iter()
                .map(|document| document.namespace)
                .collect();
            namespaces.dedup();
            Ok(json!({ "count": namespaces.len(), "namespaces": namespaces }))
        }
        "openhuman.memory_doc_delete" | "openhuman.memory_delete_document" => {
            delete(core, parse(params)?).await
        }
        "openhuman.memory_clear_namespace" => {
            let params: NamespaceParams = parse(params)?;
            let cleared = core
                .with_memory(move |memory| clear(memory, &params.namespace))
                .await?;
            Ok(json!({ "cleared": cleared }))
        }
        "openhuman.memory_query_namespace" | "openhuman.memory_context_query" => {
            let params: QueryParams = parse(params)?;
            let query = Query {
                namespace: Some(params.namespace),
                limit: params.limit.unwrap_or(8).clamp(1, 100),
                ..Query::new(params.query)
            };
            let hits = core.with_memory(move |memory| memory.search(&query)).await?;
            Ok(json!({ "hits": to_json(&hits)? }))
        }
        other => Err(RpcError::unknown_method(other)),
    }
}

async fn put(core: &Core, document: Document, speaker: Speaker<'static>) -> Result<Value, RpcError> {
    let stored = core.with_memory(move |memory| {
        let report = memory.ingest(&document)?;
        if !report.unchanged {
            learn(memory, &report.document_id, speaker);
        }
        Ok(report)
    });
    let report = stored.await?;
    to_json(&Added {
        document_id: report.document_id,
        chunks: report.chunks,
    })
}

async fn documents(core: &Core, namespace: Option<String>) -> Result<Vec<DocumentInfo>, CoreError> {
    core.with_memory(move |memory| memory.documents(namespace.as_deref()))
        .await
}

async fn delete(core: &Core, params: DocumentParams) -> Result<Value, RpcError> {
    let deleted = core.with_memory(move |memory| {
        let documents = memory.documents(Some(&params.namespace))?;
        // An identifier of another part of the memory is none here.
        let known = documents.iter().any(|known| known.id == params.document_id);
        Ok(known && memory.forget(&params.document_id)?)
    });
    Ok(json!({ "deleted": deleted.await? }))
}

fn clear(memory: &Memory, namespace: &str) -> Result<usize, MemoryError> {
    let mut cleared = 0;
    for document in memory.documents(Some(namespace))? {
        cleared += usize::from(memory.forget(&document.id)?);
    }
    Ok(cleared)
}
