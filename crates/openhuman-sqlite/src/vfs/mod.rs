//! The VFS: a shim over the platform's default one that seals what passes through.
//!
//! Sizes and offsets on disk are the ones SQLite asks for, so file access, locking and syncing stay the
//! platform's code. Only this module has `unsafe` code; the files' logic is in submodules without it.

mod attaching;
mod below;
#[forbid(unsafe_code)]
mod heap_file;
mod index;
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
#[forbid(unsafe_code)]
mod temp_file;
#[forbid(unsafe_code)]
mod ticket;
#[cfg(test)]
pub(crate) mod trace;
mod wiping;

use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use libsqlite3_sys as ffi;

pub(crate) use self::attaching::{attaching, refuse_files};
use self::log_file::LogFile;
use self::main_file::MainFile;
pub(crate) use self::raw::Code;
use self::raw::{PlatformFile, RawFile};
pub(crate) use self::shm::{Shm, ShmClient};
use self::temp_file::{DISK_FLAGS, IN_MEMORY, TempFile};
pub(crate) use self::ticket::Ticket;
pub(crate) use self::wiping::install as wipe_freed_memory;
use crate::Processes;
use crate::database::Purpose;
use crate::format::ID;

/// What a write reports when something other than the file failed.
pub(crate) const IOERR_WRITE: Code = ffi::SQLITE_IOERR_WRITE;

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
    Temp(Box<TempFile<PlatformFile>>),
}

struct Main {
    file: MainFile<PlatformFile>,
    /// The log of the same connection while it is open.
    log: Weak<Mutex<LogFile<PlatformFile>>>,
    shm: ShmClient,
}

impl Main {
    /// Whether other processes use the database, too; then the index of the log is the platform's file.
    fn shared(&self) -> bool {
        self.file.database().processes() == Processes::Many
    }
}

impl Drop for Main {
    fn drop(&mut self) {
        let database = Arc::clone(self.file.database());
        database.shm.unmap(&mut self.shm);
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
            xDelete: Some(below::delete),
            xAccess: Some(below::access),
            xFullPathname: Some(below::full_path_name),
            xDlOpen: Some(below::dl_open),
            xDlError: Some(below::dl_error),
            xDlSym: Some(below::dl_sym),
            xDlClose: Some(below::dl_close),
            xRandomness: Some(below::randomness),
            xSleep: Some(below::sleep),
            xCurrentTime: Some(below::current_time),
            xGetLastError: Some(below::last_error),
            xCurrentTimeInt64: Some(below::current_time_ms),
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
        match unsafe { open_body(below::below(vfs), name, flags) } {
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
        return Ok((Body::Temp(Box::new(temporary(real))), &methods::TEMP, flags));
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
        let present = raw.read(&mut id, 0)?;
        let expected = match database.purpose() {
            Purpose::Use => id == *database.codec.file_id(),
            Purpose::Fill => present == 0,
        };
        if !expected {
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
    if flags & ffi::SQLITE_OPEN_MAIN_JOURNAL != 0 {
        // SAFETY: `name` is the name of a journal, for which SQLite finds the main file of the connection.
        let main = unsafe { ffi::sqlite3_database_file_object(name) };
        // SAFETY: SQLite opens the journal while the main file is open, with nothing else running on it.
        if let Some(Body::Main(main)) = unsafe { methods::body(main) }
            && main.file.database().purpose() == Purpose::Fill
        {
            // A copy that fails is thrown away as a whole.
            return Ok((Body::Temp(Box::new(temporary(real))), &methods::TEMP, flags));
        }
    }
    // Rollback journals and super-journals would show plaintext checksums; this format has neither.
    Err(ffi::SQLITE_CANTOPEN)
}

/// A pointer to a VFS that SQLite never takes away.
struct Registered(*mut ffi::sqlite3_vfs);

// SAFETY: a registered VFS may be used from any thread, and this one is never unregistered.
unsafe impl Send for Registered {}

fn temporary(real: *mut ffi::sqlite3_vfs) -> TempFile<PlatformFile> {
    let real = Registered(real);
    let open = move || {
        let real = &real;
        // SAFETY: the VFS is registered; a null name asks for a file without one.
        unsafe { PlatformFile::open(real.0, ptr::null(), DISK_FLAGS) }.map(|(file, _)| file)
    };
    TempFile::new(IN_MEMORY, Box::new(open))
}
