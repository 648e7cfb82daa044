//! How a connection's file finds the keys of its database.

use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::database::Database;

/// Lets one `open` call's main file find its database. Names an entry in a registry of this process; gone when
/// it is dropped, so that a later ATTACH finds nothing and fails.
pub(crate) struct Ticket(u64);

fn tickets() -> &'static Mutex<HashMap<u64, Arc<Database>>> {
    static TICKETS: LazyLock<Mutex<HashMap<u64, Arc<Database>>>> = LazyLock::new(Mutex::default);
    &TICKETS
}

impl Ticket {
    pub(crate) fn new(database: &Arc<Database>) -> Ticket {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut tickets = tickets().lock().unwrap_or_else(PoisonError::into_inner);
        tickets.insert(number, Arc::clone(database));
        Ticket(number)
    }

    pub(crate) fn value(&self) -> String {
        self.0.to_string()
    }

    pub(super) fn redeem(value: &CStr) -> Option<Arc<Database>> {
        let number = value.to_str().ok()?.parse().ok()?;
        tickets()
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&number)
            .map(Arc::clone)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        tickets()
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.0);
    }
}
