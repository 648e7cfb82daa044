//! The memory as tools for any model, and as the place where skills put documents.

use futures_util::future::BoxFuture;
use openhuman_mcp::{Annotations, CallContext, CallError, ToolDefinition, ToolProvider, ToolResult, Toolset};
use openhuman_memory::forget::Forget;
use openhuman_memory::graph::Speaker;
use openhuman_memory::{Document, Hit, Memory, MemoryError, Query};
use openhuman_skills::{MemoryDocument, MemorySink, SkillId};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::knowledge::learn;

/// The toolset's id, so the tools are `memory__search`, `memory__remember` and `memory__expand`.
pub(super) const TOOLSET: &str = "memory";

/// How much of a kept original one call gives, in bytes.
const PAGE: usize = 12 * 1024;

/// A hit as a tool gives it.
fn as_json(hit: Hit) -> Value {
    let source = if hit.source.is_empty() {
        hit.key
    } else {
        hit.source
    };
    json!({ "title": hit.title, "source": source, "text": hit.text, "score": hit.score })
}

/// The namespace in which the documents of a skill lie.
pub(crate) fn namespace_of(skill: &SkillId) -> String {
    format!("skill-{skill}")
}

/// Forgets everything that a skill added, published or taught; how many documents there were. Reads the whole memory.
/// Blocks.
pub(crate) fn forget_documents(memory: &Memory, skill: &SkillId) -> Result<usize, MemoryError> {
    let forgotten = memory.forget_everywhere(&Forget::Skill(skill.to_string()))?;
    Ok(forgotten.documents_removed)
}

/// Stores a document and reads it into the graph. Blocks.
fn ingest(memory: &Memory, document: &Document) -> Result<usize, MemoryError> {
    let report = memory.ingest(document)?;
    if !report.unchanged {
        learn(memory, &report.document_id, Speaker::Nobody);
    }
    Ok(report.chunks)
}

/// The documents that skills add, in the namespace `skill-<id>` of the memory.
pub(crate) struct SkillMemory(Memory);

impl SkillMemory {
    pub(crate) fn new(memory: Memory) -> Self {
        Self(memory)
    }
}

impl MemorySink for SkillMemory {
    fn insert(&self, skill: &SkillId, document: MemoryDocument) -> BoxFuture<'_, Result<(), String>> {
        let memory = self.0.clone();
        let document = Document {
            namespace: namespace_of(skill),
            source: format!("{} of the skill {skill}", document.source_type),
            created_ms: document.created_at.as_i64(),
            // The skill's own name for it, if it has one: two mails may have one title.
            ..Document::new(
                document.document_id.unwrap_or_else(|| document.title.clone()),
                document.title,
                document.content,
            )
        };
        Box::pin(async move {
            // Sealed on disk and searchable when this returns: nothing is queued that a crash could lose.
            tokio::task::spawn_blocking(move || ingest(&memory, &document).map(drop))
                .await
                .map_err(|error| error.to_string())?
                .map_err(|error| error.to_string())
        })
    }
}

pub(crate) struct MemoryTools {
    memory: Memory,
    changes: watch::Sender<u64>,
}

impl MemoryTools {
    pub(crate) fn new(memory: Memory) -> Self {
        Self {
            memory,
            changes: watch::Sender::new(0),
        }
    }

    async fn search(&self, args: Value) -> Result<ToolResult, CallError> {
        let text = required("search", &args, "query")?;
        let limit = args
            .get("limit")
            .and_then(Value::as_u64)
            .unwrap_or(5)
            .clamp(1, 50) as usize;
        let memory = self.memory.clone();
        let hits = tokio::task::spawn_blocking(move || {
            memory.search(&Query {
                limit,
                ..Query::new(text)
            })
        })
        .await
        .map_err(|error| CallError::Failed(error.to_string()))?
        .map_err(|error| CallError::Failed(error.to_string()))?;
        let hits: Vec<Value> = hits.into_iter().map(as_json).collect();
        Ok(ToolResult::text(json!({ "hits": hits }).to_string()))
    }

    async fn remember(&self, args: Value) -> Result<ToolResult, CallError> {
        let title = required("remember", &args, "title")?;
        let text = required("remember", &args, "text")?;
        let memory = self.memory.clone();
        let document = Document {
            namespace: "remembered".into(),
            source: "remembered on request".into(),
            ..Document::new(title.clone(), title, text)
        };
        let chunks = tokio::task::spawn_blocking(move || ingest(&memory, &document))
            .await
            .map_err(|error| CallError::Failed(error.to_string()))?
            .map_err(|error| CallError::Failed(error.to_string()))?;
        Ok(ToolResult::text(
            json!({ "remembered": true, "chunks": chunks }).to_string(),
        ))
    }

