//! What one running skill has open: requests, bodies, and the secrets that went out for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::task::AbortHandle;

use super::body::Body;
use super::client::late;
use super::error::NetError;
use super::scan::Revealed;
use crate::{Grant, Permission, PermissionKind, SkillEvent, SkillId};

/// Requests a skill may have in flight, their bodies included.
pub(crate) const MAX_REQUESTS: usize = 16;
/// Names a skill may look up at once.
const LOOKUPS: usize = 4;
/// How long a reader may wait for one piece of a body.
const PIECE: Duration = Duration::from_secs(30);
/// The same permission is asked for again after this time, and this many in it for one skill.
const ASK_AGAIN: Duration = Duration::from_secs(60);
const MOST_QUESTIONS: usize = 10;

/// Ends with the run of the skill: dropping it closes everything.
pub(crate) struct SkillNet {
    pub(crate) revealed: Revealed,
    permits: Arc<Semaphore>,
    /// Names a skill has looked up at once: slow ones must not take every turn of the engine.
    pub(super) lookups: Semaphore,
    bodies: Mutex<HashMap<u32, Reading>>,
    next: AtomicU32,
    closed: AtomicBool,
    pub(crate) sockets: super::websocket::Sockets,
}

struct Reading {
    body: Arc<tokio::sync::Mutex<Body>>,
    deadline: AbortHandle,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.deadline.abort();
    }
}

impl SkillNet {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            revealed: Revealed::default(),
            permits: Arc::new(Semaphore::new(MAX_REQUESTS)),
            lookups: Semaphore::new(LOOKUPS),
            bodies: Mutex::default(),
            next: AtomicU32::new(1),
            closed: AtomicBool::new(false),
            sockets: super::websocket::Sockets::default(),
        })
    }

    /// A place among the requests in flight.
    pub(super) fn permit(&self) -> Result<OwnedSemaphorePermit, NetError> {
        Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| NetError::failed(format!("more than {MAX_REQUESTS} requests at once")))
    }

    /// Keeps a body until it is read, dropped, or its time is over; gives its number.
    pub(crate) fn keep(self: &Arc<Self>, mut body: Body, until: Instant) -> Result<u32, NetError> {
        body.hold_buffers()?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let run: Weak<Self> = Arc::downgrade(self);
        let deadline = tokio::spawn(async move {
            tokio::time::sleep_until(until.into()).await;
            if let Some(run) = run.upgrade() {
                run.drop_body(id);
            }
        });
        let reading = Reading {
            body: Arc::new(tokio::sync::Mutex::new(body)),
            deadline: deadline.abort_handle(),
        };
        self.bodies().insert(id, reading);
        Ok(id)
    }

    /// The next piece of a body; `None` at its end, and for one that is not there any more.
    pub(crate) async fn read(&self, id: u32) -> Result<Option<Vec<u8>>, NetError> {
        let Some(body) = self.bodies().get(&id).map(|reading| Arc::clone(&reading.body)) else {
            return Err(NetError::failed("the body was given up, or its time is over"));
        };
        let mut body = body.lock().await;
        let next = match tokio::time::timeout(PIECE, body.next()).await {
            Ok(next) => next,
            Err(_) => Err(late(PIECE)),
        };
        if !matches!(next, Ok(Some(_))) {
            self.drop_body(id);
        }
        next
    }

    pub(crate) fn drop_body(&self, id: u32) {
        let reading = self.bodies().remove(&id);
        drop(reading);
    }

    /// The skill has stopped: everything ends now, also what a task still holds.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let bodies = std::mem::take(&mut *self.bodies());
        drop(bodies);
        self.sockets.close_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The grant has changed: connections it does not allow are closed.
    pub(crate) fn recheck(&self, grant: &Grant) {
        self.sockets.recheck(grant);
    }

    fn bodies(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Reading>> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a skill was refused lately, so that its host is not asked again and again.
#[derive(Default)]
pub(crate) struct Wanted(Mutex<HashMap<(PermissionKind, String), Instant>>);

impl Wanted {
    /// Tells the host, unless it has just been told.
    pub(crate) fn tell(
        &self,
        events: &broadcast::Sender<SkillEvent>,
        skill: &SkillId,
        permission: &Permission,
    ) {
        let now = Instant::now();
        {
            let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            asked.retain(|_, since| now.duration_since(*since) < ASK_AGAIN);
            let key = (permission.kind, permission.what.clone());
            if asked.len() >= MOST_QUESTIONS || asked.contains_key(&key) {
                return;
            }
            asked.insert(key, now);
        }
        let _ = events.send(SkillEvent::PermissionWanted {
            skill_id: skill.clone(),
            kind: permission.kind,
            what: permission.what.clone(),
        });
    }
}
