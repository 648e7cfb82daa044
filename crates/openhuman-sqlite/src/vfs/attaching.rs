//! Which files SQL may attach: none by itself. A URI could name another VFS, and what is written there is not sealed.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use libsqlite3_sys as ffi;
use rusqlite::Connection;

use super::guarded;
use super::raw::{Code, check};

thread_local! {
    /// Whether a function of this crate, which chose the file, is attaching on this thread.
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Refuses `ATTACH` and `VACUUM INTO` of files on this connection, except within [`attaching`]. Memory and SQLite's own
/// temporary databases may be attached. An authorizer that the program sets takes the place of this one.
pub(crate) fn refuse_files(connection: &Connection) -> Result<(), Code> {
    // SAFETY: the handle is used here only; the callback is a function that needs no data.
    check(unsafe { ffi::sqlite3_set_authorizer(connection.handle(), Some(authorize), ptr::null_mut()) })
}

/// Lets `work` attach a file that this crate chose.
pub(crate) fn attaching<T>(work: impl FnOnce() -> T) -> T {
    struct Over(bool);
    impl Drop for Over {
        fn drop(&mut self) {
            OURS.set(self.0);
        }
    }
    let _over = Over(OURS.replace(true));
    work()
}

unsafe extern "C" fn authorize(
    _data: *mut c_void,
    action: c_int,
    name: *const c_char,
    _second: *const c_char,
    _database: *const c_char,
    _trigger: *const c_char,
) -> c_int {
    if action != ffi::SQLITE_ATTACH {
        return ffi::SQLITE_OK;
    }
    guarded(ffi::SQLITE_DENY, || {
        // A name that is not a constant comes as null.
        // SAFETY: otherwise SQLite passes a NUL-terminated string.
        let name = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_bytes());
        if OURS.get() || matches!(name, Some(b"" | b":memory:")) {
            ffi::SQLITE_OK
        } else {
            ffi::SQLITE_DENY
        }
    })
}
