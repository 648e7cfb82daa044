//! Building a client.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::backoff::Backoff;
use crate::client::Client;
use crate::cookies::Cookies;
use crate::endpoint::{self, Address, Endpoint};
use crate::error::{AuthError, ConnectError};
use crate::hub::{Hub, Ready, Settings};
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

/// Settings of a client, used up by `connect` or `start`. Made by [`Client::builder`], with a connection of its own to
/// set up, or by [`Client::namespace`], for a further namespace on the connection of that client.
#[must_use = "a builder does nothing until connect() or start()"]
pub struct ClientBuilder<C = NewConnection> {
    namespace: String,
    auth: Auth,
    registry: Arc<Registry>,
    connection: C,
}

/// Settings of a further namespace on the connection of a client; made by [`Client::namespace`].
pub type NamespaceBuilder = ClientBuilder<OpenConnection>;

/// A connection that is still to be made.
pub struct NewConnection {
    url: String,
    path: String,
    trailing_slash: bool,
    /// Pairs in the form `name=value`, joined by `&`.
    query: String,
    headers: Vec<(String, String)>,
    tls: Tls,
    proxy: Option<Proxy>,
    transports: Transports,
    remember_upgrade: bool,
    cookies: bool,
    settings: Settings,
}

/// The connection of another client.
pub struct OpenConnection(Arc<Hub>);

impl<C> fmt::Debug for ClientBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // URL, headers and auth can hold credentials.
        f.debug_struct("ClientBuilder")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl<C> ClientBuilder<C> {
    /// Sets the CONNECT payload, which must be an object. Default: none. Each namespace has its own.
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

    /// Subscribes before there is a connection, so that not even an event that the server sends together
    /// with its CONNECT ack is missed.
    pub fn subscribe(&mut self, event: &str) -> Subscription {
        self.registry.subscribe(Some(event))
    }

    /// As [`subscribe`](Self::subscribe), for all events.
    pub fn subscribe_all(&mut self) -> Subscription {
        self.registry.subscribe(None)
    }
}

