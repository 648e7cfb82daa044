//! A fixed number of threads on which every database call is made.
//!
//! Nobody waits long for somebody else's statement. A job of a skill that used much time lately waits in a second
//! queue, which gets a tenth of the turns; and a statement that runs for long lets the others' short ones run in
//! between, on the same thread ([`let_others_run`]).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::shared::SharedDb;
use super::{Database, DbError};

/// Statements within statements.
const MAX_DEPTH: u32 = 6;
/// Each level needs a statement's stack.
const THREAD_STACK: usize = 8 * 1024 * 1024;
/// Turns of the first queue for each of the second.
const TURNS: u32 = 9;

type Work = Box<dyn FnOnce() + Send>;

struct Job {
    /// The database it uses: at most one job of a database runs at a time, and no thread waits for one.
    db: Option<SharedDb>,
    work: Work,
}

#[derive(Default)]
struct Queues {
    first: VecDeque<Job>,
    second: VecDeque<Job>,
    /// Turns the first queue had since the second had one.
    turns: u32,
    closed: bool,
}

#[derive(Default)]
struct Queue {
    queues: Mutex<Queues>,
    changed: Condvar,
}

/// Hands jobs to the database threads. The threads end when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct DbPool(Arc<Handle>);

struct Handle(Arc<Queue>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

thread_local! {
    /// The queue this thread serves, how deep it is in it, and the time its current job gave to others.
    static SERVED: RefCell<Weak<Queue>> = const { RefCell::new(Weak::new()) };
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static GIVEN: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

impl DbPool {
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        // Made first, so that the threads end when one of them cannot be started.
        let pool = Self(Arc::new(Handle(Arc::clone(&queue))));
        for index in 0..threads.max(1) {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("skill-db-{index}"))
                .stack_size(THREAD_STACK)
                .spawn(move || {
                    SERVED.with(|served| *served.borrow_mut() = Arc::downgrade(&queue));
                    while let Some(job) = queue.wait() {
                        queue.run(job);
                    }
                })?;
        }
        Ok(pool)
    }

    /// Queues work on a database. Work that cannot be done is dropped, which its owner notices.
    pub(crate) fn submit(
        &self,
        db: &SharedDb,
        work: impl FnOnce(Result<&mut dyn Database, DbError>) + Send + 'static,
    ) {
        let used = db.clone();
        self.push(Some(db.clone()), Box::new(move || used.with(work)));
    }

    /// Queues other work that blocks.
    pub(crate) fn submit_other(&self, work: impl FnOnce() + Send + 'static) {
        self.push(None, Box::new(work));
    }

    fn push(&self, db: Option<SharedDb>, work: Work) {
        let mut queues = self.0.0.lock();
        let job = Job { db, work };
        match job.db.as_ref().is_some_and(SharedDb::is_greedy) {
            true => queues.second.push_back(job),
            false => queues.first.push_back(job),
        }
        drop(queues);
        self.0.0.changed.notify_one();
    }

    /// Runs work and waits for its value without blocking a thread of the runtime.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        db: &SharedDb,
        work: impl FnOnce(&mut dyn Database) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let (done, value) = oneshot::channel();
        self.submit(db, move |db| {
            let _ = done.send(db.and_then(work));
        });
        value
            .await
            .unwrap_or_else(|_| Err(DbError::Interrupted("the database thread is gone".to_owned())))
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; `None` when there will be none.
    fn wait(&self) -> Option<Job> {
        let mut queues = self.lock();
        loop {
            if let Some(job) = queues.next() {
                return Some(job);
            }
            if queues.closed && queues.first.is_empty() && queues.second.is_empty() {
                return None;
            }
            queues = self.changed.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn run(&self, job: Job) {
        let (started, given) = (Instant::now(), GIVEN.replace(Duration::ZERO));
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job.work)).is_err() {
            tracing::error!("a database job panicked; its caller gets an error");
        }
        let own = started.elapsed().saturating_sub(GIVEN.replace(given));
        if let Some(db) = job.db {
            let queues = self.lock();
            db.used(own);
            drop(queues);
            // Another job of this database may have been passed over.
            self.changed.notify_one();
        }
    }
}

impl Queues {
    fn next(&mut self) -> Option<Job> {
        let second = self.turns >= TURNS || self.first.is_empty();
        if second && let Some(job) = take(&mut self.second) {
            self.turns = 0;
            return Some(job);
        }
        self.turns = self.turns.saturating_add(1);
        take(&mut self.first).or_else(|| take(&mut self.second))
    }
}

/// Takes the first job whose database is free, and reserves that.
fn take(jobs: &mut VecDeque<Job>) -> Option<Job> {
    let at = jobs
        .iter()
        .position(|job| job.db.as_ref().is_none_or(SharedDb::reserve))?;
    jobs.remove(at)
}

/// Runs what other skills wait for, on a thread that is busy with a long statement; how long that took. A
/// [`Database`] calls it every few milliseconds while a statement runs, and does not count the time against the
/// statement. Does nothing on other threads.
#[must_use]
pub fn let_others_run() -> Duration {
    let started = Instant::now();
    let depth = DEPTH.get();
    let queue = SERVED.with(|served| served.borrow().upgrade());
    let (Some(queue), true) = (queue, depth < MAX_DEPTH) else {
        return Duration::ZERO;
    };
    DEPTH.set(depth + 1);
    let given = GIVEN.get();
    loop {
        let job = take(&mut queue.lock().first);
        let Some(job) = job else { break };
        queue.run(job);
    }
    DEPTH.set(depth);
    let taken = started.elapsed();
    GIVEN.set(given + taken);
    taken
}
