//! What the VFS passes on to the platform's, or refuses.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use libsqlite3_sys as ffi;

use super::guarded;

/// The VFS below ours.
///
/// # Safety
/// `vfs` is the structure that [`super::register`] registered.
pub(super) unsafe fn below(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: `register` stored the default VFS there, which is never unregistered.
    unsafe { (*vfs).pAppData.cast() }
}

pub(super) unsafe extern "C" fn delete(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync: c_int,
) -> c_int {
    guarded(ffi::SQLITE_IOERR_DELETE, || {
        // SAFETY: SQLite passes a NUL-terminated name.
        if unsafe { CStr::from_ptr(name) }.to_bytes().ends_with(b"-journal") {
            // The journal of a copy that is being written was never a file; another one is not ours.
            return ffi::SQLITE_OK;
        }
        #[cfg(test)]
        // SAFETY: as above.
        unsafe { super::trace::Tracer::new(name) }.delete();
        // SAFETY: `vfs` is ours; the arguments are passed on as they came.
        unsafe {
            let real = below(vfs);
            (*real)
                .xDelete
                .map_or(ffi::SQLITE_IOERR_DELETE, |method| method(real, name, sync))
        }
    })
}

pub(super) unsafe extern "C" fn access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    guarded(ffi::SQLITE_IOERR_ACCESS, || {
        // SAFETY: SQLite passes a NUL-terminated name.
        if unsafe { CStr::from_ptr(name) }.to_bytes().ends_with(b"-journal") {
            // This format has no rollback journal; one that lies there is not ours and must not be replayed.
            // SAFETY: SQLite passes a place for the result.
            unsafe { *out = 0 };
            return ffi::SQLITE_OK;
        }
        // SAFETY: `vfs` is ours; the arguments are passed on as they came.
        unsafe {
            let real = below(vfs);
            (*real)
                .xAccess
                .map_or(ffi::SQLITE_IOERR_ACCESS, |method| method(real, name, flags, out))
        }
    })
}

pub(super) unsafe extern "C" fn full_path_name(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    length: c_int,
    out: *mut c_char,
) -> c_int {
    guarded(ffi::SQLITE_CANTOPEN, || {
        // SAFETY: `vfs` is ours; the arguments are passed on as they came.
        unsafe {
            let real = below(vfs);
            (*real)
                .xFullPathname
                .map_or(ffi::SQLITE_CANTOPEN, |method| method(real, name, length, out))
        }
    })
}

pub(super) unsafe extern "C" fn dl_open(_vfs: *mut ffi::sqlite3_vfs, _name: *const c_char) -> *mut c_void {
    ptr::null_mut()
}

pub(super) unsafe extern "C" fn dl_error(_vfs: *mut ffi::sqlite3_vfs, length: c_int, message: *mut c_char) {
    guarded((), || {
        let text = c"extensions cannot be loaded into a sealed database".to_bytes_with_nul();
        if usize::try_from(length).is_ok_and(|length| length >= text.len()) {
            // SAFETY: SQLite passes a buffer of `length` bytes.
            unsafe { ptr::copy_nonoverlapping(text.as_ptr().cast(), message, text.len()) };
        }
    });
}

pub(super) unsafe extern "C" fn dl_sym(
    _vfs: *mut ffi::sqlite3_vfs,
    _handle: *mut c_void,
    _name: *const c_char,
) -> Option<unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *mut c_void, *const c_char)> {
    None
}

pub(super) unsafe extern "C" fn dl_close(_vfs: *mut ffi::sqlite3_vfs, _handle: *mut c_void) {}

pub(super) unsafe extern "C" fn randomness(
    vfs: *mut ffi::sqlite3_vfs,
    length: c_int,
    out: *mut c_char,
) -> c_int {
    guarded(0, || {
        // SAFETY: `vfs` is ours; the arguments are passed on as they came.
        unsafe {
            let real = below(vfs);
            (*real).xRandomness.map_or(0, |method| method(real, length, out))
        }
    })
}

pub(super) unsafe extern "C" fn sleep(vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    guarded(0, || {
        // SAFETY: `vfs` is ours; the argument is passed on as it came.
        unsafe {
            let real = below(vfs);
            (*real).xSleep.map_or(0, |method| method(real, microseconds))
        }
    })
}

pub(super) unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    guarded(ffi::SQLITE_ERROR, || {
        // SAFETY: `vfs` is ours; the argument is passed on as it came.
        unsafe {
            let real = below(vfs);
            (*real)
                .xCurrentTime
                .map_or(ffi::SQLITE_ERROR, |method| method(real, out))
        }
    })
}

pub(super) unsafe extern "C" fn current_time_ms(
    vfs: *mut ffi::sqlite3_vfs,
    out: *mut ffi::sqlite3_int64,
) -> c_int {
    guarded(ffi::SQLITE_ERROR, || {
        // SAFETY: `vfs` is ours; the argument is passed on as it came. Version 1 has no such method.
        unsafe {
            let real = below(vfs);
            if (*real).iVersion < 2 {
                return ffi::SQLITE_ERROR;
            }
            (*real)
                .xCurrentTimeInt64
                .map_or(ffi::SQLITE_ERROR, |method| method(real, out))
        }
    })
}

pub(super) unsafe extern "C" fn last_error(
    vfs: *mut ffi::sqlite3_vfs,
    length: c_int,
    out: *mut c_char,
) -> c_int {
    guarded(0, || {
        // SAFETY: `vfs` is ours; the arguments are passed on as they came.
        unsafe {
            let real = below(vfs);
            (*real)
                .xGetLastError
                .map_or(0, |method| method(real, length, out))
        }
    })
}
