//! What a turn may spend, and what it has spent.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The limits of one turn. All can be changed; the default suits a conversation.
///
/// When the last model call or the tool calls are used up, the model is asked to answer with what it has; only if it
/// does not, the turn fails with [`FailureKind::Budget`](crate::FailureKind::Budget).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// Requests to the model. Default 16.
    pub model_calls: u32,
    /// Tool calls that are executed. Default 48.
    pub tool_calls: u32,
    /// Tokens read and written together, as the server counts them (else estimated). Default 400,000.
    pub tokens: u64,
    /// Time from start to end, waiting for approvals included. Default 10 minutes.
    pub wall: Duration,
    /// Read-only calls that run at the same time. Default 8.
    pub parallel: usize,
    /// The same call with the same arguments: this many in one turn and the last is refused, one more and the turn
    /// ends with [`FailureKind::Loop`](crate::FailureKind::Loop). Default 3.
    pub repeats: u32,
    /// Bytes of a tool result the model gets to read; head and tail are kept, with a note between. Default 16 KiB.
    pub result_bytes: usize,
    /// Tokens the history may have before it is compacted (if there is a compactor). Default 48,000.
    pub history_tokens: u64,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            model_calls: 16,
            tool_calls: 48,
            tokens: 400_000,
            wall: Duration::from_secs(600),
            parallel: 8,
            repeats: 3,
            result_bytes: 16 * 1024,
            history_tokens: 48_000,
        }
    }
}

/// What a turn has spent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Requests to the model.
    pub model_calls: u32,
    /// Tool calls executed.
    pub tool_calls: u32,
    /// Tokens.
    pub tokens: u64,
    /// Milliseconds, not counting the time between a crash and the resumption.
    pub elapsed_ms: u64,
}

/// Shortens `text` to about `limit` bytes: three quarters head, one quarter tail, a note between. Returns `None` when
/// it fits.
pub(crate) fn cap(text: &str, limit: usize) -> Option<String> {
    if text.len() <= limit {
        return None;
    }
    let head = text.floor_char_boundary(limit / 4 * 3);
    let tail = text.ceil_char_boundary(text.len() - limit / 4);
    Some(format!(
        "{}\n[... {} of {} bytes are left out here; ask for less to see them ...]\n{}",
        &text[..head],
        tail - head,
        text.len(),
        &text[tail..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_result_keeps_head_and_tail() {
        let text = format!("BEGIN{}END", "é".repeat(1000));
        let short = cap(&text, 100).unwrap();
        assert!(short.starts_with("BEGIN") && short.ends_with("END"), "{short}");
        assert!(short.contains("of 2008 bytes are left out"), "{short}");
        assert!(short.len() < 200);
    }

    #[test]
    fn a_short_result_is_untouched() {
        assert_eq!(cap("abc", 3), None);
        assert_eq!(cap("", 0), None);
    }

    #[test]
    fn a_limit_of_zero_leaves_the_note() {
        assert!(cap("é", 0).unwrap().contains("2 of 2 bytes"));
    }
}