impl ClientBuilder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            namespace: "/".to_owned(),
            auth: Auth::None,
            registry: Arc::default(),
            connection: NewConnection {
                url: url.to_owned(),
                path: "/socket.io/".to_owned(),
                trailing_slash: true,
                query: String::new(),
                headers: Vec::new(),
                tls: Tls::default(),
                proxy: None,
                transports: Transports::default(),
                remember_upgrade: false,
                cookies: true,
                settings: Settings::default(),
            },
        }
    }

    /// Sets the waits between attempts. Default: 1 s to 30 s, without end.
    pub fn reconnect(mut self, backoff: Backoff) -> Self {
        self.connection.settings.backoff = backoff;
        self
    }

    /// Also reconnects after the server has sent DISCONNECT. Default: false, as in the JavaScript client.
    pub fn reconnect_after_server_disconnect(mut self, reconnect: bool) -> Self {
        self.connection.settings.reconnect_after_server_disconnect = reconnect;
        self
    }

    /// Also tries again after the server has refused the connection with CONNECT_ERROR. Default: false, as
    /// in the JavaScript client. Does not apply to the first attempt of [`connect`](Self::connect).
    pub fn reconnect_after_rejection(mut self, reconnect: bool) -> Self {
        self.connection.settings.reconnect_after_rejection = reconnect;
        self
    }

    /// Adds headers to every request.
    pub fn headers<N: Into<String>, V: Into<String>>(
        mut self,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let headers = headers.into_iter();
        self.connection
            .headers
            .extend(headers.map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Keeps the cookies that the server sets, as load balancers do, and sends them with every request. Default: true.
    pub fn cookies(mut self, keep: bool) -> Self {
        self.connection.cookies = keep;
        self
    }

    /// Adds parameters to the query of every request; they are percent-encoded. Those of the URL come before them.
    pub fn query<N: AsRef<str>, V: AsRef<str>>(mut self, pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        for (name, value) in pairs {
            endpoint::push_pair(&mut self.connection.query, name.as_ref(), value.as_ref());
        }
        self
    }

    /// Sets the time allowed for one attempt, from the name lookup to the CONNECT ack, credentials
    /// included. Default 20 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connection.settings.connect_timeout = timeout;
        self
    }

    /// Sets the time allowed for an acknowledgement for which
    /// [`EmitAck::timeout`](crate::EmitAck::timeout) says nothing else. Default 30 s.
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.connection.settings.ack_timeout = timeout;
        self
    }

    /// Sets the TLS configuration for `https` and `wss` addresses, of your own or made with
    /// [`TlsOptions`](crate::TlsOptions). Default: rustls with the ring provider and the platform's
    /// certificate verifier.
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.connection.tls = Tls::given(config);
        self
    }

    /// Reaches the server through a proxy. Default: none; see [`Proxy::from_environment`].
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.connection.proxy = Some(proxy);
        self
    }

    /// Sets the transports to use. Default: WebSocket only.
    pub fn transports(mut self, transports: Transports) -> Self {
        self.connection.transports = transports;
        self
    }

    /// Begins with a WebSocket when the last connection was upgraded to one, and with long-polling again when that is
    /// refused. Default: false, as in the JavaScript client: each connection begins as [`Transports`] says.
    pub fn remember_upgrade(mut self, remember: bool) -> Self {
        self.connection.remember_upgrade = remember;
        self
    }

    /// Sets how packets are written, which must be how the server reads them. Default: JSON.
    pub fn parser(mut self, parser: Parser) -> Self {
        self.connection.settings.parser = parser;
        self
    }

    /// Sets the path of the Socket.IO endpoint below the URL's own path. Default `/socket.io/`.
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.connection.path);
        self
    }

    /// Ends the path with a slash. Default: true, as every server expects unless it was told otherwise.
    pub fn trailing_slash(mut self, slash: bool) -> Self {
        self.connection.trailing_slash = slash;
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
        self.connection.settings.heartbeat_slack = slack;
        self
    }

    /// Sets what happens to packets that cannot be written at once. Default [`SendPolicy::Wait`].
    pub fn send_policy(mut self, policy: SendPolicy) -> Self {
        self.connection.settings.send_policy = policy;
        self
    }

    /// Sets the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.connection.settings.limits = limits;
        self
    }

    /// Connects, and returns when the server has accepted the namespace. From then on the client reconnects
    /// by itself. Dropping the future abandons the attempt.
    ///
    /// # Errors
    /// Any [`ConnectError`] of the first attempt; nothing is left running then.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        accepted(|ready| self.launch(Some(ready))).await
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
        let connection = self.connection;
        let limits = connection.settings.limits.clone();
        let (namespace, query) = endpoint::split_namespace(&self.namespace, &limits)?;
        let endpoint = Endpoint::new(&Address {
            url: &connection.url,
            path: &connection.path,
            trailing_slash: connection.trailing_slash,
            queries: &[&connection.query, query.unwrap_or_default()],
            headers: &connection.headers,
        })?;
        let mut dialer = Dialer::new(endpoint, limits);
        dialer.tls = connection.tls;
        dialer.proxy = connection.proxy;
        dialer.transports = connection.transports;
        dialer.remember_upgrade = connection.remember_upgrade;
        dialer.cookies = Cookies::new(connection.cookies);
        let hub = Arc::new(Hub::new(runtime, dialer, connection.settings));
        let shared = hub.add(namespace, self.auth, self.registry, ready)?;
        Ok(Client::new(shared, hub))
    }
}

impl NamespaceBuilder {
    pub(crate) fn on(hub: Arc<Hub>, namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            auth: Auth::None,
            registry: Arc::default(),
            connection: OpenConnection(hub),
        }
    }

    /// Connects the namespace, over the link that is there or the next one, and returns when the server has
    /// accepted it.
    ///
    /// # Errors
    /// Any [`ConnectError`] of the first attempt, [`ConnectError::NamespaceInUse`], and
    /// [`ConnectError::InvalidNamespace`] for one with a query, which can only be sent with the handshake.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        accepted(|ready| self.launch(Some(ready))).await
    }

    /// Returns at once and connects in the background.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), about the namespace's name.
    pub fn start(self) -> Result<Client, ConnectError> {
        self.launch(None)
    }

    fn launch(self, ready: Option<Ready>) -> Result<Client, ConnectError> {
        let OpenConnection(hub) = self.connection;
        let (namespace, None) = endpoint::split_namespace(&self.namespace, &hub.settings.limits)? else {
            return Err(ConnectError::InvalidNamespace {
                namespace: self.namespace,
            });
        };
        let shared = hub.add(namespace, self.auth, self.registry, ready)?;
        Ok(Client::new(shared, hub))
    }
}

/// The client, once its first attempt has succeeded.
async fn accepted(
    launch: impl FnOnce(Ready) -> Result<Client, ConnectError>,
) -> Result<Client, ConnectError> {
    let (ready, connected) = oneshot::channel();
    let client = launch(ready)?;
    match connected.await {
        Ok(Ok(())) => Ok(client),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(ConnectError::Closed),
    }
}
