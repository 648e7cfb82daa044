//! Building an engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::available_parallelism;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use url::Url;

use super::ping::pings;
use super::restarts::{Restarts, supervise};
use super::schedules::tick;
use super::{Engine, Inner};
use crate::data::DataFiles;
use crate::db::pool::DbPool;
use crate::inspect::{BridgeCall, Inspect};
use crate::js::library;
use crate::net::{Client, Recorder, Transport, Wire};
use crate::quarantine::QuarantinePolicy;
use crate::shared::{Limits, Ports, Shared};
use crate::stall::Watchdog;
use crate::worker::WorkerHandle;
use crate::{
    Clock, Credentials, DbOpener, EgressRecord, EngineError, HostModule, MemorySink, Models, NameResolver,
    Preferences, Secrets, Session, SystemClock, SystemResolver, Tunnels,
};

/// Collects what an [`Engine`] needs. See [`Engine::builder`].
pub struct EngineBuilder {
    workers: usize,
    database_threads: usize,
    db: Option<Arc<dyn DbOpener>>,
    jitter_seed: u64,
    secrets: Option<Arc<dyn Secrets>>,
    backend: Option<Url>,
    clock: Arc<dyn Clock>,
    resolver: Arc<dyn NameResolver>,
    transport: Option<Arc<dyn Transport>>,
    roots: Vec<CertificateDer<'static>>,
    modules: Vec<Arc<dyn HostModule>>,
    egress_log: Option<mpsc::Sender<Arc<EgressRecord>>>,
    env: BTreeMap<String, String>,
    limits: Limits,
    stall_limit: Duration,
    ports: Ports,
    quarantine: QuarantinePolicy,
    inspect: Option<Arc<Inspect>>,
    #[cfg(feature = "kit")]
    kit: crate::kit::Hooks,
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder")
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            workers: available_parallelism().map_or(2, NonZeroUsize::get),
            database_threads: 2,
            db: None,
            jitter_seed: 0,
            secrets: None,
            backend: None,
            clock: Arc::new(SystemClock),
            resolver: Arc::new(SystemResolver),
            transport: None,
            roots: Vec::new(),
            modules: Vec::new(),
            egress_log: None,
            env: BTreeMap::new(),
            limits: Limits::default(),
            stall_limit: Duration::from_millis(20),
            ports: Ports::default(),
            quarantine: QuarantinePolicy::default(),
            inspect: None,
            #[cfg(feature = "kit")]
            kit: crate::kit::Hooks::default(),
        }
    }
}

impl EngineBuilder {
    /// How many threads run JavaScript. Default: one for each core.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// How many threads run database statements. Default 2.
    #[must_use]
    pub fn database_threads(mut self, threads: usize) -> Self {
        self.database_threads = threads.max(1);
        self
    }

    /// Where the skills' databases come from. Default: in memory with the feature `rusqlite`; without it `db`
    /// and `cron` are absent and published state is not kept.
    #[must_use]
    pub fn db(mut self, opener: Arc<dyn DbOpener>) -> Self {
        self.db = Some(opener);
        self
    }

    /// The values behind `{{secret:ID}}`. Default: none, so a request with a placeholder fails.
    #[must_use]
    pub fn secrets(mut self, secrets: Arc<dyn Secrets>) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// The address of the backend that proxies requests to connected accounts. Default: none. Its host is part of
    /// what [`Engine::proposed_grant`] proposes for skills from before permissions existed.
    #[must_use]
    pub fn backend(mut self, base: Url) -> Self {
        self.backend = Some(base);
        self
    }

    /// The clock of schedules. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// A number of this installation's own, so that schedules with jitter do not fire everywhere at the same moment.
    /// Default 0.
    #[must_use]
    pub fn jitter_seed(mut self, seed: u64) -> Self {
        self.jitter_seed = seed;
        self
    }

    /// How host names become addresses. Default: the system's resolver.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn NameResolver>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Trusts one more root certificate, in DER, beside those of the operating system: for a company's own
    /// authority, or for tests. Only for the default transport.
    #[must_use]
    pub fn root_certificate(mut self, der: Vec<u8>) -> Self {
        self.roots.push(CertificateDer::from(der));
        self
    }

