//! The VFS: a shim over the platform's default one that seals what passes through.
//!
//! Sizes and offsets on disk are the ones SQLite asks for, so file access, locking and syncing stay the
//! platform's code. Only this module has `unsafe` code; the files' logic is in submodules without it.

#[forbid(unsafe_code)]
mod heap_file;
#[forbid(unsafe_code)]
mod log_file;
#[forbid(unsafe_code)]
mod main_file;
#[cfg(test)]
mod memory;
mod methods;
#[cfg(test)]
mod power_loss;
mod raw;
mod shm;
#[cfg(test)]
mod trace;

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};

use libsqlite3_sys as ffi;

use self::heap_file::HeapFile;
use self::log_file::LogFile;
use self::main_file::MainFile;
use self::raw::{Code, PlatformFile, RawFile};
pub(crate) use self::shm::{Shm, ShmClient};
use crate::database::Database;
use crate::format::ID;

/// The name connections ask for.
pub(crate) const NAME: &CStr = c"openhuman";
const PARAMETER: &CStr = c"openhuman";

/// A file as SQLite sees it. SQLite allocates it, `xOpen` fills it in, `xClose` empties it.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    body: *mut Body,
}

enum Body {
    Main(Main),
    /// The mutex is shared with the main file of the same connection.
    Log(Arc<Mutex<LogFile<PlatformFile>>>),
    Heap(HeapFile),
}

struct Main {
    file: MainFile<PlatformFile>,
    /// The log of the same connection while it is open.
    log: Weak<Mutex<LogFile<PlatformFile>>>,
    shm: ShmClient,
}

impl Drop for Main {
    fn drop(&mut self) {
        let database = Arc::clone(self.file.database());
        database.shm.unmap(&mut self.shm);
    }
}

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

    fn redeem(value: &CStr) -> Option<Arc<Database>> {
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

/// Makes the VFS known to SQLite, once per process. It does not become the default.
pub(crate) fn register() -> rusqlite::Result<()> {
    static REGISTERED: OnceLock<c_int> = OnceLock::new();
    let code = *REGISTERED.get_or_init(|| {
        let real = raw::default_vfs();
        if real.is_null() {
            return ffi::SQLITE_ERROR;
        }
        // SAFETY: SQLite keeps registered VFSes alive; nobody unregisters the platform's own.
        let path_length = unsafe { (*real).mxPathname };
        let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: size_of::<File>() as c_int,
            mxPathname: path_length,
            pNext: ptr::null_mut(),
            zName: NAME.as_ptr(),
            pAppData: real.cast(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_path_name),
            xDlOpen: Some(dl_open),
            xDlError: Some(dl_error),
            xDlSym: Some(dl_sym),
            xDlClose: Some(dl_close),
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(last_error),
            xCurrentTimeInt64: Some(current_time_ms),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: the structure is complete and lives as long as the process.
        unsafe { ffi::sqlite3_vfs_register(vfs, 0) }
    });
    match code {
        ffi::SQLITE_OK => Ok(()),
        code => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(code),
            None,
        )),
    }
}

/// A panic must not unwind into SQLite: it becomes the error `otherwise`.
fn guarded<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(otherwise)
}

/// The VFS below ours.
///
/// # Safety
/// `vfs` is the structure that [`register`] registered.
unsafe fn below(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: `register` stored the default VFS there, which is never unregistered.
    unsafe { (*vfs).pAppData.cast() }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    guarded(ffi::SQLITE_CANTOPEN, || {
        let file: *mut File = file.cast();
        // SAFETY: SQLite hands over `szOsFile` bytes for the file. Without methods it will not call `xClose`.
        unsafe { (*file).base.pMethods = ptr::null() };
        // SAFETY: `vfs` is ours, `name` comes from SQLite and stays valid until the file is closed.
        match unsafe { open_body(below(vfs), name, flags) } {
            Ok((body, methods, opened)) => {
                // SAFETY: as above; the body is freed by `xClose`, which SQLite calls once.
                unsafe {
                    (*file).body = Box::into_raw(Box::new(body));
                    (*file).base.pMethods = methods;
                    if !out_flags.is_null() {
                        *out_flags = opened;
                    }
                }
                ffi::SQLITE_OK
            }
            Err(code) => code,
        }
    })
}

