//! Building a client.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::backoff::Backoff;
use crate::client::Client;
use crate::cookies::Cookies;
use crate::endpoint::{self, Endpoint};
use crate::error::{AuthError, ConnectError};
use crate::hub::{Hub, Ready};
use crate::limits::Limits;
use crate::outbox::SendPolicy;
use crate::packet::Parser;
use crate::proxy::Proxy;
use crate::subscription::{Registry, Subscription};
use crate::tls::Tls;
use crate::transport::{Dialer, Transports};

type AuthFn = Arc<dyn Fn() -> BoxFuture<'static, Result<Value, AuthError>> + Send + Sync>;

/// Where the CONNECT payload comes from.
#[derive(Clone)]
pub(crate) enum Auth {
    None,
    Fixed(Value),
    Dynamic(AuthFn),
}

/// Settings of a client. Made by [`Client::builder`]; used up by [`connect`](Self::connect) or
/// [`start`](Self::start).
#[must_use = "a builder does nothing until connect() or start()"]
pub struct ClientBuilder {
    url: String,
    path: String,
    namespace: String,
    headers: Vec<(String, String)>,
    auth: Auth,
    tls: Tls,
    proxy: Option<Proxy>,
    transports: Transports,
    parser: Parser,
    backoff: Backoff,
    reconnect_after_server_disconnect: bool,
    reconnect_after_rejection: bool,
    connect_timeout: Duration,
    heartbeat_slack: Duration,
    send_policy: SendPolicy,
    limits: Limits,
    registry: Arc<Registry>,
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // URL, headers and auth can hold credentials.
        f.debug_struct("ClientBuilder")
            .field("path", &self.path)
            .field("namespace", &self.namespace)
            .field("backoff", &self.backoff)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

impl ClientBuilder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            path: "/socket.io/".to_owned(),
            namespace: "/".to_owned(),
            headers: Vec::new(),
            auth: Auth::None,
            tls: Tls::default(),
            proxy: None,
            transports: Transports::default(),
            parser: Parser::default(),
            backoff: Backoff::default(),
            reconnect_after_server_disconnect: false,
            reconnect_after_rejection: false,
            connect_timeout: Duration::from_secs(20),
            heartbeat_slack: Duration::from_secs(5),
            send_policy: SendPolicy::default(),
            limits: Limits::default(),
            registry: Arc::default(),
        }
    }

    /// Sets the CONNECT payload, which must be an object. Default: none.
    pub fn auth(mut self, auth: Value) -> Self {
        self.auth = Auth::Fixed(auth);
        self
    }

    /// Sets a function that makes the CONNECT payload, called afresh for every attempt, once the server has
    /// answered the handshake. It runs in a task of its own, which is aborted when the attempt ends. An
    /// error counts as a failed attempt and is followed by the next one.
    pub fn auth_fn<F, Fut>(mut self, auth: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, AuthError>> + Send + 'static,
    {
        self.auth = Auth::Dynamic(Arc::new(move || Box::pin(auth())));
        self
    }

    /// Sets the waits between attempts. Default: 1 s to 30 s, without end.
    pub fn reconnect(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Also reconnects after the server has sent DISCONNECT. Default: false, as in the JavaScript client.
    pub fn reconnect_after_server_disconnect(mut self, reconnect: bool) -> Self {
        self.reconnect_after_server_disconnect = reconnect;
        self
    }

    /// Also tries again after the server has refused the connection with CONNECT_ERROR. Default: false, as
    /// in the JavaScript client. Does not apply to the first attempt of [`connect`](Self::connect).
    pub fn reconnect_after_rejection(mut self, reconnect: bool) -> Self {
        self.reconnect_after_rejection = reconnect;
        self
    }

    /// Adds headers to every request.
    pub fn headers<N: Into<String>, V: Into<String>>(
        mut self,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.headers.extend(
            headers
                .into_iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        self
    }

    /// Sets the time allowed for one attempt, from the name lookup to the CONNECT ack, credentials
    /// included. Default 20 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the TLS configuration for `https` and `wss` addresses, of your own or made with
    /// [`TlsOptions`](crate::TlsOptions). Default: rustls with the ring provider and the platform's
    /// certificate verifier.
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Tls::given(config);
        self
    }

    /// Reaches the server through a proxy. Default: none; see [`Proxy::from_environment`].
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Sets the transports to use. Default: WebSocket only.
    pub fn transports(mut self, transports: Transports) -> Self {
        self.transports = transports;
        self
    }

    /// Sets how packets are written, which must be how the server reads them. Default: JSON.
    pub fn parser(mut self, parser: Parser) -> Self {
        self.parser = parser;
        self
    }

    /// Sets the path of the Socket.IO endpoint below the URL's own path. Default `/socket.io/`.
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Sets the namespace. Default `/`. A query behind `?` is sent with the handshake.
    ///
    /// Unlike in the JavaScript client, the path of the URL is not the namespace.
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Sets the time that is added to `pingInterval + pingTimeout` before a silent server counts as lost.
    /// Default 5 s.
    pub fn heartbeat_slack(mut self, slack: Duration) -> Self {
        self.heartbeat_slack = slack;
        self
    }

    /// Sets what happens to packets that cannot be written at once. Default [`SendPolicy::Wait`].
    pub fn send_policy(mut self, policy: SendPolicy) -> Self {
        self.send_policy = policy;
        self
    }

    /// Sets the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Subscribes before there is a connection, so that not even an event that the server sends together
    /// with its CONNECT ack is missed.
    pub fn subscribe(&mut self, event: &str) -> Subscription {
        self.registry.subscribe(Some(event))
    }

    /// As [`subscribe`](Self::subscribe), for all events.
    pub fn subscribe_all(&mut self) -> Subscription {
        self.registry.subscribe(None)
    }

    /// Connects, and returns when the server has accepted the namespace. From then on the client reconnects
    /// by itself. Dropping the future abandons the attempt.
    ///
    /// # Errors
    /// Any [`ConnectError`] of the first attempt; nothing is left running then.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let (ready, connected) = oneshot::channel();
        let client = self.launch(Some(ready))?;
        match connected.await {
            Ok(Ok(())) => Ok(client),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ConnectError::Closed),
        }
    }

    /// Returns at once and connects in the background, trying until it succeeds, is refused, or the
    /// [`Backoff`] ends. [`Client::state`] tells how it goes.
    ///
    /// # Errors
    /// [`ConnectError`] when the settings cannot be used, or outside a tokio runtime.
    pub fn start(self) -> Result<Client, ConnectError> {
        self.launch(None)
    }

    fn launch(self, ready: Option<Ready>) -> Result<Client, ConnectError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ConnectError::NoRuntime)?;
        let (namespace, query) = endpoint::split_namespace(&self.namespace, &self.limits)?;
        let dialer = Dialer {
            endpoint: Endpoint::new(&self.url, &self.path, query, &self.headers)?,
            tls: self.tls,
            proxy: self.proxy,
            transports: self.transports,
            limits: self.limits.clone(),
            cookies: Cookies::default(),
        };
        let hub = Arc::new(Hub {
            runtime,
            dialer: Arc::new(dialer),
            backoff: self.backoff,
            reconnect_after_server_disconnect: self.reconnect_after_server_disconnect,
            reconnect_after_rejection: self.reconnect_after_rejection,
            connect_timeout: self.connect_timeout,
            heartbeat_slack: self.heartbeat_slack,
            send_policy: self.send_policy,
            parser: self.parser,
            limits: self.limits,
            bell: Arc::default(),
            counters: Arc::default(),
            members: Mutex::default(),
        });
        let shared = hub.add(namespace, self.auth, self.registry, ready)?;
        Ok(Client::new(shared, hub))
    }
}

