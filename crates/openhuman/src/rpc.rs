//! One dispatcher for every front end: the desktop calls it in process, a server can put it on a socket.
//!
//! Methods are in one table. Nothing they return is a secret, but for the recovery key that was just made: passwords and
//! tokens go in, never out.

mod chat;
mod consent;
mod egress;
mod error;
mod link;
mod memory;
mod methods;
mod overview;
mod packages;
mod params;
mod plan;
mod schema;
mod skills;
mod vault;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, MutexGuard, PoisonError};

use futures_util::stream::{self, BoxStream};
use openhuman_mcp::Origin;
use openhuman_skills::SkillEvent;
use openhuman_vault::VaultOptions;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, broadcast};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::consent::{PermissionsView, Wanted, Wish};
pub use self::egress::{EgressEntry, EgressResult, EgressView};
pub use self::error::RpcError;
pub use self::methods::{METHODS, STREAMS};
pub use self::overview::{
    ChoiceOverview, FieldOverview, ModeKind, ModeOverview, Origin as SkillOrigin, PackageProblem,
    SetupOverview, SkillCondition, SkillOverview, SkillsOverview, ToolOverview,
};
use self::params::{parse, to_json};
pub use self::plan::{Installed, PlanView, PublisherChange};
pub use self::schema::typescript;
use crate::{
    Core, Home, ModelConfig, Network, context_window_from_env, model_from_env, working_memory_from_env,
};

/// Events that a slow subscriber may be behind before it loses the oldest.
const EVENT_BACKLOG: usize = 256;

/// What is kept of what one skill was refused.
const MOST_WANTED: usize = 16;

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
    /// Whether what skills publish feeds the user's working memory.
    pub working_memory: bool,
    /// How many tokens the provider's model reads at once.
    pub context_window: usize,
    /// How backends are reached.
    pub network: Network,
    /// How a new vault is made.
    pub vault: VaultOptions,
}

impl DispatcherOptions {
    /// For the given home, the provider and the network settings from the environment, and the default vault.
    #[must_use]
    pub fn new(home: Home) -> Self {
        Self {
            home,
            skills_dirs: Vec::new(),
            registry: None,
            model: model_from_env(),
            working_memory: working_memory_from_env(),
            context_window: context_window_from_env().unwrap_or_else(|error| {
                tracing::warn!(%error, "the usual window is taken");
                crate::model::CONTEXT_WINDOW
            }),
            network: Network::from_env(),
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
    /// What skills were refused, by skill, the newest last.
    wanted: std::sync::Mutex<BTreeMap<String, Vec<Wanted>>>,
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

    /// Keeps what a skill was refused.
    fn want(&self, skill: &str, wanted: Wanted) {
        let mut all = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let list = all.entry(skill.to_owned()).or_default();
        list.retain(|known| *known != wanted);
        if list.len() >= MOST_WANTED {
            list.remove(0);
        }
        list.push(wanted);
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CallToolParams {
    skill_id: String,
    tool_name: String,
    arguments: Option<Value>,
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
                wanted: std::sync::Mutex::default(),
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
            "openhuman.skills_call_tool" => self.skills_call_tool(parse(params)?).await,
            "openhuman.skills_overview" => to_json(&overview::overview(&self.core().await?).await?),
            "openhuman.skills_egress" => to_json(&egress::egress(&self.core().await?, parse(params)?).await?),
            "openhuman.chat_cancel" => to_json(&self.chat_cancel(&parse(params)?)),
            other if vault::METHODS.contains(&other) => self.vault_call(other, params).await,
            other if link::METHODS.contains(&other) => self.link_call(other, params).await,
            other if consent::METHODS.contains(&other) => self.consent_call(other, params).await,
            other if memory::METHODS.contains(&other) => {
                memory::call(&self.core().await?, other, params).await
            }
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

    /// Events from now on: `socket.status`, `skill.status`, `skill.permission_wanted`, `vault.status`,
    /// `link.opened`. A subscriber that
    /// falls too far behind misses the oldest; a snapshot tells it everything again.
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
            return Ok(self.closed_snapshot());
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

    /// What is known without the vault.
    fn closed_snapshot(&self) -> Value {
        let options = &self.shared.options;
        let vault = if options.home.has_vault() {
            "locked"
        } else {
            "absent"
        };
        let name = options
            .model
            .as_ref()
            .map_or("extractive", |model| model.model.as_str());
        json!({
            "vault": vault,
            "socket": { "status": "disconnected" },
            "model": { "name": name, "configured": options.model.is_some() },
            "skills": [],
            "memory": { "documents": 0, "chunks": 0 },
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    async fn skills_call_tool(&self, params: CallToolParams) -> Result<Value, RpcError> {
        let name = format!("{}__{}", params.skill_id, params.tool_name);
        let arguments = params.arguments.unwrap_or_else(|| json!({}));
        let result = self.core().await?.call_tool(&name, arguments, Origin::Ui).await;
        Ok(json!({ "content": result.content, "isError": result.is_error, "is_error": result.is_error }))
    }

    fn publish(&self, event: Value) {
        // Without a subscriber there is nobody to tell.
        let _ = self.shared.events.send(event);
    }

    /// What a skill was refused since the start, the newest first.
    fn wanted(&self, skill: &str) -> Vec<Wanted> {
        let all = self.shared.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let list = all.get(skill);
        list.into_iter().flatten().rev().cloned().collect()
    }

    /// Reports the link's and the skills' changes until the dispatcher is closed.
    fn watch(&self, core: &Core) {
        let (mut socket, mut skills) = (core.socket(), core.skills().changes());
        let mut said = core.skills().events();
        let (shared, stop) = (self.shared.clone(), self.shared.stop.clone());
        self.shared.watchers.spawn(async move {
            loop {
                let event = tokio::select! {
                    Ok(()) = socket.changed() => {
                        let status = socket.borrow_and_update().clone();
                        json!({ "type": "socket.status", "socket": status })
                    }
                    Ok(()) = skills.changed() => json!({ "type": "skill.status" }),
                    event = said.recv() => match event {
                        Ok(SkillEvent::PermissionWanted { skill_id, kind, what }) => {
                            let wanted = Wanted::new(kind, &what);
                            shared.want(skill_id.as_str(), wanted.clone());
                            json!({ "type": "skill.permission_wanted", "skill_id": skill_id, "wanted": wanted })
                        }
                        Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => continue,
                        Err(broadcast::error::RecvError::Closed) => return,
                    },
                    () = stop.cancelled() => return,
                    else => return,
                };
                let _ = shared.events.send(event);
            }
        });
    }
}
