//! How often a skill may have to be ended before it is kept from running for a while. Pure: the clock and the
//! randomness come from the caller.

use std::collections::VecDeque;
use std::time::Duration;

/// When skills that have to be ended by force are started again, and when they are kept from running.
///
/// A skill counts as ended by force when a built-in function did not end, its jobs never end, or it did not finish loading
/// or `init` in time. Below [`kills`](Self::kills) it is started again, each
/// time a little later. Then it is in quarantine: it is not started, and calls to it fail with an error that says until
/// when. Each further quarantine is twice as long. A good hour halves what is held against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuarantinePolicy {
    /// How many ends by force within [`within`](Self::within) lead to quarantine. 0 never does. Default 3.
    pub kills: u32,
    /// Default 10 minutes.
    pub within: Duration,
    /// How long the first quarantine lasts. Default 1 minute.
    pub first: Duration,
    /// The longest one. Default 60 minutes.
    pub longest: Duration,
    /// After this long without an end by force, one step is forgiven. Default 1 hour.
    pub forgiven_after: Duration,
    /// How long after the first end by force the skill is started again; ten times that after the second, and so
    /// on, at most [`first`](Self::first). Default 200 ms.
    pub restart_after: Duration,
}

impl Default for QuarantinePolicy {
    fn default() -> Self {
        Self {
            kills: 3,
            within: Duration::from_secs(600),
            first: Duration::from_secs(60),
            longest: Duration::from_secs(3600),
            forgiven_after: Duration::from_secs(3600),
            restart_after: Duration::from_millis(200),
        }
    }
}

impl QuarantinePolicy {
    /// Starts skills again at once, always. For measurements.
    #[must_use]
    pub fn off() -> Self {
        Self {
            kills: 0,
            restart_after: Duration::ZERO,
            ..Self::default()
        }
    }
}

/// What follows an end by force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Restart { after: Duration },
    Quarantined(Quarantine),
}

/// A quarantine: a skill that is not started for a while, because it had to be ended by force too often.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantine {
    /// When it ends, in Unix milliseconds.
    pub until_ms: i64,
    /// What it was ended for the last time.
    pub reason: String,
}

