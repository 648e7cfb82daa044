//! Working memory: what an assistant should have at hand in every turn. Preferences, goals, constraints and entities,
//! in bounded lists, each line with where it comes from.
//!
//! A newer value takes the place of an older one, which is closed and not deleted. What the user pinned stays until
//! the user says something else. The text for a prompt is the same as long as nothing changes, so a provider can cache
//! it.
//!
//! ```
//! use openhuman_memory::working::Kind;
//! use openhuman_memory::{HashingEmbedder, Key, Memory, MemoryOptions};
//! use serde_json::json;
//!
//! # let dir = tempfile::tempdir()?;
//! let memory = Memory::open(dir.path(), &Key::from_bytes([7; 32]), MemoryOptions::new(HashingEmbedder::default()))?;
//! let working = memory.working();
//! working.remember(Kind::Preference, "editor", "uses Helix", 1.0)?;
//! working.sync("notion", &json!({"preferences": {"theme": "dark"}, "token": "never looked at"}))?;
//! assert!(working.render(200)?.contains("- dark (preferences > theme)"));
//!
//! working.remember(Kind::Preference, "editor", "uses Zed now", 1.0)?;
//! assert!(!working.render(200)?.contains("Helix"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod documents;
mod markdown;
mod redact;
mod render;
mod rows;
mod snapshot;

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::rows::{SELECT, Said, item, item_by_id, take_in, take_over};
use crate::document::at_most;
use crate::error::MemoryError;
use crate::memory::Memory;

pub(crate) use documents::{NAMESPACE, PREFIX, slug};
pub use redact::{is_private_key, redacted};
pub use render::score;

/// The origin of what the user said.
pub const USER: &str = "user";

/// Items of one kind from one skill.
pub const MAX_PER_BUCKET: usize = 12;

/// The longest text of an item that the user gives, in bytes.
pub const MAX_TEXT_BYTES: usize = 280;

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// How the user likes things.
    Preference,
    /// What the user wants to reach.
    Goal,
    /// What must or must not be.
    Constraint,
    /// Who and what the user deals with.
    Entity,
}

impl Kind {
    /// All kinds, in the order of a rendering.
    pub const ALL: [Kind; 4] = [Kind::Preference, Kind::Goal, Kind::Constraint, Kind::Entity];

    /// `preferences`, `goals`, `constraints`, `entities`.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Preference => "preferences",
            Self::Goal => "goals",
            Self::Constraint => "constraints",
            Self::Entity => "entities",
        }
    }

    fn of_plural(plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.plural() == plural)
    }
}

/// Something to have at hand.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Item {
    /// The item's number, never used again.
    pub id: i64,
    /// [`USER`], or the skill that published it.
    pub origin: String,
    /// What it is.
    pub kind: Kind,
    /// What it is a value of. One item of an origin, a kind and a slot is open at a time.
    pub slot: String,
    /// The words.
    pub text: String,
    /// How sure it is, above 0 and up to 1.
    pub confidence: f32,
    /// How often it was said or published.
    pub evidence: u32,
    /// The user keeps it.
    pub pinned: bool,
    /// When it was first heard, in milliseconds since the Unix epoch.
    pub first_ms: i64,
    /// When it was last heard.
    pub last_ms: i64,
    /// When something else took its place; `None` while it holds.
    pub closed_ms: Option<i64>,
}

/// What a snapshot changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SyncReport {
    /// Items that are new, or have a new value.
    pub added: usize,
    /// Items that were there.
    pub confirmed: usize,
    /// Items whose value is gone or was replaced.
    pub closed: usize,
    /// Documents that were written or removed.
    pub documents: usize,
}

/// The working memory of a [`Memory`].
pub struct WorkingMemory<'a> {
    memory: &'a Memory,
}

impl Memory {
    /// What to have at hand in every turn.
    pub fn working(&self) -> WorkingMemory<'_> {
        WorkingMemory { memory: self }
    }
}

impl fmt::Debug for WorkingMemory<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkingMemory").finish_non_exhaustive()
    }
}

