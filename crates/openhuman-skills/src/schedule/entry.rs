use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::plan::Plan;

/// The most schedules one skill may have.
pub(crate) const MAX_SCHEDULES: usize = 64;
/// A moment counts as met, not missed, when it is noticed within this time.
const ON_TIME_MS: i64 = 60_000;
/// How far the clock may be set back without an interval starting anew from the new time.
const INTERVAL_SLACK_MS: i64 = 60_000;
/// The same for times of day: beyond it, the clock had been wrong, and was corrected.
const TIME_OF_DAY_SLACK_MS: i64 = 3 * 3_600_000;

/// What happens to the moments that passed while nobody looked: the machine slept, the skill was stopped, the
/// clock jumped ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CatchUp {
    /// They are lost.
    Skip,
    /// The schedule fires once for all of them.
    #[default]
    Once,
    /// The schedule fires once for each, at most this often (1 to 100), one after the other.
    All(u32),
}

/// What happens when a schedule is due while its hook still runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overlap {
    /// That moment is lost.
    #[default]
    Skip,
    /// One firing waits for the hook to end; further ones are lost.
    Queue,
}

/// A schedule of a skill, as [`Engine::schedules`](crate::Engine::schedules) shows it. Times are milliseconds
/// since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ScheduleInfo {
    /// The name the skill gave it.
    pub id: String,
    /// `second minute hour day-of-month month day-of-week`.
    pub expression: String,
    /// The IANA name of the zone the expression is meant in.
    pub timezone: String,
    /// What happens to missed moments.
    pub catch_up: CatchUp,
    /// What happens to moments while the hook runs.
    pub overlap: Overlap,
    /// It fires later than planned by a constant part of this.
    pub jitter_seconds: u32,
    /// When it fires next, jitter included; `None` when it never does again.
    pub next_ms: Option<i64>,
    /// When its hook last started.
    pub last_ms: Option<i64>,
    /// Why its hook last failed; `None` when it succeeded.
    pub last_error: Option<String>,
    /// Whether its hook runs now.
    pub running: bool,
    /// Firings that wait, because the hook runs or the skill is busy.
    pub waiting: u32,
}

/// A schedule and what has happened so far.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) plan: Plan,
    /// By how much it fires later than planned.
    jitter_ms: i64,
    /// The next planned moment, without jitter.
    pub(crate) next_ms: Option<i64>,
    pub(crate) last_ms: Option<i64>,
    pub(crate) last_error: Option<String>,
    pub(crate) running: bool,
    /// Firings that have come due and have not started.
    pub(crate) owed: u32,
}

/// What [`due`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Firings that are added to those that wait.
    pub(crate) firings: u32,
    /// The next planned moment.
    pub(crate) next_ms: Option<i64>,
}

/// What a schedule owes at `now_ms`, beyond what waits already.
pub(crate) fn due(now_ms: i64, entry: &Entry) -> Due {
    let plan = &entry.plan;
    let now = now_ms.saturating_sub(entry.jitter_ms);
    let rest = |firings| Due {
        firings,
        next_ms: plan.next_after(now),
    };
    let Some(next) = entry.next_ms else {
        return Due {
            firings: 0,
            next_ms: None,
        };
    };
    if next > now {
        // The next moment never lies behind a later one, unless the clock was set back. An interval then goes on
        // from the new time, or it would stall. A time of day is not repeated, as when summer time ends.
        let slack = match plan.is_interval() {
            true => INTERVAL_SLACK_MS,
            false => TIME_OF_DAY_SLACK_MS,
        };
        let stalls = plan
            .next_after(now.saturating_add(slack))
            .is_some_and(|moment| moment < next);
        return match stalls {
            true => rest(0),
            false => Due {
                firings: 0,
                next_ms: Some(next),
            },
        };
    }
    let waiting = entry.owed + u32::from(entry.running);
    let firings = match (waiting, plan.options.overlap) {
        (0, _) => match plan.options.catch_up {
            CatchUp::Once => 1,
            CatchUp::Skip => {
                let recent = plan.next_after(now.saturating_sub(ON_TIME_MS));
                u32::from(recent.is_some_and(|moment| moment <= now))
            }
            CatchUp::All(most) => {
                let later = |moment: &i64| plan.next_after(*moment);
                let moments = std::iter::successors(Some(next), later).take_while(|moment| *moment <= now);
                moments.take(most as usize).count() as u32
            }
        },
        (1, Overlap::Queue) => 1,
        _ => 0,
    };
    rest(firings)
}

impl Entry {
    /// A schedule that starts at `now_ms`. `name` and `seed` decide its jitter.
    pub(crate) fn new(plan: Plan, seed: u64, name: [&str; 2], now_ms: i64) -> Self {
        let jitter_ms = jitter(seed, name, plan.options.jitter_seconds);
        let next_ms = plan.next_after(now_ms.saturating_sub(jitter_ms));
        Self {
            plan,
            jitter_ms,
            next_ms,
            last_ms: None,
            last_error: None,
            running: false,
            owed: 0,
        }
    }

    /// Whether this newly registered schedule takes the place of `old`. Skills register at every start, which must
    /// not push the next moment away: it is kept as long as the expression and the zone are the same. What has
    /// happened so far is taken over.
    pub(crate) fn replaces(&mut self, old: &Self) -> bool {
        let (new, before) = (&self.plan, &old.plan);
        if new.expression == before.expression && new.options.timezone == before.options.timezone {
            if new.options == before.options {
                return false;
            }
            self.next_ms = old.next_ms;
            self.owed = old.owed;
        }
        self.last_ms = old.last_ms;
        self.last_error.clone_from(&old.last_error);
        true
    }

    /// Moves to `now_ms`; whether anything is owed then.
    pub(crate) fn advance(&mut self, now_ms: i64) -> bool {
        let Due { firings, next_ms } = due(now_ms, self);
        self.next_ms = next_ms;
        self.owed += firings;
        self.is_ready()
    }

    /// Whether a firing can start.
    pub(crate) fn is_ready(&self) -> bool {
        self.owed > 0 && !self.running
    }

    /// When it has to be looked at, jitter included.
    pub(crate) fn look_at_ms(&self) -> Option<i64> {
        match self.is_ready() {
            true => Some(i64::MIN),
            false => self.next_ms.map(|next| next.saturating_add(self.jitter_ms)),
        }
    }

    pub(crate) fn info(&self, id: &str) -> ScheduleInfo {
        let options = &self.plan.options;
        ScheduleInfo {
            id: id.to_owned(),
            expression: self.plan.expression.clone(),
            timezone: options.timezone.clone().unwrap_or_else(|| "UTC".to_owned()),
            catch_up: options.catch_up,
            overlap: options.overlap,
            jitter_seconds: options.jitter_seconds,
            next_ms: self.next_ms.map(|next| next.saturating_add(self.jitter_ms)),
            last_ms: self.last_ms,
            last_error: self.last_error.clone(),
            running: self.running,
            waiting: self.owed,
        }
    }
}

/// A part of `most_seconds` that stays the same for a schedule, in milliseconds.
fn jitter(seed: u64, name: [&str; 2], most_seconds: u32) -> i64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    for part in name {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let part = hash
        .finalize()
        .iter()
        .take(8)
        .fold(0_u64, |part, byte| part << 8 | u64::from(*byte));
    let span = u64::from(most_seconds) * 1000 + 1;
    i64::try_from(part % span).unwrap_or(0)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