/// What is held against one skill.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// When it was ended by force, in Unix milliseconds, oldest first.
    kills: VecDeque<i64>,
    /// How many quarantines count for the length of the next.
    steps: u32,
    /// Since when it has behaved, in Unix milliseconds.
    since_ms: i64,
    sentence: Option<Quarantine>,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Record {
    /// Notes an end by force. `jitter` is between 0 and 1 and lengthens what follows by up to a fifth.
    pub(crate) fn killed(
        &mut self,
        policy: &QuarantinePolicy,
        now_ms: i64,
        jitter: f64,
        reason: &str,
    ) -> Verdict {
        self.forgive(policy, now_ms);
        self.since_ms = now_ms;
        let longer = |duration: Duration| duration.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 5.0);
        let oldest = now_ms.saturating_sub(millis(policy.within));
        // A clock that was set back must not keep entries for ever.
        self.kills.retain(|at| (oldest..=now_ms).contains(at));
        self.kills.push_back(now_ms);
        let count = u32::try_from(self.kills.len()).unwrap_or(u32::MAX);
        if policy.kills == 0 || count < policy.kills {
            let growth = 10_u32.saturating_pow(if policy.kills == 0 { 0 } else { count - 1 });
            let after = policy.restart_after.saturating_mul(growth).min(policy.first);
            return Verdict::Restart { after: longer(after) };
        }
        let length = policy
            .first
            .saturating_mul(2_u32.saturating_pow(self.steps))
            .min(policy.longest);
        self.steps = self.steps.saturating_add(1).min(16);
        self.kills.clear();
        let sentence = Quarantine {
            until_ms: now_ms.saturating_add(millis(longer(length))),
            reason: format!(
                "it had to be ended {count} times within {} minutes, the last time because {reason}",
                policy.within.as_secs().div_ceil(60)
            ),
        };
        // Time in quarantine is not good behaviour.
        self.since_ms = sentence.until_ms;
        self.sentence = Some(sentence.clone());
        Verdict::Quarantined(sentence)
    }

    /// The quarantine that holds now, if any.
    pub(crate) fn sentence(&mut self, now_ms: i64) -> Option<&Quarantine> {
        if self
            .sentence
            .as_ref()
            .is_some_and(|sentence| sentence.until_ms <= now_ms)
        {
            self.sentence = None;
        }
        self.sentence.as_ref()
    }

    /// Forgets everything. Says whether a quarantine was lifted.
    pub(crate) fn lift(&mut self) -> bool {
        std::mem::take(self).sentence.is_some()
    }

    fn forgive(&mut self, policy: &QuarantinePolicy, now_ms: i64) {
        let hour = millis(policy.forgiven_after).max(1);
        let good = now_ms.saturating_sub(self.since_ms) / hour;
        self.steps = self
            .steps
            .saturating_sub(u32::try_from(good.max(0)).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn kill(record: &mut Record, now_ms: i64) -> Verdict {
        record.killed(&QuarantinePolicy::default(), now_ms, 0.0, "it was stuck")
    }

    fn until(verdict: &Verdict) -> i64 {
        match verdict {
            Verdict::Quarantined(sentence) => sentence.until_ms,
            Verdict::Restart { .. } => panic!("{verdict:?}"),
        }
    }

    #[test]
    fn the_third_kill_in_ten_minutes_is_one_too_many() {
        let mut record = Record::default();
        let restart = |ms| Verdict::Restart {
            after: Duration::from_millis(ms),
        };
        assert_eq!(kill(&mut record, 0), restart(200));
        assert_eq!(kill(&mut record, MINUTE), restart(2000));
        assert!(record.sentence(MINUTE).is_none());
        let verdict = kill(&mut record, 2 * MINUTE);
        assert_eq!(until(&verdict), 3 * MINUTE);
        let sentence = record.sentence(2 * MINUTE + 1).unwrap();
        assert!(
            sentence.reason.contains("3 times within 10 minutes"),
            "{}",
            sentence.reason
        );
        assert!(sentence.reason.ends_with("because it was stuck"));
        assert!(record.sentence(3 * MINUTE).is_none(), "it ends by itself");
    }

    #[test]
    fn kills_that_are_far_apart_do_not_add_up() {
        let mut record = Record::default();
        for n in 0..20 {
            assert!(matches!(
                kill(&mut record, n * 6 * MINUTE),
                Verdict::Restart { .. }
            ));
        }
    }

    #[test]
    fn quarantines_grow_to_an_hour_and_good_hours_count() {
        let mut record = Record::default();
        let mut now = 0;
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            kill(&mut record, now);
            kill(&mut record, now);
            let end = until(&kill(&mut record, now));
            assert_eq!(end - now, minutes * MINUTE);
            now = end;
        }
        // Eight steps less six good hours.
        now += 6 * 60 * MINUTE;
        kill(&mut record, now);
        kill(&mut record, now);
        let end = until(&kill(&mut record, now));
        assert_eq!(end - now, 4 * MINUTE, "time in quarantine does not count");
        assert!(record.lift());
        assert!(record.sentence(now).is_none());
        assert!(!record.lift());
    }

    #[test]
    fn jitter_lengthens_and_off_never_quarantines() {
        let mut record = Record::default();
        let policy = QuarantinePolicy::default();
        for _ in 0..2 {
            record.killed(&policy, 0, 1.0, "x");
        }
        assert_eq!(until(&record.killed(&policy, 0, 1.0, "x")), MINUTE * 6 / 5);
        let mut record = Record::default();
        for _ in 0..100 {
            assert_eq!(
                record.killed(&QuarantinePolicy::off(), 0, 0.5, "x"),
                Verdict::Restart {
                    after: Duration::ZERO
                }
            );
        }
    }

    #[test]
    fn a_clock_that_goes_back_is_survived() {
        let mut record = Record::default();
        kill(&mut record, i64::MAX);
        kill(&mut record, 0);
        assert!(matches!(kill(&mut record, i64::MIN), Verdict::Restart { .. }));
    }
}
