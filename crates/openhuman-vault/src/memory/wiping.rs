//! Memory that is overwritten when it is freed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

/// A global allocator that overwrites memory before it gives it back: what a program read from a sealed database and
/// has dropped is then not in its memory any more. For the program, not for libraries; it costs a few percent.
///
/// Stacks are not its business, and memory of C libraries is not either (for SQLite see
/// `openhuman_sqlite::wipe_freed_memory`).
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: openhuman_vault::WipingAllocator = openhuman_vault::WipingAllocator;
/// # fn main() {
/// let secret = String::from("not in memory after this line");
/// drop(secret);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct WipingAllocator;

// SAFETY: every call goes to the system's allocator with the arguments it came with. Growing and shrinking is left to
// the trait's own method, which allocates, copies and frees through this one.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of this method, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back a block of this layout, which nobody else uses any more.
        unsafe { memory.write_bytes(0, layout.size()) };
        // The compiler must not think that nobody will look.
        black_box(memory);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}
