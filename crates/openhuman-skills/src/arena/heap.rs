//! The allocator inside an arena: good fit over one contiguous range, with the neighbours of a block known.
//!
//! QuickJS cuts its small objects (up to 504 bytes) out of chunks of about 4 KB by itself, so this allocator sees
//! those chunks and larger blocks. Chunks of slightly different sizes lie side by side without rounding to pages
//! or size classes: a block costs its bytes, an 8-byte header, and at most 15 bytes of rounding.
//!
//! Layout: the header of the heap, then blocks up to `top`. A block starts with its size and the size of the block
//! before it, in grains of 16 bytes, so that both neighbours of a freed block are found and merged. Free blocks are
//! in lists by size, eight for each power of two, with a bitmap of the lists that are not empty.
//!
//! All sizes and links are offsets inside the arena. No locks, no globals, nothing outside of the arena: a heap
//! whose owner was suspended for ever in the middle of an allocation hurts nobody, and is unmapped as a whole.

#[cfg(test)]
mod check;
mod lists;
mod range;

use std::ops::RangeInclusive;
use std::ptr;

const GRAIN: usize = 16;
const HEADER: usize = 8;
/// Lists for each power of two.
const STEPS: usize = 8;
const POWERS: usize = 24;
/// How many blocks of the same list are tried before a larger one is cut.
const TRIES: usize = 8;
/// A rest smaller than this stays with its block.
const SMALLEST_REST: u32 = 4;
/// Memory is committed in steps of at least this.
const STEP: usize = 256 * 1024;
/// Freed memory at the end goes back to the system when it is this much.
const SLACK_AT_TOP: usize = 64 * 1024;
/// A free block of this size counts as worth giving back...
const LARGE: usize = 64 * 1024;
/// ...and this much of it makes a sweep.
const SWEEP: usize = 1024 * 1024;

/// What may be used beyond the limit after a refusal: the error that says so is made of something.
const GRACE: usize = 32 * 1024;

/// What a chunk of QuickJS takes, in bytes.
const CHUNK: RangeInclusive<usize> = 3600..=4112;

const FREE: u32 = 1;
/// A free block whose pages may be backed by memory.
const DIRTY: u32 = 2;

/// What precedes every block.
#[repr(C)]
struct Block {
    /// Grains, header included, shifted by two; the low bits are `FREE` and `DIRTY`.
    size: u32,
    /// Grains of the block before; 0 for the first.
    before: u32,
    /// Only in free blocks: the next and the previous of the list, in grains from the base; 0 for none.
    next: u32,
    prev: u32,
}

/// The header of an arena, at its base.
#[repr(C)]
pub(super) struct Heap {
    base: *mut u8,
    page: usize,
    /// Where the reserved range ends, in bytes from the base, like the following.
    end: usize,
    committed: usize,
    /// Where the last block ends.
    top: usize,
    /// Beyond this, nothing has been written: it reads as zero.
    touched: usize,
    /// Bytes in use, headers included.
    used: usize,
    /// How many may be.
    limit: usize,
    /// A request was refused since the heap was last well below its limit.
    refused: bool,
    /// Freed bytes in large free blocks since the last sweep.
    dirty: usize,
    /// How many blocks were asked for, see [`Heap::asked`].
    asked: usize,
    /// How many blocks of a chunk's size were freed, see [`Heap::churn`].
    chunks_freed: usize,
    /// Grains of the block that ends at `top`; 0 when there is none.
    last: u32,
    powers: u32,
    steps: [u8; POWERS],
    lists: [[u32; STEPS]; POWERS],
}

/// Where the first block starts.
const FIRST: usize = size_of::<Heap>().next_multiple_of(GRAIN);

impl Heap {
    /// Lays out an empty heap over `end` reserved bytes at `base`.
    ///
    /// # Safety
    /// The bytes are one reservation of this arena, used by nothing else; `committed` of them are usable and zero.
    pub(super) unsafe fn create(
        base: *mut u8,
        page: usize,
        committed: usize,
        end: usize,
        limit: usize,
    ) -> *mut Self {
        let heap = base.cast::<Self>();
        // SAFETY: the first `FIRST` bytes are committed (a commit step is larger) and the base is page-aligned.
        unsafe {
            heap.write(Self {
                base,
                page,
                end,
                committed,
                top: FIRST,
                touched: FIRST,
                used: 0,
                limit,
                refused: false,
                dirty: 0,
                asked: 0,
                chunks_freed: 0,
                last: 0,
                powers: 0,
                steps: [0; POWERS],
                lists: [[0; STEPS]; POWERS],
            });
        }
        heap
    }

