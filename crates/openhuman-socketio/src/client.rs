//! The public face: building a client, and using it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use crate::ack::EmitAck;
use crate::backoff::Backoff;
use crate::driver::{self, Driver};
use crate::endpoint::Endpoint;
use crate::error::{AuthError, ConnectError, EmitError};
use crate::limits::Limits;
use crate::outbox::{Outbox, SendPolicy};
use crate::payload::{self, Shape};
use crate::shared::Shared;
use crate::state::{Disconnect, State};
use crate::subscription::{Registry, Subscription};
use crate::transport::Tls;

/// Longest time that [`Client::disconnect`] waits.
const DISCONNECT_WAIT: Duration = Duration::from_secs(5);

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
    fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            path: "/socket.io/".to_owned(),
            namespace: "/".to_owned(),
            headers: Vec::new(),
            auth: Auth::None,
            tls: Tls::default(),
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

    /// Adds headers to the WebSocket request of every attempt.
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

    /// Sets the TLS configuration for `https` and `wss` addresses. Default: rustls with the ring provider
    /// and the platform's certificate verifier.
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Tls::given(config);
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

    fn launch(
        self,
        ready: Option<oneshot::Sender<Result<(), ConnectError>>>,
    ) -> Result<Client, ConnectError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ConnectError::NoRuntime)?;
        let endpoint = Endpoint::new(
            &self.url,
            &self.path,
            &self.namespace,
            &self.headers,
            &self.limits,
        )?;
        let outbox = Outbox::new(endpoint.namespace.clone(), self.limits, self.send_policy);
        let shared = Arc::new(Shared::new(runtime.clone(), outbox, self.registry));
        let driver = Driver {
            shared: Arc::clone(&shared),
            endpoint,
            auth: self.auth,
            tls: self.tls,
            backoff: self.backoff,
            reconnect_after_server_disconnect: self.reconnect_after_server_disconnect,
            reconnect_after_rejection: self.reconnect_after_rejection,
            connect_timeout: self.connect_timeout,
            heartbeat_slack: self.heartbeat_slack,
        };
        runtime.spawn(driver::run(driver, ready));
        Ok(Client {
            handle: Arc::new(Handle { shared }),
        })
    }
}

/// Asks the driver to close when the last client is gone.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.outbox.request_close();
    }
}

