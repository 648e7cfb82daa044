//! A fixed number of threads on which every database call is made.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use super::{Database, DbError};

type Job = Box<dyn FnOnce() + Send>;

/// Hands jobs to the database threads. The threads end when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct DbPool {
    jobs: Sender<Job>,
}

/// A skill's database and the way to end its running statement.
#[derive(Clone)]
pub(crate) struct SharedDb {
    database: Arc<Mutex<Box<dyn Database>>>,
    interrupt: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl SharedDb {
    pub(crate) fn new(database: Box<dyn Database>) -> Self {
        let interrupt = database.interrupter();
        Self {
            database: Arc::new(Mutex::new(database)),
            interrupt,
        }
    }

    pub(crate) fn interrupt(&self) {
        if let Some(interrupt) = &self.interrupt {
            interrupt();
        }
    }

    /// Uses the database. Only database threads call this.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut dyn Database) -> T) -> T {
        // A panic inside a statement is reported by the job that had it; the connection itself stays usable.
        let mut guard = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        work(guard.as_mut())
    }
}

impl DbPool {
    pub(crate) fn start(threads: usize) -> io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for index in 0..threads.max(1) {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("skill-db-{index}"))
                .spawn(move || serve(&queue))?;
        }
        Ok(Self { jobs })
    }

    /// Queues a job. A job that cannot be queued is dropped, which its owner notices.
    pub(crate) fn submit(&self, job: impl FnOnce() + Send + 'static) {
        let _ = self.jobs.send(Box::new(job));
    }

    /// Runs a job and waits for its value without blocking a thread of the runtime.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let (done, value) = oneshot::channel();
        self.submit(move || {
            let _ = done.send(job());
        });
        value
            .await
            .unwrap_or_else(|_| Err(DbError::Interrupted("the database thread is gone".to_owned())))
    }
}

fn serve(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
            tracing::error!("a database job panicked; its caller gets an error");
        }
    }
}
