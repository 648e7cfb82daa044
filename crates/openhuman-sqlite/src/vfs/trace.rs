//! Records what reaches the platform's files, for the power-loss simulation.

use std::ffi::{CStr, c_char};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// One operation on a file.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Write {
        offset: u64,
        data: Vec<u8>,
    },
    Truncate {
        size: u64,
    },
    Sync,
    /// The test confirms that everything up to here was acknowledged.
    Mark(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Main,
    Log,
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
pub(super) fn start(path: &str) {
    recordings().push(Recording {
        main: path.to_owned(),
        ops: Vec::new(),
    });
}

/// Notes an acknowledged commit.
pub(super) fn mark(path: &str, commit: u64) {
    record(path, Which::Main, Op::Mark(commit));
}

/// Ends the recording and returns it.
pub(super) fn finish(path: &str) -> Vec<(Which, Op)> {
    let mut recordings = recordings();
    let at = recordings
        .iter()
        .position(|recording| recording.main == path)
        .expect("it was started");
    recordings.swap_remove(at).ops
}

fn record(path: &str, which: Which, op: Op) {
    if let Some(recording) = recordings().iter_mut().find(|recording| recording.main == path) {
        recording.ops.push((which, op));
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

    fn op(&self, op: impl FnOnce() -> Op) {
        if let Some((path, which)) = &self.0 {
            record(path, *which, op());
        }
    }
}
