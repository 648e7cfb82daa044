//! Compaction of a session in a memory.

use std::fmt::Write as _;

use super::compaction::{Budget, Compacted, CompactionPlan, plan};
use super::record::{SessionMessage, SessionRecord, SessionRole};
use super::summary::Summarizer;
use super::view::SessionView;
use crate::document::Document;
use crate::error::MemoryError;
use crate::memory::Memory;

/// The namespace of what left a context, where a search finds it.
pub const SESSIONS_NAMESPACE: &str = "sessions";

impl Memory {
    /// Brings a session down to the target of the budget, whatever the pressure: see [`Budget::pressure`] for when to
    /// call it. `None` when nothing can leave.
    ///
    /// The session's lines stay as they are, and a line `compaction` is added. What leaves the context is kept as an
    /// original and as a document of the namespace `sessions`, so it is found by a search. A failure, or a crash,
    /// leaves the context as it was.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Summary`] when the summarizer failed, and those of [`Memory::ingest`] and
    /// [`Session::append`](crate::Session::append).
    pub fn compact_session(
        &self,
        id: &str,
        budget: &Budget,
        summarizer: &dyn Summarizer,
    ) -> Result<Option<Compacted>, MemoryError> {
        let session = self.session(id)?;
        let view = session.view()?;
        let Some(plan) = plan(&view, budget, summarizer).map_err(MemoryError::Summary)? else {
            return Ok(None);
        };
        let count = view.compactions.saturating_add(1);
        let transcript = transcript(&plan);
        let original = self.keep_original(id, "transcript", &transcript)?;
        let document = Document {
            namespace: SESSIONS_NAMESPACE.to_owned(),
            source: format!("expand({original})"),
            ..Document::new(format!("{id}/{count}"), "", transcript)
        };
        self.ingest(&document)?;
        let mut references = view.references.clone();
        references.push(original.clone());
        let timestamp = self.clock().now_ms();
        session.append_after(|records| {
            // What was said meanwhile stays too.
            let since = SessionView::of(records)
                .messages
                .len()
                .saturating_sub(view.messages.len());
            SessionRecord::Compaction {
                timestamp,
                compaction_count: count,
                summary: plan.summary,
                preserved_messages: u32::try_from(plan.preserved + since).unwrap_or(u32::MAX),
                pinned: plan.pinned,
                references,
            }
        })?;
        let after: SessionView = session.view()?;
        Ok(Some(Compacted {
            count,
            tokens_before: view.tokens(),
            tokens_after: after.tokens(),
            dropped: plan.dropped.len(),
            original,
        }))
    }
}

/// What left, as lines that can be read and searched.
fn transcript(plan: &CompactionPlan) -> String {
    let mut text = String::new();
    for message in &plan.dropped {
        let who = match message.role {
            SessionRole::User => "User",
            SessionRole::Assistant => "Assistant",
            SessionRole::System => "System",
            SessionRole::Tool => "Tool",
        };
        let _ = writeln!(text, "{who}: {}\n", words(message));
    }
    if !plan.overflow.is_empty() {
        text.push_str("Word for word:\n");
        for pin in &plan.overflow {
            let _ = writeln!(text, "- {}", pin.text);
        }
    }
    text
}

fn words(message: &SessionMessage) -> String {
    let block = |block: &super::record::SessionBlock| match (&block.text, block.rest.is_empty()) {
        (Some(text), true) => text.clone(),
        (text, _) => {
            let rest = serde_json::to_string(&block.rest).unwrap_or_default();
            format!("{}{} {rest}", text.as_deref().unwrap_or_default(), block.kind)
        }
    };
    message.content.iter().map(block).collect::<Vec<_>>().join("\n")
}
