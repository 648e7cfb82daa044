//! What skills publish becomes a document of the memory, and goes when their account goes.

use std::sync::{Mutex, PoisonError};

use openhuman_memory::{Document, Memory, MemoryError};
use openhuman_skills::{Engine, SkillEvent, SkillId, SnapshotTrigger};
use serde_json::Value;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::namespace_of;

/// The most values of one snapshot, and the longest of them in characters.
const MOST: usize = 1200;
const LONGEST: usize = 180;
/// The most items of one list.
const ITEMS: usize = 40;

/// Parts of keys whose values are not for remembering.
const PRIVATE_KEYS: [&str; 10] = [
    "token",
    "secret",
    "password",
    "credential",
    "auth",
    "apikey",
    "api_key",
    "jwt",
    "cookie",
    "client_key",
];

/// Keeps the newest snapshot of each skill in the memory. Ends when it is dropped or the engine is.
pub(crate) struct SnapshotKeeper {
    task: Mutex<Option<AbortOnDropHandle<()>>>,
    stop: CancellationToken,
}

impl SnapshotKeeper {
    /// With `working`, what a skill publishes after an explicit sync is also looked through for the user's working
    /// memory.
    pub(crate) fn start(memory: Memory, engine: Engine, working: bool) -> Self {
        let events = engine.events();
        let stop = CancellationToken::new();
        let task = AbortOnDropHandle::new(tokio::spawn(keep(memory, engine, events, stop.clone(), working)));
        Self {
            task: Mutex::new(Some(task)),
            stop,
        }
    }

    /// Ends it, and waits until it has let go of the memory, which could not be closed otherwise.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // Not aborted: the write under way would go on by itself.
            let _ = task.await;
        }
    }
}

async fn keep(
    memory: Memory,
    engine: Engine,
    mut events: Receiver<SkillEvent>,
    stop: CancellationToken,
    working: bool,
) {
    loop {
        let event = match stop.run_until_cancelled(events.recv()).await {
            Some(Ok(event @ (SkillEvent::Snapshot { .. } | SkillEvent::Revoked { .. }))) => event,
            Some(Ok(_) | Err(RecvError::Lagged(_))) => continue,
            Some(Err(RecvError::Closed)) | None => return,
        };
        if let SkillEvent::Snapshot { skill_id, .. } = &event
            && !engine.grant(skill_id).is_ok_and(|grant| grant.allows_memory())
        {
            // What a skill publishes is recalled by the assistant: that takes the permission to write to the memory.
            continue;
        }
        let memory = memory.clone();
        let work = tokio::task::spawn_blocking(move || match event {
            SkillEvent::Snapshot {
                skill_id,
                state,
                trigger,
            } => {
                if working && trigger == SnapshotTrigger::Sync {
                    memory.working().sync(skill_id.as_str(), &state)?;
                }
                remember(&memory, &skill_id, &state)
            }
            SkillEvent::Revoked { skill_id, .. } => forget(&memory, &skill_id),
            _ => Ok(()),
        });
        match work.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a skill's snapshot is not in the memory"),
            Err(error) => tracing::warn!(%error, "a skill's snapshot is not in the memory"),
        }
    }
}

/// The document's key in the namespace of its skill.
const KEY: &str = "published state";

fn remember(memory: &Memory, skill: &SkillId, state: &Value) -> Result<(), MemoryError> {
    let mut lines = Vec::new();
    describe("", state, &mut lines);
    if lines.is_empty() {
        return Ok(());
    }
    let document = Document {
        namespace: namespace_of(skill),
        source: format!("published by the skill {skill}"),
        ..Document::new(KEY, format!("{skill}: published state"), lines.join("\n"))
    };
    memory.ingest(&document).map(drop)
}

fn forget(memory: &Memory, skill: &SkillId) -> Result<(), MemoryError> {
    for document in memory.documents(Some(&namespace_of(skill)))? {
        // What the skill inserted itself is the user's to forget.
        if document.key == KEY {
            memory.forget(&document.id)?;
        }
    }
    Ok(())
}

/// The values of a snapshot as lines `path > to > key: value`, without those that look private.
fn describe(path: &str, value: &Value, lines: &mut Vec<String>) {
    if lines.len() >= MOST {
        return;
    }
    let below = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path} > {key}")
        }
    };
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = key.to_ascii_lowercase();
                if !PRIVATE_KEYS.iter().any(|part| name.contains(part)) {
                    describe(&below(key), value, lines);
                }
            }
        }
        Value::Array(items) => {
            for item in items.iter().take(ITEMS) {
                describe(path, item, lines);
            }
        }
        Value::Null => {}
        Value::String(text) if looks_private(text) => {}
        Value::String(text) => {
            lines.push(format!(
                "- {path}: {}",
                text.chars().take(LONGEST).collect::<String>()
            ));
        }
        other => lines.push(format!("- {path}: {other}")),
    }
}

/// A text that holds something like a token: a long word of the characters tokens are made of.
fn looks_private(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let token = |word: &str| {
        word.len() >= 32
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    lower.contains("bearer ") || lower.contains("api_key") || text.split_whitespace().any(token)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_looks_private_is_left_out() {
        let mut lines = Vec::new();
        let state = json!({
            "connection_status": "connected", "accessToken": "x", "auth_status": "y", "note": "Bearer abc",
            "list": [{"name": "Ana"}, {"name": "Ben"}], "id": "0123456789abcdef0123456789abcdef", "total": 3, "none": null,
        });
        describe("", &state, &mut lines);
        lines.sort();
        assert_eq!(
            lines,
            [
                "- connection_status: connected",
                "- list > name: Ana",
                "- list > name: Ben",
                "- total: 3"
            ]
        );
    }
}
