//! Which pages of the range are backed by memory.

use super::lists::class;
use super::{Block, DIRTY, GRAIN, Heap, POWERS, SLACK_AT_TOP, STEP, STEPS};
use crate::arena::pages;

impl Heap {
    /// Gives whole pages of free blocks back to the system.
    pub(in crate::arena) fn trim(&mut self) {
        self.dirty = 0;
        let (first, _) = class(u32::try_from(self.page / GRAIN).unwrap_or(u32::MAX));
        for power in first..POWERS {
            for step in 0..STEPS {
                let mut at = self.lists[power][step] as usize * GRAIN;
                while at != 0 {
                    // SAFETY: the lists hold free blocks; what follows their links is unused.
                    unsafe {
                        let block = self.block(at);
                        let size = (*block).size;
                        if size & DIRTY != 0 {
                            (*block).size = size & !DIRTY;
                            let from = (at + size_of::<Block>()).next_multiple_of(self.page);
                            let to = (at + (size >> 2) as usize * GRAIN) / self.page * self.page;
                            if from < to {
                                pages::discard(self.base.add(from), to - from);
                            }
                        }
                        at = (*block).next as usize * GRAIN;
                    }
                }
            }
        }
        self.give_back_top(self.page);
    }

    pub(super) fn shrink(&mut self) {
        self.give_back_top(SLACK_AT_TOP);
    }

    pub(super) fn give_back_top(&mut self, least: usize) {
        let from = self.top.next_multiple_of(self.page);
        let to = self.touched.next_multiple_of(self.page).min(self.committed);
        if to >= from + least {
            // SAFETY: nothing lives beyond `top`.
            unsafe { pages::discard(self.base.add(from), to - from) };
            self.touched = from;
        }
    }

    /// Makes the range up to `end` usable.
    pub(super) fn extend(&mut self, end: usize) -> bool {
        if end <= self.committed {
            return true;
        }
        if end > self.end {
            return false;
        }
        let step = STEP.max(self.committed / 4);
        let goal = end
            .max(self.committed + step)
            .next_multiple_of(STEP)
            .min(self.end);
        // SAFETY: the range lies inside the reservation; both ends are multiples of the page size.
        if !unsafe { pages::commit(self.base.add(self.committed), goal - self.committed) } {
            return false;
        }
        self.committed = goal;
        true
    }
}
