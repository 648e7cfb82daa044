//! The waiting time before each new attempt.

use std::time::Duration;

/// Waiting times between attempts to connect: doubling from `initial` to `max`, with jitter.
///
/// The n-th attempt (from 1) waits `min(initial * 2^(n-1), max)`, shortened by a random share of at most
/// `jitter`. The cap applies before the jitter, so clients that lost the same server stay spread out even
/// at the longest wait. The count starts again only after an *established* connection is lost; a server
/// that accepts the link but never the session sees growing gaps.
///
/// ```
/// use openhuman_socketio::Backoff;
/// use std::time::Duration;
///
/// let default = Backoff::default(); // 1 s to 30 s, jitter 0.5, no end
/// let eager = Backoff::new(Duration::from_millis(200), Duration::from_secs(5)).max_attempts(20);
/// # let _ = (default, eager);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    jitter: f64,
    max_attempts: Option<u32>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(30))
    }
}

impl Backoff {
    /// Waits from `initial`, doubling up to `max`, with a jitter of 0.5 and no limit on attempts.
    ///
    /// Both are brought into the range from 1 ms to a year, and `max` is raised to `initial`.
    pub fn new(initial: Duration, max: Duration) -> Self {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        let initial = initial.clamp(Duration::from_millis(1), YEAR);
        let max = max.min(YEAR);
        Self {
            initial,
            max: max.max(initial),
            jitter: 0.5,
            max_attempts: None,
        }
    }

    /// No attempt after the first, and none after a loss.
    pub fn disabled() -> Self {
        Self::default().max_attempts(0)
    }

    /// Sets the greatest share by which a wait is shortened at random, from 0.0 (none) to 1.0 (anything
    /// from 1 ms to the whole wait). Values outside are brought to the nearest bound.
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = if share.is_finite() {
            share.clamp(0.0, 1.0)
        } else {
            0.5
        };
        self
    }

    /// Gives up after this many consecutive attempts that did not lead to a connection.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// The wait before attempt number `attempt` (from 1), or `None` when that is one too many. `random` is
    /// from 0.0 up to, not including, 1.0.
    pub(crate) fn delay(&self, attempt: u32, random: f64) -> Option<Duration> {
        if self.max_attempts.is_some_and(|max| attempt > max) {
            return None;
        }
        let doublings = attempt.saturating_sub(1).min(31);
        let base = self.initial.saturating_mul(1 << doublings).min(self.max);
        let share = 1.0 - self.jitter * random.clamp(0.0, 1.0);
        Some(base.mul_f64(share).max(Duration::from_millis(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(backoff: &Backoff, random: f64) -> Vec<f64> {
        (1..=8)
            .map(|n| backoff.delay(n, random).unwrap().as_secs_f64())
            .collect()
    }

    #[test]
    fn doubles_from_one_second_to_thirty() {
        let backoff = Backoff::default().jitter(0.0);
        assert_eq!(
            seconds(&backoff, 0.7),
            [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
        );
    }

    #[test]
    fn jitter_shortens_even_the_longest_wait() {
        let backoff = Backoff::default();
        assert_eq!(
            seconds(&backoff, 0.5),
            [0.75, 1.5, 3.0, 6.0, 12.0, 22.5, 22.5, 22.5]
        );
    }

    #[test]
    fn a_wait_is_never_zero_and_never_overflows() {
        let full = Backoff::default().jitter(1.0);
        for attempt in [1, 2, 40, u32::MAX] {
            for random in [0.0, 0.999_999, 1.0, f64::MAX] {
                let delay = full.delay(attempt, random).unwrap();
                assert!(delay >= Duration::from_millis(1) && delay <= Duration::from_secs(30));
            }
        }
        let odd = Backoff::new(Duration::ZERO, Duration::ZERO).jitter(f64::NAN);
        assert_eq!(odd.delay(1, 0.0), Some(Duration::from_millis(1)));
        let endless = Backoff::new(Duration::MAX, Duration::MAX);
        assert!(endless.delay(u32::MAX, 0.0).unwrap() <= Duration::from_secs(366 * 24 * 3600));
    }

    #[test]
    fn max_attempts_is_exact() {
        let backoff = Backoff::default().max_attempts(2);
        assert!(backoff.delay(1, 0.0).is_some());
        assert!(backoff.delay(2, 0.0).is_some());
        assert_eq!(backoff.delay(3, 0.0), None);
        assert_eq!(Backoff::disabled().delay(1, 0.0), None);
    }

    #[test]
    fn thirty_days_offline_is_a_bounded_number_of_attempts() {
        let backoff = Backoff::default();
        let mut elapsed = Duration::ZERO;
        let mut attempts = 0u32;
        while elapsed < Duration::from_secs(30 * 24 * 3600) {
            attempts += 1;
            elapsed += backoff.delay(attempts, 0.999).unwrap();
        }
        // Never faster than one in about 15 s once the cap is reached.
        assert!(attempts < 175_000, "{attempts}");
    }
}
