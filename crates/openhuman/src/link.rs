//! The live link to a backend that hosts the model.

mod exchange;
mod report;
mod status;

use std::sync::{Arc, Mutex};

use openhuman_mcp::{Hub, link as mcp_link};
use openhuman_skills::Engine;
use openhuman_socketio::{AuthError, Backoff, Client, ClientBuilder, ConnectError, SendPolicy, Subscription};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

pub(crate) use self::report::Figures;
pub use self::report::LinkReport;
pub use self::status::{SocketState, SocketStatus};
use crate::CoreError;
use crate::bridge::{SocketLink, StatusReporter};
use crate::network::Network;
use crate::sessions::{SessionAt, Sessions};

/// Chat events that a slow reader may be behind before it loses the oldest.
const CHAT_BACKLOG: usize = 1024;

/// How a user proves to a backend who they are. The session that comes of it is kept in the vault.
#[derive(Clone)]
#[non_exhaustive]
pub enum Credential {
    /// A login token: works once, within five minutes, and is exchanged for a session token over HTTP.
    LoginToken(String),
    /// A login token that was issued for this device's challenge, with what answers it.
    LoginProof {
        /// The token from the link.
        token: String,
        /// What only this device knows.
        verifier: String,
    },
    /// A session token from an earlier exchange. It is kept when the backend accepts it.
    SessionToken(String),
    /// The session that is kept in the vault.
    Kept,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::LoginToken(_) => "LoginToken(..)",
            Self::LoginProof { .. } => "LoginProof(..)",
            Self::SessionToken(_) => "SessionToken(..)",
            Self::Kept => "Kept",
        })
    }
}

/// What the backend says about a conversation, or that it is gone.
#[derive(Debug, Clone)]
pub(crate) enum BackendEvent {
    Chat { name: String, data: Value },
    Lost,
}

/// What a link connects.
#[derive(Clone)]
pub(crate) struct Ends {
    pub(crate) hub: Hub,
    pub(crate) engine: Engine,
    pub(crate) status: watch::Sender<SocketStatus>,
    pub(crate) sessions: Sessions,
    pub(crate) network: Network,
}

/// A running link. It reconnects by itself until [`Link::close`] or until it is dropped.
#[derive(Debug)]
pub struct Link {
    client: Client,
    url: String,
    figures: Arc<Figures>,
    chat: broadcast::Sender<BackendEvent>,
    cancel: CancellationToken,
    serving: Mutex<Option<JoinHandle<()>>>,
}

/// Reads the address of a backend.
pub(crate) fn base(url: &str) -> Result<Url, CoreError> {
    let refused = |reason: String| CoreError::Setting {
        setting: "the backend address",
        reason,
    };
    let base = Url::parse(url.trim()).map_err(|error| {
        refused(format!(
            "'{url}' is not a URL ({error}); write it as https://host or http://127.0.0.1:port"
        ))
    })?;
    if !base.username().is_empty() || base.password().is_some() {
        return Err(refused(
            "it holds a user name or password; write it without, and log in with a token".into(),
        ));
    }
    Ok(base)
}

impl Link {
    /// Logs in and connects. Returns once the backend has acknowledged the connection; later losses are repaired
    /// in the background, with a back-off from one to thirty seconds.
    pub(crate) async fn connect(url: &str, credential: &Credential, ends: Ends) -> Result<Self, CoreError> {
        let base = base(url)?;
        let session = ends.sessions.at(&base);
        let _attempt = Attempt::begin(&ends.status, session.address());
        match Self::open(&base, credential, &session, &ends).await {
            Ok((client, events)) => Ok(Self::serve(client, events, session.address(), ends)),
            Err(error) => {
                ends.status.send_modify(|status| {
                    status.status = SocketState::Error;
                    status.error = Some(error.to_string());
                });
                Err(error)
            }
        }
    }

    /// Connects in the background with the session that is kept, and goes on trying while the backend is not there.
    pub(crate) async fn resume(backend: &Url, ends: Ends) -> Result<Self, CoreError> {
        let session = ends.sessions.at(backend);
        let attempt = Attempt::begin(&ends.status, session.address());
        // Requests beside the link need it before the first connection.
        session.current().await?;
        let mut builder = builder(backend, &session, &ends.network)?;
        let events = builder.subscribe_all();
        let client = builder.start().map_err(|error| refusal(backend, &error))?;
        attempt.goes_on();
        Ok(Self::serve(client, events, session.address(), ends))
    }

