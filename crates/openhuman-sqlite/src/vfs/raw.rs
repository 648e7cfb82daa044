//! The platform's own file below ours.

use std::ffi::{c_char, c_int, c_void};
use std::io;
use std::ptr;

use libsqlite3_sys as ffi;

use crate::error::no_room;

/// An SQLite result code other than `SQLITE_OK`.
pub(crate) type Code = c_int;

/// What the sealing files need of the file below them. The real one is [`PlatformFile`]; tests use memory.
pub(crate) trait RawFile {
    /// Reads into `buf` and returns how many of its bytes the file has; the others are zero.
    fn read(&mut self, buf: &mut [u8], offset: u64) -> Result<usize, Code>;
    /// Writes all of `buf`, extending the file if needed.
    fn write(&mut self, buf: &[u8], offset: u64) -> Result<(), Code>;
    /// Cuts the file off.
    fn truncate(&mut self, size: u64) -> Result<(), Code>;
    /// Waits for the disk; `flags` are SQLite's.
    fn sync(&mut self, flags: c_int) -> Result<(), Code>;
    /// Bytes in the file.
    fn size(&mut self) -> Result<u64, Code>;
}

/// A file of the platform's default VFS, closed when it is dropped.
pub(super) struct PlatformFile {
    /// Room for the platform's `sqlite3_file`, in words so that it is aligned.
    memory: Box<[u64]>,
    #[cfg(test)]
    trace: super::trace::Tracer,
}

// SAFETY: the memory is owned by this value alone, and the default VFSes keep no thread-local state about a
// file; SQLite itself moves connections between threads.
unsafe impl Send for PlatformFile {}

impl PlatformFile {
    /// Opens `name` with the VFS `real`. Returns the file and the flags it was opened with.
    ///
    /// # Safety
    /// `real` is a registered VFS. `name` is null or a name that SQLite passed to an `xOpen`, which stays valid
    /// until the file is closed.
    pub(super) unsafe fn open(
        real: *mut ffi::sqlite3_vfs,
        name: *const c_char,
        flags: c_int,
    ) -> Result<(PlatformFile, c_int), Code> {
        // SAFETY: the caller vouches for `real`.
        let (bytes, open) = unsafe { ((*real).szOsFile, (*real).xOpen) };
        let words = usize::try_from(bytes)
            .unwrap_or_default()
            .div_ceil(size_of::<u64>());
        let open = open.ok_or(ffi::SQLITE_CANTOPEN)?;
        let mut file = PlatformFile {
            memory: vec![0; words.max(1)].into_boxed_slice(),
            #[cfg(test)]
            // SAFETY: the caller vouches for `name`.
            trace: unsafe { super::trace::Tracer::new(name) },
        };
        let mut out_flags = 0;
        // SAFETY: the memory is zeroed, aligned and as large as this VFS asks for; the caller vouches for `name`.
        let code = unsafe { open(real, name, file.pointer(), flags, &raw mut out_flags) };
        // On an error the platform may have set its methods; then it wants to be closed, which `Drop` does.
        check(code)?;
        Ok((file, out_flags))
    }

    fn pointer(&mut self) -> *mut ffi::sqlite3_file {
        self.memory.as_mut_ptr().cast()
    }

    fn methods(&self) -> Option<&ffi::sqlite3_io_methods> {
        let file: *const ffi::sqlite3_file = self.memory.as_ptr().cast();
        // SAFETY: the memory begins with a `sqlite3_file`: its method pointer is null or, once opened, points to
        // the platform's static table.
        unsafe { (*file).pMethods.as_ref() }
    }

    /// Passes a lock operation on.
    pub(super) fn lock(&mut self, level: c_int) -> Code {
        let lock = self.methods().and_then(|methods| methods.xLock);
        // SAFETY: the method belongs to the open file it is called with.
        lock.map_or(ffi::SQLITE_IOERR_LOCK, |lock| unsafe {
            lock(self.pointer(), level)
        })
    }