    /// The full text behind a shortened one, a page at a time.
    async fn expand(&self, args: Value) -> Result<ToolResult, CallError> {
        let id = required("expand", &args, "id")?;
        // As it stands in a summary.
        let id = id
            .strip_prefix("expand(")
            .and_then(|rest| rest.strip_suffix(')'))
            .map_or(id.clone(), str::to_owned);
        let offset = args.get("offset").and_then(Value::as_u64).unwrap_or(0);
        let (memory, wanted) = (self.memory.clone(), id.clone());
        let text = tokio::task::spawn_blocking(move || memory.expand(&wanted))
            .await
            .map_err(|error| CallError::Failed(error.to_string()))?
            .map_err(|error| CallError::Failed(error.to_string()))?;
        Ok(match text {
            Some(text) => ToolResult::text(page(&text, &id, usize::try_from(offset).unwrap_or(usize::MAX))),
            None => ToolResult::error(format!(
                "nothing is kept under the id '{id}': it was forgotten, or there never was such a text"
            )),
        })
    }
}

/// A part of a text from a byte on, and how to get the next one.
fn page(text: &str, id: &str, offset: usize) -> String {
    let start = text.floor_char_boundary(offset.min(text.len()));
    let end = text.floor_char_boundary((start + PAGE).min(text.len()));
    let part = &text[start..end];
    if end == text.len() {
        return part.to_owned();
    }
    let next = json!({ "id": id, "offset": end });
    format!(
        "{part}\n[bytes {start} to {end} of {}; the next part: {TOOLSET}__expand {next}]",
        text.len()
    )
}

impl ToolProvider for MemoryTools {
    fn toolsets(&self) -> Vec<Toolset> {
        let search = ToolDefinition {
            name: "search".into(),
            title: Some("Search the memory".into()),
            description: "Finds what the user's memory holds about a question, with sources.".into(),
            input_schema: json!({
                "type": "object",
                "properties": {
                    "query": { "type": "string", "description": "What to look for, in plain words." },
                    "limit": { "type": "integer", "minimum": 1, "maximum": 50, "default": 5 }
                },
                "required": ["query"]
            }),
            annotations: Annotations::read_only(),
        };
        let remember = ToolDefinition {
            name: "remember".into(),
            title: Some("Remember a note".into()),
            description: "Keeps a note in the user's memory. A note with the same title is replaced.".into(),
            input_schema: json!({
                "type": "object",
                "properties": {
                    "title": { "type": "string", "description": "A short name for the note." },
                    "text": { "type": "string", "description": "What to remember." }
                },
                "required": ["title", "text"]
            }),
            annotations: Annotations {
                read_only: false,
                destructive: true,
                idempotent: true,
                open_world: false,
            },
        };
        let expand = ToolDefinition {
            name: "expand".into(),
            title: Some("Expand a shortened text".into()),
            description: "Gives the full text behind a shortened tool result or a summed-up conversation."
                .into(),
            input_schema: json!({
                "type": "object",
                "properties": {
                    "id": { "type": "string", "description": "The id that the shortened text names." },
                    "offset": { "type": "integer", "minimum": 0, "default": 0, "description": "Where to go on, in bytes." }
                },
                "required": ["id"]
            }),
            annotations: Annotations::read_only(),
        };
        vec![Toolset {
            id: TOOLSET.into(),
            name: "Memory".into(),
            status: "connected".into(),
            running: true,
            tools: vec![search, remember, expand],
        }]
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn call<'a>(
        &'a self,
        _toolset: &'a str,
        tool: &'a str,
        args: Value,
        _context: CallContext,
    ) -> BoxFuture<'a, Result<ToolResult, CallError>> {
        Box::pin(async move {
            match tool {
                "search" => self.search(args).await,
                "remember" => self.remember(args).await,
                "expand" => self.expand(args).await,
                other => Err(CallError::ToolNotFound {
                    tool: other.to_owned(),
                }),
            }
        })
    }
}

fn required(tool: &str, args: &Value, name: &str) -> Result<String, CallError> {
    match args.get(name).and_then(Value::as_str).map(str::trim) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(CallError::InvalidArguments {
            tool: tool.to_owned(),
            reason: format!("missing required param '{name}': give it as a string"),
        }),
    }
}
