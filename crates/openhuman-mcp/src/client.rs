//! Other programs' MCP servers as providers of the hub.
//!
//! A server is a child process on its standard streams or an address that speaks Streamable HTTP, as the common
//! `mcpServers` files have it ([`config`]). It is kept at arm's length: what it says its tools may do counts only when
//! it is trusted, its definitions are pinned by hash so that one that changes is withheld until it is accepted
//! ([`pin`]), and it cannot hold up or fill this process: starting, lines, messages and lists are bounded, and one that
//! crashes is started again, more and more slowly.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rmcp::RoleClient;
use rmcp::model::{CallToolRequest, CallToolRequestParams, ClientRequest, ProgressToken, ServerResult};
use rmcp::service::{Peer, PeerRequestOptions};
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::context::{CallContext, Progress};
use crate::error::CallError;
use crate::tool::{Annotations, ToolProvider, ToolResult, Toolset};
use config::ServerConfig;
use convert::Listed;
use pin::{PinStore, Review};

mod child;
pub mod config;
mod convert;
mod guard;
pub mod pin;
mod session;

/// How servers are dealt with.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// How long a server may take from its start until its tools are known. Default: 30 s.
    pub start: Duration,
    /// How long to wait before a server that was lost is started again; each time twice as long. Default: 1 s.
    pub retry: Duration,
    /// The longest such wait. Default: 1 min.
    pub longest_retry: Duration,
    /// The longest line of a child, in bytes; a longer one is dropped. Default: 8 MiB.
    pub longest_line: usize,
    /// How many messages a child may send per second, after a burst of ten times as many; then it has to wait.
    /// Default: 1,000.
    pub messages_per_second: u32,
    /// How many tools a server may have; those after them are left out. Default: 1,000.
    pub most_tools: usize,
    /// The client for servers with an address. Without one they are not connected to.
    #[cfg(feature = "client-http")]
    pub http: Option<reqwest::Client>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(30),
            retry: Duration::from_secs(1),
            longest_retry: Duration::from_secs(60),
            longest_line: 8 * 1024 * 1024,
            messages_per_second: 1_000,
            most_tools: 1_000,
            #[cfg(feature = "client-http")]
            http: None,
        }
    }
}

/// How a server is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ServerState {
    /// It is being started.
    #[default]
    Connecting,
    /// Its tools can be called.
    Connected {
        /// What it calls itself, with its version.
        server: String,
        /// The revision of the protocol that both speak.
        protocol: String,
    },
    /// It is not there; it is tried again later.
    Failed {
        /// Why, with the last that it wrote to its standard error.
        reason: String,
    },
    /// It was closed.
    Closed,
}

/// A server as a provider. Dropping it ends the server.
pub struct ExternalServer {
    shared: Arc<Shared>,
    cancel: CancellationToken,
    task: Mutex<Option<AbortOnDropHandle<()>>>,
}

/// What the provider and the task that keeps the connection have in common.
struct Shared {
    config: ServerConfig,
    options: ClientOptions,
    pins: Arc<dyn PinStore>,
    known: Mutex<Known>,
    /// Calls that may report progress.
    progress: Mutex<HashMap<ProgressToken, Progress>>,
    changes: watch::Sender<u64>,
    state: watch::Sender<ServerState>,
    list_changed: Notify,
}

#[derive(Default)]
struct Known {
    listed: Vec<Listed>,
    review: Review,
    peer: Option<Peer<RoleClient>>,
}

impl ExternalServer {
    /// Starts a server and keeps it running until this is dropped or closed.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn start(config: ServerConfig, pins: Arc<dyn PinStore>, options: ClientOptions) -> Arc<Self> {
        let shared = Arc::new(Shared {
            config,
            options,
            pins,
            known: Mutex::default(),
            progress: Mutex::default(),
            changes: watch::Sender::new(0),
            state: watch::Sender::new(ServerState::Connecting),
            list_changed: Notify::new(),
        });
        let cancel = CancellationToken::new();
        let task = tokio::spawn(session::keep(Arc::clone(&shared), cancel.clone()));
        Arc::new(Self {
            shared,
            cancel,
            task: Mutex::new(Some(AbortOnDropHandle::new(task))),
        })
    }

    /// How it is, and how it becomes.
    pub fn state(&self) -> watch::Receiver<ServerState> {
        self.shared.state.subscribe()
    }

    /// How it is once the attempt that is under way has ended.
    pub async fn settled(&self) -> ServerState {
        let mut state = self.shared.state.subscribe();
        let settled = state.wait_for(|state| *state != ServerState::Connecting).await;
        settled.map_or(ServerState::Closed, |state| state.clone())
    }

    /// What of its definitions is not pinned, as it was last listed.
    pub fn review(&self) -> Review {
        self.shared.known().review.clone()
    }

    /// Every tool it listed last, also those that are withheld.
    pub fn listed(&self) -> Vec<crate::ToolDefinition> {
        let known = self.shared.known();
        known.listed.iter().map(|tool| tool.definition.clone()).collect()
    }

    /// Pins everything as it was last listed: the user has seen it.
    ///
    /// # Errors
    /// When the pins cannot be stored.
    pub fn accept(&self) -> Result<(), pin::PinError> {
        let hashes = self.shared.known().listed.iter().map(Listed::pin).collect();
        self.shared.pins.set(&self.shared.config.id, hashes)?;
        self.shared.review_again();
        Ok(())
    }

    /// Ends it and waits until it is gone.
    pub async fn close(&self) {
        self.cancel.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            let _ended = task.await;
        }
    }
}

