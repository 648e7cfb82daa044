//! What skills publish: a document of the memory, and after an explicit sync the user's working memory. It goes when
//! the account behind it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openhuman_memory::forget::Forget;
use openhuman_memory::working::{SyncQueue, is_private_key, redacted};
use openhuman_memory::{Document, Memory, MemoryError};
use openhuman_skills::{Engine, SkillEvent, SkillId, SnapshotTrigger};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::namespace_of;

/// The most values of one document, and the longest of them in characters.
const MOST: usize = 1200;
const LONGEST: usize = 180;
/// The most items of one list.
const ITEMS: usize = 40;

/// The document's key in the namespace of its skill.
const KEY: &str = "published state";

/// Keeps what skills publish in the memory. Ends when it is dropped or the engine is.
pub(crate) struct SnapshotKeeper {
    tasks: Mutex<Vec<AbortOnDropHandle<()>>>,
    stop: CancellationToken,
}

impl SnapshotKeeper {
    /// With `working`, what a skill publishes after an explicit sync also becomes the user's working memory.
    pub(crate) fn start(memory: Memory, engine: Engine, working: bool) -> Self {
        let events = engine.events();
        let stop = CancellationToken::new();
        let waiting = Arc::new(Waiting::default());
        let listening = listen(engine, events, stop.clone(), waiting.clone(), working);
        let tasks = vec![
            AbortOnDropHandle::new(tokio::spawn(listening)),
            AbortOnDropHandle::new(tokio::spawn(work_off(memory, waiting))),
        ];
        Self {
            tasks: Mutex::new(tasks),
            stop,
        }
    }

    /// Ends it after what was published so far, and waits until it has let go of the memory, which could not be closed
    /// otherwise.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // Not aborted: the write under way would go on by itself.
            let _ = task.await;
        }
    }
}

/// What is to be done. A skill's account that is gone comes before anything of that skill.
#[derive(Debug, PartialEq)]
enum Job {
    Forget(SkillId),
    Remember(SkillId, Value),
    Learn(String, Value),
}

#[derive(Default)]
struct Waiting {
    jobs: Mutex<Jobs>,
    more: Notify,
}

#[derive(Default)]
struct Jobs {
    revoked: BTreeSet<SkillId>,
    /// The newest state of each skill.
    states: BTreeMap<SkillId, Value>,
    syncs: SyncQueue,
    closed: bool,
}

impl Waiting {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Jobs)) {
        change(&mut self.jobs());
        self.more.notify_one();
    }
}

impl Jobs {
    fn published(&mut self, skill: SkillId, state: Value, synced: bool) {
        if synced && !self.syncs.push(skill.as_str(), state.clone()) {
            let dropped = self.syncs.dropped();
            tracing::warn!(%skill, dropped, "too many skills were synced at once for the working memory; sync it again");
        }
        self.states.insert(skill, state);
    }

    /// Nothing of a skill from before its account went is remembered after it.
    fn revoked(&mut self, skill: SkillId) {
        self.states.remove(&skill);
        let mut kept = SyncQueue::default();
        while let Some((of, state)) = self.syncs.pop() {
            if of != skill.as_str() {
                kept.push(&of, state);
            }
        }
        self.syncs = kept;
        self.revoked.insert(skill);
    }

    fn next(&mut self) -> Option<Job> {
        if let Some(skill) = self.revoked.pop_first() {
            return Some(Job::Forget(skill));
        }
        if let Some((skill, state)) = self.syncs.pop() {
            return Some(Job::Learn(skill, state));
        }
        self.states
            .pop_first()
            .map(|(skill, state)| Job::Remember(skill, state))
    }
}

async fn listen(
    engine: Engine,
    mut events: Receiver<SkillEvent>,
    stop: CancellationToken,
    waiting: Arc<Waiting>,
    working: bool,
) {
    loop {
        match stop.run_until_cancelled(events.recv()).await {
            Some(Ok(event)) => take(&engine, &waiting, event, working),
            Some(Err(RecvError::Lagged(missed))) => {
                tracing::warn!(
                    missed,
                    "events of skills were missed; what they published may not be remembered"
                );
            }
            Some(Err(RecvError::Closed)) => break,
            None => {
                // What was published before the end is remembered.
                while let Ok(event) = events.try_recv() {
                    take(&engine, &waiting, event, working);
                }
                break;
            }
        }
    }
    waiting.change(|jobs| jobs.closed = true);
}

