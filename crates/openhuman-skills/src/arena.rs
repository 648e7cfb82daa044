//! The memory of one skill's JavaScript runtime: an address range of its own, with an allocator in it. One of the
//! modules with `unsafe` code.
//!
//! Why not the process' allocator: an activation that is stuck inside a built-in function can only be ended by
//! never running it again ([`crate::stall`]). Whatever it was doing to its heap stays half done, so the heap must be
//! its own: no lock that it could hold, no list that others share, and one unmapping that frees it all. It also
//! makes stopping a skill independent of what its heap looks like, and keeps a write beyond a block away from
//! other skills: after each range comes one that no access may touch.
//!
//! The heap itself holds the limit of its skill ([`heap`] says how); the range is a quarter larger than the limit,
//! for what no allocator can use, and ends hard.

mod heap;
mod pages;

use std::cell::Cell;
use std::io;
use std::mem;
use std::ptr;

use rquickjs::allocator::Allocator;
use rquickjs::{Context, Runtime, qjs};

use self::heap::Heap;
use self::pages::Pages;

/// Address space beyond the limit and a quarter of it.
const SLACK: usize = 8 * 1024 * 1024;

/// A runtime with its context and the library uses at least this much of its range, in bytes.
const SMALLEST: usize = 208 * 1024;

/// An address range with a heap in it. Dropping it frees everything that was allocated in it.
#[derive(Debug)]
pub(crate) struct Arena {
    pages: Pages,
    heap: *mut Heap,
}

thread_local! {
    /// The heap that is ready for the next skill of this thread, and the limit it was made for.
    static SPARE: Cell<Option<(usize, Arena)>> = const { Cell::new(None) };
    /// The limit of the last heap, until the next is ready.
    static WANTED: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Makes a heap ready for the next skill, when one was made since the last time: skills tend to start one after the
/// other, and getting memory from the system is a third of what a context costs. For moments when nothing else is to do.
pub(crate) fn prepare() {
    if let Some(limit) = WANTED.take() {
        SPARE.set(Arena::reserve(limit).ok().map(|arena| (limit, arena)));
    }
}

/// Gives back what [`prepare`] made.
pub(crate) fn forget_spare() {
    SPARE.set(None);
}

/// Whether a heap is ready.
pub(crate) fn has_spare() -> bool {
    let spare = SPARE.take();
    let has = spare.is_some();
    SPARE.set(spare);
    has
}

impl Arena {
    /// A heap of `limit` bytes: the one that is ready, if it was made for that limit, or a new one.
    pub(crate) fn new(limit: usize) -> io::Result<Self> {
        WANTED.set(Some(limit));
        match SPARE.take() {
            Some((made_for, arena)) if made_for == limit => Ok(arena),
            _ => Self::reserve(limit),
        }
    }

    /// Reserves the range for a heap of `limit` bytes.
    fn reserve(limit: usize) -> io::Result<Self> {
        let pages = Pages::reserve(limit.saturating_add(limit / 4).saturating_add(SLACK))?;
        // The last page is never usable.
        let end = pages.len() - pages.page();
        let committed = Heap::first_commit(end);
        let base = pages.base().as_ptr();
        // SAFETY: the range is the new reservation's own; it is committed before it is used.
        let heap = unsafe {
            if !pages::commit(base, committed) {
                return Err(io::Error::last_os_error());
            }
            // What any skill needs at least, in one request instead of a page at a time.
            pages::populate(base, SMALLEST);
            Heap::create(base, pages.page(), committed, end, limit)
        };
        Ok(Self { pages, heap })
    }

    /// Creates a runtime whose memory is in this arena, which must be its only user and outlive it.
    pub(crate) fn runtime(&self) -> rquickjs::Result<Runtime> {
        Runtime::new_with_alloc(ArenaAllocator(self.heap))
    }

    /// Gives memory that is free but was used back to the system.
    pub(crate) fn trim(&self) {
        // SAFETY: the heap lives as long as `self`; nothing else runs on this thread now.
        unsafe { (*self.heap).trim() };
    }

    /// How often `needle` occurs in the memory that was ever used and not given back.
    pub(crate) fn count(&self, needle: &[u8]) -> usize {
        if needle.is_empty() {
            return 0;
        }
        // SAFETY: everything below the mark is committed, and nothing writes while this thread reads.
        let bytes = unsafe {
            let len = (*self.heap).touched().max((*self.heap).top());
            std::slice::from_raw_parts(self.pages.base().as_ptr(), len)
        };
        bytes
            .windows(needle.len())
            .filter(|window| *window == needle)
            .count()
    }

    /// Bytes in use, as the allocator counts them.
    pub(crate) fn used(&self) -> usize {
        // SAFETY: as in `trim`.
        unsafe { (*self.heap).used() }
    }

    /// How many chunks of small objects were freed so far.
    pub(crate) fn churn(&self) -> usize {
        // SAFETY: as in `trim`.
        unsafe { (*self.heap).churn() }
    }

    /// How many blocks were asked for so far.
    pub(crate) fn asked(&self) -> usize {
        // SAFETY: as in `trim`.
        unsafe { (*self.heap).asked() }
    }

    /// Forgets everything that was allocated.
    fn reset(&mut self) {
        let base = self.pages.base().as_ptr();
        // SAFETY: the caller says that nothing in the range is needed; the heap is laid out anew over the pages
        // that are committed, which read as zero after the discard.
        unsafe {
            let (committed, limit) = ((*self.heap).committed(), (*self.heap).limit());
            let used = (*self.heap)
                .touched()
                .max((*self.heap).top())
                .next_multiple_of(self.pages.page())
                .min(committed);
            pages::discard(base, used);
            let end = self.pages.len() - self.pages.page();
            self.heap = Heap::create(base, self.pages.page(), committed, end, limit);
        }
    }
}

/// Frees a runtime without looking at its heap: what is in the arena goes with the arena, in whatever state it is,
/// and what rquickjs keeps outside (its handlers and tables) is freed through a new, empty runtime that takes the
/// old one's place at the same address. No finalizer of the old heap runs, so nothing in it may own anything
/// outside of the arena: host functions are plain C functions, not closures.
///
/// Takes the same time for every heap. Values of the old runtime must have been forgotten, not dropped.
pub(crate) fn bury(runtime: Runtime, context: Option<Context>, mut arena: Arena) {
    // SAFETY: the heap is this arena's.
    let place = unsafe { (*arena.heap).first_payload() }.cast::<qjs::JSRuntime>();
    if let Some(context) = context {
        // SAFETY: moves the context's share of the runtime out of it; the context is then forgotten, since its
        // memory is in the arena.
        let share = unsafe { ptr::read(context.runtime()) };
        mem::forget(context);
        drop(share);
    }
    // SAFETY: the runtime's own structure is the first thing that was allocated in its arena, and holds the pointer
    // to rquickjs' tables, which is read before the heap is reset. The new runtime is again the first allocation,
    // so rquickjs' handle, whose pointer is the same, finds a runtime in good order with its own tables.
    unsafe {
        let tables = qjs::JS_GetRuntimeOpaque(place);
        arena.reset();
        let fresh = qjs::JS_NewRuntime2(&raw const FUNCTIONS, arena.heap.cast());
        if !ptr::eq(fresh, place) {
            // Cannot happen with this engine; a leak of about a kilobyte is the safe end.
            mem::forget(runtime);
            return;
        }
        qjs::JS_SetRuntimeOpaque(fresh, tables);
    }
    drop(runtime);
    drop(arena);
}

/// The heap of an arena, as rquickjs wants it.
struct ArenaAllocator(*mut Heap);

// SAFETY: `Heap` returns null or blocks that do not overlap, aligned to 8 bytes, of at least the size asked for,
// and `usable` is their size. rquickjs calls these on the thread of the runtime only, one at a time, and the arena
// outlives the runtime.
unsafe impl Allocator for ArenaAllocator {
    fn alloc(&mut self, size: usize) -> *mut u8 {
        // SAFETY: see the impl.
        unsafe { (*self.0).alloc(size) }
    }

    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        // SAFETY: see the impl.
        unsafe { (*self.0).alloc_zeroed(count, size) }
    }

    unsafe fn dealloc(&mut self, ptr: *mut u8) {
        // SAFETY: the caller's pointer is from this allocator.
        unsafe { (*self.0).free(ptr) };
    }

    unsafe fn realloc(&mut self, ptr: *mut u8, new_size: usize) -> *mut u8 {
        if ptr.is_null() {
            return self.alloc(new_size);
        }
        // SAFETY: the caller's pointer is from this allocator.
        unsafe { (*self.0).realloc(ptr, new_size) }
    }

    unsafe fn usable_size(ptr: *mut u8) -> usize
    where
        Self: Sized,
    {
        // SAFETY: the caller's pointer is from this allocator.
        unsafe { Heap::usable(ptr) }
    }
}

