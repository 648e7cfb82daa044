//! The decision after each link or attempt that ended: try again, and when, or stop. Pure logic.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::error::ConnectError;
use crate::state::{Disconnect, DisconnectReason, State};

/// How a link or an attempt ended.
#[derive(Debug)]
pub(crate) enum End {
    /// There was no connection.
    NotConnected(ConnectError),
    /// There was one.
    Lost(Disconnect),
}

/// What follows.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    Retry {
        attempt: u32,
        delay: Duration,
        error: String,
    },
    Stop(State),
}

/// Counts attempts and applies the rules of the JavaScript client.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    backoff: Backoff,
    after_server_disconnect: bool,
    after_rejection: bool,
    /// Attempts since an established connection was lost.
    attempts: u32,
}

impl Lifecycle {
    pub(crate) fn new(backoff: Backoff, after_server_disconnect: bool, after_rejection: bool) -> Self {
        Self {
            backoff,
            after_server_disconnect,
            after_rejection,
            attempts: 0,
        }
    }

    /// Decides what follows `end`. `random` is from 0.0 up to, not including, 1.0.
    pub(crate) fn next(&mut self, end: &End, random: f64) -> Next {
        let error = match end {
            End::Lost(disconnect) => {
                self.attempts = 0;
                let stop = match disconnect.reason {
                    DisconnectReason::ClientDisconnect => true,
                    DisconnectReason::ServerDisconnect => !self.after_server_disconnect,
                    _ => false,
                };
                if stop {
                    return Next::Stop(State::Disconnected {
                        reason: Some(disconnect.reason),
                    });
                }
                disconnect.to_string()
            }
            End::NotConnected(ConnectError::Closed) => {
                let reason = Some(DisconnectReason::ClientDisconnect);
                return Next::Stop(State::Disconnected { reason });
            }
            End::NotConnected(error @ ConnectError::Rejected { .. }) if !self.after_rejection => {
                return Next::Stop(State::Failed {
                    error: error.to_string(),
                });
            }
            End::NotConnected(error) => error.to_string(),
        };
        let attempt = self.attempts.saturating_add(1);
        match self.backoff.delay(attempt, random) {
            Some(delay) => {
                self.attempts = attempt;
                Next::Retry {
                    attempt,
                    delay,
                    error,
                }
            }
            None => Next::Stop(State::Failed { error }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout() -> End {
        End::NotConnected(ConnectError::Timeout {
            after: Duration::from_secs(20),
        })
    }

    fn lost(reason: DisconnectReason) -> End {
        End::Lost(Disconnect::new(reason))
    }

    fn lifecycle(backoff: Backoff) -> Lifecycle {
        Lifecycle::new(backoff.jitter(0.0), false, false)
    }

    fn retry(next: &Next) -> Option<(u32, u64)> {
        match next {
            Next::Retry { attempt, delay, .. } => Some((*attempt, delay.as_secs())),
            Next::Stop(_) => None,
        }
    }

    #[test]
    fn waits_keep_growing_while_never_established() {
        let mut lifecycle = lifecycle(Backoff::default());
        let waits: Vec<_> = (0..7)
            .map(|_| retry(&lifecycle.next(&timeout(), 0.0)).unwrap())
            .collect();
        assert_eq!(waits, [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (7, 30)]);
    }

    #[test]
    fn waits_start_again_only_after_an_established_connection_is_lost() {
        let mut lifecycle = lifecycle(Backoff::default());
        for _ in 0..5 {
            lifecycle.next(&timeout(), 0.0);
        }
        let next = lifecycle.next(&lost(DisconnectReason::TransportClose), 0.0);
        assert_eq!(retry(&next), Some((1, 1)));
        assert_eq!(retry(&lifecycle.next(&timeout(), 0.0)), Some((2, 2)));
    }

    #[test]
    fn every_reason_but_two_is_followed_by_an_attempt() {
        for reason in [
            DisconnectReason::PingTimeout,
            DisconnectReason::TransportClose,
            DisconnectReason::TransportError,
            DisconnectReason::ParseError,
        ] {
            assert!(
                retry(&lifecycle(Backoff::default()).next(&lost(reason), 0.0)).is_some(),
                "{reason}"
            );
        }
        for reason in [
            DisconnectReason::ServerDisconnect,
            DisconnectReason::ClientDisconnect,
        ] {
            let next = lifecycle(Backoff::default()).next(&lost(reason), 0.0);
            assert_eq!(next, Next::Stop(State::Disconnected { reason: Some(reason) }));
        }
    }

    #[test]
    fn a_server_disconnect_can_be_followed_by_an_attempt_when_asked_for() {
        let mut lifecycle = Lifecycle::new(Backoff::default(), true, false);
        assert!(retry(&lifecycle.next(&lost(DisconnectReason::ServerDisconnect), 0.0)).is_some());
        assert_eq!(
            retry(&lifecycle.next(&lost(DisconnectReason::ClientDisconnect), 0.0)),
            None
        );
    }

    #[test]
    fn a_rejection_is_final_unless_asked_otherwise() {
        let rejected = || {
            End::NotConnected(ConnectError::Rejected {
                message: "bad token".into(),
                data: None,
            })
        };
        let next = lifecycle(Backoff::default()).next(&rejected(), 0.0);
        assert!(matches!(next, Next::Stop(State::Failed { error }) if error.contains("bad token")));
        let mut patient = Lifecycle::new(Backoff::default(), false, true);
        assert!(retry(&patient.next(&rejected(), 0.0)).is_some());
    }

    #[test]
    fn attempts_are_limited_exactly() {
        let mut lifecycle = lifecycle(Backoff::default().max_attempts(2));
        assert!(retry(&lifecycle.next(&timeout(), 0.0)).is_some());
        assert!(retry(&lifecycle.next(&timeout(), 0.0)).is_some());
        assert!(matches!(
            lifecycle.next(&timeout(), 0.0),
            Next::Stop(State::Failed { .. })
        ));
    }
}
