//! SQLite's memory, overwritten when it is freed.

use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;

use libsqlite3_sys as ffi;

use super::guarded;
use super::raw::{Code, check};

/// What is used of the allocator that SQLite had before.
#[derive(Clone, Copy)]
struct Below {
    allocate: unsafe extern "C" fn(c_int) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
    size: unsafe extern "C" fn(*mut c_void) -> c_int,
}

static BELOW: OnceLock<Below> = OnceLock::new();

/// Puts an allocator that wipes in front of SQLite's own, once per process.
///
/// # Errors
/// `SQLITE_MISUSE` when SQLite is in use already: blocks of two allocators must not be mixed.
pub(crate) fn install() -> Result<(), Code> {
    static INSTALLED: OnceLock<Result<(), Code>> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        let mut below = MaybeUninit::<ffi::sqlite3_mem_methods>::zeroed();
        // SAFETY: the argument of this option is a place for the methods, which it fills in. The call fails when
        // SQLite is initialized; a program that initializes it on another thread meanwhile breaks the rules of
        // `sqlite3_config`, which this function's users are told.
        check(unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETMALLOC, below.as_mut_ptr()) })?;
        // SAFETY: filled in, and zeros are a valid value of every field.
        let below = unsafe { below.assume_init() };
        let (Some(allocate), Some(free_below), Some(size)) = (below.xMalloc, below.xFree, below.xSize) else {
            return Err(ffi::SQLITE_MISUSE);
        };
        BELOW.get_or_init(|| Below {
            allocate,
            free: free_below,
            size,
        });
        let ours = ffi::sqlite3_mem_methods {
            xFree: Some(free),
            xRealloc: Some(reallocate),
            ..below
        };
        // SAFETY: the argument of this option is a table that SQLite copies.
        check(unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const ours) })
    })
}

fn size(memory: *mut c_void) -> usize {
    // SAFETY: SQLite passes a block of its allocator.
    let size = BELOW.get().map_or(0, |below| unsafe { (below.size)(memory) });
    usize::try_from(size).unwrap_or_default()
}

unsafe extern "C" fn free(memory: *mut c_void) {
    guarded((), || {
        if memory.is_null() {
            return;
        }
        // SAFETY: SQLite gives back a block of its allocator, of which `size` bytes are its own.
        unsafe { memory.cast::<u8>().write_bytes(0, size(memory)) };
        // The compiler must not think that nobody will look.
        black_box(memory);
        if let Some(below) = BELOW.get() {
            // SAFETY: as above.
            unsafe { (below.free)(memory) };
        }
    });
}

unsafe extern "C" fn reallocate(memory: *mut c_void, wanted: c_int) -> *mut c_void {
    guarded(ptr::null_mut(), || {
        let Some(below) = BELOW.get() else {
            return ptr::null_mut();
        };
        // SAFETY: SQLite asks for a positive number of bytes.
        let new = unsafe { (below.allocate)(wanted) };
        if !new.is_null() && !memory.is_null() {
            let kept = size(memory).min(usize::try_from(wanted).unwrap_or_default());
            // SAFETY: two blocks of the same allocator, both with at least so many bytes; the old one is SQLite's to
            // give back, and `free` wipes it.
            unsafe {
                ptr::copy_nonoverlapping(memory.cast::<u8>(), new.cast(), kept);
                free(memory);
            }
        }
        new
    })
}
