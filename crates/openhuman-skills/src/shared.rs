//! What the asynchronous side and the workers share, and the messages between them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinError;
use url::Url;

use crate::data::{DataFiles, MemoryDataFiles};
use crate::db::pool::DbPool;
use crate::db::shared::{OpenDbs, SharedDb};
use crate::engine::Inner;
use crate::error::CallError;
use crate::hooks::HookTable;
use crate::inspect::Inspect;
use crate::js::host::Settled;
use crate::js::ops::HostError;
use crate::net::Client;
use crate::schedule::Agenda;
use crate::skill::Skill;
use crate::webhooks::Webhooks;
use crate::{
    Clock, Credentials, DbOpener, HostModule, MemoryCredentials, MemoryPreferences, MemorySink, Models,
    Preferences, Secrets, Session, SkillEvent, SkillId, Tunnels,
};

/// Threads of the runtime that work of credentials, preferences and data files may hold at once.
const BLOCKING_THREADS: usize = 4;
/// Messages that may wait for one skill.
pub(crate) const MAILBOX: usize = 64;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) init: Duration,
    pub(crate) start: Duration,
    pub(crate) stop: Duration,
    pub(crate) hook: Duration,
    /// One timer callback, or one run of pending jobs.
    pub(crate) background: Duration,
    /// How often a connected skill is asked whether it is alive.
    pub(crate) ping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            init: Duration::from_secs(10),
            start: Duration::from_secs(30),
            stop: Duration::from_secs(5),
            hook: Duration::from_secs(120),
            background: Duration::from_secs(120),
            ping: Duration::from_secs(60),
        }
    }
}

/// What the host lends beyond the network and databases.
#[derive(Clone)]
pub(crate) struct Ports {
    pub(crate) credentials: Arc<dyn Credentials>,
    pub(crate) preferences: Arc<dyn Preferences>,
    pub(crate) session: Option<Arc<dyn Session>>,
    pub(crate) memory: Option<Arc<dyn MemorySink>>,
    pub(crate) models: Option<Arc<dyn Models>>,
    pub(crate) tunnels: Option<Arc<dyn Tunnels>>,
    pub(crate) data: Arc<dyn DataFiles>,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            credentials: Arc::new(MemoryCredentials::default()),
            preferences: Arc::new(MemoryPreferences::default()),
            session: None,
            memory: None,
            models: None,
            tunnels: None,
            data: Arc::new(MemoryDataFiles::default()),
        }
    }
}

/// Runs work that may block its thread: on a few threads, however many skills ask at once.
#[derive(Clone)]
pub(crate) struct Blocking {
    handle: Handle,
    places: Arc<Semaphore>,
}

impl Blocking {
    fn new(handle: Handle) -> Self {
        Self {
            handle,
            places: Arc::new(Semaphore::new(BLOCKING_THREADS)),
        }
    }

    /// Waits for a place and for the work. The work goes on when the future is dropped meanwhile.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, JoinError>> + Send + 'static {
        let Self { handle, places } = self.clone();
        async move {
            let place = places.acquire_owned().await;
            handle
                .spawn_blocking(move || {
                    let _place = place;
                    work()
                })
                .await
        }
    }
}

/// The services every skill uses through the host.
pub(crate) struct Shared {
    pub(crate) handle: Handle,
    pub(crate) blocking: Blocking,
    pub(crate) db_pool: DbPool,
    pub(crate) db: Option<Arc<dyn DbOpener>>,
    pub(crate) open_dbs: Arc<OpenDbs>,
    pub(crate) client: Client,
    pub(crate) secrets: Option<Arc<dyn Secrets>>,
    /// The backend the host trusts, if it has one.
    pub(crate) backend: Option<Url>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) modules: Vec<Arc<dyn HostModule>>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) limits: Limits,
    pub(crate) inspect: Option<Arc<Inspect>>,
    pub(crate) ports: Ports,
    pub(crate) webhooks: Webhooks,
    /// The engine itself, for skills that call each other.
    pub(crate) engine: OnceLock<Weak<Inner>>,
    hooks: Mutex<HookTable>,
    /// Which skill's activation waits for which other skill.
    pub(crate) waits: Mutex<BTreeMap<SkillId, (SkillId, u64)>>,
    pub(crate) agenda: Mutex<Agenda>,
    /// Spreads schedules with jitter over installations.
    pub(crate) jitter_seed: u64,
    pub(crate) events: broadcast::Sender<SkillEvent>,
    pub(crate) revision: watch::Sender<u64>,
    pub(crate) deaths: mpsc::UnboundedSender<Death>,
    /// What the author's kit changes.
    #[cfg(feature = "kit")]
    pub(crate) kit: crate::kit::Hooks,
    ids: AtomicU64,
}

