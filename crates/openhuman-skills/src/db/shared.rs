//! A skill's database, open only while it is used.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::{Database, DbError, DbOpener, DbOptions};
use crate::SkillId;

/// Use of a thread beyond this makes a skill wait behind others.
const QUICK: Duration = Duration::from_millis(20);
/// It waits behind them for this many times what it used, but not for longer than half a minute.
const PENANCE: u32 = 10;

type Interrupt = Arc<dyn Fn() + Send + Sync>;

/// A skill's database. It is opened when it is first used, and closed when many others have been used since; a skill
/// that does not use it pays nothing for it.
#[derive(Clone)]
pub(crate) struct SharedDb(Arc<Inner>);

struct Inner {
    skill: SkillId,
    options: Mutex<DbOptions>,
    opener: Arc<dyn DbOpener>,
    open: Arc<OpenDbs>,
    slot: Mutex<Option<Box<dyn Database>>>,
    interrupt: Mutex<Option<Interrupt>>,
    /// Whether a job has been given to a thread.
    reserved: AtomicBool,
    /// When it was used last, as a number that grows.
    stamp: AtomicU64,
    greedy_until: Mutex<Option<Instant>>,
}

impl SharedDb {
    /// The database of a skill. While an earlier run of the skill still holds it, it is the same one, so that two
    /// runs never have it open at once; other options apply when it is opened next.
    pub(crate) fn of(
        skill: &SkillId,
        options: DbOptions,
        opener: Arc<dyn DbOpener>,
        open: &Arc<OpenDbs>,
    ) -> Self {
        let mut by_skill = lock(&open.by_skill);
        if let Some(known) = by_skill.get(skill).and_then(Weak::upgrade) {
            *lock(&known.options) = options;
            return Self(known);
        }
        let made = Self::new(skill.clone(), options, opener, Arc::clone(open));
        by_skill.insert(skill.clone(), Arc::downgrade(&made.0));
        made
    }

    fn new(skill: SkillId, options: DbOptions, opener: Arc<dyn DbOpener>, open: Arc<OpenDbs>) -> Self {
        Self(Arc::new(Inner {
            skill,
            options: Mutex::new(options),
            opener,
            open,
            slot: Mutex::default(),
            interrupt: Mutex::default(),
            reserved: AtomicBool::new(false),
            stamp: AtomicU64::new(0),
            greedy_until: Mutex::default(),
        }))
    }

    /// Whether there is a database already. Blocks.
    pub(crate) fn exists(&self) -> bool {
        self.0.opener.exists(&self.0.skill)
    }

    /// Ends the statement that runs.
    pub(crate) fn interrupt(&self) {
        let interrupt = lock(&self.0.interrupt).clone();
        if let Some(interrupt) = interrupt {
            interrupt();
        }
    }

    /// Uses the database. Only database threads call this, and one at a time.
    pub(super) fn with<T>(&self, work: impl FnOnce(Result<&mut dyn Database, DbError>) -> T) -> T {
        let mut slot = lock(&self.0.slot);
        let options = *lock(&self.0.options);
        let opened = match slot.as_deref_mut() {
            Some(_) => Ok(()),
            None => self.0.opener.open(&self.0.skill, &options).map(|database| {
                *lock(&self.0.interrupt) = database.interrupter();
                *slot = Some(database);
            }),
        };
        let result = match (opened, slot.as_deref_mut()) {
            (Ok(()), Some(database)) => work(Ok(database)),
            (Err(error), _) => work(Err(error)),
            (Ok(()), None) => work(Err(DbError::Open("it was closed".to_owned()))),
        };
        drop(slot);
        OpenDbs::touch(&self.0);
        result
    }

    /// Takes the right to run a job, if nobody has it.
    pub(super) fn reserve(&self) -> bool {
        !self.0.reserved.swap(true, Ordering::Acquire)
    }

    /// Gives it back, after so much use of the thread.
    pub(super) fn used(&self, own: Duration) {
        if own > QUICK {
            let penance = (own * PENANCE).min(Duration::from_secs(30));
            *lock(&self.0.greedy_until) = Some(Instant::now() + penance);
        }
        self.0.reserved.store(false, Ordering::Release);
    }

    pub(super) fn is_greedy(&self) -> bool {
        lock(&self.0.greedy_until).is_some_and(|until| Instant::now() < until)
    }
}

/// Which databases are open, by when they were used last.
pub(crate) struct OpenDbs {
    most: usize,
    last: AtomicU64,
    by_stamp: Mutex<BTreeMap<u64, Weak<Inner>>>,
    by_skill: Mutex<HashMap<SkillId, Weak<Inner>>>,
}

impl OpenDbs {
    /// Keeps at most this many open that nobody uses.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            last: AtomicU64::new(0),
            by_stamp: Mutex::default(),
            by_skill: Mutex::default(),
        })
    }

    /// Lets the next use of a skill's id open anew: it may be another skill then. An earlier run that still has it
    /// keeps its own.
    pub(crate) fn forget(&self, skill: &SkillId) {
        lock(&self.by_skill).remove(skill);
    }

    /// Notes a use, and closes what was not used for longest.
    fn touch(used: &Arc<Inner>) {
        let set = &used.open;
        let stamp = set.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut by_stamp = lock(&set.by_stamp);
        by_stamp.remove(&used.stamp.swap(stamp, Ordering::Relaxed));
        by_stamp.insert(stamp, Arc::downgrade(used));
        let surplus = by_stamp.len().saturating_sub(set.most);
        let oldest: Vec<(u64, Weak<Inner>)> = by_stamp
            .iter()
            .take(if surplus == 0 { 0 } else { surplus + 8 })
            .map(|(stamp, inner)| (*stamp, inner.clone()))
            .collect();
        drop(by_stamp);
        let (mut closed, mut gone) = (Vec::new(), 0);
        for (stamp, inner) in oldest {
            if gone == surplus {
                break;
            }
            let Some(inner) = inner.upgrade() else {
                closed.push(stamp);
                gone += 1;
                continue;
            };
            // One that is in use, or in the middle of a transaction, stays.
            let Ok(mut slot) = inner.slot.try_lock() else {
                continue;
            };
            if inner.stamp.load(Ordering::Relaxed) != stamp {
                continue;
            }
            if slot.as_deref().is_none_or(Database::can_close) {
                *lock(&inner.interrupt) = None;
                *slot = None;
                closed.push(stamp);
                gone += 1;
            }
        }
        let mut by_stamp = lock(&set.by_stamp);
        for stamp in closed {
            by_stamp.remove(&stamp);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic inside a statement is reported by the job that had it; the connection itself stays usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
