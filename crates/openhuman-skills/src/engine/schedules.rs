//! Firing schedules.

use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};

use super::posting::{PostError, Posted};
use super::{Engine, Inner, report};
use crate::db::store;
use crate::error::{CallError, ScheduleError};
use crate::schedule::ScheduleInfo;
use crate::shared::{CallKind, Shared};
use crate::skill::Skill;
use crate::{SkillError, SkillEvent, SkillId, SkillStatus, SnapshotTrigger};

/// How often schedules are looked at.
const TICK: Duration = Duration::from_secs(5);
/// Hooks of one skill that are in its mailbox at once, so that schedules do not crowd out calls.
const IN_FLIGHT: usize = 8;
const HOOK: &str = "onCronTrigger";

/// Looks at the schedules every five seconds, and attends to what they owe meanwhile. One task for all skills.
pub(super) async fn tick(engine: Weak<Inner>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            _ = interval.tick() => {
                let Some(inner) = engine.upgrade() else { return };
                running.extend(Engine(inner).attend());
            }
            Some(_) = running.next(), if !running.is_empty() => {}
        }
    }
}

impl Engine {
    /// Fires every schedule that is due at the clock's time, waits for the hooks to end, and returns how many ran.
    /// The engine does this every five seconds by itself.
    ///
    /// A firing that a skill cannot take now, because its mailbox is full, is kept for the next time. What becomes
    /// of moments that were missed, or that come while the hook runs, is for the schedule to say. When the clock is
    /// set back, nothing fires again at once: a schedule that fires in every hour goes on from the new time, one
    /// that names hours does not repeat what it did (up to three hours back).
    ///
    /// # Errors
    /// None at present; reserved for an engine that is shut down.
    pub async fn run_schedules(&self) -> Result<usize, SkillError> {
        let running: FuturesUnordered<_> = self.attend().into_iter().collect();
        Ok(running.fold(0, |sum, fired| async move { sum + fired }).await)
    }

    /// The schedules of a skill as they are now; none when the skill is not installed or has not been started.
    #[must_use]
    pub fn schedules(&self, skill: &SkillId) -> Vec<ScheduleInfo> {
        let Some(skill) = self.find(skill) else {
            return Vec::new();
        };
        let table = skill.cron();
        table.entries.iter().map(|(id, entry)| entry.info(id)).collect()
    }

    /// Runs a schedule's hook now, and waits for it to end. When it is due next does not change. Dropping the
    /// future ends the hook.
    ///
    /// # Errors
    /// [`ScheduleError`] when there is no such schedule, its hook runs already, the skill cannot take it, or the
    /// hook fails.
    pub async fn run_schedule(&self, skill: &SkillId, schedule: &str) -> Result<(), ScheduleError> {
        let shared = &self.0.shared;
        let unknown = || ScheduleError::Unknown {
            skill: skill.clone(),
            schedule: schedule.to_owned(),
        };
        let found = self.find(skill).ok_or_else(unknown)?;
        let status = found.view().status;
        if status != SkillStatus::Running {
            return Err(ScheduleError::NotRunning {
                skill: skill.clone(),
                status,
            });
        }
        {
            let mut table = found.cron();
            let entry = table.entries.get_mut(schedule).ok_or_else(unknown)?;
            if entry.running {
                return Err(ScheduleError::Busy { skill: skill.clone() });
            }
            entry.running = true;
        }
        let firing = Firing::new(&found, shared, schedule);
        let posted =
            post(shared, &found, schedule).map_err(|_| ScheduleError::Busy { skill: skill.clone() })?;
        started(shared, &found, schedule);
        let result = firing.end(posted).await;
        snapshot(shared, &found);
        result.map_err(|message| ScheduleError::Failed {
            schedule: schedule.to_owned(),
            message,
        })
    }

    /// What has to be done now: one future for each skill that owes firings and that nobody attends to.
    fn attend(&self) -> Vec<impl Future<Output = usize> + use<>> {
        let shared = &self.0.shared;
        let now = shared.clock.now_ms();
        let due = shared
            .agenda
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .due(now);
        let mut futures = Vec::new();
        for id in due {
            let Some(skill) = self
                .find(&id)
                .filter(|skill| skill.view().status == SkillStatus::Running)
            else {
                shared.set_agenda(&id, None);
                continue;
            };
            let mut table = skill.cron();
            let ready = table.advance(now);
            if ready && !table.attended {
                table.attended = true;
                let attendance = Attendance {
                    shared: Arc::clone(shared),
                    skill: Arc::clone(&skill),
                    generation: table.generation,
                };
                futures.push(attendance.run());
            }
            let look_at = table.look_at_ms();
            drop(table);
            shared.set_agenda(&id, look_at);
        }
        futures
    }
}

/// Somebody who starts what a skill owes, a few hooks at a time, until nothing is owed or the skill is busy.
struct Attendance {
    shared: Arc<Shared>,
    skill: Arc<Skill>,
    generation: u64,
}

