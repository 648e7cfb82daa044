//! The task behind a client: attempts, links, and the waits between them.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::backoff::Backoff;
use crate::client::Auth;
use crate::endpoint::Endpoint;
use crate::error::ConnectError;
use crate::lifecycle::{End, Lifecycle, Next};
use crate::link::Link;
use crate::session::{Session, SessionConfig};
use crate::shared::Shared;
use crate::state::{DisconnectReason, State};
use crate::transport::{Tls, dial};

/// Told once, when the first attempt has succeeded or failed.
pub(crate) type Ready = oneshot::Sender<Result<(), ConnectError>>;

/// Longest timeout that is taken literally; it keeps clock arithmetic from overflowing.
pub(crate) const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Everything that the task needs.
pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) endpoint: Endpoint,
    pub(crate) auth: Auth,
    pub(crate) tls: Tls,
    pub(crate) backoff: Backoff,
    pub(crate) reconnect_after_server_disconnect: bool,
    pub(crate) reconnect_after_rejection: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) heartbeat_slack: Duration,
}

/// Keeps the client connected until it is closed or there is no point in trying.
pub(crate) async fn run(driver: Driver, mut ready: Option<Ready>) {
    let shared = Arc::clone(&driver.shared);
    // A client must not wait for ever for a task that is gone, whatever ended it.
    let guard = CloseOnDrop { shared: &shared };
    let mut lifecycle = Lifecycle::new(
        driver.backoff.clone(),
        driver.reconnect_after_server_disconnect,
        driver.reconnect_after_rejection,
    );
    let last = loop {
        shared.set_state(State::Connecting);
        let end = driver.attempt(&mut ready).await;
        let next = lifecycle.next(&end, random());
        match &end {
            End::Lost(disconnect) => {
                tracing::debug!(reason = %disconnect, "connection lost");
                shared.set_last_disconnect(disconnect.clone());
            }
            End::NotConnected(error) => tracing::debug!(%error, "no connection"),
        }
        if let (Some(ready), End::NotConnected(error)) = (ready.take(), end) {
            let failed = State::Failed {
                error: error.to_string(),
            };
            shared.close(failed);
            // The caller may have stopped waiting.
            let _ = ready.send(Err(error));
            return;
        }
        match next {
            Next::Stop(state) => break state,
            Next::Retry {
                attempt,
                delay,
                error,
            } => {
                shared.set_state(State::Reconnecting {
                    attempt,
                    delay,
                    error,
                });
                tokio::select! {
                    () = close_requested(&shared) => {
                        break State::Disconnected { reason: Some(DisconnectReason::ClientDisconnect) };
                    }
                    () = tokio::time::sleep(delay) => {}
                }
            }
        }
    };
    guard.shared.close(last);
}

/// Publishes a final state even if the task is cancelled with its runtime, or panics.
struct CloseOnDrop<'a> {
    shared: &'a Shared,
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        if !self.shared.watch().borrow().is_final() {
            self.shared.close(State::Failed {
                error: "the connection's task ended unexpectedly".to_owned(),
            });
        }
    }
}

async fn close_requested(shared: &Shared) {
    std::future::poll_fn(|cx| {
        shared.outbox.register(cx.waker());
        if shared.outbox.close_requested() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// From 0.0 up to, not including, 1.0. Without randomness there is no jitter, which is no reason to fail.
fn random() -> f64 {
    const RANGE: f64 = (1u64 << 53) as f64;
    getrandom::u64().map_or(0.0, |bits| (bits >> 11) as f64 / RANGE)
}

impl Driver {
    /// One attempt and, if it succeeds, the whole life of its link.
    async fn attempt(&self, ready: &mut Option<Ready>) -> End {
        let shared = &self.shared;
        let started = Instant::now();
        let deadline = started + self.connect_timeout.min(LONGEST_TIMEOUT);
        let dialled = tokio::select! {
            biased;
            () = close_requested(shared) => Err(ConnectError::Closed),
            dialled = timeout_at(deadline, dial(&self.endpoint, &self.tls, &shared.outbox.limits)) => {
                dialled.unwrap_or_else(|_| Err(self.timed_out()))
            }
        };
        let socket = match dialled {
            Ok(socket) => socket,
            Err(error) => return End::NotConnected(error),
        };
        let mut limits = shared.outbox.limits.clone();
        limits.completion_timeout = limits.completion_timeout.min(LONGEST_TIMEOUT);
        let config = SessionConfig {
            namespace: shared.outbox.namespace.clone(),
            limits,
            heartbeat_slack: self.heartbeat_slack.min(LONGEST_TIMEOUT),
        };
        let session = Session::new(config, Instant::now().into_std(), deadline.into_std());
        let mut link = Link::new(socket, session, self, ready);
        let end = std::future::poll_fn(|cx| link.poll(cx)).await;
        // Nobody has to wait for the farewell.
        shared.link_down();
        link.finish().await;
        end
    }

    pub(crate) fn timed_out(&self) -> ConnectError {
        ConnectError::Timeout {
            after: self.connect_timeout,
        }
    }
}
