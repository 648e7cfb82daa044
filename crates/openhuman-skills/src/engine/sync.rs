//! `skill/sync`: started and not waited for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::Engine;
use crate::shared::{CallKind, Instance};
use crate::skill::Skill;
use crate::{HookError, SkillId, SnapshotTrigger};

/// How long a sync may take.
const SYNC_LIMIT: Duration = Duration::from_secs(15 * 60);
/// How long the caller waits for a short one.
const SHORT: Duration = Duration::from_millis(500);

impl Engine {
    /// Asks a skill to sync and answers at once, or within half a second when it is done by then:
    /// `{ok, status: "started" | "done", message}`, or `{status: "no_handler", skipped: true, reason}`. The sync goes
    /// on in the background for up to 15 minutes; then its published state is reported as
    /// [`SkillEvent::Snapshot`](crate::SkillEvent::Snapshot). While one runs, another is not started.
    ///
    /// # Errors
    /// [`HookError`] when the skill does not run or is busy.
    pub async fn sync(&self, skill: &SkillId) -> Result<Value, HookError> {
        let (found, instance) = self.running(skill, "onSync")?;
        if !self.has_hook(&found, "onSync") {
            return Ok(json!({
                "status": "no_handler", "skipped": true, "reason": format!("Skill '{skill}' has no onSync handler"),
            }));
        }
        if found.syncing.swap(true, Ordering::AcqRel) {
            return Ok(json!({
                "ok": true, "status": "started", "message": format!("A sync of '{skill}' is already running"),
            }));
        }
        let running = Syncing(Arc::clone(&found));
        let args = json!([{}]);
        let posted = self.post_to(&found, &instance, CallKind::Hook, "onSync", args, SYNC_LIMIT)?;
        let engine = self.clone();
        // Ends with the sync, at the latest at its limit or when the skill is stopped.
        let task = self.0.shared.handle.spawn(async move {
            let result = engine.hook_result(&found, "onSync", SYNC_LIMIT, posted).await;
            engine.synced(&found, &instance, &result).await;
            drop(running);
            result
        });
        Ok(match tokio::time::timeout(SHORT, task).await {
            Err(_) => {
                json!({ "ok": true, "status": "started", "message": format!("Sync of '{skill}' started") })
            }
            Ok(Ok(Ok(_))) => {
                json!({ "ok": true, "status": "done", "message": format!("Sync of '{skill}' completed") })
            }
            Ok(Ok(Err(error))) => json!({ "ok": false, "status": "done", "message": error.to_string() }),
            Ok(Err(_)) => json!({ "ok": false, "status": "done", "message": "the sync was ended" }),
        })
    }

    async fn synced(&self, skill: &Arc<Skill>, instance: &Instance, result: &Result<Value, HookError>) {
        match result {
            Ok(_) => {
                self.publish_state(skill, instance).await;
                self.emit_snapshot(skill, SnapshotTrigger::Sync);
                self.refresh(&skill.id).await;
            }
            Err(HookError::Stopped { .. }) => {}
            Err(error) => {
                let kind = if matches!(error, HookError::TimedOut { .. }) {
                    "timeout"
                } else {
                    "runtime"
                };
                tracing::warn!(skill = %skill.id, %error, "a sync failed");
                let what = json!([{
                    "type": kind, "message": error.to_string(), "source": "onSync", "recoverable": true,
                }]);
                self.spawn_hook(skill, instance, "onError", what);
            }
        }
    }
}

/// Marks a skill as syncing until it is dropped.
struct Syncing(Arc<Skill>);

impl Drop for Syncing {
    fn drop(&mut self) {
        self.0.syncing.store(false, Ordering::Release);
    }
}
