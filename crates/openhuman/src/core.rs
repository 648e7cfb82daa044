//! The core: every part opened, connected and closed together.

mod builder;
mod linking;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openhuman_agent::Model;
use openhuman_mcp::{CallContext, Hub, Origin, ToolResult};
use openhuman_memory::{Budget, Memory};
use openhuman_skills::{EgressRecord, Engine, SkillId, SkillSnapshot, SystemClock};
use openhuman_vault::Vault;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::builder::CoreBuilder;
use crate::CoreError;
use crate::accounts::Accounts;
use crate::bridge::{
    BackendSession, Destinations, EgressLog, SealedDataFiles, SealedDatabases, SnapshotKeeper,
};
use crate::home::Home;
use crate::link::{Link, SocketStatus};
use crate::loading::SkillProblem;
use crate::login::Logins;
use crate::network::Network;
use crate::owners::Places;
use crate::sessions::Sessions;

/// The vault's label for the memory: of its key, and of the note that it exists.
pub(crate) const MEMORY: &str = "memory";

/// How long closing waits for turns to end.
const TURNS_END: Duration = Duration::from_secs(5);

/// A running OpenHuman: memory, skills, tools, the assistant and the link to a backend. Clones share it.
#[derive(Clone)]
pub struct Core {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    home: Home,
    vault: Arc<Vault>,
    pub(crate) memory: Memory,
    engine: Engine,
    pub(crate) hub: Hub,
    pub(crate) model: Arc<dyn Model>,
    model_name: String,
    pub(crate) model_is_configured: bool,
    /// How much of the model's window a conversation may fill.
    pub(crate) budget: Budget,
    /// Held while a thread is opened or tidied: one sum at a time.
    pub(crate) threads: Arc<Mutex<()>>,
    /// Held for moments only: a chat asks for it while a connection is being made.
    link: tokio::sync::Mutex<Option<Arc<Link>>>,
    /// Held while a link is made or ended.
    connecting: tokio::sync::Mutex<()>,
    /// Ends the attempt under way.
    attempt: Mutex<CancellationToken>,
    pub(crate) turns: TaskTracker,
    pub(crate) stop: CancellationToken,
    socket: watch::Sender<SocketStatus>,
    /// What managed connections of skills use, while the link is open.
    session: BackendSession,
    /// The sessions at backends that the vault keeps.
    sessions: Sessions,
    /// The login this device has asked for, if any.
    pub(crate) logins: Mutex<Logins>,
    /// Managed connections of skills that were begun.
    pub(crate) accounts: Accounts,
    egress: EgressLog,
    pub(crate) databases: Arc<SealedDatabases>,
    pub(crate) data_files: Arc<SealedDataFiles>,
    pub(crate) places: Places,
    /// Where the accounts of loaded skills may go.
    pub(crate) destinations: Destinations,
    /// Held while a skill is installed, updated or removed.
    pub(crate) installing: tokio::sync::Mutex<()>,
    /// Held while a record of the vault is read and replaced.
    changing: Mutex<()>,
    snapshots: SnapshotKeeper,
    pub(crate) problems: Mutex<Vec<SkillProblem>>,
    _lock: File,
}

impl Core {
    /// Starts building a core in `home` with its opened vault.
    #[must_use]
    pub fn builder(home: Home, vault: Vault) -> CoreBuilder {
        CoreBuilder {
            home,
            vault,
            skills_dirs: Vec::new(),
            model: None,
            clock: Arc::new(SystemClock),
            grants: BTreeMap::new(),
            env: BTreeMap::new(),
            start_skills: true,
            key_store: None,
            working_memory: true,
            context_window: crate::model::CONTEXT_WINDOW,
            network: Network::default(),
        }
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.inner.vault
    }

    /// Held while a record of the vault is read and replaced.
    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.inner.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The home directory.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.inner.home
    }

    /// The encrypted memory. Its calls block: use [`Core::with_memory`] in async code.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.inner.memory
    }

    /// Runs a call on the memory on a thread that may block.
    ///
    /// # Errors
    /// What the call returns, or that the thread ended unexpectedly.
    pub async fn with_memory<T, F>(&self, call: F) -> Result<T, CoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Memory) -> Result<T, openhuman_memory::MemoryError> + Send + 'static,
    {
        let memory = self.inner.memory.clone();
        Ok(tokio::task::spawn_blocking(move || call(&memory)).await??)
    }

    /// The skills engine.
    #[must_use]
    pub fn skills(&self) -> &Engine {
        &self.inner.engine
    }

    /// The tool hub that every caller shares.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.inner.hub
    }

    /// The name of the local model, and whether a provider is configured (else it is the extractive assistant).
    #[must_use]
    pub fn model(&self) -> (&str, bool) {
        (&self.inner.model_name, self.inner.model_is_configured)
    }

    /// What every skill is and does now.
    #[must_use]
    pub fn skill_snapshots(&self) -> Vec<SkillSnapshot> {
        self.inner.engine.snapshots()
    }

    /// Calls a tool through the hub, as any model would, and answers within the hub's deadline of 30 s.
    pub async fn call_tool(&self, name: &str, args: Value, origin: Origin) -> ToolResult {
        self.inner.hub.call(name, args, CallContext::new(origin)).await
    }

    /// The id of a skill that is installed here.
    ///
    /// # Errors
    /// When there is none of that name; the message names those there are.
    pub fn skill(&self, skill: &str) -> Result<SkillId, CoreError> {
        let known = self
            .skill_snapshots()
            .iter()
            .any(|snapshot| snapshot.skill_id == skill);
        match skill.parse() {
            Ok(id) if known => Ok(id),
            _ => Err(self.no_such_skill(skill)),
        }
    }

    fn no_such_skill(&self, skill: &str) -> CoreError {
        let known: Vec<String> = self
            .skill_snapshots()
            .into_iter()
            .map(|snapshot| snapshot.skill_id)
            .collect();
        let hint = if known.is_empty() {
            format!("put its package into {}", self.inner.home.skills_dir().display())
        } else {
            format!("there is: {}", known.join(", "))
        };
        CoreError::NotFound {
            what: "the skill",
            name: skill.to_owned(),
            hint,
        }
    }

    /// Ends the link, stops every skill (each within 5 s) and the engine. The files are closed when the last clone of
    /// the core is dropped.
    pub async fn close(&self) {
        self.disconnect().await;
        self.inner.stop.cancel();
        self.inner.turns.close();
        // A turn whose reader does not read cannot say its last word.
        let _ = tokio::time::timeout(TURNS_END, self.inner.turns.wait()).await;
        self.inner.engine.shutdown().await;
        self.inner.databases.closed().await;
        self.inner.egress.close().await;
        self.inner.snapshots.close().await;
        // Whoever still holds a clone finds nothing of it in memory.
        self.inner.memory.unload();
    }

    /// What skills sent over the network or were refused to, the newest first: of one skill or of all, at most `limit`
    /// and 10,000. Kept sealed over restarts, the last 100,000 records, and of those that were refused 20,000.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn egress(
        &self,
        skill: Option<&SkillId>,
        only_refused: bool,
        limit: usize,
    ) -> Result<Vec<EgressRecord>, CoreError> {
        self.inner
            .egress
            .newest(skill.cloned(), only_refused, limit)
            .await
    }

    pub(crate) async fn export_skill(&self, skill: &str, dir: &Path) -> Result<Option<PathBuf>, CoreError> {
        let databases = self.inner.databases.clone();
        let (id, target) = (self.skill(skill)?, dir.join(format!("skill-{skill}.db")));
        tokio::task::spawn_blocking(move || databases.export(&id, &target)).await?
    }
}
