//! Describing and starting a backend.

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::serve::Listener;
use openhuman_agent::extractive::ExtractiveModel;
use openhuman_agent::{Budget, Model};
use openhuman_vault::Key;
use openhuman_vault::tokens::{MemoryTokenStore, TokenStore};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Alone, Cluster};
use crate::config::BackendConfig;
use crate::error::BackendError;
use crate::limits::Limits;
use crate::running::RunningBackend;
use crate::shared::{Clock, Parts, Shared, system_ms};
use crate::tls::{TlsFiles, TlsListener};
use crate::tunnels::{MemoryTunnels, TunnelStore};
use crate::{http, socket};

/// How long closing the remaining connections may take.
const CLOSING: Duration = Duration::from_secs(2);

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
            tunnels: Arc::new(MemoryTunnels::default()),
            cluster: Arc::new(Alone),
            tls: None,
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
    tunnels: Arc<dyn TunnelStore>,
    cluster: Arc<dyn Cluster>,
    tls: Option<TlsFiles>,
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

    /// Where webhooks are kept. Default: in memory, so that a restart forgets them.
    #[must_use]
    pub fn tunnel_store(mut self, store: impl TunnelStore + 'static) -> Self {
        self.tunnels = Arc::new(store);
        self
    }

    /// The way to the other instances of this backend. Default: there are none.
    #[must_use]
    pub fn cluster(mut self, cluster: impl Cluster + 'static) -> Self {
        self.cluster = Arc::new(cluster);
        self
    }

    /// Serves TLS with this certificate. Default: plain HTTP.
    #[must_use]
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.tls = Some(files);
        self
    }

    /// Takes limits, key and certificate from settings; with the feature `redis` also the shared stores and the way to the
    /// other instances. [`start`](Self::start) with [`BackendConfig::listen`] follows.
    ///
    /// # Errors
    /// When the key file cannot be used, when the Redis server cannot be reached, or when one is set and the feature is
    /// off.
    pub async fn config(mut self, config: &BackendConfig) -> Result<Self, BackendError> {
        self.limits = config.limits();
        self.tls = config.tls.clone();
        if let Some(key) = config.key()? {
            self.key = Some(key);
        }
        match &config.redis {
            None => Ok(self),
            #[cfg(feature = "redis")]
            Some(url) => {
                let cluster = crate::redis::RedisCluster::connect(url).await?;
                let tunnels = crate::redis::RedisTunnels::connect(url)?;
                let tokens = crate::redis::RedisTokenStore::connect(url)?;
                Ok(self.cluster(cluster).tunnel_store(tunnels).token_store(tokens))
            }
            #[cfg(not(feature = "redis"))]
            Some(_) => Err(BackendError::Config {
                reason: "`redis` is set, and this program was built without the feature `redis`".to_owned(),
            }),
        }
    }

    /// Listens on `address`, for example `127.0.0.1:8787`; port 0 takes a free one. Without
    /// [`tls`](Self::tls) it serves plain HTTP: put a proxy with TLS in front of it before it leaves the machine.
    ///
    /// # Errors
    ///
    /// When the address is taken or cannot be used, or when the system gives no random key.
    pub async fn start(self, address: &str) -> Result<RunningBackend, BackendError> {
        let key = match self.key {
            Some(key) => key,
            None => Key::generate()?,
        };
        let acceptor = self.tls.as_ref().map(TlsFiles::acceptor).transpose()?;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| BackendError::bind(address, error))?;
        let local = listener
            .local_addr()
            .map_err(|error| BackendError::bind(address, error))?;
        let stop = CancellationToken::new();
        let parts = Parts {
            model: self.model.unwrap_or_else(|| Arc::new(ExtractiveModel::new())),
            system: self.system,
            budget: self.budget,
            tokens: self.tokens,
            tunnels: self.tunnels,
            cluster: self.cluster,
            key,
            limits: self.limits,
            clock: self.clock,
        };
        let shared = Shared::new(parts, stop.clone());
        let here: Weak<Shared> = Arc::downgrade(&shared);
        shared.cluster.join(here);
        let (layer, io) = socket::layer(&shared);
        let router = http::router(Arc::clone(&shared)).layer(layer);
        let (server, scheme) = match acceptor {
            None => {
                let served = run(listener, router, io, Arc::clone(&shared));
                (tokio::spawn(served), "http")
            }
            Some(acceptor) => {
                let listener = TlsListener::new(listener, local, acceptor, stop.clone());
                let served = run(listener, router, io, Arc::clone(&shared));
                (tokio::spawn(served), "https")
            }
        };
        tracing::info!(address = %local, scheme, "the backend is listening");
        Ok(RunningBackend::new(local, scheme, shared, server, stop))
    }
}

async fn run<L>(listener: L, router: axum::Router, io: socketioxide::SocketIo, shared: Arc<Shared>)
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
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
