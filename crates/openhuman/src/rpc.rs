//! One dispatcher for every front end: the desktop calls it in process, a server can put it on a socket.
//!
//! Methods are in one table. Nothing they return is a secret: passwords and tokens go in, never out.

mod packages;
mod skills;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use openhuman_mcp::Origin;
use openhuman_memory::{Document, Query};
use openhuman_vault::{Password, VaultOptions};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Mutex, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Core, CoreError, Credential, Home, ModelConfig, Route, model_from_env};

/// Events that a slow subscriber may be behind before it loses the oldest.
const EVENT_BACKLOG: usize = 256;

/// The shortest password a new vault accepts, in characters.
const SHORTEST_PASSWORD: usize = 8;

/// Every method that answers with one value.
pub const METHODS: &[&str] = &[
    "core.ping",
    "core.version",
    "openhuman.app_state_snapshot",
    "openhuman.vault_create",
    "openhuman.vault_unlock",
    "openhuman.socket_connect",
    "openhuman.socket_disconnect",
    "openhuman.skills_call_tool",
    "openhuman.skills_list",
    "openhuman.skills_get_all_snapshots",
    "openhuman.skills_start",
    "openhuman.skills_stop",
    "openhuman.skills_status",
    "openhuman.skills_setup_start",
    "openhuman.skills_list_tools",
    "openhuman.skills_sync",
    "openhuman.skills_rpc",
    "openhuman.skills_enable",
    "openhuman.skills_disable",
    "openhuman.skills_is_enabled",
    "openhuman.skills_set_setup_complete",
    "openhuman.skills_disconnect",
    "openhuman.skills_registry_fetch",
    "openhuman.skills_search",
    "openhuman.skills_list_available",
    "openhuman.skills_list_installed",
    "openhuman.skills_install",
    "openhuman.skills_uninstall",
    "openhuman.skills_discover",
    "openhuman.skills_data_read",
    "openhuman.skills_data_write",
    "openhuman.skills_data_dir",
    "openhuman.skills_data_stats",
    "openhuman.memory_search",
    "openhuman.memory_add",
    "openhuman.chat_cancel",
];

/// Every method that answers with a stream of events.
pub const STREAMS: &[&str] = &["openhuman.chat_start"];

/// A JSON-RPC 2.0 error object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// -32601 unknown method, -32602 bad parameters, -32000 anything else.
    pub code: i32,
    /// What failed, with what, and what to do next.
    pub message: String,
    /// `{"kind": ..}` where a caller decides by it: `wrong_password`, `locked`, `needs_consent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    fn unknown_method(method: &str) -> Self {
        Self {
            code: -32601,
            message: format!("unknown method: {method}"),
            data: None,
        }
    }

    fn params(message: impl Into<String>) -> Self {
        Self {
            code: -32602,
            message: message.into(),
            data: None,
        }
    }

    fn failed(message: impl Into<String>) -> Self {
        Self {
            code: -32000,
            message: message.into(),
            data: None,
        }
    }

    fn locked() -> Self {
        Self {
            data: Some(json!({ "kind": "locked" })),
            ..Self::failed("the vault is locked: unlock it with its password first")
        }
    }
}

impl From<CoreError> for RpcError {
    fn from(error: CoreError) -> Self {
        let data = match &error {
            CoreError::RolledBack { name, .. } => Some(json!({ "kind": "rolled_back", "database": name })),
            error if error.is_wrong_password() => Some(json!({ "kind": "wrong_password" })),
            error => error
                .retry_after_ms()
                .map(|wait_ms| json!({ "kind": "too_many_attempts", "retry_after_ms": wait_ms })),
        };
        Self {
            data,
            ..Self::failed(error.to_string())
        }
    }
}

/// What a dispatcher needs to make a core once the vault is open.
#[derive(Debug, Clone)]
pub struct DispatcherOptions {
    /// The home directory.
    pub home: Home,
    /// Directories of skill packages beside the home's own.
    pub skills_dirs: Vec<PathBuf>,
    /// The registry: an https address, an absolute path or a `file://` address; the public one without it.
    pub registry: Option<String>,
    /// The provider of local turns.
    pub model: Option<ModelConfig>,
    /// How a new vault is made.
    pub vault: VaultOptions,
}