/// The same for a runtime that is created without rquickjs.
static FUNCTIONS: qjs::JSMallocFunctions = qjs::JSMallocFunctions {
    js_calloc: Some(js_calloc),
    js_malloc: Some(js_malloc),
    js_free: Some(js_free),
    js_realloc: Some(js_realloc),
    js_malloc_usable_size: Some(js_usable_size),
};

unsafe extern "C" fn js_calloc(
    heap: *mut qjs::c_void,
    count: qjs::size_t,
    size: qjs::size_t,
) -> *mut qjs::c_void {
    // SAFETY: QuickJS passes the heap it was created with.
    unsafe {
        (*heap.cast::<Heap>())
            .alloc_zeroed(count as usize, size as usize)
            .cast()
    }
}

unsafe extern "C" fn js_malloc(heap: *mut qjs::c_void, size: qjs::size_t) -> *mut qjs::c_void {
    // SAFETY: as above.
    unsafe { (*heap.cast::<Heap>()).alloc(size as usize).cast() }
}

unsafe extern "C" fn js_free(heap: *mut qjs::c_void, ptr: *mut qjs::c_void) {
    if !ptr.is_null() {
        // SAFETY: as above; the pointer is one of this heap's.
        unsafe { (*heap.cast::<Heap>()).free(ptr.cast()) };
    }
}

unsafe extern "C" fn js_realloc(
    heap: *mut qjs::c_void,
    ptr: *mut qjs::c_void,
    size: qjs::size_t,
) -> *mut qjs::c_void {
    // SAFETY: as above.
    unsafe {
        if ptr.is_null() {
            return js_malloc(heap, size);
        }
        (*heap.cast::<Heap>()).realloc(ptr.cast(), size as usize).cast()
    }
}

unsafe extern "C" fn js_usable_size(ptr: *const qjs::c_void) -> qjs::size_t {
    if ptr.is_null() {
        return 0;
    }
    // SAFETY: as above.
    unsafe { Heap::usable(ptr.cast_mut().cast()) as qjs::size_t }
}

#[cfg(test)]
mod tests;
