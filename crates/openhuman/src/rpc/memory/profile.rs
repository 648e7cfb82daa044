//! The working memory: what the assistant has at hand in every turn.

use openhuman_memory::working::Kind;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Core;
use crate::rpc::RpcError;
use crate::rpc::params::{parse, to_json};

/// How much of it a model sees, in tokens.
const SEEN: usize = 2_048;

pub(super) const METHODS: [&str; 7] = [
    "openhuman.memory_profile_list",
    "openhuman.memory_profile_text",
    "openhuman.memory_profile_remember",
    "openhuman.memory_profile_pin",
    "openhuman.memory_profile_close",
    "openhuman.memory_profile_export",
    "openhuman.memory_profile_import",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParams {
    /// Also what is not so any more.
    #[serde(default)]
    closed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RememberParams {
    kind: Kind,
    text: String,
    /// What it is a value of: another text takes its place. The text itself without one.
    slot: Option<String>,
    confidence: Option<f32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinParams {
    id: i64,
    pinned: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemParams {
    id: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportParams {
    text: String,
}

pub(super) async fn call(core: &Core, method: &str, params: Value) -> Result<Value, RpcError> {
    match method {
        "openhuman.memory_profile_list" => {
            let params: ListParams = parse(params)?;
            let items = core
                .with_memory(move |memory| memory.working().items(params.closed))
                .await?;
            Ok(json!({ "items": to_json(&items)? }))
        }
        "openhuman.memory_profile_text" => {
            let text = core.with_memory(|memory| memory.working().render(SEEN)).await?;
            Ok(json!({ "text": text }))
        }
        "openhuman.memory_profile_remember" => {
            let params: RememberParams = parse(params)?;
            let item = core.with_memory(move |memory| {
                let slot = params.slot.as_deref().unwrap_or(&params.text);
                let confidence = params.confidence.unwrap_or(1.0);
                memory
                    .working()
                    .remember(params.kind, slot, &params.text, confidence)
            });
            to_json(&item.await?)
        }
        "openhuman.memory_profile_pin" => {
            let PinParams { id, pinned } = parse(params)?;
            let changed = core.with_memory(move |memory| memory.working().pin(id, pinned));
            Ok(json!({ "changed": changed.await? }))
        }
        "openhuman.memory_profile_close" => {
            let ItemParams { id } = parse(params)?;
            let changed = core.with_memory(move |memory| memory.working().close(id));
            Ok(json!({ "changed": changed.await? }))
        }
        "openhuman.memory_profile_export" => {
            let text = core.with_memory(|memory| memory.working().export_markdown());
            Ok(json!({ "text": text.await? }))
        }
        "openhuman.memory_profile_import" => {
            let ImportParams { text } = parse(params)?;
            let changed = core.with_memory(move |memory| memory.working().import_markdown(&text));
            Ok(json!({ "changed": changed.await? }))
        }
        other => Err(RpcError::unknown_method(other)),
    }
}
