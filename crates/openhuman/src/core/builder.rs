//! Opening everything and connecting it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use openhuman_mcp::{Hub, HubOptions};
use openhuman_memory::{Budget, Memory};
use openhuman_skills::{Clock, EgressRecord, Engine, FilePreferences, Grant};
use openhuman_vault::{KeyStore, Vault};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Core, Inner};
use crate::CoreError;
use crate::accounts::Accounts;
use crate::bridge::{
    BackendRest, BackendSession, BackendTunnels, Destinations, EgressLog, MemoryTools, SealedDataFiles,
    SealedDatabases, SkillMemory, SkillModels, SkillTools, SnapshotKeeper, VaultCredentials, egress_channel,
};
use crate::home::Home;
use crate::knowledge::open_memory;
use crate::link::SocketStatus;
use crate::login::Logins;
use crate::model::{self, ModelConfig};
use crate::network::Network;
use crate::owners::Places;
use crate::sessions::Sessions;

/// Builds a [`Core`]. Everything has a default but the home and the opened vault.
pub struct CoreBuilder {
    pub(super) home: Home,
    pub(super) vault: Vault,
    pub(super) skills_dirs: Vec<PathBuf>,
    pub(super) model: Option<ModelConfig>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) grants: BTreeMap<String, Grant>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) start_skills: bool,
    pub(super) key_store: Option<Arc<dyn KeyStore>>,
    pub(super) working_memory: bool,
    pub(super) context_window: usize,
    pub(super) network: Network,
}

