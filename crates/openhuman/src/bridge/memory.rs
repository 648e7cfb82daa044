//! What the memory knows about a prompt, and the memory as two tools for any model.

use futures_util::future::BoxFuture;
use openhuman_agent::Recalled;
use openhuman_mcp::{Annotations, CallContext, CallError, ToolDefinition, ToolProvider, ToolResult, Toolset};
use openhuman_memory::forget::Forget;
use openhuman_memory::{Document, Hit, Memory, MemoryError, Query};
use openhuman_skills::{MemoryDocument, MemorySink, SkillId};
use serde_json::{Value, json};
use tokio::sync::watch;

/// How much of the working memory a model sees, in tokens.
const AT_HAND: usize = 2_048;

/// How many passages a prompt recalls.
const RECALL_LIMIT: usize = 6;

/// A passage without any word of the prompt counts only when its meaning is at least this near (cosine). The search
/// ranks what there is, and in a small memory something unrelated is always nearest.
const NEAR: f32 = 0.3;

/// The toolset's id, so the tools are `memory__search` and `memory__remember`.
const TOOLSET: &str = "memory";

/// What the memory knows about a prompt, best first.
pub(crate) fn recall(memory: &Memory, prompt: &str) -> Result<Vec<Recalled>, MemoryError> {
    let hits = memory.search(&Query {
        limit: RECALL_LIMIT,
        ..Query::new(prompt)
    })?;
    let relevant = hits
        .into_iter()
        .filter(|hit| hit.signals.matched_terms > 0 || hit.signals.vector >= NEAR);
    Ok(relevant.map(recalled).collect())
}

fn recalled(hit: Hit) -> Recalled {
    let source = if hit.source.is_empty() {
        hit.key
    } else {
        hit.source
    };
    Recalled {
        title: hit.title,
        source,
        text: hit.text,
        score: hit.score,
    }
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

/// What is at hand in every turn: the user's working memory, when there is any.
pub(crate) fn at_hand(memory: &Memory) -> Result<Option<Recalled>, MemoryError> {
    let text = memory.working().render(AT_HAND)?;
    Ok((!text.is_empty()).then(|| Recalled {
        title: "User working memory".into(),
        source: "working memory".into(),
        text,
        score: 0.0,
    }))
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
            tokio::task::spawn_blocking(move || memory.ingest(&document).map(drop))
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
        let hits: Vec<Value> = hits
            .into_iter()
            .map(recalled)
            .map(|hit| json!({ "title": hit.title, "source": hit.source, "text": hit.text, "score": hit.score }))
            .collect();
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
        let report = tokio::task::spawn_blocking(move || memory.ingest(&document))
            .await
            .map_err(|error| CallError::Failed(error.to_string()))?
            .map_err(|error| CallError::Failed(error.to_string()))?;
        Ok(ToolResult::text(
            json!({ "remembered": true, "chunks": report.chunks }).to_string(),
        ))
    }
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
        vec![Toolset {
            id: TOOLSET.into(),
            name: "Memory".into(),
            status: "connected".into(),
            running: true,
            tools: vec![search, remember],
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
