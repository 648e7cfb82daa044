//! The Socket.IO side: who may connect, and where their events go.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::adapter::Adapter;
use socketioxide::extract::{Data, Event, SocketRef, TryData};
use socketioxide::handler::{ConnectHandler, FromMessageParts};
use socketioxide::layer::SocketIoLayer;
use socketioxide::socket::{DisconnectReason, Socket};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::desktop::{self, Arrival, Incoming};
use crate::shared::Shared;

/// How long a connection may stay open without showing a session token.
const UNAUTHENTICATED: Duration = Duration::from_secs(10);

/// The tower layer that answers `/socket.io/`, and the handle that closes it.
pub(crate) fn layer(shared: &Arc<Shared>) -> (SocketIoLayer, SocketIo) {
    let bytes = shared.limits.message_bytes;
    let (layer, io) = SocketIo::builder()
        .ws_max_message_size(bytes)
        .ws_max_frame_size(bytes)
        .max_payload(u64::try_from(bytes).unwrap_or(u64::MAX))
        .connect_timeout(UNAUTHENTICATED)
        .build_layer();
    let slots = Arc::new(Semaphore::new(shared.limits.desktops));
    let accept = {
        let shared = Arc::clone(shared);
        move |socket: SocketRef| {
            if let Some(arrival) = socket.extensions.remove::<Handoff>().and_then(Handoff::take) {
                shared
                    .desktops
                    .spawn(desktop::serve(Arc::clone(&shared), socket, arrival));
            }
            std::future::ready(())
        }
    };
    let admit = {
        let shared = Arc::clone(shared);
        move |socket: SocketRef, TryData(auth): TryData<Value>| {
            let admitted = admit(&shared, &slots, &socket, auth.ok().as_ref());
            match &admitted {
                Ok(()) => shared.metrics.connections.add(),
                Err(_) => shared.metrics.refused.add(),
            }
            std::future::ready(admitted)
        }
    };
    io.ns("/", accept.with(admit));
    (layer, io)
}

/// Why a desktop may not connect; the text goes out as CONNECT_ERROR.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("The session token is missing; connect with auth: {{ token }}")]
    NoToken,
    #[error(transparent)]
    Session(#[from] crate::session::InvalidSession),
    #[error("The backend has no room for another desktop; try again later")]
    Full,
    #[error("The backend is shutting down; try again in a moment")]
    Stopping,
}

/// Checks the session and prepares the connection. The handlers are installed here, before the client is
/// told that it is connected, so that its first event cannot come too early.
fn admit(
    shared: &Arc<Shared>,
    slots: &Arc<Semaphore>,
    socket: &SocketRef,
    auth: Option<&Value>,
) -> Result<(), Refused> {
    if shared.takes_nothing_new() {
        return Err(Refused::Stopping);
    }
    let token = auth
        .and_then(|auth| auth.get("token"))
        .and_then(Value::as_str)
        .ok_or(Refused::NoToken)?;
    let session = shared.sessions.verify(token, shared.now_ms())?;
    let slot = Arc::clone(slots).try_acquire_owned().map_err(|_| Refused::Full)?;
    let (sender, inbox) = mpsc::channel(shared.limits.inbox);
    let gone = CancellationToken::new();
    socket.extensions.insert(Inbox {
        sender,
        gone: gone.clone(),
    });
    socket.on_fallback(|_: Queued| std::future::ready(()));
    socket.on_disconnect({
        let gone = gone.clone();
        move |_: DisconnectReason| {
            gone.cancel();
            std::future::ready(())
        }
    });
    socket.extensions.insert(Handoff::new(Arrival {
        session,
        inbox,
        gone,
        _slot: slot,
    }));
    Ok(())
}

/// Carries an arrival from the check to the connection.
#[derive(Clone)]
struct Handoff(Arc<Mutex<Option<Arrival>>>);

impl Handoff {
    fn new(arrival: Arrival) -> Self {
        Self(Arc::new(Mutex::new(Some(arrival))))
    }

    fn take(self) -> Option<Arrival> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Where the events of a socket go.
#[derive(Clone)]
struct Inbox {
    sender: mpsc::Sender<Incoming>,
    gone: CancellationToken,
}

/// Puts an event into the socket's inbox while it is being extracted. Handlers run as tasks of their own
/// and may overtake each other; extraction happens in the order of arrival.
struct Queued;

impl<A: Adapter> FromMessageParts<A> for Queued {
    type Error = Infallible;

    fn from_message_parts(
        socket: &Arc<Socket<A>>,
        value: &mut socketioxide::handler::Value,
        ack: &Option<i64>,
    ) -> Result<Self, Infallible> {
        let Some(inbox) = socket.extensions.get::<Inbox>() else {
            return Ok(Self);
        };
        let Ok(Event(name)) = Event::from_message_parts(socket, value, ack) else {
            return Ok(Self);
        };
        let data = Data::<Value>::from_message_parts(socket, value, ack).map_or(Value::Null, |data| data.0);
        if let Err(mpsc::error::TrySendError::Full(_)) = inbox.sender.try_send((name, data)) {
            tracing::warn!("a desktop sends faster than it can be served and is disconnected");
            inbox.gone.cancel();
        }
        Ok(Self)
    }
}