    /// Replaces what lies below the checks of egress: how an allowed request reaches its host. Default: HTTP/1.1
    /// over TCP and rustls, with connections that are kept for 30 s.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Also sends every record of the ledger here, and loses none: a place in the channel is reserved before a skill
    /// reaches out, so while it is full, skills wait, and once it is closed, nothing leaves. A request holds its place
    /// until its answer is read, and a skill has at most 16 at once: give the channel room for more than that of all
    /// skills. Default: none.
    #[must_use]
    pub fn egress_log(mut self, log: mpsc::Sender<Arc<EgressRecord>>) -> Self {
        self.egress_log = Some(log);
        self
    }

    /// Adds a global object to every skill.
    #[must_use]
    pub fn module(mut self, module: Arc<dyn HostModule>) -> Self {
        self.modules.push(module);
        self
    }

    /// Sets a value for `platform.env(name)`, instead of the process environment. A skill still needs the grant.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The limits of the life cycle: `init` (default 10 s, loading the script included), `start` (30 s) and
    /// `stop` (5 s).
    #[must_use]
    pub fn lifecycle_limits(mut self, init: Duration, start: Duration, stop: Duration) -> Self {
        self.limits = Limits {
            init,
            start,
            stop,
            ..self.limits
        };
        self
    }

    /// The limit of one timer callback and of one uninterrupted run of promise jobs. Default 120 s. A skill
    /// whose jobs never end is stopped with an error; on a busy machine, once they have used an eighth of that.
    #[must_use]
    pub fn background_limit(mut self, limit: Duration) -> Self {
        self.limits.background = limit;
        self
    }

    /// Calls `inspect` after every host function a skill used, on the worker's thread: it must be quick. For authors
    /// and audits; without it, nothing is recorded.
    #[must_use]
    pub fn inspect(mut self, inspect: impl Fn(&BridgeCall) + Send + Sync + 'static) -> Self {
        self.inspect = Some(Arc::new(inspect));
        self
    }

    /// What happens to skills that have to be ended by force. Default: [`QuarantinePolicy::default`].
    #[must_use]
    pub fn quarantine(mut self, policy: QuarantinePolicy) -> Self {
        self.quarantine = policy;
        self
    }

    /// CPU time after which a built-in function is suspended that does not ask. Default 20 ms. For tests of the
    /// suspension itself.
    #[doc(hidden)]
    #[must_use]
    pub fn stall_limit(mut self, limit: Duration) -> Self {
        self.stall_limit = limit;
        self
    }

    /// How often a skill whose published `connection_status` is `connected` is asked with `onPing`. Default 60 s.
    #[must_use]
    pub fn ping_interval(mut self, every: Duration) -> Self {
        self.limits.ping = every.max(Duration::from_millis(10));
        self
    }

    /// Where the credentials of skills are kept. Default: in memory.
    #[must_use]
    pub fn credentials(mut self, credentials: Arc<dyn Credentials>) -> Self {
        self.ports.credentials = credentials;
        self
    }

    /// Which skills start by themselves and which are set up. Default: kept in memory.
    #[must_use]
    pub fn preferences(mut self, preferences: Arc<dyn Preferences>) -> Self {
        self.ports.preferences = preferences;
        self
    }

    /// The session that `oauth.fetch` uses. Default: none, so it fails.
    #[must_use]
    pub fn session(mut self, session: Arc<dyn Session>) -> Self {
        self.ports.session = Some(session);
        self
    }

    /// Where `memory.insert` goes. Default: skills have no `memory`.
    #[must_use]
    pub fn memory(mut self, memory: Arc<dyn MemorySink>) -> Self {
        self.ports.memory = Some(memory);
        self
    }

    /// The language model behind `model`. Default: skills have no `model`.
    #[must_use]
    pub fn models(mut self, models: Arc<dyn Models>) -> Self {
        self.ports.models = Some(models);
        self
    }

    /// Who makes tunnels for `webhook`. Default: `webhook` only registers.
    #[must_use]
    pub fn tunnels(mut self, tunnels: Arc<dyn Tunnels>) -> Self {
        self.ports.tunnels = Some(tunnels);
        self
    }