impl DispatcherOptions {
    /// For the given home, the provider from the environment and the default vault.
    #[must_use]
    pub fn new(home: Home) -> Self {
        Self {
            home,
            skills_dirs: Vec::new(),
            registry: None,
            model: model_from_env(),
            vault: VaultOptions::default(),
        }
    }
}

/// The running turn of each thread, by the number it was started with.
type Turns = std::sync::Mutex<HashMap<String, (u64, CancellationToken)>>;

/// Answers the methods of [`METHODS`] and [`STREAMS`]. Clones share one core.
#[derive(Clone)]
pub struct Dispatcher {
    shared: Arc<Shared>,
}

struct Shared {
    options: DispatcherOptions,
    /// Held for moments only, so that the state can be asked for while a vault is being opened.
    core: Mutex<Option<Core>>,
    /// Held while a vault is opened: key derivation and starting skills take seconds.
    opening: Mutex<()>,
    events: broadcast::Sender<Value>,
    turns: Turns,
    started: AtomicU64,
    stop: CancellationToken,
    watchers: TaskTracker,
}

impl Shared {
    fn turns(&self) -> MutexGuard<'_, HashMap<String, (u64, CancellationToken)>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a turn, unless a newer one of the thread has taken its place.
    fn ended(&self, thread: &str, number: u64) {
        let mut turns = self.turns();
        if turns.get(thread).is_some_and(|(running, _)| *running == number) {
            turns.remove(thread);
        }
    }
}

impl Dispatcher {
    /// A dispatcher with a locked vault. Nothing is read from disk yet.
    #[must_use]
    pub fn new(options: DispatcherOptions) -> Self {
        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        Self {
            shared: Arc::new(Shared {
                options,
                core: Mutex::new(None),
                opening: Mutex::new(()),
                events,
                turns: Turns::default(),
                started: AtomicU64::new(0),
                stop: CancellationToken::new(),
                watchers: TaskTracker::new(),
            }),
        }
    }

