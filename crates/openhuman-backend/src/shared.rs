//! What every part of a running backend uses.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use openhuman_agent::{Agent, Budget, Model, Tools};
use openhuman_vault::Key;
use openhuman_vault::tokens::{LoginTokens, TokenStore};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::chat::Conversations;
use crate::cluster::{AskError, Cluster, DesktopRequest, Instance};
use crate::desktop::{Calls, DesktopTools, call_tool};
use crate::limits::Limits;
use crate::metrics::{Gauges, Metrics};
use crate::session::SessionTokens;
use crate::tunnels::TunnelStore;

/// What login tokens of this backend are for.
pub(crate) const AUDIENCE: &str = "desktop";

pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What every part of a running backend uses.
pub(crate) struct Shared {
    model: Arc<dyn Model>,
    system: Option<String>,
    budget: Budget,
    pub(crate) logins: LoginTokens<Arc<dyn TokenStore>>,
    pub(crate) sessions: SessionTokens,
    pub(crate) limits: Limits,
    pub(crate) stop: CancellationToken,
    pub(crate) desktops: TaskTracker,
    pub(crate) metrics: Metrics,
    pub(crate) tunnels: Arc<dyn TunnelStore>,
    pub(crate) cluster: Arc<dyn Cluster>,
    conversations: Mutex<Conversations>,
    /// The room of each user: the desktops by their number, the one that connected first in front.
    rooms: Mutex<HashMap<String, BTreeMap<u64, Member>>>,
    /// Turns over HTTP by user.
    http_turns: Mutex<HashMap<String, usize>>,
    draining: AtomicBool,
    clock: Clock,
    started_ms: i64,
    serial: AtomicU64,
}

/// A desktop in its user's room.
struct Member {
    calls: Weak<Calls>,
    tools: Weak<DesktopTools>,
}

/// What a backend is made of.
pub(crate) struct Parts {
    pub(crate) model: Arc<dyn Model>,
    pub(crate) system: Option<String>,
    pub(crate) budget: Budget,
    pub(crate) tokens: Arc<dyn TokenStore>,
    pub(crate) tunnels: Arc<dyn TunnelStore>,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) key: Key,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
}

impl Shared {
    pub(crate) fn new(parts: Parts, stop: CancellationToken) -> Arc<Shared> {
        let limits = parts.limits;
        let session_ms = i64::try_from(limits.session.as_millis()).unwrap_or(i64::MAX);
        Arc::new(Shared {
            model: parts.model,
            system: parts.system,
            budget: parts.budget,
            logins: LoginTokens::new(parts.tokens, &parts.key),
            sessions: SessionTokens::new(&parts.key, session_ms),
            conversations: Mutex::new(Conversations::new(limits.threads, limits.thread_bytes)),
            limits,
            metrics: Metrics::default(),
            tunnels: parts.tunnels,
            cluster: parts.cluster,
            rooms: Mutex::default(),
            http_turns: Mutex::default(),
            draining: AtomicBool::new(false),
            started_ms: (parts.clock)(),
            clock: parts.clock,
            serial: AtomicU64::new(0),
            desktops: TaskTracker::new(),
            stop,
        })
    }

    /// From now on no desktop connects and no turn starts.
    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    pub(crate) fn takes_nothing_new(&self) -> bool {
        self.draining.load(Ordering::SeqCst) || self.stop.is_cancelled()
    }

    /// Turns that are running, over Socket.IO and HTTP.
    pub(crate) fn running_turns(&self) -> usize {
        self.gauges().turns
    }

    pub(crate) fn gauges(&self) -> Gauges {
        let over_http: usize = self.http_turns().values().sum();
        let rooms = self.rooms();
        let members = || {
            rooms
                .values()
                .flat_map(BTreeMap::values)
                .filter_map(|member| member.calls.upgrade())
        };
        Gauges {
            desktops: members().count(),
            users: rooms.len(),
            turns: over_http + members().map(|calls| calls.turns()).sum::<usize>(),
            waiting: members().map(|calls| calls.waiting()).sum(),
            uptime_ms: self.now_ms().saturating_sub(self.started_ms),
            draining: self.takes_nothing_new(),
        }
    }