impl WorkingMemory<'_> {
    /// Takes over the state that a skill published after a successful, explicit sync. Values under private keys and
    /// values that look like secrets are not looked at; mail addresses and phone numbers are made unreadable first.
    /// What the skill published before and does not any more is closed. Writes the documents
    /// `working.user.<skill>.<kind>` of the namespace `global`, and removes those that have become empty.
    ///
    /// # Errors
    ///
    /// Those of [`Memory::ingest`]. The items are then stored already, and the next sync writes the documents.
    pub fn sync(&self, skill: &str, state: &Value) -> Result<SyncReport, MemoryError> {
        named("skill", skill)?;
        let found = snapshot::read(state);
        let now_ms = self.memory.clock().now_ms();
        let mut report = self.memory.database().write(
            |transaction| take_over(transaction, skill, &found, now_ms),
            |_| (),
        )?;
        report.documents = documents::write(self.memory, skill, &self.items_of(skill)?)?;
        Ok(report)
    }

    /// Remembers what the user said. Another text in the same slot takes the place of the earlier one, and its pin.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Empty`], and [`MemoryError::TooLong`] above 280 bytes.
    pub fn remember(&self, kind: Kind, slot: &str, text: &str, confidence: f32) -> Result<Item, MemoryError> {
        named("slot", slot)?;
        named("item", text.trim())?;
        let now_ms = self.memory.clock().now_ms();
        let said = Said {
            origin: USER,
            kind,
            slot,
            text: &text.trim().replace('\n', " "),
            confidence: confidence.clamp(0.01, 1.0),
        };
        self.memory.database().write(
            |transaction| {
                let (id, _) = said.put(transaction, now_ms, true)?;
                item_by_id(transaction, id)
            },
            |_| (),
        )
    }

    /// Keeps an item, or no longer. Returns whether there is such an open item.
    pub fn pin(&self, id: i64, pinned: bool) -> Result<bool, MemoryError> {
        let sql = "UPDATE working_items SET pinned = ?2 WHERE id = ?1 AND closed_ms IS NULL";
        self.change(sql, id, i64::from(pinned))
    }

    /// Closes an item, pinned or not: it is not so any more. Returns whether it was open.
    pub fn close(&self, id: i64) -> Result<bool, MemoryError> {
        let sql = "UPDATE working_items SET closed_ms = ?2, pinned = 0 WHERE id = ?1 AND closed_ms IS NULL";
        self.change(sql, id, self.memory.clock().now_ms())
    }

    fn change(&self, sql: &str, id: i64, value: i64) -> Result<bool, MemoryError> {
        let database = self.memory.database();
        let changed = database.write(|transaction| Ok(transaction.execute(sql, [id, value])?), |_| ())?;
        Ok(changed > 0)
    }

    /// Items by kind, origin and slot; closed ones too when asked for.
    pub fn items(&self, closed: bool) -> Result<Vec<Item>, MemoryError> {
        let mut items = self.select("?1 OR closed_ms IS NULL", closed)?;
        items.sort_by(|a, b| (a.kind, &a.origin, &a.slot, a.id).cmp(&(b.kind, &b.origin, &b.slot, b.id)));
        Ok(items)
    }

    fn items_of(&self, origin: &str) -> Result<Vec<Item>, MemoryError> {
        let mut items = self.items(false)?;
        items.retain(|item| item.origin == origin);
        Ok(items)
    }

    fn select(&self, condition: &str, value: bool) -> Result<Vec<Item>, MemoryError> {
        self.memory.database().read(|connection| {
            let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE {condition}"))?;
            let items = statement.query_map([value], item)?;
            Ok(items.collect::<Result<_, _>>()?)
        })
    }

    /// The text for a prompt, at most so many tokens: what is pinned, then what matters most, in an order that does
    /// not depend on how much it matters. Empty when there is nothing.
    pub fn render(&self, max_tokens: usize) -> Result<String, MemoryError> {
        let items = self.items(false)?;
        Ok(render::render(&items, self.memory.clock().now_ms(), max_tokens))
    }

    /// All open items as Markdown, which [`WorkingMemory::import_markdown`] reads.
    pub fn export_markdown(&self) -> Result<String, MemoryError> {
        Ok(markdown::write(&self.items(false)?))
    }

    /// Takes over what an export wrote, possibly changed by hand. Where an open item has another text, the one heard
    /// last stays. Returns how many items are new or changed.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Markdown`] with the line; nothing is taken over then.
    pub fn import_markdown(&self, text: &str) -> Result<usize, MemoryError> {
        let items = markdown::read(text, self.memory.clock().now_ms())?;
        self.memory.database().write(
            |transaction| {
                let mut changed = 0;
                for item in &items {
                    changed += usize::from(take_in(transaction, item)?);
                }
                Ok(changed)
            },
            |_| (),
        )
    }
}

fn named(field: &'static str, value: &str) -> Result<(), MemoryError> {
    if value.trim().is_empty() {
        return Err(MemoryError::Empty { field });
    }
    at_most(field, value, MAX_TEXT_BYTES)
}

/// Snapshots that wait to be taken over: the newest of each skill, at most 16. What does not fit is dropped, and
/// counted.
#[derive(Debug, Default)]
pub struct SyncQueue {
    waiting: VecDeque<(String, Value)>,
    dropped: u64,
}

impl SyncQueue {
    /// The most snapshots that wait.
    pub const CAPACITY: usize = 16;

    /// Adds a snapshot; an earlier one of the same skill goes. Returns `false` when there is no room.
    pub fn push(&mut self, skill: &str, state: Value) -> bool {
        if let Some(waiting) = self.waiting.iter_mut().find(|(of, _)| of == skill) {
            waiting.1 = state;
            return true;
        }
        if self.waiting.len() >= Self::CAPACITY {
            self.dropped += 1;
            return false;
        }
        self.waiting.push_back((skill.to_owned(), state));
        true
    }

    /// The skill and the snapshot that waited longest.
    pub fn pop(&mut self) -> Option<(String, Value)> {
        self.waiting.pop_front()
    }

    /// How many were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Whether a setting such as `OPENHUMAN_SKILLS_WORKING_MEMORY_ENABLED` leaves the working memory on: anything but
/// `0`, `false`, `off` and `no` does.
pub fn is_enabled(setting: Option<&str>) -> bool {
    !setting.is_some_and(|value| {
        ["0", "false", "off", "no"].contains(&value.trim().to_ascii_lowercase().as_str())
    })
}
