use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use cron::Schedule;

/// The longest expression that is parsed, in bytes.
const MAX_EXPRESSION: usize = 128;
/// The most schedules one skill may have.
pub(crate) const MAX_SCHEDULES: usize = 64;

/// One schedule of a skill.
#[derive(Clone, Debug)]
pub(crate) struct CronEntry {
    pub(crate) expression: String,
    schedule: Schedule,
    /// When it fires next; `None` when it never does again.
    pub(crate) next_ms: Option<i64>,
    /// Whether its hook is still running; a schedule never overlaps itself.
    pub(crate) firing: bool,
}

impl CronEntry {
    /// Parses `second minute hour day-of-month month day-of-week`, in UTC.
    pub(crate) fn parse(expression: &str, now_ms: i64) -> Result<Self, String> {
        let expression = expression.trim();
        if expression.len() > MAX_EXPRESSION {
            return Err(format!(
                "the expression is longer than {MAX_EXPRESSION} characters"
            ));
        }
        let fields = expression.split_whitespace().count();
        if fields != 6 {
            return Err(format!(
                "`{expression}` has {fields} fields, but six are needed: second minute hour day-of-month month day-of-week"
            ));
        }
        let schedule = Schedule::from_str(expression)
            .map_err(|error| format!("`{expression}` is not a cron expression: {error}"))?;
        let mut entry = Self {
            expression: expression.to_owned(),
            schedule,
            next_ms: None,
            firing: false,
        };
        entry.rearm(now_ms);
        Ok(entry)
    }

    /// Moves to the first moment after `now_ms`.
    pub(crate) fn rearm(&mut self, now_ms: i64) {
        self.next_ms = DateTime::<Utc>::from_timestamp_millis(now_ms)
            .and_then(|now| self.schedule.after(&now).next())
            .map(|next| next.timestamp_millis());
    }

    pub(crate) fn is_due(&self, now_ms: i64) -> bool {
        !self.firing && self.next_ms.is_some_and(|next| next <= now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_fields_in_utc() {
        let mut entry = CronEntry::parse("0 */20 * * * *", 0).unwrap();
        assert_eq!(entry.next_ms, Some(20 * 60 * 1000));
        assert!(!entry.is_due(20 * 60 * 1000 - 1) && entry.is_due(20 * 60 * 1000));
        entry.rearm(20 * 60 * 1000);
        assert_eq!(entry.next_ms, Some(40 * 60 * 1000));
    }

    #[test]
    fn bad_expressions_say_what_is_wrong() {
        assert!(
            CronEntry::parse("* * * * *", 0)
                .unwrap_err()
                .contains("six are needed")
        );
        for bad in [
            "",
            "@daily",
            "a b c d e f",
            "0 0 0 0 0 0",
            "99 * * * * *",
            "* * * * * * *",
            &"*".repeat(500),
        ] {
            assert!(CronEntry::parse(bad, 0).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_date_that_never_comes_never_fires() {
        let entry = CronEntry::parse("0 0 0 30 2 *", 0).unwrap();
        assert_eq!(entry.next_ms, None);
        assert!(!entry.is_due(i64::MAX));
    }
}