impl Shared {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, by the builder, with one field each"
    )]
    pub(crate) fn new(
        handle: Handle,
        db_pool: DbPool,
        db: Option<Arc<dyn DbOpener>>,
        client: Client,
        secrets: Option<Arc<dyn Secrets>>,
        backend: Option<Url>,
        clock: Arc<dyn Clock>,
        modules: Vec<Arc<dyn HostModule>>,
        env: BTreeMap<String, String>,
        limits: Limits,
        inspect: Option<Arc<Inspect>>,
        ports: Ports,
        deaths: mpsc::UnboundedSender<Death>,
    ) -> Self {
        Self {
            blocking: Blocking::new(handle.clone()),
            handle,
            db_pool,
            db,
            open_dbs: OpenDbs::new(64),
            events: client.events.clone(),
            client,
            secrets,
            backend,
            clock,
            modules,
            env,
            limits,
            inspect,
            ports,
            webhooks: Webhooks::default(),
            engine: OnceLock::new(),
            hooks: Mutex::default(),
            waits: Mutex::default(),
            deaths,
            agenda: Mutex::default(),
            jitter_seed: 0,
            revision: watch::Sender::new(0),
            #[cfg(feature = "kit")]
            kit: crate::kit::Hooks::default(),
            ids: AtomicU64::new(1),
        }
    }

    /// Says when a skill's schedules have to be looked at.
    pub(crate) fn set_agenda(&self, skill: &SkillId, at_ms: Option<i64>) {
        let mut agenda = self.agenda.lock().unwrap_or_else(PoisonError::into_inner);
        agenda.set(skill, at_ms);
    }

    /// The hooks of all skills on each other's events. Never held over a suspension or an await.
    pub(crate) fn hooks(&self) -> MutexGuard<'_, HookTable> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number no other call or instance has.
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn changed(&self) {
        self.revision.send_modify(|revision| *revision += 1);
    }

    pub(crate) fn emit(&self, event: SkillEvent) {
        // No receiver is a normal state.
        let _ = self.events.send(event);
    }
}

/// One run of a skill on its worker.
#[derive(Clone)]
pub(crate) struct Instance(Arc<Run>);

impl Instance {
    pub(crate) fn new(run: Run) -> Self {
        Self(Arc::new(run))
    }
}

impl std::ops::Deref for Instance {
    type Target = Run;

    fn deref(&self) -> &Run {
        &self.0
    }
}

/// What is known about a run outside of its worker.
pub(crate) struct Run {
    pub(crate) key: u64,
    pub(crate) worker: Sender<ToWorker>,
    /// Messages that wait in the mailbox.
    pub(crate) waiting: Arc<AtomicUsize>,
    pub(crate) db: Option<SharedDb>,
}

/// A skill that a worker had to end.
pub(crate) struct Death {
    pub(crate) skill: Arc<Skill>,
    pub(crate) reason: String,
    /// Not while it was being started or stopped.
    pub(crate) was_running: bool,
}

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    Tool,
    Hook,
    /// A hook that is answered with null at once while a call is in flight: then the skill is alive.
    Ping,
    Describe,
}

pub(crate) type Reply = oneshot::Sender<Result<String, CallError>>;

/// A message in a skill's mailbox.
pub(crate) struct Call {
    pub(crate) id: u64,
    pub(crate) kind: CallKind,
    pub(crate) name: String,
    /// Arguments as JSON: an object for a tool, an array for a hook.
    pub(crate) payload: String,
    pub(crate) deadline: Instant,
    pub(crate) reply: Reply,
    /// Whether it takes one of the mailbox's places.
    pub(crate) counted: bool,
}

/// Everything a worker is told.
pub(crate) enum ToWorker {
    /// Create a runtime and load the bundle.
    Boot {
        key: u64,
        skill: Arc<Skill>,
        db: Option<SharedDb>,
        waiting: Arc<AtomicUsize>,
        call: u64,
        deadline: Instant,
        reply: Reply,
    },
    Post {
        key: u64,
        call: Call,
    },
    /// Nobody waits for this call any more.
    Cancel {
        key: u64,
        call: u64,
    },
    /// A host operation that suspended a fiber is complete.
    Wake {
        key: u64,
        wait: u64,
    },
    /// A host operation behind a promise is complete.
    Settle {
        key: u64,
        operation: u32,
        result: Result<Settled, HostError>,
    },
    /// End what runs and everything that waits, so that the `stop` hook comes next.
    Interrupt {
        key: u64,
    },
    /// End what runs and free the runtime.
    Drop {
        key: u64,
        done: oneshot::Sender<()>,
    },
    /// Count how often these bytes occur in the memory of this worker's runtimes.
    Scan {
        needle: Arc<[u8]>,
        done: oneshot::Sender<usize>,
    },
    Shutdown {
        done: oneshot::Sender<()>,
    },
    /// A timer on simulated time is due.
    #[cfg(feature = "kit")]
    Timer {
        key: u64,
        id: u32,
    },
    /// Tell when nothing can run: how many host operations are outstanding then.
    #[cfg(feature = "kit")]
    Idle {
        done: oneshot::Sender<usize>,
    },
}