impl Drop for ExternalServer {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl std::fmt::Debug for ExternalServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExternalServer")
            .field("id", &self.shared.config.id)
            .field("state", &*self.shared.state.borrow())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Each change of it is one assignment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self) -> MutexGuard<'_, HashMap<ProgressToken, Progress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: ServerState) {
        if !matches!(state, ServerState::Connected { .. }) {
            self.known().peer = None;
        }
        self.state.send_replace(state);
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Compares what is listed with what is pinned. What a server lists when nothing of it is pinned yet is pinned.
    fn review_again(&self) {
        let mut known = self.known();
        let hashes: pin::Pins = known.listed.iter().map(Listed::pin).collect();
        let id = &self.config.id;
        known.review = match self.pins.get(id) {
            Some(pins) => Review::of(&pins, &hashes),
            None if self.config.pin_at_first_sight => {
                if let Err(error) = self.pins.set(id, hashes) {
                    tracing::warn!(server = %id, %error, "the tools of a server could not be pinned");
                }
                Review::default()
            }
            None => Review::of(&pin::Pins::default(), &hashes),
        };
        if !known.review.is_empty() {
            tracing::warn!(server = %id, review = %known.review, "tools of a server are withheld until they are accepted");
        }
        drop(known);
        self.changed();
    }

    async fn call(&self, tool: &str, args: Value, ctx: CallContext) -> Result<ToolResult, CallError> {
        let Some(peer) = self.known().peer.clone() else {
            return Err(CallError::NotRunning {
                id: self.config.id.clone(),
                status: self.status().into(),
            });
        };
        let failed = |error: rmcp::service::ServiceError| CallError::Failed(error.to_string());
        let mut params = CallToolRequestParams::new(tool.to_owned());
        if let Value::Object(arguments) = args {
            params = params.with_arguments(arguments);
        }
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let handle = peer
            .send_cancellable_request(request, PeerRequestOptions::no_options())
            .await
            .map_err(failed)?;
        let token = handle.progress_token.clone();
        self.progress().insert(token.clone(), ctx.progress);
        let _forget = Forget { shared: self, token };
        // When this is dropped, the library tells the server.
        match handle.await_response().await.map_err(failed)? {
            ServerResult::CallToolResult(result) => Ok(convert::result(result)),
            ServerResult::InputRequiredResult(_) => Err(CallError::Failed(
                "the server wants to ask its user something, which is not possible here".into(),
            )),
            _ => Err(CallError::Failed(
                "the server answered with something that is not the result of a tool".into(),
            )),
        }
    }

    fn status(&self) -> &'static str {
        match &*self.state.borrow() {
            ServerState::Connecting => "connecting",
            ServerState::Connected { .. } => "connected",
            ServerState::Failed { .. } => "error",
            ServerState::Closed => "offline",
        }
    }
}

/// Removes what a call left in the table, however it ends.
struct Forget<'a> {
    shared: &'a Shared,
    token: ProgressToken,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shared.progress().remove(&self.token);
    }
}

impl ToolProvider for ExternalServer {
    fn toolsets(&self) -> Vec<Toolset> {
        let config = &self.shared.config;
        let known = self.shared.known();
        let tools = known
            .listed
            .iter()
            .filter(|tool| !known.review.withholds(&tool.definition.name));
        vec![Toolset {
            id: config.id.clone(),
            name: config.name.clone(),
            status: self.shared.status().into(),
            running: known.peer.is_some(),
            tools: tools
                .map(|tool| {
                    let definition = tool.definition.clone();
                    if config.trusted {
                        definition
                    } else {
                        // A stranger's word about its effects is not proof: the worst case stands.
                        definition.with_annotations(Annotations::default())
                    }
                })
                .collect(),
        }]
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    fn output_schema(&self, _toolset: &str, tool: &str) -> Option<Value> {
        let known = self.shared.known();
        let listed = known.listed.iter().find(|listed| listed.definition.name == tool);
        listed.and_then(|listed| listed.output.clone())
    }

    fn call<'a>(
        &'a self,
        _toolset: &'a str,
        tool: &'a str,
        args: Value,
        ctx: CallContext,
    ) -> BoxFuture<'a, Result<ToolResult, CallError>> {
        Box::pin(self.shared.call(tool, args, ctx))
    }
}
