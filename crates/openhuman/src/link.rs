//! The live link to a backend that hosts the model.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use openhuman_mcp::{Hub, link as mcp_link};
use openhuman_skills::{Engine, SecretValue};
use openhuman_socketio::{Backoff, Client, SendPolicy, State, Subscription};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::CoreError;
use crate::bridge::{SocketLink, StatusReporter};
use crate::http::BodyError;

/// Chat events that a slow reader may be behind before it loses the oldest.
const CHAT_BACKLOG: usize = 1024;

/// The longest answer to a login that is read, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// How a user proves to a backend who they are.
#[derive(Clone)]
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
    /// A session token from an earlier exchange.
    SessionToken(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::LoginToken(_) => "LoginToken(..)",
            Self::LoginProof { .. } => "LoginProof(..)",
            Self::SessionToken(_) => "SessionToken(..)",
        })
    }
}

/// The five states of the link that a user sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SocketState {
    /// No link is wanted, or it was ended.
    #[default]
    Disconnected,
    /// The first attempt is under way.
    Connecting,
    /// The backend acknowledged the connection.
    Connected,
    /// The link was lost or never came up; the next attempt is due in `next_try_ms`.
    Reconnecting,
    /// The backend refused, or reported an error.
    Error,
}

/// The state of the link with what explains it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SocketStatus {
    /// The state.
    pub status: SocketState,
    /// The id that the backend gave this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_id: Option<String>,
    /// Why it is not connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Milliseconds from the state change to the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try_ms: Option<u64>,
}

impl From<&State> for SocketStatus {
    fn from(state: &State) -> Self {
        match state {
            State::Disconnected { reason } => Self {
                error: reason.as_ref().map(ToString::to_string),
                ..Self::default()
            },
            State::Connecting => Self {
                status: SocketState::Connecting,
                ..Self::default()
            },
            State::Connected { sid, .. } => Self {
                status: SocketState::Connected,
                socket_id: Some(sid.clone()),
                ..Self::default()
            },
            State::Reconnecting { delay, error, .. } => Self {
                status: SocketState::Reconnecting,
                error: Some(error.clone()),
                next_try_ms: Some(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
                ..Self::default()
            },
            State::Failed { error } => Self {
                status: SocketState::Error,
                error: Some(error.clone()),
                ..Self::default()
            },
        }
    }
}

/// What the backend says about a conversation, or that it is gone.
#[derive(Debug, Clone)]
pub(crate) enum BackendEvent {
    Chat { name: String, data: Value },
    Lost,
}

/// A running link. It reconnects by itself until [`Link::close`] or until it is dropped.
#[derive(Debug)]
pub struct Link {
    client: Client,
    url: String,
    session: SecretValue,
    chat: broadcast::Sender<BackendEvent>,
    cancel: CancellationToken,
    serving: Mutex<Option<JoinHandle<()>>>,
}

impl Link {
    /// Logs in and connects. Returns once the backend has acknowledged the connection; later losses are repaired
    /// in the background, with a back-off from one to thirty seconds.
    pub(crate) async fn connect(
        url: &str,
        credential: &Credential,
        hub: Hub,
        engine: Engine,
        status: watch::Sender<SocketStatus>,
    ) -> Result<Self, CoreError> {
        let base = Url::parse(url).map_err(|error| CoreError::Setting {
            setting: "the backend address",
            reason: format!(
                "'{url}' is not a URL ({error}); write it as https://host or http://127.0.0.1:port"
            ),
        })?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(CoreError::Setting {
                setting: "the backend address",
                reason: "it holds a user name or password; write it without, and log in with a token".into(),
            });
        }
        status.send_replace(SocketStatus {
            status: SocketState::Connecting,
            ..SocketStatus::default()
        });
        let _attempt = Attempt(status.clone());
        let (client, events, session) = match Self::open(&base, credential).await {
            Ok(opened) => opened,
            Err(error) => {
                status.send_replace(SocketStatus {
                    status: SocketState::Error,
                    error: Some(error.to_string()),
                    ..SocketStatus::default()
                });
                return Err(error);
            }
        };
        // The caller sees the connection at once; the pump reports what follows.
        status.send_replace(SocketStatus::from(&*client.state().borrow()));
        let cancel = CancellationToken::new();
        let (chat, _) = broadcast::channel(CHAT_BACKLOG);
        let report = StatusReporter {
            status,
            chat: chat.clone(),
        };
        let link = Arc::new(SocketLink::new(
            client.clone(),
            events,
            engine,
            report,
            cancel.clone(),
        ));
        let serving = tokio::spawn(mcp_link::serve(
            hub,
            link,
            mcp_link::LinkOptions::default(),
            cancel.clone(),
        ));
        Ok(Self {
            client,
            url: url.to_owned(),
            session: SecretValue::from(session.as_str()),
            chat,
            cancel,
            serving: Mutex::new(Some(serving)),
        })
    }

