//! Starting, asking and stopping a backend.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openhuman_agent::extractive::ExtractiveModel;
use openhuman_agent::{Agent, Budget, Model, ToolOutcome, Tools};
use openhuman_mcp::wire::ToolSync;
use openhuman_vault::tokens::{Challenge, LoginToken, LoginTokens, MemoryTokenStore, TokenError, TokenStore};
use openhuman_vault::{Key, RandomError};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::chat::Conversations;
use crate::desktop::{Calls, call_tool};
use crate::limits::Limits;
use crate::session::SessionTokens;
use crate::{http, socket};

/// What login tokens of this backend are for.
pub(crate) const AUDIENCE: &str = "desktop";

const MAX_USER: usize = 256;
/// How long closing the remaining connections may take.
const CLOSING: Duration = Duration::from_secs(2);

type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A backend that is not running yet; see [`Backend::builder`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Backend;

impl Backend {
    /// Starts to describe a backend.
    pub fn builder() -> BackendBuilder {
        BackendBuilder {
            model: None,
            tokens: Arc::new(MemoryTokenStore::new()),
            key: None,
            limits: Limits::default(),
            budget: Budget::default(),
            system: None,
            clock: Arc::new(system_ms),
        }
    }
}

/// Describes a backend and starts it.
pub struct BackendBuilder {
    model: Option<Arc<dyn Model>>,
    tokens: Arc<dyn TokenStore>,
    key: Option<Key>,
    limits: Limits,
    budget: Budget,
    system: Option<String>,
    clock: Clock,
}

impl BackendBuilder {
    /// The model that answers. Default: the extractive stand-in, which quotes what it is given and says
    /// that no model is connected.
    #[must_use]
    pub fn model(mut self, model: Arc<dyn Model>) -> Self {
        self.model = Some(model);
        self
    }

    /// Where login tokens are kept. Default: in memory. An `Arc<dyn TokenStore>` is accepted too.
    #[must_use]
    pub fn token_store(mut self, store: impl TokenStore + 'static) -> Self {
        self.tokens = Arc::new(store);
        self
    }

    /// The key behind login tokens and sessions. Default: a random one, so that a restart logs everybody
    /// out. Processes that share a token store need the same key.
    #[must_use]
    pub fn key(mut self, key: Key) -> Self {
        self.key = Some(key);
        self
    }

    /// What desktops may ask for. Default: [`Limits::default`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What one turn may spend. Default: [`Budget::default`].
    #[must_use]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// The standing instructions for the model. Default: the agent's own.
    #[must_use]
    pub fn system(mut self, system: impl Into<String>) -> Self {
        self.system = Some(system.into());
        self
    }

    /// The wall clock, in milliseconds since the Unix epoch. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Listens on `address`, for example `127.0.0.1:8787`; port 0 takes a free one. It serves plain HTTP:
    /// put a proxy with TLS in front of it before it leaves the machine.
    ///
    /// # Errors
    ///
    /// When the address is taken or cannot be used, or when the system gives no random key.
    pub async fn start(self, address: &str) -> Result<RunningBackend, BackendError> {
        let key = match self.key {
            Some(key) => key,
            None => Key::generate()?,
        };
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| BackendError::bind(address, error))?;
        let local = listener
            .local_addr()
            .map_err(|error| BackendError::bind(address, error))?;
        let stop = CancellationToken::new();
        let session_ms = i64::try_from(self.limits.session.as_millis()).unwrap_or(i64::MAX);
        let shared = Arc::new(Shared {
            model: self.model.unwrap_or_else(|| Arc::new(ExtractiveModel::new())),
            system: self.system,
            budget: self.budget,
            logins: LoginTokens::new(self.tokens, &key),
            sessions: SessionTokens::new(&key, session_ms),
            conversations: Mutex::new(Conversations::new(self.limits.threads, self.limits.thread_bytes)),
            limits: self.limits,
            started_ms: (self.clock)(),
            clock: self.clock,
            serial: AtomicU64::new(0),
            connected: Mutex::default(),
            desktops: TaskTracker::new(),
            stop: stop.clone(),
        });
        let (layer, io) = socket::layer(&shared);
        let router = http::router(Arc::clone(&shared)).layer(layer);
        let server = tokio::spawn(run(listener, router, io, Arc::clone(&shared)));
        tracing::info!(address = %local, "the backend is listening");
        Ok(RunningBackend {
            local,
            shared,
            server,
            stop: stop.drop_guard(),
        })
    }
}

async fn run(listener: TcpListener, router: axum::Router, io: socketioxide::SocketIo, shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let mut serving = Box::pin(serving.into_future());
    let ended = tokio::select! {
        ended = &mut serving => Some(ended),
        () = stop.cancelled() => None,
    };
    if let Some(Err(error)) = &ended {
        tracing::error!(%error, "the backend stopped listening");
    }
    stop.cancel();
    shared.desktops.close();
    // Each desktop bounds its own end; the margin is for the last events on their way out.
    if tokio::time::timeout(shared.limits.shutdown + CLOSING, shared.desktops.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            desktops = shared.desktops.len(),
            "some desktops did not end in time"
        );
    }
    if tokio::time::timeout(CLOSING, io.close()).await.is_err() {
        tracing::warn!("some connections did not close in time");
    }
    if ended.is_none() && tokio::time::timeout(CLOSING, serving).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}

fn checked_user(user: &str) -> Result<(), BackendError> {
    if user.trim().is_empty() || user.len() > MAX_USER || user.chars().any(char::is_control) {
        return Err(BackendError::InvalidUser);
    }
    Ok(())
}

