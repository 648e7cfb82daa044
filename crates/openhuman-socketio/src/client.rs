//! Using a client.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use crate::ack::EmitAck;
use crate::builder::{ClientBuilder, NamespaceBuilder};
use crate::delivery::{Delivery, Retries};
use crate::error::EmitError;
use crate::event::Event;
use crate::hub::Hub;
use crate::packet::Encoded;
use crate::payload::{self, Shape};
use crate::shared::Shared;
use crate::state::{Disconnect, State};
use crate::stats::Stats;
use crate::subscription::{Listener, Subscription};

/// Longest time that [`Client::disconnect`] waits.
const DISCONNECT_WAIT: Duration = Duration::from_secs(5);

/// Asks the driver to close the namespace when its last client is gone.
struct Handle {
    shared: Arc<Shared>,
    hub: Arc<Hub>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.outbox.request_close();
    }
}

/// A namespace of a Socket.IO server. Cloning is cheap; all clones share it.
///
/// Several namespaces can share one connection: see [`namespace`](Self::namespace). It is open as long as one
/// of them is wanted.
///
/// When the last clone is dropped, the namespace is left in the background as by
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

    pub(crate) fn new(shared: Arc<Shared>, hub: Arc<Hub>) -> Self {
        let handle = Arc::new(Handle { shared, hub });
        Self { handle }
    }

    /// Begins to build the client of another namespace on the same connection, with the same settings but
    /// for the credentials. Also connects a namespace again that was disconnected or refused.
    ///
    /// ```no_run
    /// # async fn example(client: openhuman_socketio::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let admin = client.namespace("/admin").connect().await?;
    /// admin.emit("reload", &()).await?;
    /// # Ok(()) }
    /// ```
    pub fn namespace(&self, namespace: &str) -> NamespaceBuilder {
        NamespaceBuilder::on(Arc::clone(&self.handle.hub), namespace)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Sends an event with one argument. Ready when the packet has a place in the send buffer, not when it
    /// is written; see [`SendPolicy`](crate::SendPolicy) and [`flush`](Self::flush). Dropping the future
    /// before that sends nothing.
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

    /// Sends an event only if that can be done soon: there is a connection, and not much waits before it.
    /// Returns whether the event was taken; those that are not are counted in [`Stats::dropped`]. For what is
    /// worth nothing later, as a pointer's position.
    ///
    /// # Errors
    /// As [`emit`](Self::emit), but neither [`EmitError::NotConnected`] nor [`EmitError::BufferFull`].
    pub fn emit_volatile<T: Serialize + ?Sized>(&self, event: &str, data: &T) -> Result<bool, EmitError> {
        let encoded = self.encode(None, event, (data, Shape::One))?;
        let taken = self.shared().outbox.send_volatile(encoded)?;
        if !taken {
            self.shared().counters.add_dropped(1);
        }
        Ok(taken)
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
    ) -> Result<Encoded, EmitError> {
        let outbox = &self.shared().outbox;
        payload::encode_event(&outbox.namespace, id, event, data, &outbox.limits)
    }

    async fn send_event(&self, encoded: Result<Encoded, EmitError>) -> Result<(), EmitError> {
        self.shared().send(encoded?, None).await
    }

    /// A queue whose events are sent, in order, until the server has acknowledged them.
    ///
    /// ```no_run
    /// # async fn example(client: openhuman_socketio::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use openhuman_socketio::Retries;
    ///
    /// let delivery = client.delivery(Retries::new().window(32).message_ids(true));
    /// let receipt = delivery.send("order", &["coffee"]).await?;
    /// println!("the server said {}", receipt.await?.value());
    /// # Ok(()) }
    /// ```
    pub fn delivery(&self, retries: Retries) -> Delivery {
        Delivery::new(Arc::clone(self.shared()), retries)
    }

    /// Receives the events of one name from now on.
    pub fn subscribe(&self, event: &str) -> Subscription {
        self.shared().registry.subscribe(Some(event))
    }

    /// Receives all events from now on, those with a subscription of their own included.
    pub fn subscribe_all(&self) -> Subscription {
        self.shared().registry.subscribe(None)
    }

    /// Sees the events that this client sends, from now on, when they are written: the name and the arguments as they go
    /// over the wire, without the right to acknowledge. Acknowledgements are no events, and are not seen.
    ///
    /// For logs and tests. Each event costs a look at its name for as long as somebody subscribes, and nothing otherwise.
    pub fn subscribe_outgoing(&self) -> Subscription {
        self.shared().outgoing.subscribe(None)
    }

    /// Runs a handler for each event of one name, one after the other, in a task of its own, until the
    /// [`Listener`] is dropped or the client is closed. The handler may wait for anything, also for
    /// acknowledgements.
    ///
    /// ```no_run
    /// # fn example(client: openhuman_socketio::Client) {
    /// let listener = client.on("question", |event| async move {
    ///     // The server may be gone by now.
    ///     let _ = event.ack("an answer");
    /// });
    /// # drop(listener); }
    /// ```
    #[must_use = "dropping the listener ends it"]
    pub fn on<F, Fut>(&self, event: &str, handler: F) -> Listener
    where
        F: FnMut(Event) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send,
    {
        self.subscribe(event).listen(&self.shared().runtime, handler)
    }

    /// Waits for one event of this name; `None` when the client is closed before.
    pub async fn once(&self, event: &str) -> Option<Event> {
        self.subscribe(event).recv().await
    }

    /// What the connection has done so far, and what waits in this namespace.
    pub fn stats(&self) -> Stats {
        let shared = self.shared();
        shared.counters.read(shared.outbox.len(), shared.acks.len())
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

    /// Leaves the namespace for good: writes what was accepted (for at most 2 s), sends DISCONNECT, closes
    /// the connection unless another namespace uses it, and returns when that is done, at the latest after
    /// 5 s. All clones are closed with it. Also ends attempts to connect. Dropping the future does not undo it.
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
