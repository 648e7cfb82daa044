//! Address space from the operating system: reserved first, backed by memory as it is needed, given back at once.

use std::io;
use std::ptr::NonNull;

/// A reserved range of addresses, unmapped when it is dropped.
#[derive(Debug)]
pub(super) struct Pages {
    base: NonNull<u8>,
    len: usize,
    page: usize,
}

impl Pages {
    /// Reserves at least `len` bytes, none of which may be touched before [`Pages::commit`].
    pub(super) fn reserve(len: usize) -> io::Result<Self> {
        let page = os::page_size();
        let len = len
            .checked_next_multiple_of(page)
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        Ok(Self {
            base: os::reserve(len)?,
            len,
            page,
        })
    }

    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn page(&self) -> usize {
        self.page
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the range is the one `reserve` made, and its owner is gone.
        unsafe { os::release(self.base, self.len) };
    }
}

/// Makes a range of whole pages usable. Fresh pages read as zero.
///
/// # Safety
/// The range lies inside one reservation.
pub(super) unsafe fn commit(at: *mut u8, len: usize) -> bool {
    // SAFETY: passed on.
    unsafe { os::commit(at, len) }
}

/// Backs a committed range with memory now, where the system can do that faster than at the first touch of each page.
///
/// # Safety
/// The range lies inside one reservation and is committed.
pub(super) unsafe fn populate(at: *mut u8, len: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: the caller's range is its own mapping. Systems before Linux 5.14 refuse, which is fine.
    unsafe {
        libc::madvise(at.cast(), len, libc::MADV_POPULATE_WRITE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (at, len);
}

/// Gives the memory of a committed range of whole pages back. They stay usable and read as zero.
///
/// # Safety
/// The range lies inside one reservation, is committed, and holds nothing that is still needed.
pub(super) unsafe fn discard(at: *mut u8, len: usize) {
    // SAFETY: passed on.
    unsafe { os::discard(at, len) };
}

#[cfg(unix)]
mod os {
    use std::io;
    use std::ptr::{self, NonNull};

    pub(super) fn page_size() -> usize {
        // SAFETY: no arguments, no state.
        usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
    }

    pub(super) fn reserve(len: usize) -> io::Result<NonNull<u8>> {
        // SAFETY: a new private mapping at an address the system chooses.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // A huge page would cost a skill that uses 200 KB ten times that. Only advice, so a refusal is fine.
        #[cfg(target_os = "linux")]
        // SAFETY: the range was just mapped.
        unsafe {
            libc::madvise(at, len, libc::MADV_NOHUGEPAGE);
        }
        NonNull::new(at.cast()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
    }

    pub(super) unsafe fn commit(at: *mut u8, len: usize) -> bool {
        // SAFETY: the caller's range is its own mapping.
        unsafe { libc::mprotect(at.cast(), len, libc::PROT_READ | libc::PROT_WRITE) == 0 }
    }

    pub(super) unsafe fn discard(at: *mut u8, len: usize) {
        #[cfg(target_os = "linux")]
        // SAFETY: the caller's range is its own mapping and holds nothing that is needed. Linux zeroes it.
        unsafe {
            if libc::madvise(at.cast(), len, libc::MADV_DONTNEED) != 0 {
                // Locked memory stays; it must read as zero all the same.
                at.write_bytes(0, len);
            }
        }
        // Other systems may keep the old contents after an advice, so the pages are replaced.
        #[cfg(not(target_os = "linux"))]
        // SAFETY: as above; MAP_FIXED replaces exactly this range.
        unsafe {
            libc::mmap(
                at.cast(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE | libc::MAP_FIXED,
                -1,
                0,
            );
        }
    }

    pub(super) unsafe fn release(base: NonNull<u8>, len: usize) {
        // SAFETY: the caller owns the whole mapping.
        unsafe { libc::munmap(base.as_ptr().cast(), len) };
    }
}

#[cfg(windows)]
mod os {
    use std::io;
    use std::ptr::{self, NonNull};

    use windows_sys::Win32::System::Memory::{
        MEM_COMMIT, MEM_DECOMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_NOACCESS, PAGE_READWRITE, VirtualAlloc,
        VirtualFree,
    };

    pub(super) fn page_size() -> usize {
        // The size on every Windows that Rust supports.
        4096
    }

    pub(super) fn reserve(len: usize) -> io::Result<NonNull<u8>> {
        // SAFETY: a new reservation at an address the system chooses.
        let at = unsafe { VirtualAlloc(ptr::null(), len, MEM_RESERVE, PAGE_NOACCESS) };
        NonNull::new(at.cast()).ok_or_else(io::Error::last_os_error)
    }

    pub(super) unsafe fn commit(at: *mut u8, len: usize) -> bool {
        // SAFETY: the caller's range is its own reservation.
        unsafe { !VirtualAlloc(at.cast(), len, MEM_COMMIT, PAGE_READWRITE).is_null() }
    }

    pub(super) unsafe fn discard(at: *mut u8, len: usize) {
        // SAFETY: the caller's range holds nothing that is needed. Committed again, it reads as zero; when that
        // fails, the pages stay unusable and the next touch faults, which ends the process: memory is gone.
        unsafe {
            VirtualFree(at.cast(), len, MEM_DECOMMIT);
            VirtualAlloc(at.cast(), len, MEM_COMMIT, PAGE_READWRITE);
        }
    }

    pub(super) unsafe fn release(base: NonNull<u8>, _len: usize) {
        // SAFETY: the caller owns the whole reservation.
        unsafe { VirtualFree(base.as_ptr().cast(), 0, MEM_RELEASE) };
    }
}
