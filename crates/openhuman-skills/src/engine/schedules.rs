//! Firing schedules.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::task::JoinSet;

use super::posting::Posted;
use super::{Engine, Inner, report};
use crate::SkillError;
use crate::db::store;
use crate::shared::Skill;

/// How often schedules are looked at.
const TICK: Duration = Duration::from_secs(5);

/// Looks at the schedules every five seconds, without waiting for what it fires.
pub(super) async fn tick(engine: Weak<Inner>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut running = JoinSet::new();
    loop {
        interval.tick().await;
        while running.try_join_next().is_some() {}
        let Some(inner) = engine.upgrade() else { return };
        let engine = Engine(inner);
        running.spawn(async move {
            let _ = engine.run_schedules().await;
        });
    }
}

impl Engine {
    /// Fires every schedule that is due at the clock's time, and waits for the hooks to end. A schedule that was
    /// due several times fires once; one whose hook still runs, or whose skill is busy, is left for the next
    /// time. The engine calls this every five seconds by itself.
    ///
    /// # Errors
    /// None at present; reserved for an engine that is shut down.
    pub async fn run_schedules(&self) -> Result<usize, SkillError> {
        let shared = &self.0.shared;
        let now = shared.clock.now_ms();
        let mut firing = Vec::new();
        for skill in self.all() {
            let due: Vec<String> = skill
                .cron()
                .iter()
                .filter(|(_, entry)| entry.is_due(now))
                .map(|(id, _)| id.clone())
                .collect();
            for id in due {
                let Some(posted) = self.post_hook(&skill, "onCronTrigger", json!([id]).to_string()) else {
                    continue;
                };
                let mut stored = None;
                if let Some(entry) = skill.cron().get_mut(&id) {
                    entry.rearm(now);
                    entry.firing = true;
                    stored = Some((entry.expression.clone(), entry.next_ms));
                }
                let guard = Firing {
                    skill: Arc::clone(&skill),
                    id: id.clone(),
                };
                if let (Some((expression, next)), Some(db)) = (
                    stored,
                    skill
                        .view()
                        .instance
                        .as_ref()
                        .and_then(|instance| instance.db.clone()),
                ) {
                    let skill = skill.id.clone();
                    shared.db_pool.submit(move || {
                        if let Err(error) = db.with(|db| store::put_cron(db, &id, &expression, next)) {
                            tracing::warn!(%skill, %error, "a schedule's next moment is not kept");
                        }
                    });
                }
                firing.push(self.fired(guard, posted));
            }
        }
        let count = firing.len();
        join_all(firing).await;
        Ok(count)
    }

    async fn fired(&self, guard: Firing, posted: Posted) {
        let deadline = Instant::now() + self.0.shared.limits.hook;
        if let Err(error) = posted.result(deadline).await {
            report(&self.0.shared, &guard.skill, "onCronTrigger", &error);
        }
    }
}

/// Clears the mark of a running schedule, also when the caller gives up.
struct Firing {
    skill: Arc<Skill>,
    id: String,
}

impl Drop for Firing {
    fn drop(&mut self) {
        if let Some(entry) = self.skill.cron().get_mut(&self.id) {
            entry.firing = false;
        }
    }
}
