//! The graph.

use openhuman_memory::graph::{GraphStore as _, Walk};
use openhuman_memory::{DEFAULT_NAMESPACE, MemoryError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::rpc::RpcError;
use crate::rpc::params::{parse, to_json};
use crate::{Core, FactFilter, Told};

pub(super) const METHODS: [&str; 3] = [
    "openhuman.memory_graph_upsert",
    "openhuman.memory_graph_query",
    "openhuman.memory_graph_walk",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpsertParams {
    namespace: Option<String>,
    subject: String,
    predicate: String,
    object: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FactParams {
    namespace: Option<String>,
    subject: Option<String>,
    predicate: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WalkParams {
    namespace: Option<String>,
    start: String,
    depth: Option<u8>,
}

pub(super) async fn call(core: &Core, method: &str, params: Value) -> Result<Value, RpcError> {
    match method {
        "openhuman.memory_graph_upsert" => {
            let params: UpsertParams = parse(params)?;
            let told = Told {
                namespace: params.namespace,
                subject: params.subject,
                predicate: params.predicate,
                object: params.object,
            };
            let id = core.blocking(move |core| core.tell_fact(&told)).await?;
            Ok(json!({ "id": id }))
        }
        "openhuman.memory_graph_query" => {
            let params: FactParams = parse(params)?;
            let filter = FactFilter {
                namespace: params.namespace,
                subject: params.subject,
                predicate: params.predicate,
                ..FactFilter::default()
            };
            let facts = core.blocking(move |core| core.facts(&filter)).await?;
            Ok(json!({ "facts": to_json(&facts)? }))
        }
        "openhuman.memory_graph_walk" => {
            let params: WalkParams = parse(params)?;
            let namespace = params.namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
            let mut walk = Walk::from(namespace, params.start);
            walk.depth = params.depth.unwrap_or(walk.depth).min(walk.depth);
            let reached = core
                .with_memory(move |memory| memory.graph().walk(&walk).map_err(MemoryError::from))
                .await?;
            to_json(&reached)
        }
        other => Err(RpcError::unknown_method(other)),
    }
}