fn take(engine: &Engine, waiting: &Waiting, event: SkillEvent, working: bool) {
    match event {
        SkillEvent::Snapshot {
            skill_id,
            state,
            trigger,
        } if engine.grant(&skill_id).is_ok_and(|grant| grant.allows_memory()) => {
            // What a skill publishes is recalled by the assistant: that takes the permission to write to the memory.
            let synced = working && trigger == SnapshotTrigger::Sync;
            waiting.change(|jobs| jobs.published(skill_id, state, synced));
        }
        SkillEvent::Revoked { skill_id, .. } => waiting.change(|jobs| jobs.revoked(skill_id)),
        _ => {}
    }
}

async fn work_off(memory: Memory, waiting: Arc<Waiting>) {
    loop {
        let (job, closed) = {
            let mut jobs = waiting.jobs();
            (jobs.next(), jobs.closed)
        };
        let Some(job) = job else {
            if closed {
                return;
            }
            waiting.more.notified().await;
            continue;
        };
        let memory = memory.clone();
        let done = tokio::task::spawn_blocking(move || carry_out(&memory, &job)).await;
        match done {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "what a skill published is not in the memory"),
            Err(error) => tracing::warn!(%error, "what a skill published is not in the memory"),
        }
    }
}

fn carry_out(memory: &Memory, job: &Job) -> Result<(), MemoryError> {
    match job {
        Job::Forget(skill) => {
            let report = memory.forget_everywhere(&Forget::Skill(skill.to_string()))?;
            tracing::info!(%skill, documents = report.documents_removed, "forgotten with its account");
            Ok(())
        }
        Job::Remember(skill, state) => remember(memory, skill, state),
        Job::Learn(skill, state) => memory.working().sync(skill, state).map(drop),
    }
}

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

/// The values of a state as lines `path > to > key: value`, without those that look private.
fn describe(path: &str, value: &Value, lines: &mut Vec<String>) {
    if lines.len() >= MOST {
        return;
    }
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path} > {key}"),
    };
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if !is_private_key(key) {
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
        Value::String(text) => {
            // Before it is cut: half an address would not be recognised.
            if let Some(text) = redacted(text) {
                let text: String = text.chars().take(LONGEST).collect();
                lines.push(format!("- {path}: {text}"));
            }
        }
        other => lines.push(format!("- {path}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_looks_private_is_left_out_and_words_are_compared_whole() {
        let mut lines = Vec::new();
        let state = json!({
            "connection_status": "connected", "accessToken": "x", "auth_status": "y", "note": "Bearer abc",
            "author": "Ana", "list": [{"name": "Ben, ben@example.org"}],
            "id": "0123456789abcdef0123456789abcdef", "total": 3, "none": null,
        });
        describe("", &state, &mut lines);
        lines.sort();
        assert_eq!(
            lines,
            [
                "- author: Ana",
                "- connection_status: connected",
                "- list > name: Ben, [redacted-email]",
                "- total: 3"
            ]
        );
    }

    #[test]
    fn what_was_published_before_an_account_went_is_not_remembered_after_it() {
        let skill = |id: &str| id.parse::<SkillId>().unwrap();
        let mut jobs = Jobs::default();
        jobs.published(skill("a"), json!(1), true);
        jobs.published(skill("b"), json!(2), true);
        jobs.published(skill("b"), json!(3), false);
        jobs.revoked(skill("a"));
        let all: Vec<Job> = std::iter::from_fn(|| jobs.next()).collect();
        assert_eq!(
            all,
            [
                Job::Forget(skill("a")),
                Job::Learn("b".into(), json!(2)),
                Job::Remember(skill("b"), json!(3)),
            ]
        );
        jobs.revoked(skill("a"));
        jobs.published(skill("a"), json!(4), true);
        assert_eq!(jobs.next(), Some(Job::Forget(skill("a"))));
        assert_eq!(jobs.next(), Some(Job::Learn("a".into(), json!(4))));
    }
}
