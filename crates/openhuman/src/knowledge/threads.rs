//! The threads that were talked in.

use std::io::Write;

use openhuman_memory::forget::Forget;
use openhuman_memory::{SessionRecord, SessionRole};
use serde::Serialize;

use crate::{Core, CoreError};

/// A thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ThreadInfo {
    /// Its name.
    pub id: String,
    /// How many messages there are, results of tools not counted.
    pub messages: usize,
    /// What a model sees of it before the next turn, in tokens.
    pub tokens: usize,
    /// How often earlier messages were summed up.
    pub compactions: u32,
    /// When it was written last, in milliseconds since the Unix epoch; 0 when nothing was.
    pub updated_ms: i64,
    /// What the user said first.
    pub first: String,
}

impl Core {
    /// The threads, the one written last first. Reads all of them. Blocks.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn threads(&self) -> Result<Vec<ThreadInfo>, CoreError> {
        let memory = self.memory();
        let mut threads = Vec::new();
        for id in memory.session_ids()? {
            let records = memory.session(&id)?.read()?;
            threads.push(thread(id, records));
        }
        threads.sort_by_key(|thread| std::cmp::Reverse(thread.updated_ms));
        Ok(threads)
    }

    /// Writes a thread as plain lines of JSON that anyone can read; whether there is such a thread. Blocks.
    ///
    /// # Errors
    /// When it cannot be read, or written to `out`.
    pub fn export_thread(&self, id: &str, out: &mut dyn Write) -> Result<bool, CoreError> {
        let there = self.memory().session_ids()?.iter().any(|known| known == id);
        if there {
            self.memory().session(id)?.export_plain(out)?;
        }
        Ok(there)
    }

    /// Forgets a thread: its lines, what was shortened in it, and what a search finds of it. Whether there was one.
    /// Blocks.
    ///
    /// # Errors
    /// When the memory cannot be written.
    pub fn forget_thread(&self, id: &str) -> Result<bool, CoreError> {
        let memory = self.memory();
        let there = memory.session_ids()?.iter().any(|known| known == id);
        if there {
            // First what is derived: the thread is there for another attempt.
            memory.forget_everywhere(&Forget::Source(format!("conversation {id}")))?;
            memory.forget_everywhere(&Forget::Source(id.to_owned()))?;
        }
        Ok(there)
    }
}

fn thread(id: String, records: Vec<SessionRecord>) -> ThreadInfo {
    let (mut messages, mut updated_ms, mut first) = (0, 0, String::new());
    for record in &records {
        if let SessionRecord::Message { timestamp, message } = record {
            messages += usize::from(matches!(message.role, SessionRole::User | SessionRole::Assistant));
            updated_ms = updated_ms.max(*timestamp);
            if first.is_empty() && message.role == SessionRole::User {
                first = message
                    .content
                    .iter()
                    .filter_map(|block| block.text.as_deref())
                    .collect();
            }
        }
    }
    let view = openhuman_memory::SessionView::of(records);
    ThreadInfo {
        id,
        messages,
        tokens: view.tokens(),
        compactions: view.compactions,
        updated_ms,
        first,
    }
}