    /// Passes an unlock operation on.
    pub(super) fn unlock(&mut self, level: c_int) -> Code {
        let unlock = self.methods().and_then(|methods| methods.xUnlock);
        // SAFETY: the method belongs to the open file it is called with.
        unlock.map_or(ffi::SQLITE_IOERR_UNLOCK, |unlock| unsafe {
            unlock(self.pointer(), level)
        })
    }

    /// Asks for a reserved lock.
    pub(super) fn check_reserved(&mut self) -> Result<bool, Code> {
        let method = self.methods().and_then(|methods| methods.xCheckReservedLock);
        let method = method.ok_or(ffi::SQLITE_IOERR_CHECKRESERVEDLOCK)?;
        let mut held = 0;
        // SAFETY: the method belongs to the open file it is called with; `held` outlives the call.
        check(unsafe { method(self.pointer(), &raw mut held) })?;
        Ok(held != 0)
    }

    /// Passes a file control on.
    ///
    /// # Safety
    /// `argument` is what SQLite documents for `operation`.
    pub(super) unsafe fn control(&mut self, operation: c_int, argument: *mut c_void) -> Code {
        let control = self.methods().and_then(|methods| methods.xFileControl);
        // SAFETY: the method belongs to the open file it is called with; the caller vouches for `argument`.
        control.map_or(ffi::SQLITE_NOTFOUND, |control| unsafe {
            control(self.pointer(), operation, argument)
        })
    }

    /// The platform's shared memory for the index of the log.
    ///
    /// # Safety
    /// `out` is a place for an address.
    pub(super) unsafe fn shm_map(
        &mut self,
        index: c_int,
        size: c_int,
        extend: c_int,
        out: *mut *mut c_void,
    ) -> Code {
        let map = self.shm_methods().and_then(|methods| methods.xShmMap);
        // SAFETY: the method belongs to the open file it is called with; the caller vouches for `out`.
        map.map_or(ffi::SQLITE_IOERR_SHMMAP, |map| unsafe {
            map(self.pointer(), index, size, extend, out.cast())
        })
    }

    /// Passes a lock operation on the index on.
    pub(super) fn shm_lock(&mut self, first: c_int, count: c_int, flags: c_int) -> Code {
        let lock = self.shm_methods().and_then(|methods| methods.xShmLock);
        // SAFETY: the method belongs to the open file it is called with.
        lock.map_or(ffi::SQLITE_IOERR_SHMLOCK, |lock| unsafe {
            lock(self.pointer(), first, count, flags)
        })
    }

    /// Passes a barrier on.
    pub(super) fn shm_barrier(&mut self) {
        if let Some(barrier) = self.shm_methods().and_then(|methods| methods.xShmBarrier) {
            // SAFETY: the method belongs to the open file it is called with.
            unsafe { barrier(self.pointer()) };
        }
    }

    /// Ends the use of the index.
    pub(super) fn shm_unmap(&mut self, delete: c_int) -> Code {
        let unmap = self.shm_methods().and_then(|methods| methods.xShmUnmap);
        // SAFETY: the method belongs to the open file it is called with.
        unmap.map_or(ffi::SQLITE_OK, |unmap| unsafe { unmap(self.pointer(), delete) })
    }

    fn shm_methods(&self) -> Option<&ffi::sqlite3_io_methods> {
        self.methods().filter(|methods| methods.iVersion >= 2)
    }

    /// The sector size the platform reports.
    pub(super) fn sector_size(&mut self) -> c_int {
        let method = self.methods().and_then(|methods| methods.xSectorSize);
        // SAFETY: the method belongs to the open file it is called with.
        method.map_or(4096, |method| unsafe { method(self.pointer()) })
    }

    /// The device characteristics the platform reports.
    pub(super) fn characteristics(&mut self) -> c_int {
        let method = self.methods().and_then(|methods| methods.xDeviceCharacteristics);
        // SAFETY: the method belongs to the open file it is called with.
        method.map_or(0, |method| unsafe { method(self.pointer()) })
    }
}

