//! Threads, and the originals of what was shortened in them.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::rpc::RpcError;
use crate::rpc::params::{parse, to_json};
use crate::{Core, CoreError};

pub(super) const METHODS: [&str; 4] = [
    "openhuman.memory_threads",
    "openhuman.memory_thread_export",
    "openhuman.memory_thread_forget",
    "openhuman.memory_expand",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThreadParams {
    thread_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OriginalParams {
    id: String,
}

pub(super) async fn call(core: &Core, method: &str, params: Value) -> Result<Value, RpcError> {
    match method {
        "openhuman.memory_threads" => {
            let threads = core.blocking(Core::threads).await?;
            Ok(json!({ "threads": to_json(&threads)? }))
        }
        "openhuman.memory_thread_export" => {
            let ThreadParams { thread_id } = parse(params)?;
            let exported = core.blocking(move |core| {
                let mut lines = Vec::new();
                let there = core.export_thread(&thread_id, &mut lines)?;
                if !there {
                    return Err(CoreError::NotFound {
                        what: "the conversation",
                        name: thread_id,
                        hint: "`openhuman.memory_threads` lists them".to_owned(),
                    });
                }
                Ok(String::from_utf8_lossy(&lines).into_owned())
            });
            Ok(json!({ "lines": exported.await? }))
        }
        "openhuman.memory_thread_forget" => {
            let ThreadParams { thread_id } = parse(params)?;
            let forgotten = core.blocking(move |core| core.forget_thread(&thread_id)).await?;
            Ok(json!({ "forgotten": forgotten }))
        }
        "openhuman.memory_expand" => {
            let OriginalParams { id } = parse(params)?;
            let text = core.with_memory(move |memory| memory.expand(&id)).await?;
            Ok(json!({ "text": text }))
        }
        other => Err(RpcError::unknown_method(other)),
    }
}
