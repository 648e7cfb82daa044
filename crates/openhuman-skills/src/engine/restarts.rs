//! Starting skills again that had to be ended by force, and keeping those from running that need it too often.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use super::{Engine, Inner};
use crate::quarantine::{Quarantine, QuarantinePolicy, Record, Verdict};
use crate::shared::Death;
use crate::skill::Skill;
use crate::{SkillError, SkillId, SkillStatus};

/// What is held against the skills of an engine.
pub(super) struct Restarts {
    policy: QuarantinePolicy,
    records: Mutex<HashMap<SkillId, Record>>,
}

impl Restarts {
    pub(super) fn new(policy: QuarantinePolicy) -> Self {
        Self {
            policy,
            records: Mutex::default(),
        }
    }

    fn with<T>(&self, skill: &SkillId, act: impl FnOnce(&mut Record) -> T) -> T {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        act(records.entry(skill.clone()).or_default())
    }

    /// The quarantine a skill is in.
    pub(super) fn sentence(&self, skill: &SkillId, now_ms: i64) -> Option<Quarantine> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.get_mut(skill)?.sentence(now_ms).cloned()
    }

    /// Forgets what is held against a skill. Says whether it was in quarantine.
    pub(super) fn forget(&self, skill: &SkillId) -> bool {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.remove(skill).is_some_and(|mut record| record.lift())
    }
}

/// A number between 0 and 1.
fn jitter() -> f64 {
    let mut bytes = [0; 4];
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

/// Waits for skills that were ended by force, until the engine is gone.
pub(super) async fn supervise(engine: Weak<Inner>, mut deaths: UnboundedReceiver<Death>) {
    while let Some(death) = deaths.recv().await {
        let Some(inner) = engine.upgrade() else { return };
        if death.was_running {
            Engine(inner).ended_by_force(&death.skill, &death.reason, true);
        }
    }
}

impl Engine {
    /// Ends the quarantine of a skill and forgets what led to it. The skill may then be started; this does not
    /// start it. Says whether it was in quarantine.
    ///
    /// # Errors
    /// [`SkillError::Unknown`] when there is no such skill.
    pub fn lift_quarantine(&self, skill: &SkillId) -> Result<bool, SkillError> {
        let found = self
            .find(skill)
            .ok_or_else(|| SkillError::Unknown { skill: skill.clone() })?;
        let lifted = self.0.restarts.forget(skill);
        if lifted && found.view().status == SkillStatus::Error {
            let text = "its quarantine was lifted; it can be started".to_owned();
            found.set_status(&self.0.shared, SkillStatus::Error, Some(text));
        }
        Ok(lifted)
    }

    /// The quarantine a skill is in now: until when, and why.
    #[must_use]
    pub fn quarantine(&self, skill: &SkillId) -> Option<Quarantine> {
        self.0.restarts.sentence(skill, self.0.shared.clock.now_ms())
    }

    /// The same, as the error of a start.
    pub(super) fn refuse_quarantined(&self, skill: &SkillId) -> Result<(), SkillError> {
        match self.0.restarts.sentence(skill, self.0.shared.clock.now_ms()) {
            Some(Quarantine { until_ms, reason }) => Err(SkillError::Quarantined {
                skill: skill.clone(),
                until_ms,
                reason,
            }),
            None => Ok(()),
        }
    }

    /// Notes that a skill was ended by force, and starts it again later if `again` says so.
    pub(super) fn ended_by_force(&self, skill: &Arc<Skill>, reason: &str, again: bool) {
        let Inner { shared, restarts, .. } = &*self.0;
        let now = shared.clock.now_ms();
        let verdict = restarts.with(&skill.id, |record| {
            record.killed(&restarts.policy, now, jitter(), reason)
        });
        let (after, text) = match &verdict {
            Verdict::Restart { after } if again => (
                *after,
                format!("{reason}; it starts again in {:.1} s", after.as_secs_f64()),
            ),
            Verdict::Restart { .. } => return,
            Verdict::Quarantined(sentence) => {
                let wait = u64::try_from(sentence.until_ms.saturating_sub(now)).unwrap_or(0);
                let error = SkillError::Quarantined {
                    skill: skill.id.clone(),
                    until_ms: sentence.until_ms,
                    reason: sentence.reason.clone(),
                };
                (Duration::from_millis(wait), error.to_string())
            }
        };
        skill.set_status(shared, SkillStatus::Error, Some(text));
        if again {
            self.start_later(skill, after);
        }
    }

    /// Starts a skill again unless something else happens to it first.
    fn start_later(&self, skill: &Arc<Skill>, after: Duration) {
        let turn = self.0.shared.next_id();
        skill.view().restart = Some(turn);
        let (engine, skill) = (Arc::downgrade(&self.0), Arc::downgrade(skill));
        // Ends after the delay and one attempt; holds neither the engine nor the skill while it waits.
        self.0.shared.handle.spawn(async move {
            tokio::time::sleep(after).await;
            let (Some(inner), Some(skill)) = (engine.upgrade(), skill.upgrade()) else {
                return;
            };
            if skill.view().restart != Some(turn) {
                return;
            }
            let engine = Engine(inner);
            match engine.start_now(&skill).await {
                // The quarantine's clock is not the timer's.
                Err(SkillError::Quarantined { .. }) => engine.start_later(&skill, Duration::from_secs(5)),
                Err(error) => tracing::warn!(skill = %skill.id, %error, "a skill could not be started again"),
                Ok(()) => tracing::info!(skill = %skill.id, "a skill was started again"),
            }
        });
    }
}
