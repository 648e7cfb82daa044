//! The task behind a connection: attempts, links, and the waits between them.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::error::ConnectError;
use crate::hub::{Crew, Hub, Standing};
use crate::lifecycle::End;
use crate::link::Link;
use crate::session::{Session, SessionConfig};
use crate::state::State;
use crate::transport::Transport;

/// Longest timeout that is taken literally; it keeps clock arithmetic from overflowing.
pub(crate) const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Serves the namespaces of a connection until none is left.
pub(crate) async fn run(hub: Arc<Hub>) {
    let mut crew = Crew::new(hub);
    loop {
        let hub = Arc::clone(&crew.hub);
        hub.bell.answered();
        hub.take_arriving(&mut crew.members);
        crew.drop_unwanted();
        if !hub.take_arriving(&mut crew.members) {
            crew.done = true;
            return;
        }
        let now = Instant::now().into_std();
        if crew.members.iter().any(|member| member.is_due(now)) {
            attempt(&mut crew).await;
        } else {
            wait(&crew).await;
        }
    }
}

/// Waits until a namespace is due, comes or goes.
async fn wait(crew: &Crew) {
    let rung = std::future::poll_fn(|cx| {
        crew.hub.bell.register(cx.waker());
        if crew.hub.bell.answered() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    match crew.next_due() {
        Some(at) => tokio::select! {
            () = rung => {}
            () = tokio::time::sleep_until(at.into()) => {}
        },
        None => rung.await,
    }
}

/// One attempt for all namespaces that are due and, if it succeeds, the whole life of its link.
async fn attempt(crew: &mut Crew) {
    let hub = Arc::clone(&crew.hub);
    let now = Instant::now();
    for member in crew
        .members
        .iter_mut()
        .filter(|member| member.is_due(now.into_std()))
    {
        member.standing = Standing::Waiting(None);
        member.shared.set_state(State::Connecting);
    }
    let deadline = now + hub.settings.connect_timeout.min(LONGEST_TIMEOUT);
    let transport = match dial(crew, deadline).await {
        Ok(Some(transport)) => transport,
        // Nobody wants it any more.
        Ok(None) => return,
        Err(error) => {
            let (now, random) = (Instant::now().into_std(), random());
            crew.retain(|member| {
                let concerned = member.standing == Standing::Waiting(None);
                concerned && member.ended(End::NotConnected(error.copy()), now, random)
            });
            return;
        }
    };
    hub.counters.add_link();
    let mut limits = hub.settings.limits.clone();
    limits.completion_timeout = limits.completion_timeout.min(LONGEST_TIMEOUT);
    let config = SessionConfig {
        limits,
        heartbeat_slack: hub.settings.heartbeat_slack.min(LONGEST_TIMEOUT),
        parser: hub.settings.parser,
    };
    let session = Session::new(config, Instant::now().into_std());
    let mut link = Box::new(Link::new(transport, session, crew, deadline.into_std()));
    std::future::poll_fn(|cx| link.poll(cx)).await;
    link.finish().await;
}

/// Opens a transport, as long as some namespace still waits for it.
async fn dial(crew: &mut Crew, deadline: Instant) -> Result<Option<Transport>, ConnectError> {
    let hub = Arc::clone(&crew.hub);
    // Boxed, because what TLS and long-polling need here would otherwise be part of the task for ever.
    let mut dialling = Box::pin(timeout_at(deadline, hub.dialer.open()));
    std::future::poll_fn(|cx| {
        hub.bell.register(cx.waker());
        if hub.bell.answered() {
            hub.take_arriving(&mut crew.members);
            crew.drop_unwanted();
            if !crew
                .members
                .iter()
                .any(|member| member.standing == Standing::Waiting(None))
            {
                return Poll::Ready(Ok(None));
            }
        }
        dialling.as_mut().poll(cx).map(|dialled| match dialled {
            Ok(dialled) => dialled.map(Some),
            Err(_) => Err(timed_out(&hub)),
        })
    })
    .await
}

pub(crate) fn timed_out(hub: &Hub) -> ConnectError {
    ConnectError::Timeout {
        after: hub.settings.connect_timeout,
    }
}

/// From 0.0 up to, not including, 1.0. Without randomness there is no jitter, which is no reason to fail.
pub(crate) fn random() -> f64 {
    const RANGE: f64 = (1u64 << 53) as f64;
    getrandom::u64().map_or(0.0, |bits| (bits >> 11) as f64 / RANGE)
}

#[cfg(test)]
mod tests {
    /// The official engine client's "should generate a random string".
    #[test]
    fn random_numbers_differ_and_stay_in_their_range() {
        let numbers: Vec<f64> = (0..3).map(|_| super::random()).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        assert!(numbers[0] != numbers[1] && numbers[1] != numbers[2]);
    }
}
