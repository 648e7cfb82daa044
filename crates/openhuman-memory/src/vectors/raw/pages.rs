//! Growing arrays for vectors, which tell what was remembered: on pages that are not written into core dumps, and
//! overwritten before they are given back.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// Numbers without padding, for which all zeros are a value.
///
/// # Safety
/// Every pattern of bits must be a value of the type.
pub(crate) unsafe trait Plain: zeroize::DefaultIsZeroes {}

// SAFETY: integers and floating point numbers have no invalid bit patterns.
unsafe impl Plain for i8 {}
// SAFETY: as above.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for i64 {}
// SAFETY: as above.
unsafe impl Plain for f32 {}

/// A vector whose memory is private to this process as far as the operating system grants it.
pub(crate) struct Pages<T: Plain> {
    block: Block<T>,
    length: usize,
}

impl<T: Plain> Pages<T> {
    pub(crate) const fn new() -> Self {
        Self {
            block: Block::none(),
            length: 0,
        }
    }

    /// Makes room for this many elements more.
    pub(crate) fn reserve(&mut self, more: usize) {
        let wanted = self.length.saturating_add(more);
        if wanted > self.block.capacity() {
            let mut block = Block::with_capacity(wanted);
            block.slice_mut()[..self.length].copy_from_slice(self);
            // The old block is overwritten when it is dropped.
            self.block = block;
        }
    }

    pub(crate) fn extend_from_slice(&mut self, values: &[T]) {
        self.make_room(values.len());
        let end = self.length + values.len();
        self.block.slice_mut()[self.length..end].copy_from_slice(values);
        self.length = end;
    }

    pub(crate) fn push(&mut self, value: T) {
        self.extend_from_slice(&[value]);
    }

    fn make_room(&mut self, more: usize) {
        if self.length + more > self.block.capacity() {
            self.reserve(more.max(self.length / 2));
        }
    }
}

impl<T: Plain> Default for Pages<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Plain> Deref for Pages<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.block.slice()[..self.length]
    }
}

impl<T: Plain> DerefMut for Pages<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.block.slice_mut()[..self.length]
    }
}

impl<T: Plain> FromIterator<T> for Pages<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut pages = Self::new();
        values.into_iter().for_each(|value| pages.push(value));
        pages
    }
}

impl<T: Plain> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pages({} elements)", self.length)
    }
}

#[cfg(unix)]
use mapped::Block;
#[cfg(not(unix))]
use on_heap::Block;

#[cfg(unix)]
mod mapped {
    use std::ptr::{NonNull, null_mut};

    use zeroize::Zeroize;

    use super::Plain;

    /// A private mapping, or nothing for a capacity of 0.
    pub(super) struct Block<T: Plain> {
        start: NonNull<T>,
        capacity: usize,
    }

    // SAFETY: the block is the only owner of its mapping, which is tied to no thread; like a `Box<[T]>` it gives
    // shared references for `&self` and exclusive ones for `&mut self`, and `T` is plain numbers.
    unsafe impl<T: Plain> Send for Block<T> {}
    // SAFETY: as above; nothing changes behind a shared reference.
    unsafe impl<T: Plain> Sync for Block<T> {}

    impl<T: Plain> Block<T> {
        pub(super) const fn none() -> Self {
            Self {
                start: NonNull::dangling(),
                capacity: 0,
            }
        }

        /// All zeros. Ends the program as a failed allocation does when there is no memory.
        pub(super) fn with_capacity(capacity: usize) -> Self {
            let Some(bytes) = capacity.checked_mul(size_of::<T>()).filter(|bytes| *bytes > 0) else {
                return Self::none();
            };
            let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
            let access = libc::PROT_READ | libc::PROT_WRITE;
            // SAFETY: a new private mapping at an address of the kernel's choice; it replaces nothing.
            let start = unsafe { libc::mmap(null_mut(), bytes, access, flags, -1, 0) };
            let start = NonNull::new(start.cast::<T>()).filter(|_| start != libc::MAP_FAILED);
            let Some(start) = start else {
                std::alloc::handle_alloc_error(std::alloc::Layout::new::<T>());
            };
            #[cfg(any(target_os = "linux", target_os = "android"))]
            // SAFETY: changes how the kernel treats the mapping made above, not what is in it.
            if unsafe { libc::madvise(start.as_ptr().cast(), bytes, libc::MADV_DONTDUMP) } != 0 {
                tracing::debug!(error = %std::io::Error::last_os_error(), "vectors may be part of a core dump");
            }
            Self { start, capacity }
        }

        pub(super) fn capacity(&self) -> usize {
            self.capacity
        }

        pub(super) fn slice(&self) -> &[T] {
            // SAFETY: `capacity` elements are mapped (pages are aligned for any `T`; none for a dangling start),
            // zeros are values of `T`, and the block owns them.
            unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.capacity) }
        }

        pub(super) fn slice_mut(&mut self) -> &mut [T] {
            // SAFETY: as in `slice`, and `&mut self` makes it the only reference.
            unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.capacity) }
        }
    }

    impl<T: Plain> Drop for Block<T> {
        fn drop(&mut self) {
            if self.capacity > 0 {
                self.slice_mut().zeroize();
                // SAFETY: the mapping made in `with_capacity`, of the same length; no reference outlives the block.
                unsafe { libc::munmap(self.start.as_ptr().cast(), self.capacity * size_of::<T>()) };
            }
        }
    }
}

#[cfg(not(unix))]
mod on_heap {
    use zeroize::Zeroize;

    use super::Plain;

    pub(super) struct Block<T: Plain>(Vec<T>);

    impl<T: Plain> Block<T> {
        pub(super) const fn none() -> Self {
            Self(Vec::new())
        }

        pub(super) fn with_capacity(capacity: usize) -> Self {
            Self(vec![T::default(); capacity])
        }

        pub(super) fn capacity(&self) -> usize {
            self.0.len()
        }

        pub(super) fn slice(&self) -> &[T] {
            &self.0
        }

        pub(super) fn slice_mut(&mut self) -> &mut [T] {
            &mut self.0
        }
    }

    impl<T: Plain> Drop for Block<T> {
        fn drop(&mut self) {
            self.0.as_mut_slice().zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_pages_are_left_out_of_core_dumps() {
        let pages: Pages<u64> = (0..100_000).collect();
        let address = pages.as_ptr() as usize;
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        let mut flags = None;
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let number = |text: &str| usize::from_str_radix(text, 16).ok();
            if let Some((from, to)) = range.and_then(|(from, to)| number(from).zip(number(to))) {
                inside = (from..to).contains(&address);
            } else if inside && let Some(found) = line.strip_prefix("VmFlags:") {
                flags = Some(found.to_owned());
            }
        }
        let flags = flags.expect("the kernel tells the flags of a mapping");
        assert!(flags.split_whitespace().any(|flag| flag == "dd"), "{flags}");
    }

    proptest! {
        #[test]
        fn pages_are_a_vector(steps in prop::collection::vec((0u8..4, any::<u32>(), 0usize..3000), 0..40)) {
            let (mut pages, mut vector) = (Pages::new(), Vec::new());
            for (step, value, count) in steps {
                match step {
                    0 => {
                        pages.push(value);
                        vector.push(value);
                    }
                    1 => {
                        pages.extend_from_slice(&vec![value; count]);
                        vector.extend(vec![value; count]);
                    }
                    2 => {
                        pages.iter_mut().for_each(|number| *number ^= value);
                        vector.iter_mut().for_each(|number| *number ^= value);
                    }
                    _ => pages.reserve(count),
                }
                prop_assert_eq!(&*pages, &*vector);
            }
        }
    }
}