/// A connection to a Socket.IO server. Cloning is cheap; all clones share the connection.
///
/// When the last clone is dropped, the connection is closed in the background as by
/// [`disconnect`](Self::disconnect). Subscriptions and pending acknowledgements do not keep it open.
///
/// ```
/// # use futures_util::{SinkExt, StreamExt};
/// # use tokio_tungstenite::tungstenite::Message;
/// use openhuman_socketio::{Client, State};
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let url = format!("http://{}", listener.local_addr()?);
/// # tokio::spawn(async move {
/// #     let (tcp, _) = listener.accept().await.unwrap();
/// #     let mut socket = tokio_tungstenite::accept_async(tcp).await.unwrap();
/// #     let open = r#"0{"sid":"e","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
/// #     socket.send(Message::text(open)).await.unwrap();
/// #     while let Some(Ok(Message::Text(frame))) = socket.next().await {
/// #         if frame.starts_with("40") {
/// #             socket.send(Message::text(r#"40{"sid":"s"}"#)).await.unwrap();
/// #         } else if frame.starts_with("42") {
/// #             socket.send(Message::text(frame)).await.unwrap();
/// #         }
/// #     }
/// # });
/// let client = Client::builder(&url).auth(json!({ "token": "secret" })).connect().await?;
/// let mut greetings = client.subscribe("greeting");
///
/// // This server sends everything back.
/// client.emit("greeting", &json!({ "to": "world" })).await?;
/// let event = greetings.recv().await.ok_or("the connection has ended")?;
/// assert_eq!(event.data(), json!({ "to": "world" }));
///
/// client.disconnect().await;
/// assert!(matches!(*client.state().borrow(), State::Disconnected { .. }));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("namespace", &self.shared().outbox.namespace)
            .field("state", &*self.state().borrow())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Begins to build a client for a server at `url`: `http`, `https`, `ws` or `wss`.
    pub fn builder(url: &str) -> ClientBuilder {
        ClientBuilder::new(url)
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Sends an event with one argument. Ready when the packet has a place in the send buffer, not when it
    /// is written; see [`SendPolicy`] and [`flush`](Self::flush). Dropping the future before that sends
    /// nothing.
    ///
    /// # Errors
    /// [`EmitError`]; nothing has been sent then.
    pub async fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<(), EmitError> {
        self.send_event(self.encode(None, event, (data, Shape::One)))
            .await
    }

    /// As [`emit`](Self::emit), with any number of arguments: a tuple, an array or a list. `&()` is none.
    ///
    /// # Errors
    /// As [`emit`](Self::emit), and [`EmitError::ArgsNotList`].
    pub async fn emit_args<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> Result<(), EmitError> {
        self.send_event(self.encode(None, event, (args, Shape::Spread)))
            .await
    }

    /// Sends an event with one argument and waits for the server's acknowledgement.
    ///
    /// ```no_run
    /// # async fn example(client: openhuman_socketio::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// let reply = client.emit_ack("sum", &[1, 2]).timeout(Duration::from_secs(5)).await?;
    /// let sum: i64 = reply.arg()?;
    /// # Ok(()) }
    /// ```
    pub fn emit_ack<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> EmitAck {
        self.ask(event, (data, Shape::One))
    }

    /// As [`emit_ack`](Self::emit_ack), with any number of arguments: a tuple, an array or a list.
    pub fn emit_ack_args<T: Serialize + ?Sized>(&self, event: &str, args: &T) -> EmitAck {
        self.ask(event, (args, Shape::Spread))
    }

    fn ask<T: Serialize + ?Sized>(&self, event: &str, data: (&T, Shape)) -> EmitAck {
        let id = self.shared().acks.next_id();
        let encoded = self.encode(Some(id), event, data);
        EmitAck::new(Arc::clone(self.shared()), id, encoded)
    }

    fn encode<T: Serialize + ?Sized>(
        &self,
        id: Option<u64>,
        event: &str,
        data: (&T, Shape),
    ) -> Result<crate::packet::Encoded, EmitError> {
        let outbox = &self.shared().outbox;
        payload::encode_event(&outbox.namespace, id, event, data, &outbox.limits)
    }

    async fn send_event(&self, encoded: Result<crate::packet::Encoded, EmitError>) -> Result<(), EmitError> {
        self.shared().outbox.send(encoded?, None).await
    }

    /// Receives the events of one name from now on.
    pub fn subscribe(&self, event: &str) -> Subscription {
        self.shared().registry.subscribe(Some(event))
    }

    /// Receives all events from now on, those with a subscription of their own included.
    pub fn subscribe_all(&self) -> Subscription {
        self.shared().registry.subscribe(None)
    }

    /// Watches the state of the connection. The receiver sees the latest state, not every one.
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared().watch()
    }

    /// Why the last established connection ended; `None` when none has ended yet.
    pub fn last_disconnect(&self) -> Option<Disconnect> {
        self.shared().last_disconnect()
    }

    /// Waits until everything accepted so far has been written to the operating system. It does not mean
    /// that the server has received it: ask for an acknowledgement to know that.
    ///
    /// # Errors
    /// [`EmitError::Lost`] when the link broke first, [`EmitError::Closed`] when the client is closed.
    pub async fn flush(&self) -> Result<(), EmitError> {
        self.shared().outbox.flush().await
    }

    /// Closes the connection for good: writes what was accepted (for at most 2 s), sends DISCONNECT, closes
    /// the WebSocket, and returns when the tasks have ended, at the latest after 5 s. All clones are closed
    /// with it. Also ends attempts to connect. Dropping the future does not undo it.
    pub async fn disconnect(&self) {
        let mut state = self.state();
        self.shared().outbox.request_close();
        let limit = {
            let _runtime = self.shared().runtime.enter();
            tokio::time::sleep(DISCONNECT_WAIT)
        };
        tokio::select! {
            _ = state.wait_for(State::is_final) => {}
            () = limit => {}
        }
    }
}