/// Settings of a further namespace on the connection of a client. Made by
/// [`Client::namespace`]; used up by [`connect`](Self::connect) or [`start`](Self::start).
#[must_use = "a builder does nothing until connect() or start()"]
pub struct NamespaceBuilder {
    hub: Arc<Hub>,
    namespace: String,
    auth: Auth,
    registry: Arc<Registry>,
}

impl fmt::Debug for NamespaceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamespaceBuilder")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl NamespaceBuilder {
    pub(crate) fn new(hub: Arc<Hub>, namespace: &str) -> Self {
        Self {
            hub,
            namespace: namespace.to_owned(),
            auth: Auth::None,
            registry: Arc::default(),
        }
    }

    /// As [`ClientBuilder::auth`], for this namespace. Each has its own.
    pub fn auth(mut self, auth: Value) -> Self {
        self.auth = Auth::Fixed(auth);
        self
    }

    /// As [`ClientBuilder::auth_fn`], for this namespace.
    pub fn auth_fn<F, Fut>(mut self, auth: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, AuthError>> + Send + 'static,
    {
        self.auth = Auth::Dynamic(Arc::new(move || Box::pin(auth())));
        self
    }

    /// As [`ClientBuilder::subscribe`].
    pub fn subscribe(&mut self, event: &str) -> Subscription {
        self.registry.subscribe(Some(event))
    }

    /// As [`ClientBuilder::subscribe_all`].
    pub fn subscribe_all(&mut self) -> Subscription {
        self.registry.subscribe(None)
    }

    /// Connects the namespace, over the link that is there or the next one, and returns when the server has
    /// accepted it.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`], [`ConnectError::NamespaceInUse`], and
    /// [`ConnectError::InvalidNamespace`] for one with a query, which can only be sent with the handshake.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let (ready, connected) = oneshot::channel();
        let client = self.launch(Some(ready))?;
        match connected.await {
            Ok(Ok(())) => Ok(client),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ConnectError::Closed),
        }
    }

    /// Returns at once and connects in the background.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), about the namespace's name.
    pub fn start(self) -> Result<Client, ConnectError> {
        self.launch(None)
    }

    fn launch(self, ready: Option<Ready>) -> Result<Client, ConnectError> {
        let (namespace, None) = endpoint::split_namespace(&self.namespace, &self.hub.limits)? else {
            return Err(ConnectError::InvalidNamespace {
                namespace: self.namespace,
            });
        };
        let shared = self.hub.add(namespace, self.auth, self.registry, ready)?;
        Ok(Client::new(shared, self.hub))
    }
}
