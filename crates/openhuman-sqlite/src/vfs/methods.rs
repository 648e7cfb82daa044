//! The method tables of the three kinds of file, and the way from SQLite's pointers to ours.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::PoisonError;

use libsqlite3_sys as ffi;

use super::raw::{Code, code};
use super::{Body, File, Main, guarded, index};

/// Version 2: shared memory, but no memory-mapped pages.
pub(super) static MAIN: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xShmMap: Some(index::shm_map),
    xShmLock: Some(index::shm_lock),
    xShmBarrier: Some(index::shm_barrier),
    xShmUnmap: Some(index::shm_unmap),
    ..BASE
};
pub(super) static LOG: ffi::sqlite3_io_methods = BASE;
pub(super) static TEMP: ffi::sqlite3_io_methods = BASE;

const BASE: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// What is behind a file of ours; `None` for a file of another VFS or one that is not open.
///
/// # Safety
/// `file` is null or a file that SQLite allocated, and nobody else uses its body while the reference lives.
/// SQLite calls the methods of one connection's files one at a time.
pub(super) unsafe fn body<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a mut Body> {
    // SAFETY: the caller vouches for the pointer; the tables tell whether the file is one of ours.
    unsafe {
        let methods = file.as_ref()?.pMethods;
        let ours = [&raw const MAIN, &raw const LOG, &raw const TEMP].contains(&methods);
        if ours {
            (*file.cast::<File>()).body.as_mut()
        } else {
            None
        }
    }
}

