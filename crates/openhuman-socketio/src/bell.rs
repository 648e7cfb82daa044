//! How clients get the attention of the task that serves their connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;

/// One for each connection.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    task: AtomicWaker,
    /// Namespaces came or want to go.
    members: AtomicBool,
}

impl Bell {
    /// There is something to write.
    pub(crate) fn ring(&self) {
        self.task.wake();
    }

    /// A namespace came or wants to go.
    pub(crate) fn announce(&self) {
        self.members.store(true, Ordering::Release);
        self.task.wake();
    }

    /// The task that serves the connection waits.
    pub(crate) fn register(&self, waker: &Waker) {
        self.task.register(waker);
    }

    /// True when namespaces came or want to go since this was last asked.
    pub(crate) fn answered(&self) -> bool {
        self.members.swap(false, Ordering::AcqRel)
    }
}