    /// Answers one call.
    ///
    /// # Errors
    /// A JSON-RPC error object: unknown method, bad parameters, a locked vault, or what failed.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        match method {
            "core.ping" => Ok(json!({ "pong": true })),
            "core.version" => Ok(json!({ "version": env!("CARGO_PKG_VERSION") })),
            "openhuman.app_state_snapshot" => self.snapshot().await,
            "openhuman.vault_create" => self.vault_create(parse_secret(params)?).await,
            "openhuman.vault_unlock" => self.vault_unlock(parse_secret(params)?).await,
            "openhuman.socket_connect" => self.socket_connect(parse_secret(params)?).await,
            "openhuman.socket_disconnect" => {
                self.core().await?.disconnect().await;
                self.snapshot().await
            }
            "openhuman.skills_call_tool" => self.skills_call_tool(parse(params)?).await,
            "openhuman.memory_search" => self.memory_search(parse(params)?).await,
            "openhuman.memory_add" => self.memory_add(parse(params)?).await,
            "openhuman.chat_cancel" => self.chat_cancel(&parse(params)?),
            other if skills::METHODS.contains(&other) => {
                skills::call(&self.core().await?, other, params).await
            }
            other if packages::METHODS.contains(&other) => {
                let registry = self.shared.options.registry.as_deref();
                packages::call(&self.core().await?, registry, other, params).await
            }
            other => Err(RpcError::unknown_method(other)),
        }
    }

    /// Starts one streaming call. The stream ends by itself after its last event; dropping it cancels the call.
    ///
    /// # Errors
    /// As [`Dispatcher::call`], before the first event.
    pub async fn stream(&self, method: &str, params: Value) -> Result<BoxStream<'static, Value>, RpcError> {
        match method {
            "openhuman.chat_start" => self.chat_start(parse(params)?).await,
            other => Err(RpcError::unknown_method(other)),
        }
    }

    /// Events from now on: `socket.status`, `skill.status`, `vault.status`. A subscriber that falls too far behind
    /// misses the oldest; a snapshot tells it everything again.
    #[must_use]
    pub fn subscribe(&self) -> BoxStream<'static, Value> {
        Box::pin(stream::unfold(
            self.shared.events.subscribe(),
            |mut events| async {
                loop {
                    match events.recv().await {
                        Ok(event) => return Some((event, events)),
                        Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(broadcast::error::RecvError::Closed) => return None,
                    }
                }
            },
        ))
    }

    /// Ends every turn, the link, the skills and the watchers.
    pub async fn close(&self) {
        self.shared.stop.cancel();
        self.shared.watchers.close();
        self.shared.watchers.wait().await;
        // An opening under way is waited for: nothing may be left open behind a closed dispatcher.
        let _one_at_a_time = self.shared.opening.lock().await;
        let core = self.shared.core.lock().await.take();
        if let Some(core) = core {
            core.close().await;
        }
    }

    async fn core(&self) -> Result<Core, RpcError> {
        self.shared.core.lock().await.clone().ok_or_else(RpcError::locked)
    }

    async fn snapshot(&self) -> Result<Value, RpcError> {
        let core = self.shared.core.lock().await.clone();
        let Some(core) = core else {
            let vault = if self.shared.options.home.has_vault() {
                "locked"
            } else {
                "absent"
            };
            let model = &self.shared.options.model;
            return Ok(json!({
                "vault": vault,
                "socket": { "status": "disconnected" },
                "model": {
                    "name": model.as_ref().map_or("extractive", |model| model.model.as_str()),
                    "configured": model.is_some(),
                },
                "skills": [],
                "memory": { "documents": 0, "chunks": 0 },
                "version": env!("CARGO_PKG_VERSION"),
            }));
        };
        let stats = core.with_memory(openhuman_memory::Memory::stats).await?;
        let socket = core.socket().borrow().clone();
        let (name, configured) = core.model();
        Ok(json!({
            "vault": "unlocked",
            "socket": socket,
            "model": { "name": name, "configured": configured },
            "skills": core.skill_snapshots(),
            "memory": { "documents": stats.documents, "chunks": stats.chunks },
            "version": env!("CARGO_PKG_VERSION"),
        }))
    }

    async fn vault_create(&self, params: PasswordParams) -> Result<Value, RpcError> {
        if params.password.chars().count() < SHORTEST_PASSWORD {
            return Err(RpcError::params(format!(
                "the password needs at least {SHORTEST_PASSWORD} characters"
            )));
        }
        self.open(params, true).await
    }

    async fn vault_unlock(&self, params: PasswordParams) -> Result<Value, RpcError> {
        self.open(params, false).await
    }

    async fn open(&self, params: PasswordParams, create: bool) -> Result<Value, RpcError> {
        let options = self.shared.options.clone();
        let _one_at_a_time = self.shared.opening.lock().await;
        if self.core().await.is_ok() {
            if create {
                return Err(RpcError::failed("there is a vault already, and it is open"));
            }
            // An open vault is no reason to call a wrong password right.
            let password = Password::from(params.password);
            tokio::task::spawn_blocking(move || options.home.open_vault(&password))
                .await
                .map_err(CoreError::from)??;
        } else {
            let password = Password::from(params.password);
            let home = options.home.clone();
            let vault = tokio::task::spawn_blocking(move || {
                if create {
                    home.create_vault(&password, &options.vault)
                } else {
                    home.open_vault(&password)
                }
            })
            .await
            .map_err(CoreError::from)??;
            let builder = Core::builder(options.home, vault).model(options.model);
            let core = options
                .skills_dirs
                .into_iter()
                .fold(builder, crate::CoreBuilder::skills_dir)
                .build()
                .await?;
            self.watch(&core);
            *self.shared.core.lock().await = Some(core);
        }
        self.publish(json!({ "type": "vault.status", "status": "unlocked" }));
        self.snapshot().await
    }

    async fn socket_connect(&self, params: ConnectParams) -> Result<Value, RpcError> {
        let credential = match (params.login_token, params.session_token) {
            (Some(token), None) => Credential::LoginToken(token),
            (None, Some(token)) => Credential::SessionToken(token),
            _ => return Err(RpcError::params("give either 'login_token' or 'session_token'")),
        };
        self.core().await?.connect(&params.url, &credential).await?;
        self.snapshot().await
    }

    async fn skills_call_tool(&self, params: CallToolParams) -> Result<Value, RpcError> {
        let name = format!("{}__{}", params.skill_id, params.tool_name);
        let arguments = params.arguments.unwrap_or_else(|| json!({}));
        let result = self.core().await?.call_tool(&name, arguments, Origin::Ui).await;
        Ok(json!({ "content": result.content, "isError": result.is_error, "is_error": result.is_error }))
    }

    async fn memory_search(&self, params: SearchParams) -> Result<Value, RpcError> {
        let query = Query {
            limit: params.limit.unwrap_or(8).clamp(1, 100),
            ..Query::new(params.query)
        };
        let hits = self
            .core()
            .await?
            .with_memory(move |memory| memory.search(&query))
            .await?;
        let hits: Vec<Value> = hits
            .into_iter()
            .map(|hit| json!({ "title": hit.title, "source": hit.source, "text": hit.text, "score": hit.score }))
            .collect();
        Ok(json!({ "hits": hits }))
    }

    async fn memory_add(&self, params: AddParams) -> Result<Value, RpcError> {
        let document = Document::new(params.title.clone(), params.title, params.text);
        let report = self
            .core()
            .await?
            .with_memory(move |memory| memory.ingest(&document))
            .await?;
        Ok(json!({ "document_id": report.document_id, "chunks": report.chunks }))
    }

    async fn chat_start(&self, params: ChatParams) -> Result<BoxStream<'static, Value>, RpcError> {
        let core = self.core().await?;
        let cancel = self.shared.stop.child_token();
        let thread = params.thread_id;
        let number = self.shared.started.fetch_add(1, Ordering::Relaxed);
        if let Some((_, earlier)) = self
            .shared
            .turns()
            .insert(thread.clone(), (number, cancel.clone()))
        {
            earlier.cancel();
        }
        let ended = TurnEnded {
            shared: self.shared.clone(),
            thread: thread.clone(),
            number,
        };
        let events = core.chat(thread, params.message, Route::Auto, &cancel);
        Ok(Box::pin(events.map(move |event| {
            let mut event = serde_json::to_value(event).unwrap_or_else(|error| {
                json!({ "type": "chat.error", "message": error.to_string(), "error_type": "inference" })
            });
            event["thread_id"] = Value::from(ended.thread.clone());
            event
        })))
    }

    fn chat_cancel(&self, params: &CancelParams) -> Result<Value, RpcError> {
        let turn = self.shared.turns().remove(&params.thread_id);
        if let Some((_, turn)) = &turn {
            turn.cancel();
        }
        Ok(json!({ "cancelled": turn.is_some() }))
    }

    fn publish(&self, event: Value) {
        // Without a subscriber there is nobody to tell.
        let _ = self.shared.events.send(event);
    }

    /// Reports the link's and the skills' changes until the dispatcher is closed.
    fn watch(&self, core: &Core) {
        let (mut socket, mut skills) = (core.socket(), core.skills().changes());
        let (events, stop) = (self.shared.events.clone(), self.shared.stop.clone());
        self.shared.watchers.spawn(async move {
            loop {
                let event = tokio::select! {
                    Ok(()) = socket.changed() => {
                        let status = socket.borrow_and_update().clone();
                        json!({ "type": "socket.status", "socket": status })
                    }
                    Ok(()) = skills.changed() => json!({ "type": "skill.status" }),
                    () = stop.cancelled() => return,
                    else => return,
                };
                let _ = events.send(event);
            }
        });
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordParams {
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectParams {
    url: String,
    login_token: Option<String>,
    session_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallToolParams {
    skill_id: String,
    tool_name: String,
    arguments: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchParams {
    query: String,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddParams {
    title: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChatParams {
    thread_id: String,
    message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelParams {
    thread_id: String,
}

fn parse<T: DeserializeOwned>(params: Value) -> Result<T, RpcError> {
    let params = if params.is_null() { json!({}) } else { params };
    serde_json::from_value(params)
        .map_err(|error| RpcError::params(format!("the parameters do not fit: {error}")))
}

/// As [`parse`], for parameters with a secret in them: the reason would quote a value of a wrong type.
fn parse_secret<T: DeserializeOwned>(params: Value) -> Result<T, RpcError> {
    parse(params).map_err(|_| {
        RpcError::params("the parameters do not fit: give each as a string, under its name, and no others")
    })
}

/// Forgets a turn when its stream is read to the end or dropped.
struct TurnEnded {
    shared: Arc<Shared>,
    thread: String,
    number: u64,
}

impl Drop for TurnEnded {
    fn drop(&mut self) {
        self.shared.ended(&self.thread, self.number);
    }
}
