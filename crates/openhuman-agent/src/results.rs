//! Large results: kept whole outside of the conversation, shown as a preview, read in parts with `read_result`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::message::{ToolCall, ToolOutcome, ToolSpec};
use crate::policy::Risk;
use crate::ports::Tools;

/// The name of the tool that reads a kept result.
pub const READ_RESULT: &str = "read_result";
/// Bytes of text before and after a place that `find` gives.
const AROUND: usize = 400;
/// Places that `find` gives at most.
const MAX_PLACES: usize = 5;

/// Keeps large results. For turns that survive the process it has to survive it, too.
pub trait ResultStore: Send + Sync {
    /// Keeps a text and gives the name under which it is read; on error the result is shortened instead.
    fn keep(&self, text: String) -> BoxFuture<'_, Result<String, String>>;

    /// The text, or `None` when the name is not known (any more).
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Arc<str>>, String>>;
}

/// Keeps results in memory, the latest up to a limit.
#[derive(Debug)]
pub struct MemoryResults {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    texts: VecDeque<(String, Arc<str>)>,
    bytes: usize,
    serial: u64,
}

impl MemoryResults {
    /// A store for `limit` bytes of text.
    pub fn new(limit: usize) -> MemoryResults {
        MemoryResults {
            limit,
            kept: Mutex::default(),
        }
    }
}

impl ResultStore for MemoryResults {
    fn keep(&self, text: String) -> BoxFuture<'_, Result<String, String>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if text.len() > self.limit {
            let reason = format!("{} bytes are more than the store's {}", text.len(), self.limit);
            return async { Err(reason) }.boxed();
        }
        kept.serial += 1;
        let name = format!("r{}", kept.serial);
        kept.bytes += text.len();
        kept.texts.push_back((name.clone(), text.into()));
        while kept.bytes > self.limit {
            let Some((_, oldest)) = kept.texts.pop_front() else {
                break;
            };
            kept.bytes -= oldest.len();
        }
        async { Ok(name) }.boxed()
    }

    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Arc<str>>, String>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.texts.iter().find(|(known, _)| known == name);
        let text = found.map(|(_, text)| Arc::clone(text));
        async { Ok(text) }.boxed()
    }
}

/// Tools whose large results are kept in a store.
pub(crate) struct StoredResults {
    tools: Arc<dyn Tools>,
    store: Arc<dyn ResultStore>,
    /// Bytes of a result that goes into the conversation whole.
    limit: usize,
}

impl StoredResults {
    pub(crate) fn new(tools: Arc<dyn Tools>, store: Arc<dyn ResultStore>, limit: usize) -> StoredResults {
        StoredResults { tools, store, limit }
    }

    async fn shortened(&self, outcome: ToolOutcome) -> ToolOutcome {
        if outcome.text.len() <= self.limit {
            return outcome;
        }
        match self.store.keep(outcome.text.clone()).await {
            Ok(name) => ToolOutcome {
                text: preview(&outcome.text, &name, self.limit),
                is_error: outcome.is_error,
            },
            Err(reason) => {
                tracing::warn!(%reason, "a large result was not kept; it is shortened");
                outcome
            }
        }
    }

    async fn read(&self, arguments: &Value) -> ToolOutcome {
        let name = arguments.get("id").and_then(Value::as_str).unwrap_or_default();
        let text = match self.store.read(name).await {
            Ok(Some(text)) => text,
            Ok(None) => {
                return ToolOutcome::error(format!(
                    "no result is kept as `{name}`; call the tool that gave it again"
                ));
            }
            Err(reason) => return ToolOutcome::error(format!("the result could not be read: {reason}")),
        };
        if let Some(wanted) = arguments
            .get("find")
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
        {
            return found(&text, wanted);
        }
        let from = arguments.get("from").and_then(Value::as_u64).unwrap_or(0);
        let from = text.floor_char_boundary(usize::try_from(from).unwrap_or(usize::MAX).min(text.len()));
        let to = text.floor_char_boundary((from + self.limit / 4 * 3).min(text.len()));
        let part = text.get(from..to).unwrap_or_default();
        let rest = if to < text.len() {
            format!(
                "\n[bytes {from} to {to} of {}; go on with \"from\": {to}]",
                text.len()
            )
        } else {
            format!("\n[bytes {from} to {to}: the end]")
        };
        ToolOutcome::success(format!("{part}{rest}"))
    }
}