    /// How much is committed at first.
    pub(super) fn first_commit(end: usize) -> usize {
        STEP.min(end)
    }

    /// The address the first allocation of an empty heap has.
    pub(super) fn first_payload(&self) -> *mut u8 {
        self.base.wrapping_add(FIRST + HEADER)
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// How many blocks were asked for so far.
    pub(super) fn asked(&self) -> usize {
        self.asked
    }

    /// How many chunks were freed so far: QuickJS frees one when nothing in it is used any more, and makes it anew,
    /// all 4 KB of it, for the next object of that size.
    pub(super) fn churn(&self) -> usize {
        self.chunks_freed
    }

    pub(super) fn top(&self) -> usize {
        self.top
    }

    pub(super) fn touched(&self) -> usize {
        self.touched
    }

    pub(super) fn committed(&self) -> usize {
        self.committed
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    #[cfg(test)]
    pub(super) fn lift_limit(&mut self) {
        self.limit = usize::MAX;
    }

    /// Whether `more` bytes may be used. QuickJS throws `null` when it has no memory for the error it wants to throw, so
    /// after the first refusal a little more is there, until much less is used.
    fn admits(&mut self, more: usize) -> bool {
        let wanted = self.used.saturating_add(more);
        if wanted <= self.limit {
            self.refused &= wanted.saturating_add(2 * GRACE) > self.limit;
            return true;
        }
        let within = self.refused && wanted <= self.limit.saturating_add(GRACE);
        self.refused = true;
        within
    }

    fn block(&self, at: usize) -> *mut Block {
        self.base.wrapping_add(at).cast()
    }

    fn offset(&self, payload: *mut u8) -> usize {
        payload as usize - self.base as usize - HEADER
    }

    /// The bytes a block can hold.
    ///
    /// # Safety
    /// `payload` came from an arena's heap and is not freed.
    pub(super) unsafe fn usable(payload: *mut u8) -> usize {
        // SAFETY: every payload is preceded by its header.
        let size = unsafe { (*payload.wrapping_sub(HEADER).cast::<Block>()).size };
        (size >> 2) as usize * GRAIN - HEADER
    }

    fn grains(&self, size: usize) -> Option<u32> {
        if size > self.end {
            return None;
        }
        u32::try_from((size + HEADER).div_ceil(GRAIN)).ok()
    }

    /// Room for `size` bytes; null when there is none. Also says how many of the bytes are known to be zero: all
    /// beyond the returned count.
    fn take(&mut self, size: usize) -> (*mut u8, usize) {
        self.asked += 1;
        let Some(want) = self.grains(size) else {
            return (ptr::null_mut(), 0);
        };
        if !self.admits(want as usize * GRAIN) {
            return (ptr::null_mut(), 0);
        }
        if let Some(at) = self.find(want) {
            // SAFETY: `find` returns the offset of a free block of at least `want` grains.
            unsafe {
                self.unlink(at);
                let have = (*self.block(at)).size >> 2;
                let dirty = (*self.block(at)).size & DIRTY;
                (*self.block(at)).size = have << 2;
                self.cut(at, want, dirty);
                self.used += ((*self.block(at)).size >> 2) as usize * GRAIN;
            }
            return (self.block(at).cast::<u8>().wrapping_add(HEADER), size);
        }
        let at = self.top;
        let len = want as usize * GRAIN;
        if !self.extend(at + len) {
            return (ptr::null_mut(), 0);
        }
        let written = self.touched.saturating_sub(at + HEADER).min(size);
        // SAFETY: the range up to the new top is committed and belongs to no block.
        unsafe {
            let block = self.block(at);
            ptr::addr_of_mut!((*block).size).write(want << 2);
            ptr::addr_of_mut!((*block).before).write(self.last);
        }
        self.last = want;
        self.top = at + len;
        self.touched = self.touched.max(self.top);
        self.used += len;
        (self.block(at).cast::<u8>().wrapping_add(HEADER), written)
    }

    pub(super) fn alloc(&mut self, size: usize) -> *mut u8 {
        self.take(size).0
    }

    pub(super) fn alloc_zeroed(&mut self, count: usize, size: usize) -> *mut u8 {
        let Some(bytes) = count.checked_mul(size) else {
            return ptr::null_mut();
        };
        let (payload, written) = self.take(bytes);
        if !payload.is_null() {
            // SAFETY: the block holds at least `bytes`, and `written` is at most that.
            unsafe { payload.write_bytes(0, written) };
        }
        payload
    }

    /// # Safety
    /// `payload` came from this heap and is not freed.
    pub(super) unsafe fn free(&mut self, payload: *mut u8) {
        let mut at = self.offset(payload);
        // SAFETY: the block and its neighbours are blocks of this heap, by the invariants of their headers.
        unsafe {
            let mut size = (*self.block(at)).size >> 2;
            let mut before = (*self.block(at)).before;
            let freed = size as usize * GRAIN;
            self.used -= freed;
            self.chunks_freed += usize::from(CHUNK.contains(&freed));
            let after = at + freed;
            if after < self.top && (*self.block(after)).size & FREE != 0 {
                self.unlink(after);
                size += (*self.block(after)).size >> 2;
            }
            if before != 0 {
                let start = at - before as usize * GRAIN;
                if (*self.block(start)).size & FREE != 0 {
                    self.unlink(start);
                    size += before;
                    at = start;
                    before = (*self.block(start)).before;
                }
            }
            let end = at + size as usize * GRAIN;
            if end == self.top {
                self.top = at;
                self.last = before;
                return self.shrink();
            }
            (*self.block(at)).size = size << 2 | DIRTY;
            (*self.block(at)).before = before;
            (*self.block(end)).before = size;
            self.link(at);
            if end - at >= LARGE {
                self.dirty += freed;
                if self.dirty >= SWEEP {
                    self.trim();
                }
            }
        }
    }

    /// # Safety
    /// `payload` came from this heap and is not freed.
    pub(super) unsafe fn realloc(&mut self, payload: *mut u8, size: usize) -> *mut u8 {
        let Some(want) = self.grains(size) else {
            return ptr::null_mut();
        };
        let at = self.offset(payload);
        // SAFETY: as in `free`; the copy fits into both blocks.
        unsafe {
            let have = (*self.block(at)).size >> 2;
            if want <= have {
                self.used -= have as usize * GRAIN;
                self.cut(at, want, DIRTY);
                self.used += ((*self.block(at)).size >> 2) as usize * GRAIN;
                return payload;
            }
            let after = at + have as usize * GRAIN;
            let more = (want - have) as usize * GRAIN;
            if after == self.top {
                if !self.admits(more) {
                    return ptr::null_mut();
                }
                let end = at + want as usize * GRAIN;
                if !self.extend(end) {
                    return ptr::null_mut();
                }
                (*self.block(at)).size = want << 2;
                self.last = want;
                self.top = end;
                self.touched = self.touched.max(end);
                self.used += more;
                return payload;
            }
            let next = (*self.block(after)).size;
            if next & FREE != 0 && have + (next >> 2) >= want {
                if !self.admits(more) {
                    return ptr::null_mut();
                }
                self.unlink(after);
                let whole = have + (next >> 2);
                (*self.block(at)).size = whole << 2;
                let end = at + whole as usize * GRAIN;
                (*self.block(end)).before = whole;
                self.cut(at, want, next & DIRTY);
                self.used += (((*self.block(at)).size >> 2) - have) as usize * GRAIN;
                return payload;
            }
            let moved = self.alloc(size);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(payload, moved, have as usize * GRAIN - HEADER);
                self.free(payload);
            }
            moved
        }
    }

    /// Cuts a used block down to `want` grains if the rest is worth it.
    ///
    /// # Safety
    /// `at` is a used block of this heap.
    unsafe fn cut(&mut self, at: usize, want: u32, dirty: u32) {
        // SAFETY: as in `free`.
        unsafe {
            let have = (*self.block(at)).size >> 2;
            let rest = have - want;
            if rest < SMALLEST_REST {
                return;
            }
            (*self.block(at)).size = want << 2;
            let split = at + want as usize * GRAIN;
            let end = split + rest as usize * GRAIN;
            if end == self.top {
                self.top = split;
                self.last = want;
                return self.shrink();
            }
            let mut size = rest;
            let mut flags = dirty;
            let after = (*self.block(end)).size;
            if after & FREE != 0 {
                self.unlink(end);
                size += after >> 2;
                flags |= after & DIRTY;
            }
            let block = self.block(split);
            (*block).size = size << 2 | flags;
            (*block).before = want;
            (*self.block(split + size as usize * GRAIN)).before = size;
            self.link(split);
        }
    }
}
