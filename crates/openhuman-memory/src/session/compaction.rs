//! When a session is too long for the model, and what is kept of it.

use std::collections::HashSet;

use super::pins::{Pin, pins};
use super::record::{SessionMessage, SessionRole};
use super::summary::{Summarizer, SummaryError};
use super::view::{SessionView, message_tokens};
use crate::chunk::count_tokens;

/// How much of a model's window a session may fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The model's window, in tokens.
    pub window: usize,
    /// From this share on a compaction should be made when there is time, in percent. Default: 70.
    pub soft: u8,
    /// From this share on it must be made before the next call of the model, in percent. Default: 85.
    pub hard: u8,
    /// What a compaction brings it down to, in percent. Default: 40.
    pub target: u8,
}

/// How urgent a compaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Pressure {
    /// There is room.
    None,
    /// When there is time.
    Soft,
    /// Before the next call of the model.
    Hard,
}

impl Budget {
    /// 70, 85 and 40 percent of a window.
    pub fn of_window(window: usize) -> Self {
        Self {
            window,
            soft: 70,
            hard: 85,
            target: 40,
        }
    }

    /// How urgent it is with so many tokens.
    pub fn pressure(&self, tokens: usize) -> Pressure {
        if tokens >= self.share(self.hard) {
            Pressure::Hard
        } else if tokens >= self.share(self.soft) {
            Pressure::Soft
        } else {
            Pressure::None
        }
    }

    fn share(&self, percent: u8) -> usize {
        self.window.saturating_mul(usize::from(percent)) / 100
    }
}

/// What a compaction would do.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CompactionPlan {
    /// The new summary.
    pub summary: String,
    /// What is carried on word for word, the earlier first.
    pub pinned: Vec<Pin>,
    /// Pins for which there is no room, to be kept with the originals.
    pub overflow: Vec<Pin>,
    /// The messages that leave the context.
    pub dropped: Vec<SessionMessage>,
    /// How many of the newest messages stay.
    pub preserved: usize,
}

/// What a compaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// How many compactions there were, this one included.
    pub count: u32,
    /// Tokens of the context before.
    pub tokens_before: usize,
    /// Tokens of the context after.
    pub tokens_after: usize,
    /// Messages that left the context.
    pub dropped: usize,
    /// The original of what left, for [`Memory::expand`](crate::Memory::expand).
    pub original: String,
}

/// Plans a compaction down to the target, whatever the pressure. `None` when nothing can leave: the newest exchange
/// stays, and calls of tools stay with their results.
///
/// # Errors
///
/// What the summarizer says.
pub fn plan(
    view: &SessionView,
    budget: &Budget,
    summarizer: &dyn Summarizer,
) -> Result<Option<CompactionPlan>, SummaryError> {
    let target = budget.share(budget.target);
    let (for_summary, for_pins) = ((target / 5).min(2048), target * 2 / 5);
    let cut = cut(&view.messages, target.saturating_sub(for_summary + for_pins));
    if cut == 0 {
        return Ok(None);
    }
    let (dropped, kept) = view.messages.split_at(cut);
    let (pinned, overflow) = carry_on(view, dropped, for_pins);
    let summary = summarizer.summarise(&view.summary, dropped, for_summary)?;
    Ok(Some(CompactionPlan {
        summary,
        pinned,
        overflow,
        dropped: dropped.to_vec(),
        preserved: kept.len(),
    }))
}

/// Where the messages that stay begin: as many of the newest exchanges as fit, at least one.
fn cut(messages: &[SessionMessage], room: usize) -> usize {
    let starts = exchanges(messages);
    let mut tokens = 0;
    let mut cut = messages.len();
    for start in starts.into_iter().rev() {
        tokens += messages[start..cut].iter().map(message_tokens).sum::<usize>();
        if tokens > room && cut != messages.len() {
            break;
        }
        cut = start;
    }
    cut
}

/// Where messages may be parted: not between a call of a tool and its result.
fn exchanges(messages: &[SessionMessage]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut open: HashSet<String> = HashSet::new();
    for (place, message) in messages.iter().enumerate() {
        if message.role != SessionRole::Tool && open.is_empty() {
            starts.push(place);
        }
        // Whoever speaks next has given up on results that never came.
        if message.role == SessionRole::User {
            if !open.is_empty() {
                starts.push(place);
            }
            open.clear();
        }
        for block in &message.content {
            let id = |names: [&str; 3]| {
                names
                    .iter()
                    .find_map(|name| block.rest.get(*name)?.as_str())
                    .map(str::to_owned)
            };
            match block.kind.as_str() {
                "tool_use" | "tool_call" | "function_call" => {
                    open.extend(id(["id", "tool_call_id", "call_id"]));
                }
                "tool_result" | "function_call_output" => {
                    if let Some(id) = id(["tool_use_id", "tool_call_id", "call_id"]) {
                        open.remove(&id);
                    }
                }
                _ => {}
            }
        }
    }
    starts
}

/// The pins of before and those of the dropped messages, as far as there is room: instructions first, then what is
/// newest. They keep their order.
fn carry_on(view: &SessionView, dropped: &[SessionMessage], room: usize) -> (Vec<Pin>, Vec<Pin>) {
    let mut all: Vec<Pin> = view.pinned.clone();
    let mut seen: HashSet<String> = all.iter().map(|pin| pin.text.clone()).collect();
    for message in dropped {
        for block in &message.content {
            let found = block.text.as_deref().map(|text| pins(message.role, text));
            all.extend(
                found
                    .unwrap_or_default()
                    .into_iter()
                    .filter(|pin| seen.insert(pin.text.clone())),
            );
        }
    }
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|place| {
        (
            all[*place].kind != super::PinKind::Instruction,
            std::cmp::Reverse(*place),
        )
    });
    let mut tokens = 0;
    let mut fits = vec![false; all.len()];
    for place in order {
        tokens += count_tokens(&all[place].text) + 2;
        fits[place] = tokens <= room;
    }
    let (mut pinned, mut overflow) = (Vec::new(), Vec::new());
    for (pin, fits) in all.into_iter().zip(fits) {
        if fits {
            pinned.push(pin);
        } else {
            overflow.push(pin);
        }
    }
    (pinned, overflow)
}

#[cfg(test)]
#[path = "compaction/tests.rs"]
mod tests;
