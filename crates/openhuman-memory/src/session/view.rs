//! What a model is shown of a session.

use super::pins::Pin;
use super::record::{SessionMessage, SessionRecord, SessionRole};
use crate::chunk::count_tokens;

/// The newest sum, and the messages that are still sent in full.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct SessionView {
    /// How many compactions there were.
    pub compactions: u32,
    /// What was said before, in short; empty before the first compaction.
    pub summary: String,
    /// What is carried on word for word.
    pub pinned: Vec<Pin>,
    /// What the sums stand for.
    pub references: Vec<String>,
    /// The messages.
    pub messages: Vec<SessionMessage>,
}

impl SessionView {
    /// The view of these lines.
    pub fn of(records: Vec<SessionRecord>) -> Self {
        let mut view = Self::default();
        for record in records {
            match record {
                SessionRecord::Message { message, .. } => view.messages.push(message),
                SessionRecord::Compaction {
                    compaction_count,
                    summary,
                    preserved_messages,
                    pinned,
                    references,
                    ..
                } => {
                    let keep = usize::try_from(preserved_messages).unwrap_or(usize::MAX);
                    view.messages.drain(..view.messages.len().saturating_sub(keep));
                    (view.compactions, view.summary, view.pinned) = (compaction_count, summary, pinned);
                    view.references = references;
                }
                _ => {}
            }
        }
        view
    }

    /// The messages to send, the sum first, as the message of a system.
    pub fn render(&self) -> Vec<SessionMessage> {
        let mut messages = Vec::with_capacity(self.messages.len() + 1);
        if self.compactions > 0 {
            messages.push(text(SessionRole::System, self.preface()));
        }
        messages.extend(self.messages.iter().cloned());
        messages
    }

    /// Tokens of what [`SessionView::render`] gives.
    pub fn tokens(&self) -> usize {
        let preface = if self.compactions > 0 {
            count_tokens(&self.preface()) + MESSAGE_OVERHEAD
        } else {
            0
        };
        preface + self.messages.iter().map(message_tokens).sum::<usize>()
    }

    fn preface(&self) -> String {
        let mut preface = format!(
            "[Context from previous conversation (compaction #{})]\n\n{}",
            self.compactions, self.summary
        );
        if !self.pinned.is_empty() {
            preface.push_str("\n\nWord for word:");
            for pin in &self.pinned {
                preface.push_str("\n- ");
                preface.push_str(&pin.text);
            }
        }
        if let Some(last) = self.references.last() {
            preface.push_str("\n\nThe full text: expand(");
            preface.push_str(last);
            preface.push(')');
        }
        preface
    }
}

/// Tokens that separate a message from others.
const MESSAGE_OVERHEAD: usize = 4;

/// Tokens of a message as it is sent: those of its texts, and of other blocks as JSON.
pub fn message_tokens(message: &SessionMessage) -> usize {
    let block = |block: &super::record::SessionBlock| {
        let text = block.text.as_deref().map_or(0, count_tokens);
        let rest = if block.rest.is_empty() {
            0
        } else {
            serde_json::to_string(&block.rest).map_or(50, |rest| count_tokens(&rest))
        };
        text + rest
    };
    MESSAGE_OVERHEAD + message.content.iter().map(block).sum::<usize>()
}

/// A message of one text.
pub(super) fn text(role: SessionRole, text: String) -> SessionMessage {
    let block = super::record::SessionBlock {
        kind: "text".to_owned(),
        text: Some(text),
        rest: serde_json::Map::new(),
    };
    SessionMessage {
        role,
        content: vec![block],
        usage: None,
    }
}
