//! A connection: its settings, the namespaces that share it, and the task that serves them while there are any.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tokio::runtime;
use tokio::sync::oneshot;

use crate::backoff::Backoff;
use crate::bell::Bell;
use crate::builder::Auth;
use crate::driver;
use crate::error::ConnectError;
use crate::lifecycle::{End, Lifecycle, Next};
use crate::limits::Limits;
use crate::outbox::{Outbox, SendPolicy};
use crate::packet::Parser;
use crate::session::SpaceId;
use crate::shared::Shared;
use crate::state::{DisconnectReason, State};
use crate::stats::Counters;
use crate::subscription::Registry;
use crate::transport::Dialer;

/// Told once, when a namespace's first attempt has succeeded or failed.
pub(crate) type Ready = oneshot::Sender<Result<(), ConnectError>>;

/// What the application has chosen for a connection, beside how it is opened.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) backoff: Backoff,
    pub(crate) reconnect_after_server_disconnect: bool,
    pub(crate) reconnect_after_rejection: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) ack_timeout: Duration,
    pub(crate) heartbeat_slack: Duration,
    pub(crate) send_policy: SendPolicy,
    pub(crate) parser: Parser,
    pub(crate) limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            reconnect_after_server_disconnect: false,
            reconnect_after_rejection: false,
            connect_timeout: Duration::from_secs(20),
            ack_timeout: Duration::from_secs(30),
            heartbeat_slack: Duration::from_secs(5),
            send_policy: SendPolicy::default(),
            parser: Parser::default(),
            limits: Limits::default(),
        }
    }
}

/// What all links and namespaces of a connection have in common.
pub(crate) struct Hub {
    pub(crate) runtime: runtime::Handle,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) settings: Settings,
    pub(crate) bell: Arc<Bell>,
    pub(crate) counters: Arc<Counters>,
    members: Mutex<Members>,
}

/// The namespaces that the task has not seen yet, and all of them.
#[derive(Default)]
struct Members {
    arriving: Vec<Member>,
    /// Those in use, and perhaps some that have just ended.
    known: Vec<Arc<Shared>>,
    next_id: SpaceId,
    /// The task runs, and will look at what arrives.
    running: bool,
}

/// Where a namespace stands with the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not on a link; to be connected at this time, or at once.
    Waiting(Option<Instant>),
    /// Being connected, or connected.
    Joined,
    /// The application has disconnected it: what was accepted is written, then DISCONNECT, at the latest now.
    Leaving { deadline: Instant, said: bool },
}

/// A namespace, as the task sees it.
pub(crate) struct Member {
    pub(crate) id: SpaceId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) auth: Auth,
    pub(crate) standing: Standing,
    /// Number of the connected link, for the send buffer.
    pub(crate) link: Option<u64>,
    pub(crate) recovery: Recovery,
    pub(crate) ready: Option<Ready>,
    lifecycle: Lifecycle,
}

/// With what a server can restore the session: the private id it gave, and the last event that came.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    pid: Option<String>,
    offset: Option<String>,
}

impl Recovery {
    /// The CONNECT payload for these credentials, which win over what is added.
    pub(crate) fn payload(&self, auth: Option<Value>) -> Option<Value> {
        let mut payload = Map::new();
        if let Some(pid) = &self.pid {
            payload.insert("pid".to_owned(), Value::from(pid.as_str()));
            if let Some(offset) = &self.offset {
                payload.insert("offset".to_owned(), Value::from(offset.as_str()));
            }
        }
        match auth {
            Some(Value::Object(auth)) => payload.extend(auth),
            _ if payload.is_empty() => return None,
            _ => {}
        }
        Some(Value::Object(payload))
    }

    /// The server has connected the namespace; returns true when it restored the session.
    pub(crate) fn connected(&mut self, pid: Option<String>) -> bool {
        let recovered = pid.is_some() && self.pid == pid;
        if !recovered {
            // What came before belongs to a session that is gone.
            self.offset = None;
        }
        self.pid = pid;
        recovered
    }

    /// True when offsets are wanted.
    pub(crate) fn is_offered(&self) -> bool {
        self.pid.is_some()
    }

    pub(crate) fn received(&mut self, offset: String) {
        self.offset = Some(offset);
    }
}

impl Member {
    /// True when it has to be connected now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        matches!(self.standing, Standing::Waiting(at) if at.is_none_or(|at| at <= now))
    }

    pub(crate) fn is_on_link(&self) -> bool {
        !matches!(self.standing, Standing::Waiting(_))
    }

    /// Acts on the end of an attempt or of a connection. True when the namespace is finished; it has to be
    /// given back to the hub then.
    pub(crate) fn ended(&mut self, end: End, now: Instant, random: f64) -> bool {
        self.shared.link_down();
        self.link = None;
        let next = self.lifecycle.next(&end, random);
        match &end {
            End::Lost(disconnect) => {
                tracing::debug!(namespace = %self.shared.outbox.namespace, reason = %disconnect, "connection lost");
                self.shared.set_last_disconnect(disconnect.clone());
            }
            End::NotConnected(error) => {
                tracing::debug!(namespace = %self.shared.outbox.namespace, %error, "no connection");
            }
        }
        if let (Some(ready), End::NotConnected(error)) = (self.ready.take(), end) {
            self.shared.close(State::Failed {
                error: error.to_string(),
            });
            // The caller may have stopped waiting.
            let _ = ready.send(Err(error));
            return true;
        }
        match next {
            Next::Stop(state) => {
                self.shared.close(state);
                true
            }
            Next::Retry {
                attempt,
                delay,
                error,
            } => {
                self.standing = Standing::Waiting(Some(now + delay));
                self.shared.set_state(State::Reconnecting {
                    attempt,
                    delay,
                    error,
                });
                false
            }
        }
    }
}