/// A backend that serves. Dropping it stops it without waiting; [`shutdown`](Self::shutdown) waits.
pub struct RunningBackend {
    local: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
    stop: DropGuard,
}

impl RunningBackend {
    /// The address a desktop on this machine connects to, for example `http://127.0.0.1:8787`.
    pub fn url(&self) -> String {
        let mut address = self.local;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("http://{address}")
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Issues a token that logs `user` in on one desktop, once, within 300 s.
    ///
    /// It may wait for the disk.
    ///
    /// # Errors
    ///
    /// When the name is empty, longer than 256 bytes or has control characters, when the user has too many
    /// unused tokens, or when the store fails.
    pub fn issue_login_token(&self, user: &str) -> Result<LoginToken, BackendError> {
        checked_user(user)?;
        Ok(self.shared.logins.issue(user, AUDIENCE, self.shared.now_ms())?)
    }

    /// As [`issue_login_token`](Self::issue_login_token), for the challenge of one device: only that device can use the
    /// token, so a link with it may pass through a browser.
    ///
    /// # Errors
    ///
    /// As [`issue_login_token`](Self::issue_login_token).
    pub fn issue_login_token_for(
        &self,
        user: &str,
        challenge: &Challenge,
    ) -> Result<LoginToken, BackendError> {
        checked_user(user)?;
        let now_ms = self.shared.now_ms();
        Ok(self.shared.logins.issue_for(user, AUDIENCE, challenge, now_ms)?)
    }

    /// The desktops that are connected now.
    pub fn desktops(&self) -> Vec<DesktopInfo> {
        let connected = self.shared.connected();
        let alive = connected.values().filter_map(Weak::upgrade);
        let info = alive.map(|calls| DesktopInfo {
            user: calls.user.clone(),
            turns: calls.turns(),
            calls: calls.waiting(),
            tools: calls.sync(),
        });
        info.collect()
    }

    /// Calls a tool of the user's desktop, as a turn would, and waits for its answer: at most as long as
    /// [`Limits`] allow a call. Of several desktops the one that connected first is asked.
    ///
    /// # Errors
    ///
    /// When no desktop of that user is connected. A tool that fails is an outcome with `is_error`.
    pub async fn call_tool(
        &self,
        user: &str,
        name: &str,
        arguments: &Value,
    ) -> Result<ToolOutcome, BackendError> {
        let desktop = {
            let connected = self.shared.connected();
            let mut of_user: Vec<_> = connected
                .iter()
                .filter_map(|(id, calls)| Some((*id, calls.upgrade()?)))
                .filter(|(_, calls)| calls.user == user)
                .collect();
            of_user.sort_unstable_by_key(|(id, _)| *id);
            of_user.into_iter().next().map(|(_, calls)| calls)
        };
        let calls = desktop.ok_or_else(|| BackendError::NotConnected {
            user: user.to_owned(),
        })?;
        Ok(call_tool(&calls, name, arguments, self.shared.stop.child_token()).await)
    }

    /// Stops: no new connections, running turns are told, then everything is closed. It takes at most a few
    /// seconds (see [`Limits::shutdown`]).
    pub async fn shutdown(self) {
        let Self { server, stop, .. } = self;
        drop(stop);
        if let Err(error) = server.await {
            tracing::error!(%error, "the backend ended abnormally");
        }
    }
}

impl std::fmt::Debug for RunningBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningBackend")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// A connected desktop.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DesktopInfo {
    /// Who is logged in there.
    pub user: String,
    /// Turns that are running.
    pub turns: usize,
    /// Requests to the desktop that wait for an answer.
    pub calls: usize,
    /// Its skills and tools as it last reported them.
    pub tools: ToolSync,
}

/// Why a backend could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// Something else listens there.
    #[error(
        "the address {address} is already in use; stop the program that listens there, or choose another port (port 0 takes a free one)"
    )]
    AddressInUse {
        /// The address that was asked for.
        address: String,
    },
    /// The address cannot be used.
    #[error(
        "the backend cannot listen on {address}: {source}; give a host and a port of this machine, for example 127.0.0.1:8787"
    )]
    Bind {
        /// The address that was asked for.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The user name cannot be used.
    #[error("the user name must have 1 to 256 bytes and no control characters")]
    InvalidUser,
    /// The user has no desktop here.
    #[error("no desktop of `{user}` is connected; start one and log it in with a login token")]
    NotConnected {
        /// The user that was asked for.
        user: String,
    },
    /// No login token was issued.
    #[error(transparent)]
    Login(#[from] TokenError),
    /// The system gave no randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl BackendError {
    fn bind(address: &str, source: std::io::Error) -> Self {
        let address = address.to_owned();
        if source.kind() == std::io::ErrorKind::AddrInUse {
            Self::AddressInUse { address }
        } else {
            Self::Bind { address, source }
        }
    }
}

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
    conversations: Mutex<Conversations>,
    connected: Mutex<HashMap<u64, Weak<Calls>>>,
    clock: Clock,
    started_ms: i64,
    serial: AtomicU64,
}

impl Shared {
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

    /// Keeps a desktop in the list for as long as the guard lives.
    pub(crate) fn list(self: &Arc<Self>, calls: &Arc<Calls>) -> Listing {
        let id = self.serial.fetch_add(1, Ordering::Relaxed);
        self.connected().insert(id, Arc::downgrade(calls));
        Listing {
            shared: Arc::clone(self),
            id,
        }
    }

    fn connected(&self) -> MutexGuard<'_, HashMap<u64, Weak<Calls>>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a desktop off the list when it is dropped.
pub(crate) struct Listing {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.shared.connected().remove(&self.id);
    }
}

fn system_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
