//! What a skill says: log lines and notifications, each within its limits. And what it may ask of the environment.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::{Host, HostResult, clip};
use crate::SkillEvent;
use crate::js::ops::HostError;

const LOG_BYTES_PER_SECOND: usize = 64 * 1024;
const LOG_LINE: usize = 64;
const MAX_LOG_LINE: usize = 16 * 1024;
const NOTIFICATIONS_PER_MINUTE: usize = 10;

/// How much of something was used in the current interval.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    since: Instant,
    used: usize,
    refused: bool,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            used: 0,
            refused: false,
        }
    }

    /// Takes `amount`; `Err(first)` when the interval's `limit` is used up, `first` once for each interval.
    fn take(cell: &Cell<Self>, amount: usize, limit: usize, interval: Duration) -> Result<(), bool> {
        let mut budget = cell.get();
        if budget.since.elapsed() >= interval {
            budget = Self::new();
        }
        let fits = budget.used + amount <= limit;
        let first = !fits && !budget.refused;
        if fits {
            budget.used += amount;
        } else {
            budget.refused = true;
        }
        cell.set(budget);
        if fits { Ok(()) } else { Err(first) }
    }
}

impl Host {
    pub(crate) fn log(&self, level: &str, text: &str) {
        let message = clip(text, MAX_LOG_LINE);
        match Budget::take(
            &self.log,
            // A line costs something even when it is empty.
            message.len() + LOG_LINE,
            LOG_BYTES_PER_SECOND,
            Duration::from_secs(1),
        ) {
            Ok(()) => self.emit_log(level, message),
            Err(true) => self.emit_log("warn", "log output is dropped: more than 64 KB in one second"),
            Err(false) => {}
        }
    }

    pub(crate) fn emit_log(&self, level: &str, message: &str) {
        let skill = &self.skill.id;
        match level {
            "error" => tracing::error!(target: "openhuman_skills::skill", %skill, "{message}"),
            "warn" => tracing::warn!(target: "openhuman_skills::skill", %skill, "{message}"),
            "debug" => tracing::debug!(target: "openhuman_skills::skill", %skill, "{message}"),
            _ => tracing::info!(target: "openhuman_skills::skill", %skill, "{message}"),
        }
        self.shared.emit(SkillEvent::Log {
            skill_id: skill.clone(),
            level: level.to_owned(),
            message: message.to_owned(),
        });
    }

    pub(crate) fn notify(&self, title: &str, body: &str) -> HostResult<()> {
        if !self.skill.grant().notify {
            return Err(HostError::Failed(
                "platform.notify: not granted; ask for permissions.notify".to_owned(),
            ));
        }
        Budget::take(
            &self.notifications,
            1,
            NOTIFICATIONS_PER_MINUTE,
            Duration::from_secs(60),
        )
        .map_err(|_| {
            HostError::Failed(format!(
                "platform.notify: more than {NOTIFICATIONS_PER_MINUTE} notifications in a minute"
            ))
        })?;
        self.shared.emit(SkillEvent::Notification {
            skill_id: self.skill.id.clone(),
            title: clip(title, 200).to_owned(),
            body: clip(body, 2000).to_owned(),
        });
        Ok(())
    }

    pub(crate) fn env(&self, name: &str) -> String {
        if !self.skill.grant().may_read_env(name) {
            return String::new();
        }
        self.shared
            .env
            .get(name)
            .cloned()
            .or_else(|| std::env::var(name).ok())
            .unwrap_or_default()
    }
}
