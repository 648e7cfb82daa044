//! The methods for the index of the log: in memory, or the platform's file when processes share the database.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{Arc, PoisonError};

use libsqlite3_sys as ffi;

use super::Body;
use super::methods::with;

pub(super) unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    index: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: SQLite passes an open file and a place for the address.
    unsafe {
        with(file, ffi::SQLITE_IOERR_SHMMAP, |body| {
            let Body::Main(main) = body else {
                return Err(ffi::SQLITE_IOERR_SHMMAP);
            };
            let (Ok(index), Ok(size)) = (usize::try_from(index), usize::try_from(size)) else {
                return Err(ffi::SQLITE_IOERR_SHMMAP);
            };
            if main.shared() {
                let (index, size) = (index as c_int, size as c_int);
                return super::raw::check(main.file.raw().shm_map(index, size, extend, out));
            }
            let database = Arc::clone(main.file.database());
            let region = database.shm.map(&mut main.shm, index, size, extend != 0)?;
            *out = region.map_or(ptr::null_mut(), |words| words.as_ptr().cast());
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe {
        with(file, ffi::SQLITE_IOERR_SHMLOCK, |body| {
            let Body::Main(main) = body else {
                return Err(ffi::SQLITE_IOERR_SHMLOCK);
            };
            let (Ok(first), Ok(count)) = (usize::try_from(first), usize::try_from(count)) else {
                return Err(ffi::SQLITE_IOERR_SHMLOCK);
            };
            if main.shared() {
                return super::raw::check(main.file.raw().shm_lock(first as c_int, count as c_int, flags));
            }
            let database = Arc::clone(main.file.database());
            database.shm.lock(&mut main.shm, first, count, flags)
        })
    }
}

/// SQLite calls this before it shows new frames to other connections: a frame header that still waits is
/// written by then.
pub(super) unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: SQLite passes an open file.
    unsafe {
        with(file, ffi::SQLITE_OK, |body| {
            if let Body::Main(main) = body {
                if let Some(log) = main.log.upgrade() {
                    log.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .flush_or_remember();
                }
                main.file.database().shm.barrier();
                if main.shared() {
                    main.file.raw().shm_barrier();
                }
            }
            Ok(())
        });
    }
}

pub(super) unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe {
        with(file, ffi::SQLITE_OK, |body| {
            if let Body::Main(main) = body {
                if main.shared() {
                    return super::raw::check(main.file.raw().shm_unmap(delete));
                }
                let database = Arc::clone(main.file.database());
                database.shm.unmap(&mut main.shm);
            }
            Ok(())
        })
    }
}