    /// Where the files behind `data` are. Default: in memory. [`DataDirectory`](crate::DataDirectory) keeps them as
    /// readable files.
    #[must_use]
    pub fn data_files(mut self, files: Arc<dyn DataFiles>) -> Self {
        self.ports.data = files;
        self
    }

    /// What the author's kit changes.
    #[cfg(feature = "kit")]
    pub(crate) fn kit(mut self, hooks: crate::kit::Hooks) -> Self {
        self.kit = hooks;
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// [`EngineError`] outside a tokio runtime, when a thread cannot be started, or when a host module has a
    /// name that is taken or not an identifier.
    pub fn build(self) -> Result<Engine, EngineError> {
        let handle = Handle::try_current().map_err(|_| EngineError::NoRuntime)?;
        check_modules(&self.modules)?;
        let transport = match self.transport {
            Some(transport) => transport,
            None => Arc::new(Wire::new(self.roots).map_err(EngineError::Network)?),
        };
        let recorder = Recorder::new(Arc::clone(&self.clock), self.egress_log);
        let client = Client::new(self.resolver, transport, recorder);
        let db_pool = DbPool::start(self.database_threads).map_err(EngineError::Thread)?;
        let (report, deaths) = mpsc::unbounded_channel();
        let mut shared = Shared::new(
            handle.clone(),
            db_pool,
            self.db.or_else(default_opener),
            client,
            self.secrets,
            self.backend,
            self.clock,
            self.modules,
            self.env,
            self.limits,
            self.inspect,
            self.ports,
            report,
        );
        shared.jitter_seed = self.jitter_seed;
        #[cfg(feature = "kit")]
        {
            shared.kit = self.kit;
        }
        let shared = Arc::new(shared);
        let watchdog = Watchdog::start(self.stall_limit).map_err(EngineError::Thread)?;
        let workers = (0..self.workers)
            .map(|index| WorkerHandle::start(index, Arc::clone(&shared), Arc::clone(&watchdog)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(EngineError::Thread)?;
        let inner = Arc::new(Inner {
            shared,
            workers,
            skills: RwLock::default(),
            tick: Mutex::default(),
            pings: Mutex::default(),
            restarts: Restarts::new(self.quarantine),
        });
        let _ = inner.shared.engine.set(Arc::downgrade(&inner));
        handle.spawn(supervise(Arc::downgrade(&inner), deaths));
        let tick = handle.spawn(tick(Arc::downgrade(&inner)));
        *inner.tick.lock().unwrap_or_else(PoisonError::into_inner) = Some(tick.abort_handle());
        let pings = handle.spawn(pings(Arc::downgrade(&inner), inner.shared.limits.ping));
        *inner.pings.lock().unwrap_or_else(PoisonError::into_inner) = Some(pings.abort_handle());
        Ok(Engine(inner))
    }
}

#[cfg(feature = "rusqlite")]
#[expect(clippy::unnecessary_wraps, reason = "None without the feature")]
fn default_opener() -> Option<Arc<dyn DbOpener>> {
    Some(Arc::new(crate::rusqlite::MemoryDbOpener::default()))
}

#[cfg(not(feature = "rusqlite"))]
fn default_opener() -> Option<Arc<dyn DbOpener>> {
    None
}

fn check_modules(modules: &[Arc<dyn HostModule>]) -> Result<(), EngineError> {
    // Globals of the language itself; those of the library are known to it.
    const TAKEN: [&str; 9] = [
        "JSON", "Math", "Object", "Array", "Promise", "Date", "String", "Number", "Error",
    ];
    let identifier = |text: &str| {
        !text.is_empty()
            && !text.starts_with(|first: char| first.is_ascii_digit())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$')
    };
    let mut seen = BTreeSet::new();
    for module in modules {
        let name = module.name();
        let refuse = |reason| {
            Err(EngineError::Module {
                name: name.to_owned(),
                reason,
            })
        };
        if !identifier(name) || !module.functions().iter().all(|function| identifier(function)) {
            return refuse("names must be JavaScript identifiers");
        }
        if (TAKEN.contains(&name) || library::is_taken(name)) || name.starts_with("__") || !seen.insert(name)
        {
            return refuse("the global is taken");
        }
    }
    Ok(())
}
