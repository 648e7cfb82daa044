//! What the asynchronous side and the workers share, and the messages between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::task::JoinError;
use url::Url;

use crate::credentials::{Held, api_authorities};
use crate::data::{DataFiles, MemoryDataFiles};
use crate::db::pool::DbPool;
use crate::db::shared::{OpenDbs, SharedDb};
use crate::db::store;
use crate::engine::Inner;
use crate::error::CallError;
use crate::hooks::HookTable;
use crate::inspect::Inspect;
use crate::js::host::Settled;
use crate::js::ops::HostError;
use crate::net::{Client, SkillNet, Wanted};
use crate::schedule::{Agenda, Timetable};
use crate::snapshot::connection_status;
use crate::source::Sources;
use crate::tools::Declared;
use crate::webhooks::Webhooks;
use crate::{
    Clock, CredentialKind, Credentials, DbOpener, Grant, HostModule, MemoryCredentials, MemoryPreferences,
    MemorySink, Models, Preferences, Secrets, Session, SkillEvent, SkillId, SkillPackage, SkillSnapshot,
    SkillStatus, Tunnels,
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

/// One installed skill.
pub(crate) struct Skill {
    pub(crate) id: SkillId,
    pub(crate) package: SkillPackage,
    grant: RwLock<Arc<Grant>>,
    /// What the manifest asks for: only to say why something is refused.
    pub(crate) asked: Arc<Grant>,
    /// What its host was asked for lately.
    pub(crate) wanted: Arc<Wanted>,
    run: Mutex<Weak<SkillNet>>,
    /// Leads errors back to the author's lines.
    pub(crate) sources: Sources,
    view: Mutex<View>,
    credentials: Mutex<Held>,
    /// Where its credentials belong, by the manifest.
    api: BTreeSet<(String, u16)>,
    next_ping: Mutex<Option<Instant>>,
    pub(crate) syncing: AtomicBool,
    /// Held while an account is connected or disconnected.
    pub(crate) connecting: tokio::sync::Mutex<()>,
    cron: Mutex<Timetable>,
    /// Held while the skill is started, stopped or removed.
    pub(crate) lifecycle: tokio::sync::Mutex<()>,
}

/// What changes over a skill's life.
pub(crate) struct View {
    pub(crate) status: SkillStatus,
    pub(crate) tools: Vec<Declared>,
    pub(crate) hooks: BTreeSet<String>,
    pub(crate) error: Option<String>,
    pub(crate) state: Map<String, Value>,
    pub(crate) setup_complete: bool,
    pub(crate) instance: Option<Instance>,
    /// The automatic start that is planned; none after anything else happened.
    pub(crate) restart: Option<u64>,
}

impl Skill {
    pub(crate) fn new(package: SkillPackage, grant: Grant) -> Self {
        let manifest = package.manifest();
        Self {
            id: manifest.id.clone(),
            grant: RwLock::new(Arc::new(grant)),
            asked: Arc::new(Grant::from_manifest(manifest)),
            wanted: Arc::default(),
            run: Mutex::new(Weak::new()),
            view: Mutex::new(View {
                status: SkillStatus::Pending,
                tools: Vec::new(),
                hooks: BTreeSet::new(),
                error: None,
                state: Map::new(),
                setup_complete: !manifest.setup.required,
                instance: None,
                restart: None,
            }),
            credentials: Mutex::default(),
            api: api_authorities(manifest),
            next_ping: Mutex::default(),
            syncing: AtomicBool::new(false),
            connecting: tokio::sync::Mutex::default(),
            cron: Mutex::default(),
            lifecycle: tokio::sync::Mutex::new(()),
            sources: Sources::new(package.clone()),
            package,
        }
    }

    /// What it may do now.
    pub(crate) fn grant(&self) -> Arc<Grant> {
        Arc::clone(&self.grant.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces what it may do, from the next check on.
    pub(crate) fn set_grant(&self, grant: Grant) {
        let grant = Arc::new(grant);
        *self.grant.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&grant);
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(run) = run {
            run.recheck(&grant);
        }
    }

    /// Notes what the run that begins has open.
    pub(crate) fn set_run(&self, run: &Arc<SkillNet>) {
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(run);
    }

    /// The mutable part. Never held over a suspension or an await.
    pub(crate) fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its credentials. Never held over a suspension or an await.
    pub(crate) fn credentials(&self) -> MutexGuard<'_, Held> {
        self.credentials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When it is asked next whether it is alive.
    pub(crate) fn next_ping(&self) -> MutexGuard<'_, Option<Instant>> {
        self.next_ping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a secret of its credentials may be sent to a host: one the manifest names as its API, the same
    /// provider's token service, or one that a rule of the grant binds to the credential.
    pub(crate) fn credential_may_go_to(&self, handle: &str, host: &str, port: u16) -> bool {
        let authority = (host.to_owned(), port);
        let bound = |secret: &str| {
            secret == handle
                || handle
                    .strip_prefix(secret)
                    .is_some_and(|rest| rest.starts_with('.'))
        };
        self.api.contains(&authority)
            || is_token_service(&self.api, host, port)
            || self.grant().hosts.iter().any(|rule| {
                let reaches = ["GET", "POST"]
                    .iter()
                    .any(|method| rule.allows(method, true, host, port));
                rule.secret_handle().is_some_and(bound) && reaches
            })
    }

    /// What `start` is called with.
    pub(crate) fn start_bag(&self, validate: bool) -> Value {
        let mut bag = {
            let held = self.credentials();
            json!({ "oauth": held.view(CredentialKind::OAuth), "auth": held.view(CredentialKind::Auth) })
        };
        if validate {
            bag["validate"] = Value::Bool(true);
        }
        bag
    }

    /// Publishes values in the skill's name, and keeps them as `state.set` does.
    pub(crate) fn publish(&self, shared: &Shared, values: Map<String, Value>) {
        let mut changed = Vec::new();
        let db = {
            let mut view = self.view();
            for (key, value) in values {
                if view.state.get(&key) != Some(&value) {
                    changed.push((key.clone(), value.to_string()));
                    view.state.insert(key, value);
                }
            }
            view.instance.as_ref().and_then(|instance| instance.db.clone())
        };
        if changed.is_empty() {
            return;
        }
        if let Some(db) = db {
            let skill = self.id.clone();
            shared.db_pool.submit(&db, move |db| {
                if let Err(error) = db.and_then(|db| store::put_state(db, &changed)) {
                    tracing::warn!(%skill, %error, "a published value is not kept");
                }
            });
        }
        shared.changed();
    }

    /// The schedules. Never held over a suspension or an await.
    pub(crate) fn cron(&self) -> MutexGuard<'_, Timetable> {
        self.cron.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the life cycle and tells everybody.
    pub(crate) fn set_status(&self, shared: &Shared, status: SkillStatus, error: Option<String>) {
        {
            let mut view = self.view();
            view.status = status;
            view.restart = None;
            view.error.clone_from(&error);
            if matches!(status, SkillStatus::Stopped | SkillStatus::Error) {
                view.instance = None;
            }
        }
        let look_at = self.cron().look_at_ms();
        shared.set_agenda(&self.id, look_at.filter(|_| status == SkillStatus::Running));
        tracing::debug!(skill = %self.id, %status, error = error.as_deref(), "skill status");
        shared.emit(SkillEvent::Status {
            skill_id: self.id.clone(),
            status,
            error,
        });
        shared.changed();
    }

    pub(crate) fn snapshot(&self) -> SkillSnapshot {
        let view = self.view();
        SkillSnapshot {
            skill_id: self.id.to_string(),
            name: self.package.manifest().name.clone(),
            status: view.status,
            tools: view.tools.iter().map(Declared::info).collect(),
            error: view.error.clone(),
            state: Value::Object(view.state.clone()),
            setup_complete: view.setup_complete,
            connection_status: connection_status(view.status, &view.state, view.setup_complete).to_owned(),
        }
    }
}

/// Where providers exchange tokens, by the domain of their API.
const TOKEN_SERVICES: [(&str, &[&str]); 2] = [
    (
        "googleapis.com",
        &[
            "oauth2.googleapis.com",
            "accounts.google.com",
            "www.googleapis.com",
            "gmail.googleapis.com",
        ],
    ),
    ("microsoft.com", &["login.microsoftonline.com"]),
];

fn is_token_service(api: &BTreeSet<(String, u16)>, host: &str, port: u16) -> bool {
    port == 443
        && TOKEN_SERVICES.iter().any(|(domain, services)| {
            let uses = |(name, port): &(String, u16)| {
                *port == 443
                    && name
                        .strip_suffix(domain)
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            services.contains(&host) && api.iter().any(uses)
        })
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