impl Hub {
    pub(crate) fn new(runtime: runtime::Handle, dialer: Dialer, settings: Settings) -> Self {
        Self {
            runtime,
            dialer: Arc::new(dialer),
            settings,
            bell: Arc::default(),
            counters: Arc::default(),
            members: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a namespace to the connection, and starts the task if it does not run.
    pub(crate) fn add(
        self: &Arc<Self>,
        namespace: &str,
        auth: Auth,
        registry: Arc<Registry>,
        ready: Option<Ready>,
    ) -> Result<Arc<Shared>, ConnectError> {
        let namespace: Arc<str> = namespace.into();
        let mut members = self.lock();
        // Whoever has seen the end of a namespace can connect it again at once.
        members.known.retain(|shared| !shared.watch().borrow().is_final());
        if members
            .known
            .iter()
            .any(|shared| shared.outbox.namespace == namespace)
        {
            return Err(ConnectError::NamespaceInUse {
                namespace: namespace.to_string(),
            });
        }
        members.next_id += 1;
        let bell = Arc::clone(&self.bell);
        let outbox = Outbox::new(
            namespace,
            self.settings.limits.clone(),
            self.settings.send_policy,
            bell,
        );
        let counters = Arc::clone(&self.counters);
        let runtime = self.runtime.clone();
        let shared = Shared::new(runtime, outbox, registry, counters, self.settings.ack_timeout);
        let shared = Arc::new(shared);
        members.known.push(Arc::clone(&shared));
        let member = Member {
            id: members.next_id,
            shared: Arc::clone(&shared),
            auth,
            standing: Standing::Waiting(None),
            link: None,
            recovery: Recovery::default(),
            ready,
            lifecycle: Lifecycle::new(
                self.settings.backoff.clone(),
                self.settings.reconnect_after_server_disconnect,
                self.settings.reconnect_after_rejection,
            ),
        };
        members.arriving.push(member);
        let start = !std::mem::replace(&mut members.running, true);
        drop(members);
        self.bell.announce();
        if start {
            self.runtime.spawn(driver::run(Arc::clone(self)));
        }
        Ok(shared)
    }

    /// Moves what arrived to the task's own list. False when there is nothing left to serve: the task must
    /// end then, and the next namespace starts another.
    pub(crate) fn take_arriving(&self, members: &mut Vec<Member>) -> bool {
        let mut all = self.lock();
        members.append(&mut all.arriving);
        all.running = !members.is_empty();
        all.running
    }

    /// The namespace has ended.
    fn release(&self, ended: &Arc<Shared>) {
        self.lock().known.retain(|shared| !Arc::ptr_eq(shared, ended));
    }
}

/// The task's namespaces. However the task ends, nobody waits for it for ever.
pub(crate) struct Crew {
    pub(crate) hub: Arc<Hub>,
    pub(crate) members: Vec<Member>,
    /// Set when nothing is left to serve: what arrives from then on is another task's.
    pub(crate) done: bool,
}

impl Crew {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self {
            hub,
            members: Vec::new(),
            done: false,
        }
    }

    /// Ends the namespaces that `finished` says are, and forgets them.
    pub(crate) fn retain(&mut self, mut finished: impl FnMut(&mut Member) -> bool) {
        let hub = &self.hub;
        self.members.retain_mut(|member| {
            let keep = !finished(member);
            if !keep {
                hub.release(&member.shared);
            }
            keep
        });
    }

    /// Ends the namespaces that are not on a link and that the application no longer wants.
    pub(crate) fn drop_unwanted(&mut self) {
        self.retain(|member| {
            let unwanted = !member.is_on_link() && member.shared.outbox.close_requested();
            if unwanted {
                if let Some(ready) = member.ready.take() {
                    let _ = ready.send(Err(ConnectError::Closed));
                }
                member.shared.close(State::Disconnected {
                    reason: Some(DisconnectReason::ClientDisconnect),
                });
            }
            unwanted
        });
    }

    /// When the next namespace has to be connected.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let waiting = |member: &Member| match member.standing {
            Standing::Waiting(at) => at,
            _ => None,
        };
        self.members.iter().filter_map(waiting).min()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        if !self.done && self.hub.take_arriving(&mut self.members) {
            self.retain(|member| {
                member.shared.close(State::Failed {
                    error: "the connection's task ended unexpectedly".to_owned(),
                });
                true
            });
            self.hub.lock().running = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_session_is_offered_for_recovery_only_with_what_the_server_gave() {
        let mut recovery = Recovery::default();
        assert_eq!(recovery.payload(None), None);
        assert_eq!(
            recovery.payload(Some(json!({"token": 1}))),
            Some(json!({"token": 1}))
        );
        assert!(!recovery.connected(Some("p1".into())));
        assert_eq!(recovery.payload(None), Some(json!({"pid": "p1"})));
        recovery.received("o1".into());
        let payload = recovery.payload(Some(json!({"token": 1})));
        assert_eq!(payload, Some(json!({"pid": "p1", "offset": "o1", "token": 1})));
        // The application's own fields win, as in the JavaScript client.
        assert_eq!(
            recovery.payload(Some(json!({"pid": "mine"}))).unwrap()["pid"],
            "mine"
        );
        assert!(recovery.connected(Some("p1".into())));
        assert_eq!(recovery.payload(None), Some(json!({"pid": "p1", "offset": "o1"})));
        // Another session: the offset belongs to the one that is gone.
        assert!(!recovery.connected(Some("p2".into())));
        assert_eq!(recovery.payload(None), Some(json!({"pid": "p2"})));
        assert!(!recovery.connected(None));
        assert_eq!(recovery.payload(None), None);
    }
}
