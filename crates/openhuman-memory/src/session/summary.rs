//! What was said, in short: the port, and a summary that needs no model.

use std::error::Error;

use super::pins::sentences;
use super::record::{SessionMessage, SessionRole};
use crate::chunk::count_tokens;

/// Sums up messages that are about to leave the context.
pub trait Summarizer: Send + Sync {
    /// A text of at most `max_tokens` tokens that stands for the earlier summary and for these messages. What is
    /// pinned need not be in it.
    ///
    /// # Errors
    ///
    /// [`SummaryError`]; nothing is compacted then.
    fn summarise(
        &self,
        earlier: &str,
        messages: &[SessionMessage],
        max_tokens: usize,
    ) -> Result<String, SummaryError>;
}

/// Why messages could not be summed up.
#[derive(Debug, thiserror::Error)]
#[error("the conversation could not be summed up: {reason}")]
pub struct SummaryError {
    /// What the model said, and what to do about it.
    pub reason: String,
    /// The failure underneath.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// Takes the first sentence of what each side said, and the names of the tools that were used. Older lines make room
/// for newer ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExtractiveSummarizer;

/// The longest line of a summary, in characters.
const LINE: usize = 160;

impl Summarizer for ExtractiveSummarizer {
    fn summarise(
        &self,
        earlier: &str,
        messages: &[SessionMessage],
        max_tokens: usize,
    ) -> Result<String, SummaryError> {
        let mut lines: Vec<String> = earlier.lines().map(str::to_owned).collect();
        lines.extend(messages.iter().filter_map(line));
        lines.dedup();
        let mut tokens = 0;
        let mut first = lines.len();
        while first > 0 {
            tokens += count_tokens(&lines[first - 1]) + 1;
            if tokens > max_tokens {
                break;
            }
            first -= 1;
        }
        Ok(lines[first..].join("\n"))
    }
}

fn line(message: &SessionMessage) -> Option<String> {
    let who = match message.role {
        SessionRole::User => "User",
        SessionRole::Assistant => "Assistant",
        SessionRole::System => return None,
        SessionRole::Tool => return tool_line(message),
    };
    let text = message
        .content
        .iter()
        .filter_map(|block| block.text.as_deref())
        .flat_map(sentences)
        .find(|sentence| sentence.split_whitespace().count() > 2)?;
    Some(format!("{who}: {}", clip(text)))
}

/// A result is named by its first words; the calls are in the message before.
fn tool_line(message: &SessionMessage) -> Option<String> {
    let text = message.content.iter().find_map(|block| block.text.as_deref())?;
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    Some(format!("Tool: {}", clip(first.trim())))
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(LINE) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
    }
}
