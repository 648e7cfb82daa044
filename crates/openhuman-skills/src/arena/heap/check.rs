//! The heap checked against itself, for tests.

use super::lists::class;
use super::{FIRST, FREE, GRAIN, Heap};

impl Heap {
    /// Walks all blocks and lists; returns the bytes in use. Panics when they contradict each other.
    pub(in crate::arena) fn check(&self) -> usize {
        let (mut at, mut before, mut used, mut free, mut was_free) = (FIRST, 0, 0, 0, false);
        while at < self.top {
            // SAFETY: the walk follows the blocks' own sizes up to `top`.
            let (size, said) = unsafe { ((*self.block(at)).size, (*self.block(at)).before) };
            assert_eq!(said, before, "the block at {at} knows its neighbour");
            let is_free = size & FREE != 0;
            assert!(!(is_free && was_free), "free neighbours are merged");
            before = size >> 2;
            assert!(before > 0);
            if is_free {
                free += 1;
            } else {
                used += before as usize * GRAIN;
            }
            was_free = is_free;
            at += before as usize * GRAIN;
        }
        assert_eq!(at, self.top);
        assert_eq!(self.last, before);
        assert!(!was_free, "a free block at the end is not kept");
        assert_eq!(used, self.used);
        let mut listed = 0;
        for (power, steps) in self.lists.iter().enumerate() {
            for (step, head) in steps.iter().enumerate() {
                assert_eq!(*head != 0, self.steps[power] >> step & 1 == 1);
                let mut at = *head as usize * GRAIN;
                while at != 0 {
                    // SAFETY: as above.
                    let (size, next) = unsafe { ((*self.block(at)).size, (*self.block(at)).next) };
                    assert!(size & FREE != 0);
                    assert_eq!(class(size >> 2), (power, step));
                    listed += 1;
                    at = next as usize * GRAIN;
                }
            }
            assert_eq!(self.steps[power] != 0, self.powers >> power & 1 == 1);
        }
        assert_eq!(listed, free);
        used
    }
}