fn preview(text: &str, name: &str, limit: usize) -> String {
    let head = text
        .get(..text.floor_char_boundary(limit / 2))
        .unwrap_or_default();
    let tail_at = text.ceil_char_boundary(text.len().saturating_sub(limit / 8));
    let tail = text.get(tail_at..).unwrap_or_default();
    format!(
        "{head}\n[... bytes {} to {tail_at} of {} are kept as result {name}: {READ_RESULT} {} reads on, {READ_RESULT} {} \
         finds a text in it ...]\n{tail}",
        head.len(),
        text.len(),
        json!({"id": name, "from": head.len()}),
        json!({"id": name, "find": "text"}),
    )
}

fn found(text: &str, wanted: &str) -> ToolOutcome {
    let places: Vec<usize> = text.match_indices(wanted).map(|(at, _)| at).collect();
    let Some(first) = places.first() else {
        return ToolOutcome::success(format!("`{wanted}` does not occur in the {} bytes", text.len()));
    };
    let mut out = format!("{} place(s), the first at byte {first}", places.len());
    for at in places.iter().take(MAX_PLACES) {
        let from = text.floor_char_boundary(at.saturating_sub(AROUND));
        let to = text.ceil_char_boundary((at + wanted.len() + AROUND).min(text.len()));
        out.push_str(&format!(
            "\n[bytes {from} to {to}]\n{}",
            text.get(from..to).unwrap_or_default()
        ));
    }
    ToolOutcome::success(out)
}

impl Tools for StoredResults {
    fn list(&self) -> BoxFuture<'_, Vec<ToolSpec>> {
        async {
            let mut tools = self.tools.list().await;
            if !tools.is_empty() && !tools.iter().any(|tool| tool.name == READ_RESULT) {
                tools.push(ToolSpec {
                    name: READ_RESULT.to_owned(),
                    description:
                        "Reads a part of a large result that was kept: from a byte on, or around each place \
                                  of a text."
                            .to_owned(),
                    parameters: json!({
                        "type": "object",
                        "properties": {
                            "id": {"type": "string", "description": "the name of the result, like r1"},
                            "from": {"type": "integer", "minimum": 0, "description": "the first byte"},
                            "find": {"type": "string", "description": "a text to look for instead"},
                        },
                        "required": ["id"],
                    }),
                    read_only: true,
                });
            }
            tools
        }
        .boxed()
    }

    fn call<'a>(&'a self, call: &'a ToolCall, cancel: CancellationToken) -> BoxFuture<'a, ToolOutcome> {
        async move {
            if call.name == READ_RESULT {
                return self.read(&call.arguments).await;
            }
            let outcome = self.tools.call(call, cancel).await;
            self.shortened(outcome).await
        }
        .boxed()
    }

    fn risk(&self, tool: &ToolSpec) -> Risk {
        if tool.name == READ_RESULT {
            // What it gives may come from anywhere, but reading it reaches nothing.
            return Risk {
                destructive: false,
                open_world: false,
                trusted: false,
            };
        }
        self.tools.risk(tool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_results_give_way() {
        let store = MemoryResults::new(10);
        let first = store.keep("aaaaaa".to_owned()).await.unwrap();
        let second = store.keep("bbbbbb".to_owned()).await.unwrap();
        assert_eq!(store.read(&first).await.unwrap(), None);
        assert_eq!(store.read(&second).await.unwrap().as_deref(), Some("bbbbbb"));
        assert!(store.keep("x".repeat(11)).await.is_err());
    }

    #[test]
    fn places_are_given_with_what_is_around_them() {
        let text = format!("{}é needle é{} needle", "x".repeat(2000), "y".repeat(2000));
        let out = found(&text, "needle").text;
        assert!(out.starts_with("2 place(s), the first at byte 2003"), "{out}");
        assert!(out.len() < 3000);
        assert!(found(&text, "absent").text.contains("does not occur"));
    }
}