impl RawFile for PlatformFile {
    fn read(&mut self, buf: &mut [u8], offset: u64) -> Result<usize, Code> {
        let read = self
            .methods()
            .and_then(|methods| methods.xRead)
            .ok_or(ffi::SQLITE_IOERR_READ)?;
        let (length, at) = extent(buf.len(), offset, ffi::SQLITE_IOERR_READ)?;
        // SAFETY: the method belongs to the open file it is called with; `buf` has `length` bytes.
        match unsafe { read(self.pointer(), buf.as_mut_ptr().cast(), length, at) } {
            ffi::SQLITE_OK => Ok(buf.len()),
            ffi::SQLITE_IOERR_SHORT_READ => {
                let present = self.size()?.saturating_sub(offset);
                Ok(usize::try_from(present).unwrap_or(buf.len()).min(buf.len()))
            }
            code => Err(code),
        }
    }

    fn write(&mut self, buf: &[u8], offset: u64) -> Result<(), Code> {
        let write = self
            .methods()
            .and_then(|methods| methods.xWrite)
            .ok_or(ffi::SQLITE_IOERR_WRITE)?;
        let (length, at) = extent(buf.len(), offset, ffi::SQLITE_IOERR_WRITE)?;
        // SAFETY: the method belongs to the open file it is called with; `buf` has `length` bytes.
        check(unsafe { write(self.pointer(), buf.as_ptr().cast(), length, at) }).map_err(|code| {
            // SQLite knows a full disk, but not a quota or a limit on the size of files.
            if code == ffi::SQLITE_IOERR_WRITE && no_room(&io::Error::last_os_error()) {
                ffi::SQLITE_FULL
            } else {
                code
            }
        })?;
        #[cfg(test)]
        self.trace.write(buf, offset);
        Ok(())
    }

    fn truncate(&mut self, size: u64) -> Result<(), Code> {
        let truncate = self.methods().and_then(|methods| methods.xTruncate);
        let truncate = truncate.ok_or(ffi::SQLITE_IOERR_TRUNCATE)?;
        let size = i64::try_from(size).map_err(|_| ffi::SQLITE_IOERR_TRUNCATE)?;
        // SAFETY: the method belongs to the open file it is called with.
        check(unsafe { truncate(self.pointer(), size) })?;
        #[cfg(test)]
        self.trace.truncate(size);
        Ok(())
    }

    fn sync(&mut self, flags: c_int) -> Result<(), Code> {
        let sync = self
            .methods()
            .and_then(|methods| methods.xSync)
            .ok_or(ffi::SQLITE_IOERR_FSYNC)?;
        // SAFETY: the method belongs to the open file it is called with.
        check(unsafe { sync(self.pointer(), flags) })?;
        #[cfg(test)]
        self.trace.sync();
        Ok(())
    }

    fn size(&mut self) -> Result<u64, Code> {
        let method = self
            .methods()
            .and_then(|methods| methods.xFileSize)
            .ok_or(ffi::SQLITE_IOERR_FSTAT)?;
        let mut size = 0;
        // SAFETY: the method belongs to the open file it is called with; `size` outlives the call.
        check(unsafe { method(self.pointer(), &raw mut size) })?;
        u64::try_from(size).map_err(|_| ffi::SQLITE_IOERR_FSTAT)
    }
}

impl Drop for PlatformFile {
    fn drop(&mut self) {
        if let Some(close) = self.methods().and_then(|methods| methods.xClose) {
            // SAFETY: the file is open (its methods are set) and is not used after this.
            unsafe { close(self.pointer()) };
            self.memory.fill(0);
        }
    }
}

fn extent(length: usize, offset: u64, code: Code) -> Result<(c_int, i64), Code> {
    Ok((
        c_int::try_from(length).map_err(|_| code)?,
        i64::try_from(offset).map_err(|_| code)?,
    ))
}

/// `SQLITE_OK` or an error.
pub(super) fn check(code: c_int) -> Result<(), Code> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(code) }
}

/// The other way round.
pub(super) fn code(result: Result<(), Code>) -> c_int {
    result.err().unwrap_or(ffi::SQLITE_OK)
}

/// The default VFS of the platform.
pub(super) fn default_vfs() -> *mut ffi::sqlite3_vfs {
    // SAFETY: a null name asks for the default VFS; the call initializes SQLite if needed.
    unsafe { ffi::sqlite3_vfs_find(ptr::null()) }
}