/// Runs `work` on the body and turns its result into SQLite's code.
///
/// # Safety
/// As [`body`].
pub(super) unsafe fn with(
    file: *mut ffi::sqlite3_file,
    otherwise: Code,
    work: impl FnOnce(&mut Body) -> Result<(), Code>,
) -> c_int {
    guarded(otherwise, || {
        // SAFETY: the caller vouches for the file.
        match unsafe { body(file) } {
            Some(body) => code(work(body)),
            None => otherwise,
        }
    })
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    guarded(ffi::SQLITE_IOERR_CLOSE, || {
        // SAFETY: SQLite closes a file it opened, once.
        let result = match unsafe { body(file) } {
            Some(Body::Log(log)) => log.lock().unwrap_or_else(PoisonError::into_inner).flush(),
            _ => Ok(()),
        };
        // SAFETY: the body came from `Box::into_raw` in `xOpen`; SQLite does not use the file after this.
        unsafe {
            let file: *mut File = file.cast();
            (*file).base.pMethods = ptr::null();
            let body = std::mem::replace(&mut (*file).body, ptr::null_mut());
            if !body.is_null() {
                drop(Box::from_raw(body));
            }
        }
        code(result)
    })
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    out: *mut c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: SQLite passes an open file and a buffer of `length` bytes.
    unsafe {
        with(file, ffi::SQLITE_IOERR_READ, |body| {
            let (length, offset) = extent(length, offset, ffi::SQLITE_IOERR_READ)?;
            // The buffer may be uninitialized; a reference to it must not be.
            ptr::write_bytes(out.cast::<u8>(), 0, length);
            let buf = std::slice::from_raw_parts_mut(out.cast::<u8>(), length);
            match body {
                Body::Main(main) => main.file.read(buf, offset),
                Body::Log(log) => log
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .read(buf, offset),
                Body::Temp(temp) => temp.read(buf, offset),
            }
        })
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    data: *const c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: SQLite passes an open file and `length` bytes.
    unsafe {
        with(file, ffi::SQLITE_IOERR_WRITE, |body| {
            let (length, offset) = extent(length, offset, ffi::SQLITE_IOERR_WRITE)?;
            let buf = std::slice::from_raw_parts(data.cast::<u8>(), length);
            match body {
                Body::Main(main) => main.file.write(buf, offset),
                Body::Log(log) => log
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .write(buf, offset),
                Body::Temp(temp) => temp.write(buf, offset),
            }
        })
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe {
        with(file, ffi::SQLITE_IOERR_TRUNCATE, |body| {
            let size = u64::try_from(size).map_err(|_| ffi::SQLITE_IOERR_TRUNCATE)?;
            match body {
                Body::Main(main) => main.file.truncate(size),
                Body::Log(log) => log.lock().unwrap_or_else(PoisonError::into_inner).truncate(size),
                Body::Temp(temp) => temp.truncate(size),
            }
        })
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe {
        with(file, ffi::SQLITE_IOERR_FSYNC, |body| match body {
            Body::Main(main) => main.file.sync(flags),
            Body::Log(log) => log.lock().unwrap_or_else(PoisonError::into_inner).sync(flags),
            Body::Temp(_) => Ok(()),
        })
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: SQLite passes an open file and a place for the result.
    unsafe {
        with(file, ffi::SQLITE_IOERR_FSTAT, |body| {
            let size = match body {
                Body::Main(main) => main.file.size()?,
                Body::Log(log) => log.lock().unwrap_or_else(PoisonError::into_inner).size()?,
                Body::Temp(temp) => temp.size(),
            };
            *out = i64::try_from(size).map_err(|_| ffi::SQLITE_IOERR_FSTAT)?;
            Ok(())
        })
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe {
        with(file, ffi::SQLITE_IOERR_LOCK, |body| match body {
            Body::Main(main) => super::raw::check(main.file.raw().lock(level)),
            Body::Log(_) | Body::Temp(_) => Ok(()),
        })
    }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe {
        with(file, ffi::SQLITE_IOERR_UNLOCK, |body| match body {
            Body::Main(main) => super::raw::check(main.file.raw().unlock(level)),
            Body::Log(_) | Body::Temp(_) => Ok(()),
        })
    }
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: SQLite passes an open file and a place for the result.
    unsafe {
        with(file, ffi::SQLITE_IOERR_CHECKRESERVEDLOCK, |body| {
            *out = match body {
                Body::Main(main) => c_int::from(main.file.raw().check_reserved()?),
                Body::Log(_) | Body::Temp(_) => 0,
            };
            Ok(())
        })
    }
}

unsafe extern "C" fn file_control(
    file: *mut ffi::sqlite3_file,
    operation: c_int,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: SQLite passes an open file and the argument it documents for the operation.
    unsafe {
        with(file, ffi::SQLITE_NOTFOUND, |body| match body {
            Body::Main(main) => main_control(main, operation, argument),
            Body::Log(_) | Body::Temp(_) => Err(ffi::SQLITE_NOTFOUND),
        })
    }
}

/// Passes on what cannot bypass the sealing. Memory mapping, file growth by the platform, atomic batches and
/// whatever a later SQLite adds are answered with "not found".
///
/// # Safety
/// `argument` is what SQLite documents for `operation`.
unsafe fn main_control(main: &mut Main, operation: c_int, argument: *mut c_void) -> Result<(), Code> {
    match operation {
        // SAFETY: the argument of this operation is an array of strings.
        ffi::SQLITE_FCNTL_PRAGMA => unsafe { pragma(argument.cast()) },
        ffi::SQLITE_FCNTL_SIZE_HINT => Ok(()),
        ffi::SQLITE_FCNTL_LOCKSTATE
        | ffi::SQLITE_FCNTL_LAST_ERRNO
        | ffi::SQLITE_FCNTL_SYNC_OMITTED
        | ffi::SQLITE_FCNTL_WIN32_AV_RETRY
        | ffi::SQLITE_FCNTL_PERSIST_WAL
        | ffi::SQLITE_FCNTL_OVERWRITE
        | ffi::SQLITE_FCNTL_BUSYHANDLER
        | ffi::SQLITE_FCNTL_HAS_MOVED
        | ffi::SQLITE_FCNTL_SYNC
        | ffi::SQLITE_FCNTL_COMMIT_PHASETWO
        | ffi::SQLITE_FCNTL_CKPT_START
        | ffi::SQLITE_FCNTL_CKPT_DONE => {
            // SAFETY: the caller vouches for the argument.
            super::raw::check(unsafe { main.file.raw().control(operation, argument) })
        }
        _ => Err(ffi::SQLITE_NOTFOUND),
    }
}

/// Refuses, with a message, the pragmas that would change a constant of the format.
///
/// # Safety
/// `strings` has three entries: a place for a message, the name, and the value or null.
unsafe fn pragma(strings: *mut *mut c_char) -> Result<(), Code> {
    // SAFETY: the caller vouches for the array and its strings.
    let (name, value) = unsafe {
        let (name, value) = (*strings.add(1), *strings.add(2));
        if name.is_null() || value.is_null() {
            return Err(ffi::SQLITE_NOTFOUND);
        }
        (
            CStr::from_ptr(name).to_string_lossy(),
            CStr::from_ptr(value).to_string_lossy(),
        )
    };
    let message = match name.to_ascii_lowercase().as_str() {
        "journal_mode" if !value.eq_ignore_ascii_case("wal") => {
            c"a sealed database stays in write-ahead-log mode"
        }
        "auto_vacuum" if !matches!(&*value.to_ascii_lowercase(), "0" | "none") => {
            c"a sealed database has no auto_vacuum; run VACUUM instead"
        }
        "page_size" if value != "4096" => c"the pages of a sealed database have 4096 bytes",
        _ => return Err(ffi::SQLITE_NOTFOUND),
    };
    // SAFETY: SQLite frees what is stored in the first entry with its own allocator, which `mprintf` uses.
    unsafe { *strings = ffi::sqlite3_mprintf(c"%s".as_ptr(), message.as_ptr()) };
    Err(ffi::SQLITE_ERROR)
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    guarded(4096, || {
        // SAFETY: SQLite passes an open file.
        match unsafe { body(file) } {
            Some(Body::Main(main)) => main.file.raw().sector_size(),
            Some(Body::Log(log)) => log
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .raw()
                .sector_size(),
            Some(Body::Temp(_)) | None => 4096,
        }
    })
}

/// A sealed page is never written atomically, whatever the device can do; and SQLite must not split or pad the
/// writes to the log, which is what the missing power-safe-overwrite flag would make it do.
unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    let always = ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE;
    guarded(always, || {
        // SAFETY: SQLite passes an open file.
        let real = match unsafe { body(file) } {
            Some(Body::Main(main)) => main.file.raw().characteristics(),
            Some(Body::Log(log)) => log
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .raw()
                .characteristics(),
            Some(Body::Temp(_)) | None => 0,
        };
        always | (real & ffi::SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN)
    })
}

fn extent(length: c_int, offset: i64, code: Code) -> Result<(usize, u64), Code> {
    Ok((
        usize::try_from(length).map_err(|_| code)?,
        u64::try_from(offset).map_err(|_| code)?,
    ))
}