/// # Safety
/// As `xOpen`: `real` is a registered VFS, `name` comes from SQLite and fits `flags`.
unsafe fn open_body(
    real: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    flags: c_int,
) -> Result<(Body, &'static ffi::sqlite3_io_methods, c_int), Code> {
    const TEMPORARY: c_int = ffi::SQLITE_OPEN_TEMP_DB
        | ffi::SQLITE_OPEN_TRANSIENT_DB
        | ffi::SQLITE_OPEN_TEMP_JOURNAL
        | ffi::SQLITE_OPEN_SUBJOURNAL;
    if flags & TEMPORARY != 0 {
        return Ok((Body::Heap(HeapFile::default()), &methods::HEAP, flags));
    }
    if name.is_null() {
        return Err(ffi::SQLITE_CANTOPEN);
    }
    if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 {
        // SAFETY: `name` is the name of a main database, as this function wants it.
        let ticket = unsafe { ffi::sqlite3_uri_parameter(name, PARAMETER.as_ptr()) };
        if ticket.is_null() {
            return Err(ffi::SQLITE_CANTOPEN);
        }
        // SAFETY: SQLite returned a NUL-terminated string that lives as long as `name`.
        let database = Ticket::redeem(unsafe { CStr::from_ptr(ticket) }).ok_or(ffi::SQLITE_CANTOPEN)?;
        // SAFETY: the caller vouches for both.
        let (mut raw, opened) = unsafe { PlatformFile::open(real, name, flags) }?;
        let mut id = [0; ID];
        raw.read(&mut id, 0)?;
        if id != *database.codec.file_id() {
            // Another file than the ticket was made for.
            return Err(ffi::SQLITE_CANTOPEN);
        }
        let file = MainFile::new(raw, database, opened & ffi::SQLITE_OPEN_READONLY != 0);
        let main = Main {
            file,
            log: Weak::new(),
            shm: ShmClient::default(),
        };
        return Ok((Body::Main(main), &methods::MAIN, opened));
    }
    if flags & ffi::SQLITE_OPEN_WAL != 0 {
        // SAFETY: `name` is the name of a log, for which SQLite finds the main file of the connection.
        let main = unsafe { ffi::sqlite3_database_file_object(name) };
        // SAFETY: SQLite opens the log while the main file is open, with nothing else running on it.
        let Some(Body::Main(main)) = (unsafe { methods::body(main) }) else {
            return Err(ffi::SQLITE_CANTOPEN);
        };
        // SAFETY: the caller vouches for both.
        let (raw, opened) = unsafe { PlatformFile::open(real, name, flags) }?;
        let log = Arc::new(Mutex::new(LogFile::new(raw, Arc::clone(main.file.database()))));
        main.log = Arc::downgrade(&log);
        return Ok((Body::Log(log), &methods::LOG, opened));
    }
    // Rollback journals and super-journals would show plaintext checksums; this format has neither.
    Err(ffi::SQLITE_CANTOPEN)
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    guarded(ffi::SQLITE_IOERR_DELETE, || {
        // SAFETY: `vfs` is ours; the arguments are passed on as they came.
        unsafe {
            let real = below(vfs);
            (*real)
                .xDelete
                .map_or(ffi::SQLITE_IOERR_DELETE, |method| method(real, name, sync))
        }
    })
}

unsafe extern "C" fn access(
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

unsafe extern "C" fn full_path_name(
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

unsafe extern "C" fn dl_open(_vfs: *mut ffi::sqlite3_vfs, _name: *const c_char) -> *mut c_void {
    ptr::null_mut()
}

unsafe extern "C" fn dl_error(_vfs: *mut ffi::sqlite3_vfs, length: c_int, message: *mut c_char) {
    guarded((), || {
        let text = c"extensions cannot be loaded into a sealed database".to_bytes_with_nul();
        if usize::try_from(length).is_ok_and(|length| length >= text.len()) {
            // SAFETY: SQLite passes a buffer of `length` bytes.
            unsafe { ptr::copy_nonoverlapping(text.as_ptr().cast(), message, text.len()) };
        }
    });
}

unsafe extern "C" fn dl_sym(
    _vfs: *mut ffi::sqlite3_vfs,
    _handle: *mut c_void,
    _name: *const c_char,
) -> Option<unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *mut c_void, *const c_char)> {
    None
}

unsafe extern "C" fn dl_close(_vfs: *mut ffi::sqlite3_vfs, _handle: *mut c_void) {}

unsafe extern "C" fn randomness(vfs: *mut ffi::sqlite3_vfs, length: c_int, out: *mut c_char) -> c_int {
    guarded(0, || {
        // SAFETY: `vfs` is ours; the arguments are passed on as they came.
        unsafe {
            let real = below(vfs);
            (*real).xRandomness.map_or(0, |method| method(real, length, out))
        }
    })
}

unsafe extern "C" fn sleep(vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    guarded(0, || {
        // SAFETY: `vfs` is ours; the argument is passed on as it came.
        unsafe {
            let real = below(vfs);
            (*real).xSleep.map_or(0, |method| method(real, microseconds))
        }
    })
}

unsafe extern "C" fn current_time(vfs: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
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

unsafe extern "C" fn current_time_ms(vfs: *mut ffi::sqlite3_vfs, out: *mut ffi::sqlite3_int64) -> c_int {
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

unsafe extern "C" fn last_error(vfs: *mut ffi::sqlite3_vfs, length: c_int, out: *mut c_char) -> c_int {
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