impl CoreBuilder {
    /// Loads skill packages from the directories inside `dir` too. The first package with an id wins; those installed
    /// in the home come last.
    #[must_use]
    pub fn skills_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.skills_dirs.push(dir.into());
        self
    }

    /// Runs local turns with this provider. Default: none, and the assistant is extractive.
    #[must_use]
    pub fn model(mut self, model: Option<ModelConfig>) -> Self {
        self.model = model;
        self
    }

    /// The clock of schedules. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Gives a skill exactly this grant for this run, whatever was stored.
    #[must_use]
    pub fn grant(mut self, skill: impl Into<String>, grant: Grant) -> Self {
        self.grants.insert(skill.into(), grant);
        self
    }

    /// A value that skills with the permission for this name read instead of the process environment's.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// The store outside of the home that keeps its age, so that an older copy of the whole home is refused. Default:
    /// none.
    #[must_use]
    pub fn key_store(mut self, store: Option<Arc<dyn KeyStore>>) -> Self {
        self.key_store = store;
        self
    }

    /// Whether what skills publish after an explicit sync feeds the user's working memory, which is the default. See
    /// [`working_memory_from_env`](crate::working_memory_from_env).
    #[must_use]
    pub fn working_memory(mut self, on: bool) -> Self {
        self.working_memory = on;
        self
    }

    /// How backends are reached. Default: directly, and as the platform trusts. See [`Network::from_env`].
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// How many tokens the model reads at once: conversations are summed up before they fill it. At least 8,192; the
    /// default is 32,768. See [`context_window_from_env`](crate::context_window_from_env).
    #[must_use]
    pub fn context_window(mut self, tokens: usize) -> Self {
        self.context_window = tokens.max(crate::model::LEAST_WINDOW);
        self
    }

    /// Whether skills are started, which is the default: those that start by themselves
    /// ([`Core::starts_by_itself`]). Otherwise they are loaded only, for work that needs none of them and should not
    /// wait for a slow one.
    #[must_use]
    pub fn start_skills(mut self, start: bool) -> Self {
        self.start_skills = start;
        self
    }

    /// Opens the memory, starts the skills engine and the skills that start by themselves, and connects them through
    /// the hub.
    ///
    /// A package that cannot be read and a skill that does not start are reported by [`Core::problems`]; they do not
    /// keep the others from running.
    ///
    /// # Errors
    /// When another process holds the home, or the memory or the engine cannot be opened.
    pub async fn build(self) -> Result<Core, CoreError> {
        let lock = self.home.lock()?;
        let (vault, sealed, memory) = open_memory(&self.home, self.vault, self.key_store).await?;
        let databases = Arc::new(SealedDatabases::new(sealed, Places::default()));
        let parts = Parts {
            data_files: Arc::new(SealedDataFiles::new(databases.clone())),
            databases,
            vault: Arc::new(vault),
            memory,
            destinations: Destinations::default(),
            session: BackendSession::new(self.network),
        };
        let (egress, records) = egress_channel();
        let model_is_configured = self.model.is_some();
        let models = SkillModels::new(self.model.clone(), BackendRest::new(parts.session.clone()));
        let preferences = FilePreferences::new(self.home.skill_preferences());
        let engine = parts.engine(models, preferences, egress, self.clock, self.env)?;

        let hub = Hub::new(HubOptions::default());
        hub.add_provider(Arc::new(SkillTools::new(engine.clone())));
        hub.add_provider(Arc::new(MemoryTools::new(parts.memory.clone())));
        let adapter = model::adapter(self.model)?;
        let model_name = adapter.name();

        let core = Core {
            inner: Arc::new(Inner {
                home: self.home,
                egress: EgressLog::start(parts.databases.clone(), records),
                snapshots: SnapshotKeeper::start(parts.memory.clone(), engine.clone(), self.working_memory),
                sessions: Sessions::new(parts.vault.clone(), parts.session.clone()),
                vault: parts.vault,
                memory: parts.memory,
                engine,
                hub,
                model: adapter,
                budget: Budget::of_window(self.context_window),
                threads: Arc::default(),
                model_name,
                model_is_configured,
                link: tokio::sync::Mutex::new(None),
                connecting: tokio::sync::Mutex::new(()),
                attempt: Mutex::new(CancellationToken::new()),
                turns: TaskTracker::new(),
                stop: CancellationToken::new(),
                socket: watch::Sender::new(SocketStatus::default()),
                logins: Mutex::new(Logins::default()),
                accounts: Accounts::new(parts.session.clone()),
                session: parts.session,
                places: parts.databases.places().clone(),
                databases: parts.databases,
                data_files: parts.data_files,
                destinations: parts.destinations,
                installing: tokio::sync::Mutex::new(()),
                changing: Mutex::new(()),
                problems: Mutex::new(Vec::new()),
                _lock: lock,
            }),
        };
        core.load_skills(self.skills_dirs, &self.grants, self.start_skills)
            .await?;
        Ok(core)
    }
}

/// What the skills engine is connected to.
struct Parts {
    vault: Arc<Vault>,
    databases: Arc<SealedDatabases>,
    data_files: Arc<SealedDataFiles>,
    memory: Memory,
    destinations: Destinations,
    session: BackendSession,
}

impl Parts {
    /// Plugs the vault, the sealed databases, the memory, the model and the backend into a skills engine.
    fn engine(
        &self,
        models: SkillModels,
        preferences: FilePreferences,
        egress: mpsc::Sender<Arc<EgressRecord>>,
        clock: Arc<dyn Clock>,
        env: BTreeMap<String, String>,
    ) -> Result<Engine, CoreError> {
        let places = self.databases.places().clone();
        let credentials = VaultCredentials::new(&self.vault, places, self.destinations.clone());
        let mut engine = Engine::builder()
            .egress_log(egress)
            .db(self.databases.clone())
            .data_files(self.data_files.clone())
            .credentials(Arc::new(credentials))
            .preferences(Arc::new(preferences))
            .session(Arc::new(self.session.clone()))
            .memory(Arc::new(SkillMemory::new(self.memory.clone())))
            .models(Arc::new(models))
            .tunnels(Arc::new(BackendTunnels::new(BackendRest::new(
                self.session.clone(),
            ))))
            .clock(clock);
        for (name, value) in env {
            engine = engine.env(&name, &value);
        }
        Ok(engine.build()?)
    }
}
