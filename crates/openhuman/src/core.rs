//! The core: every part opened, connected and closed together.

mod builder;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openhuman_agent::Agent;
use openhuman_mcp::{CallContext, Hub, Origin, ToolResult};
use openhuman_memory::Memory;
use openhuman_skills::{EgressRecord, Engine, SkillId, SkillSnapshot, SystemClock};
use openhuman_vault::Vault;
use openhuman_vault::tokens::LoginRequests;
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
use crate::link::{Credential, Link, SocketState, SocketStatus};
use crate::loading::SkillProblem;
use crate::owners::Places;

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
    hub: Hub,
    pub(crate) agent: Agent,
    model_name: String,
    pub(crate) model_is_configured: bool,
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
    /// The login this device has asked for, if any.
    pub(crate) logins: Mutex<LoginRequests>,
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

impl Inner {
    pub(crate) async fn connected_link(&self) -> Option<Arc<Link>> {
        let link = self.link.lock().await.clone();
        link.filter(|_| self.socket.borrow().status == SocketState::Connected)
    }

    /// Why there is no link, and what to do about it.
    pub(crate) fn not_connected(&self) -> CoreError {
        let status = self.socket.borrow();
        let reason = status.error.as_deref().unwrap_or("none was opened");
        CoreError::NotConnected(match status.status {
            SocketState::Reconnecting | SocketState::Connecting => {
                format!("it was lost ({reason}) and is being restored; ask again in a moment")
            }
            SocketState::Error => format!("{reason}; log in again with a new login token"),
            _ => format!("{reason}; connect to one first"),
        })
    }
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

    /// Logs in at a backend and keeps the link until [`Core::disconnect`]. An earlier link is closed first.
    ///
    /// # Errors
    /// When the backend cannot be reached or refuses the credential. Once connected, losses are repaired by themselves.
    pub async fn connect(&self, url: &str, credential: &Credential) -> Result<Arc<Link>, CoreError> {
        let _one_at_a_time = self.inner.connecting.lock().await;
        self.close_link().await;
        let inner = &self.inner;
        let attempt = CancellationToken::new();
        *inner.attempt.lock().unwrap_or_else(PoisonError::into_inner) = attempt.clone();
        let connected = attempt
            .run_until_cancelled(Link::connect(
                url,
                credential,
                inner.hub.clone(),
                inner.engine.clone(),
                inner.socket.clone(),
            ))
            .await;
        let link = Arc::new(connected.ok_or_else(|| CoreError::Backend {
            url: url.to_owned(),
            reason: "the attempt was given up".into(),
        })??);
        inner.session.set(Some((url.to_owned(), link.session())));
        *inner.link.lock().await = Some(link.clone());
        Ok(link)
    }

    async fn close_link(&self) {
        let link = self.inner.link.lock().await.take();
        self.inner.session.set(None);
        if let Some(link) = link {
            link.close().await;
        }
    }

    /// Ends the link, if there is one, and an attempt to make one.
    pub async fn disconnect(&self) {
        self.inner
            .attempt
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .cancel();
        let _one_at_a_time = self.inner.connecting.lock().await;
        self.close_link().await;
        self.inner.socket.send_replace(SocketStatus::default());
    }

    /// The state of the link, now and as it changes.
    #[must_use]
    pub fn socket(&self) -> watch::Receiver<SocketStatus> {
        self.inner.socket.subscribe()
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