    async fn open(
        base: &Url,
        credential: &Credential,
        session: &SessionAt,
        ends: &Ends,
    ) -> Result<(Client, Subscription), CoreError> {
        let network = &ends.network;
        let mut earlier = None;
        match credential {
            Credential::LoginToken(token) => {
                let token = exchange::exchange(base, network, token, None).await?;
                session.keep(&token).await?;
            }
            Credential::LoginProof { token, verifier } => {
                let token = exchange::exchange(base, network, token, Some(verifier)).await?;
                session.keep(&token).await?;
            }
            Credential::SessionToken(token) => {
                earlier = Some(session.kept().await?);
                session.keep(token).await?;
            }
            Credential::Kept => {
                session.current().await?;
            }
        }
        let mut builder = builder(base, session, network)?;
        // Subscribed before the connection is made: `ready` may follow the acknowledgement at once.
        let events = builder.subscribe_all();
        match builder.connect().await {
            Ok(client) => Ok((client, events)),
            Err(error) => {
                // A token that got nobody in does not take the place of one that did.
                match earlier {
                    Some(Some(earlier)) => session.keep(earlier.expose()).await?,
                    Some(None) => drop(session.forget().await?),
                    None => {}
                }
                Err(refusal(base, &error))
            }
        }
    }

    fn serve(client: Client, events: Subscription, backend: &str, ends: Ends) -> Self {
        let cancel = CancellationToken::new();
        let (chat, _) = broadcast::channel(CHAT_BACKLOG);
        let figures = Arc::<Figures>::default();
        let report = StatusReporter::new(ends.status, chat.clone(), backend.to_owned(), figures.clone());
        // The caller sees the connection at once; the pump reports what follows.
        report.publish(&client.state().borrow());
        let link = Arc::new(SocketLink::new(
            client.clone(),
            events,
            ends.engine,
            report,
            cancel.clone(),
        ));
        let serving = tokio::spawn(mcp_link::serve(
            ends.hub,
            link,
            mcp_link::LinkOptions::default(),
            cancel.clone(),
        ));
        Self {
            client,
            url: backend.to_owned(),
            figures,
            chat,
            cancel,
            serving: Mutex::new(Some(serving)),
        }
    }

    /// The address the link was opened with.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the link has done so far.
    #[must_use]
    pub fn report(&self) -> LinkReport {
        self.figures.report(&self.client, &self.url)
    }

    pub(crate) fn chat_events(&self) -> broadcast::Receiver<BackendEvent> {
        self.chat.subscribe()
    }

    pub(crate) async fn emit(&self, event: &str, data: &Value) -> Result<(), CoreError> {
        self.client
            .emit(event, data)
            .await
            .map_err(|error| CoreError::Backend {
                url: self.url.clone(),
                reason: error.to_string(),
            })
    }

    /// Says good-bye to the backend and waits until the tasks of the link have ended.
    pub async fn close(&self) {
        self.client.disconnect().await;
        // The pump may be stopped before it has seen the end, and the turns hold the sender.
        let _ = self.chat.send(BackendEvent::Lost);
        self.cancel.cancel();
        let serving = self
            .serving
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(serving) = serving {
            let _ = serving.await;
        }
    }
}

/// Every attempt asks the vault for the session: one that was renewed is used, and one that is gone ends the attempts
/// with a reason instead of a refusal.
fn builder(base: &Url, session: &SessionAt, network: &Network) -> Result<ClientBuilder, CoreError> {
    let session = session.clone();
    let mut builder = Client::builder(base.as_str())
        .auth_fn(move || {
            let session = session.clone();
            async move {
                let token = session.current().await;
                let token = token.map_err(|error| AuthError::from(error.to_string()))?;
                Ok(json!({ "token": token.expose() }))
            }
        })
        .transports(network.transports())
        .reconnect(Backoff::default().jitter(1.0))
        .reconnect_after_server_disconnect(true)
        // A backend that is full or restarting refuses too; the reason is shown while it is tried again.
        .reconnect_after_rejection(true)
        // Nothing is replayed: an answer to a lost connection must not reach the next one.
        .send_policy(SendPolicy::FailWhenOffline);
    if let Some(tls) = network.tls()? {
        builder = builder.tls(tls);
    }
    if let Some(proxy) = network.proxy(base)? {
        builder = builder.proxy(proxy);
    }
    Ok(builder)
}

/// What a failed first attempt means: a refusal that names the session is about the login, everything else about the way.
fn refusal(base: &Url, error: &ConnectError) -> CoreError {
    let url = base.to_string();
    match error {
        ConnectError::Rejected { message, .. } if message.contains("session token") => CoreError::Login {
            url,
            reason: message.clone(),
        },
        error => CoreError::Backend {
            url,
            reason: error.to_string(),
        },
    }
}

/// Takes `connecting` back when an attempt is given up.
struct Attempt(Option<watch::Sender<SocketStatus>>);

impl Attempt {
    fn begin(status: &watch::Sender<SocketStatus>, backend: &str) -> Self {
        status.send_replace(SocketStatus {
            status: SocketState::Connecting,
            backend: Some(backend.to_owned()),
            ..SocketStatus::default()
        });
        Self(Some(status.clone()))
    }

    /// The attempt is the client's from here on.
    fn goes_on(mut self) {
        self.0 = None;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let Some(status) = &self.0 else { return };
        status.send_if_modified(|status| {
            let undecided = status.status == SocketState::Connecting;
            if undecided {
                *status = SocketStatus::default();
            }
            undecided
        });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