    async fn open(base: &Url, credential: &Credential) -> Result<(Client, Subscription, String), CoreError> {
        let session = match credential {
            Credential::LoginToken(token) => exchange(base, token, None).await?,
            Credential::LoginProof { token, verifier } => exchange(base, token, Some(verifier)).await?,
            Credential::SessionToken(token) => token.clone(),
        };
        let token = session.clone();
        let mut builder = Client::builder(base.as_str())
            .auth_fn(move || {
                let token = token.clone();
                async move { Ok(json!({ "token": token })) }
            })
            .reconnect(Backoff::default().jitter(1.0))
            .reconnect_after_server_disconnect(true)
            // A backend that is full or restarting refuses too; the reason is shown while it is tried again.
            .reconnect_after_rejection(true)
            // Nothing is replayed: an answer to a lost connection must not reach the next one.
            .send_policy(SendPolicy::FailWhenOffline);
        // Subscribed before the connection is made: `ready` may follow the acknowledgement at once.
        let events = builder.subscribe_all();
        let client = builder.connect().await.map_err(|error| CoreError::Backend {
            url: base.to_string(),
            reason: error.to_string(),
        })?;
        Ok((client, events, session))
    }

    /// The token of the session, for requests to the same backend.
    pub(crate) fn session(&self) -> SecretValue {
        SecretValue::from(self.session.expose())
    }

    /// The address the link was opened with.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
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

/// Takes `connecting` back when an attempt is given up.
struct Attempt(watch::Sender<SocketStatus>);

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.send_if_modified(|status| {
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

/// Exchanges a single-use login token for a session token (`POST /telegram/login-tokens/{token}/consume`). A token that
/// was issued for a challenge needs the verifier that answers it.
async fn exchange(base: &Url, token: &str, verifier: Option<&str>) -> Result<String, CoreError> {
    let unreachable = |reason: String| CoreError::Backend {
        url: base.to_string(),
        reason,
    };
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| unreachable("the address cannot have a path".into()))?
        .pop_if_empty()
        .extend(["telegram", "login-tokens", token, "consume"]);
    let mut request = crate::http::client(Duration::from_secs(15))?.post(url);
    if let Some(verifier) = verifier {
        request = request.json(&json!({ "codeVerifier": verifier }));
    }
    // The URL carries the token: errors must not print it.
    let failed = |error: reqwest::Error| unreachable(error.without_url().to_string());
    let response = request.send().await.map_err(failed)?;
    let status = response.status();
    let body = crate::http::body(response, LONGEST_ANSWER)
        .await
        .map_err(|error| match error {
            BodyError::Failed(error) => failed(error),
            BodyError::TooLong => unreachable(format!(
                "its answer to the login is longer than {LONGEST_ANSWER} bytes: is this an OpenHuman backend?"
            )),
        })?;
    session_of(base, status, &body)
}

/// Reads the answer to an exchange.
fn session_of(base: &Url, status: reqwest::StatusCode, body: &[u8]) -> Result<String, CoreError> {
    let unreachable = |reason: String| CoreError::Backend {
        url: base.to_string(),
        reason,
    };
    let body: Value = serde_json::from_slice(body).map_err(|_| {
        unreachable(format!(
            "it answered {status} without JSON: is this an OpenHuman backend?"
        ))
    })?;
    match body.pointer("/data/jwtToken").and_then(Value::as_str) {
        Some(session) if status.is_success() => Ok(session.to_owned()),
        _ if body.get("success").is_none() => Err(unreachable(format!(
            "it answered {status}, but not as an OpenHuman backend does"
        ))),
        _ => {
            let message = body.get("message").or_else(|| body.get("error"));
            let reason = message
                .and_then(Value::as_str)
                .unwrap_or("the login token is unknown, used or expired; ask for a new one");
            Err(CoreError::Login {
                url: base.to_string(),
                reason: reason.to_owned(),
            })
        }
    }
}
