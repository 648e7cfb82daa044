//! Records what reaches the platform's files, for the power-loss simulation.

use std::ffi::{CStr, c_char};
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// One operation on a file.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Write {
        offset: u64,
        data: Vec<u8>,
    },
    Truncate {
        size: u64,
    },
    Sync,
    /// The file is removed.
    Delete,
    /// The work file takes the name of the database.
    Rename,
    /// The names in the directory are durable.
    SyncNames,
    /// The anchor keeps this from now on.
    Seal(Vec<u8>),
    /// The test confirms that everything up to here was acknowledged.
    Mark(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Main,
    Log,
    /// `NAME-rekey`.
    Work,
}

struct Recording {
    main: String,
    ops: Vec<(Which, Op)>,
}

static RECORDINGS: LazyLock<Mutex<Vec<Recording>>> = LazyLock::new(Mutex::default);

fn recordings() -> MutexGuard<'static, Vec<Recording>> {
    RECORDINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts recording the database at `path`.
pub(crate) fn start(path: &str) {
    recordings().push(Recording {
        main: path.to_owned(),
        ops: Vec::new(),
    });
}

/// Ends the recording and returns it.
pub(crate) fn finish(path: &str) -> Vec<(Which, Op)> {
    let mut recordings = recordings();
    let at = recordings
        .iter()
        .position(|recording| recording.main == path)
        .expect("it was started");
    recordings.swap_remove(at).ops
}

/// Adds an operation to the recording of the database at `path`, if there is one.
pub(crate) fn record(path: &str, which: Which, op: Op) {
    if let Some(recording) = recordings().iter_mut().find(|recording| recording.main == path) {
        recording.ops.push((which, op));
    }
}

/// As [`record`], for a path.
pub(crate) fn record_at(path: &Path, which: Which, op: Op) {
    if let Some(path) = path.to_str() {
        record(path, which, op);
    }
}

/// Belongs to one open file.
pub(super) struct Tracer(Option<(String, Which)>);

impl Tracer {
    /// # Safety
    /// `name` is null or NUL-terminated.
    pub(super) unsafe fn new(name: *const c_char) -> Tracer {
        if name.is_null() {
            return Tracer(None);
        }
        // SAFETY: the caller vouches for the name.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        Tracer(Some(match name.strip_suffix("-wal") {
            Some(main) => (main.to_owned(), Which::Log),
            None => (name, Which::Main),
        }))
    }

    pub(super) fn write(&self, data: &[u8], offset: u64) {
        self.op(|| Op::Write {
            offset,
            data: data.to_vec(),
        });
    }

    pub(super) fn truncate(&self, size: i64) {
        self.op(|| Op::Truncate {
            size: u64::try_from(size).unwrap(),
        });
    }

    pub(super) fn sync(&self) {
        self.op(|| Op::Sync);
    }

    pub(super) fn delete(&self) {
        self.op(|| Op::Delete);
    }

    fn op(&self, op: impl FnOnce() -> Op) {
        if let Some((path, which)) = &self.0 {
            record(path, *which, op());
        }
    }
}
