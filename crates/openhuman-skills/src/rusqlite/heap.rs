//! How much memory SQLite uses, and who may use much of it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use ::rusqlite::ffi;

/// What a statement may take before it needs the right to take more.
const COMMON: i64 = 32 * 1024 * 1024;
/// What it may take then.
const MOST: i64 = 64 * 1024 * 1024;

/// Whether a statement has the right to take much memory. Only one has it, so that what SQLite takes meanwhile can
/// be laid to its charge: SQLite counts for the process, not for a connection.
static TAKEN: Mutex<bool> = Mutex::new(false);
/// Told when it is given back.
static FREE: Condvar = Condvar::new();

fn taken() -> MutexGuard<'static, bool> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The memory of one running statement.
#[derive(Debug, Default)]
pub(super) struct Heap {
    base: i64,
    holds: bool,
}

impl Heap {
    pub(super) fn start(&mut self) {
        self.end();
        self.base = used();
    }

    pub(super) fn end(&mut self) {
        if self.holds {
            self.holds = false;
            *taken() = false;
            FREE.notify_one();
        }
    }

    /// What the statement has taken, before others run.
    pub(super) fn own(&self) -> i64 {
        used() - self.base
    }

    /// Goes on after others ran, whatever these keep.
    pub(super) fn resume(&mut self, own: i64) {
        self.base = used() - own;
    }

    /// Whether the statement holds the right to take much.
    pub(super) fn holds(&self) -> bool {
        self.holds
    }

    /// Whether the statement takes too much. May wait for another one that takes much.
    pub(super) fn is_over(&mut self) -> bool {
        let used = used();
        self.base = self.base.min(used);
        if self.holds {
            return used - self.base > MOST;
        }
        if used - self.base > COMMON {
            // The other one ends at its own limit, of time or of memory.
            let mut right = taken();
            while *right {
                right = FREE.wait(right).unwrap_or_else(PoisonError::into_inner);
            }
            *right = true;
            drop(right);
            self.holds = true;
            self.base = self::used();
        }
        false
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        self.end();
    }
}

fn used() -> i64 {
    // SAFETY: takes no arguments, may be called from any thread at any time, and initialises what it needs itself.
    unsafe { ffi::sqlite3_memory_used() }
}
