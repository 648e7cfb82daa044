//! When to try a request again: bounded, before the first byte of an answer only.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::ModelError;

/// How often and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; at least one is made. Default 4.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles each time. Default 500 ms.
    pub base: Duration,
    /// The longest wait. A server that asks for more gets no further attempt: its error is given back at once, with
    /// the time. Default 20 s.
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            attempts: 4,
            base: Duration::from_millis(500),
            longest: Duration::from_secs(20),
        }
    }
}

impl RetryPolicy {
    /// The wait after the failed attempt number `attempt` (from 1); `None` to give up. What the server asks for
    /// counts more than our own doubling.
    pub fn wait(&self, attempt: u32, asked: Option<Duration>) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        match asked {
            Some(wait) if wait > self.longest => None,
            Some(wait) => Some(wait),
            None => {
                let doubled = self
                    .base
                    .saturating_mul(1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
                Some(doubled.min(self.longest))
            }
        }
    }
}

/// A failed attempt.
pub(crate) struct Failure {
    error: ModelError,
    again: bool,
    asked: Option<Duration>,
}

impl Failure {
    /// Another attempt makes no sense.
    pub(crate) fn last(error: ModelError) -> Failure {
        Failure {
            error,
            again: false,
            asked: None,
        }
    }

    /// Another attempt may help, after the wait the server asked for.
    pub(crate) fn again(error: ModelError, asked: Option<Duration>) -> Failure {
        Failure {
            error,
            again: true,
            asked,
        }
    }
}

/// Makes attempts until one succeeds or `policy` gives up; the error is that of the last attempt.
pub(crate) async fn run<T, F>(
    policy: &RetryPolicy,
    mut attempt: impl FnMut(u32) -> F,
) -> Result<T, ModelError>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut number = 1;
    loop {
        let failure = match attempt(number).await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        let wait = if failure.again {
            policy.wait(number, failure.asked)
        } else {
            None
        };
        let Some(wait) = wait else {
            return Err(failure.error);
        };
        tracing::debug!(error = %failure.error, ?wait, "model request is tried again");
        tokio::time::sleep(wait).await;
        number += 1;
    }
}

/// The wait in the headers `retry-after-ms` and `retry-after` (seconds, or a date as HTTP writes it).
pub(crate) fn wait_from_headers(
    millis: Option<&str>,
    after: Option<&str>,
    now: SystemTime,
) -> Option<Duration> {
    if let Some(millis) = millis.and_then(|value| value.trim().parse::<u64>().ok()) {
        return Some(Duration::from_millis(millis));
    }
    let after = after?.trim();
    if let Ok(seconds) = after.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    }
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(http_date(after)?))?;
    Some(at.duration_since(now).unwrap_or_default())
}

/// The server's own time, from its `date` header.
pub(crate) fn server_time(date: &str) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(http_date(date.trim())?))
}

/// Seconds since 1970 of a date like `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut words = text.split_once(", ")?.1.strip_suffix(" GMT")?.split(' ');
    let day: u64 = words.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let name = words.next()?;
    let month = u64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()? + 1;
    let year: u64 = words
        .next()?
        .parse()
        .ok()
        .filter(|year| (1970..=9999).contains(year))?;
    let mut clock = words
        .next()?
        .split(':')
        .map(|part| part.parse::<u64>().ok().filter(|value| *value <= 60));
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    // Days from civil date, counting years from March.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1;
    let since_1970 = days.checked_sub(719_468)?;
    Some(since_1970 * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use tokio::time::Instant;

    fn limited(text: &str) -> ModelError {
        ModelError::Other {
            message: text.to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_double_and_attempts_are_bounded() {
        let started = Instant::now();
        let times = RefCell::new(Vec::new());
        let result: Result<(), _> = run(&RetryPolicy::default(), |_| {
            times.borrow_mut().push(started.elapsed().as_millis());
            async { Err(Failure::again(limited("busy"), None)) }
        })
        .await;
        assert_eq!(result, Err(limited("busy")));
        assert_eq!(*times.borrow(), [0, 500, 1500, 3500]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_servers_wait_is_kept() {
        let started = Instant::now();
        let result = run(&RetryPolicy::default(), |attempt| async move {
            if attempt < 3 {
                Err(Failure::again(limited("x"), Some(Duration::from_secs(7))))
            } else {
                Ok(attempt)
            }
        })
        .await;
        assert_eq!(result, Ok(3));
        assert_eq!(started.elapsed(), Duration::from_secs(14));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_beyond_the_limit_and_a_final_error_end_it_at_once() {
        for failure in [
            || Failure::again(limited("x"), Some(Duration::from_secs(60))),
            || Failure::last(limited("x")),
        ] {
            let started = Instant::now();
            let result: Result<(), _> = run(&RetryPolicy::default(), |_| async move { Err(failure()) }).await;
            assert!(result.is_err());
            assert_eq!(started.elapsed(), Duration::ZERO);
        }
    }

    #[test]
    fn headers_are_read_in_all_their_forms() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let date = "Sun, 06 Nov 1994 08:49:47 GMT";
        assert_eq!(
            wait_from_headers(Some("1500"), Some("9"), now),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(
            wait_from_headers(None, Some("9"), now),
            Some(Duration::from_secs(9))
        );
        assert_eq!(
            wait_from_headers(None, Some("0.5"), now),
            Some(Duration::from_millis(500))
        );
        assert_eq!(
            wait_from_headers(None, Some(date), now),
            Some(Duration::from_secs(10))
        );
        assert_eq!(wait_from_headers(None, Some("soon"), now), None);
        assert_eq!(wait_from_headers(None, Some("-3"), now), Some(Duration::ZERO));
        assert_eq!(
            wait_from_headers(None, Some("nan"), now).unwrap_or_default(),
            Duration::ZERO
        );
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date("Sat, 29 Feb 2020 12:00:00 GMT"), Some(1_582_977_600));
        assert_eq!(http_date("x, 99 Foo 1 GMT"), None);
    }
}
