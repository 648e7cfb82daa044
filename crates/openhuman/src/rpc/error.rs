//! What a call answers when it fails.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::CoreError;

/// A JSON-RPC 2.0 error object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// -32601 unknown method, -32602 bad parameters, -32000 anything else.
    pub code: i32,
    /// What failed, with what, and what to do next.
    pub message: String,
    /// `{"kind": ..}` where a caller decides by it, a word of [`CoreError::word`] or `locked`, `needs_consent`,
    /// `needs_key_consent`, `changed`; with `database` and `retry_after_ms` where those are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    pub(super) fn unknown_method(method: &str) -> Self {
        Self {
            code: -32601,
            message: format!("unknown method: {method}"),
            data: None,
        }
    }

    pub(super) fn params(message: impl Into<String>) -> Self {
        Self {
            code: -32602,
            message: message.into(),
            data: None,
        }
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self {
            code: -32000,
            message: message.into(),
            data: None,
        }
    }

    pub(super) fn of_kind(kind: &str, message: impl Into<String>) -> Self {
        Self {
            data: Some(json!({ "kind": kind })),
            ..Self::failed(message)
        }
    }

    pub(super) fn locked() -> Self {
        Self::of_kind("locked", "the vault is locked: unlock it with its password first")
    }
}

impl From<CoreError> for RpcError {
    fn from(error: CoreError) -> Self {
        let data = error.word().map(|kind| {
            let mut data = json!({ "kind": kind });
            if let Some(database) = error.database() {
                data["database"] = Value::from(database);
            }
            if let Some(wait_ms) = error.retry_after_ms() {
                data["retry_after_ms"] = Value::from(wait_ms);
            }
            data
        });
        Self {
            data,
            ..Self::failed(error.to_string())
        }
    }
}