    pub(crate) fn http_turns(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.http_turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The desktops of a user, the one that connected first in front.
    pub(crate) fn desktops_of(&self, user: &str) -> Vec<Arc<Calls>> {
        let rooms = self.rooms();
        let room = rooms.get(user).into_iter().flat_map(BTreeMap::values);
        room.filter_map(|member| member.calls.upgrade()).collect()
    }

    /// All desktops.
    pub(crate) fn all_desktops(&self) -> Vec<Arc<Calls>> {
        let rooms = self.rooms();
        let members = rooms.values().flat_map(BTreeMap::values);
        members.filter_map(|member| member.calls.upgrade()).collect()
    }

    /// The tools of the user's first desktop.
    pub(crate) fn desktop_tools(&self, user: &str) -> Option<Arc<DesktopTools>> {
        let rooms = self.rooms();
        rooms
            .get(user)?
            .values()
            .find_map(|member| member.tools.upgrade())
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.clock)()
    }

    /// How long it is until a moment of the wall clock.
    pub(crate) fn until(&self, at_ms: i64) -> Duration {
        let left = at_ms.saturating_add(1).saturating_sub(self.now_ms());
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }

    /// Unique within this backend, and very likely so across restarts.
    pub(crate) fn next_serial(&self) -> String {
        format!(
            "{:x}-{:x}",
            self.started_ms,
            self.serial.fetch_add(1, Ordering::Relaxed)
        )
    }

    pub(crate) fn agent(&self, tools: Arc<dyn Tools>) -> Agent {
        let agent = Agent::builder(Arc::clone(&self.model))
            .tools(tools)
            .budget(self.budget.clone());
        match &self.system {
            Some(system) => agent.system(system.clone()).build(),
            None => agent.build(),
        }
    }

    pub(crate) fn conversations(&self) -> MutexGuard<'_, Conversations> {
        self.conversations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a desktop in its user's room for as long as the guard lives.
    pub(crate) fn enter(self: &Arc<Self>, calls: &Arc<Calls>, tools: &Arc<DesktopTools>) -> Presence {
        let id = self.serial.fetch_add(1, Ordering::Relaxed);
        let member = Member {
            calls: Arc::downgrade(calls),
            tools: Arc::downgrade(tools),
        };
        let user = calls.user.clone();
        self.rooms().entry(user.clone()).or_default().insert(id, member);
        Presence {
            shared: Arc::clone(self),
            user,
            id,
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<u64, Member>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance for Shared {
    fn ask_here<'a>(
        &'a self,
        user: &'a str,
        request: DesktopRequest,
    ) -> BoxFuture<'a, Option<Result<Value, AskError>>> {
        async move {
            let calls = self.desktops_of(user).into_iter().next()?;
            let cancel = self.stop.child_token();
            Some(match request {
                DesktopRequest::ToolCall { name, arguments } => {
                    self.metrics.tool_calls.add();
                    let outcome = call_tool(&calls, &name, &arguments, cancel).await;
                    Ok(json!({"text": outcome.text, "is_error": outcome.is_error}))
                }
                DesktopRequest::Webhook { request } => {
                    let asked = calls.webhook(request, &cancel).await;
                    asked.map_err(|reason| AskError::NoAnswer {
                        reason: reason.to_string(),
                    })
                }
            })
        }
        .boxed()
    }

    fn tell_here<'a>(&'a self, user: &'a str, event: &'a str, payload: &'a Value) -> BoxFuture<'a, usize> {
        async move {
            let desktops = self.desktops_of(user);
            for calls in &desktops {
                calls.send(event.to_owned(), payload.clone()).await;
            }
            desktops.len()
        }
        .boxed()
    }
}

/// Takes a desktop out of its room when it is dropped.
pub(crate) struct Presence {
    shared: Arc<Shared>,
    user: String,
    id: u64,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut rooms = self.shared.rooms();
        if let Some(room) = rooms.get_mut(&self.user) {
            room.remove(&self.id);
            if room.is_empty() {
                rooms.remove(&self.user);
            }
        }
    }
}

pub(crate) fn system_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
