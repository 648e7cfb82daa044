//! One installed skill, as the engine keeps it.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::credentials::{Held, api_authorities};
use crate::db::store;
use crate::net::{SkillNet, Wanted};
use crate::schedule::Timetable;
use crate::shared::{Instance, Shared};
use crate::snapshot::connection_status;
use crate::source::Sources;
use crate::tools::Declared;
use crate::{CredentialKind, Grant, SkillEvent, SkillId, SkillPackage, SkillSnapshot, SkillStatus};

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