impl Attendance {
    /// How many hooks ran.
    async fn run(self) -> usize {
        let (mut running, mut count) = (FuturesUnordered::new(), 0);
        loop {
            let mut refused = false;
            while running.len() < IN_FLIGHT && !refused {
                match self.start() {
                    Some(Ok(hook)) => running.push(hook),
                    Some(Err(())) => refused = true,
                    None => break,
                }
            }
            match running.next().await {
                Some(()) => count += 1,
                None => break,
            }
        }
        if count > 0 {
            snapshot(&self.shared, &self.skill);
        }
        count
    }

    /// Starts one hook; an error when the skill does not take it now.
    fn start(&self) -> Option<Result<impl Future<Output = ()> + use<>, ()>> {
        loop {
            let id = {
                let mut table = self.skill.cron();
                if table.generation != self.generation {
                    return None;
                }
                table.start_one()?
            };
            let mut firing = Firing::new(&self.skill, &self.shared, &id);
            match post(&self.shared, &self.skill, &id) {
                Ok(posted) => {
                    started(&self.shared, &self.skill, &id);
                    return Some(Ok(async move {
                        let _ = firing.end(posted).await;
                    }));
                }
                Err(Refused::Later) => {
                    firing.again = true;
                    return Some(Err(()));
                }
                Err(Refused::NoHook) => firing.error = Some(format!("the skill has no {HOOK}")),
            }
        }
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        let look_at = {
            let mut table = self.skill.cron();
            if table.generation != self.generation {
                return;
            }
            table.attended = false;
            table.look_at_ms()
        };
        self.shared.set_agenda(&self.skill.id, look_at);
    }
}

/// A hook that runs. Its schedule's mark goes when it is dropped, also when the caller gives up.
struct Firing {
    skill: Arc<Skill>,
    shared: Arc<Shared>,
    generation: u64,
    id: String,
    error: Option<String>,
    /// It did not run, and is owed as before.
    again: bool,
}

impl Firing {
    fn new(skill: &Arc<Skill>, shared: &Arc<Shared>, id: &str) -> Self {
        Self {
            generation: skill.cron().generation,
            skill: Arc::clone(skill),
            shared: Arc::clone(shared),
            id: id.to_owned(),
            error: Some("the hook was ended".to_owned()),
            again: false,
        }
    }

    async fn end(mut self, posted: Posted) -> Result<(), String> {
        let deadline = Instant::now() + self.shared.limits.hook;
        let result = posted.result(deadline).await;
        if let Err(error) = &result {
            report(&self.shared, &self.skill, HOOK, error);
        }
        self.error = result.err().map(|error: CallError| error.describe(HOOK));
        self.error.clone().map_or(Ok(()), Err)
    }
}

impl Drop for Firing {
    fn drop(&mut self) {
        let look_at = {
            let mut table = self.skill.cron();
            if table.generation != self.generation {
                return;
            }
            let Some(entry) = table.entries.get_mut(&self.id) else {
                return;
            };
            entry.running = false;
            if self.again {
                entry.owed += 1;
            } else {
                entry.last_error = self.error.take();
            }
            table.look_at_ms()
        };
        self.shared.set_agenda(&self.skill.id, look_at);
    }
}

enum Refused {
    /// The mailbox is full, or the skill is about to stop.
    Later,
    NoHook,
}

fn post(shared: &Shared, skill: &Skill, schedule: &str) -> Result<Posted, Refused> {
    let instance = {
        let view = skill.view();
        if view.status != SkillStatus::Running {
            return Err(Refused::Later);
        }
        if !view.hooks.contains(HOOK) {
            return Err(Refused::NoHook);
        }
        view.instance.clone().ok_or(Refused::Later)?
    };
    let (payload, deadline) = (json!([schedule]).to_string(), Instant::now() + shared.limits.hook);
    let posted = instance.post(shared, CallKind::Hook, HOOK, payload, deadline, true);
    posted.map_err(|error| match error {
        PostError::Busy | PostError::Closed => Refused::Later,
    })
}

/// Notes that a hook has started, and stores when its schedule ran and runs next.
fn started(shared: &Shared, skill: &Skill, id: &str) {
    let row = {
        let mut table = skill.cron();
        let Some(entry) = table.entries.get_mut(id) else {
            return;
        };
        entry.last_ms = Some(shared.clock.now_ms());
        store::CronRow::of(id, entry)
    };
    let instance = skill.view().instance.clone();
    let Some(db) = instance.and_then(|instance| instance.db.clone()) else {
        return;
    };
    let skill = skill.id.clone();
    shared.db_pool.submit(&db, move |db| {
        if let Err(error) = db.and_then(|db| store::put_cron(db, &row)) {
            tracing::warn!(%skill, %error, "a schedule's next moment is not kept");
        }
    });
}

/// Tells the host what a skill publishes after its hooks ran: once for those that were due together.
fn snapshot(shared: &Shared, skill: &Skill) {
    let state = Value::Object(skill.view().state.clone());
    shared.emit(SkillEvent::Snapshot {
        skill_id: skill.id.clone(),
        trigger: SnapshotTrigger::Cron,
        state,
    });
}
