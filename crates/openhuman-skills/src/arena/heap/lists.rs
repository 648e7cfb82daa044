//! The free blocks, in lists by size.

use super::{FREE, GRAIN, Heap, POWERS, STEPS, TRIES};

/// The list of a size: its power of two, and which of the steps.
pub(super) fn class(grains: u32) -> (usize, usize) {
    if grains < STEPS as u32 {
        return (0, grains as usize);
    }
    let log = grains.ilog2();
    let step = (grains >> (log - 3)) as usize & (STEPS - 1);
    (((log - 2) as usize).min(POWERS - 1), step)
}

impl Heap {
    /// A free block of at least `want` grains.
    pub(super) fn find(&self, want: u32) -> Option<usize> {
        let (power, step) = class(want);
        let mut at = self.lists[power][step] as usize * GRAIN;
        for _ in 0..TRIES {
            if at == 0 {
                break;
            }
            // SAFETY: the lists hold free blocks of this heap.
            unsafe {
                if (*self.block(at)).size >> 2 >= want {
                    return Some(at);
                }
                at = (*self.block(at)).next as usize * GRAIN;
            }
        }
        let larger = u32::from(self.steps[power]) >> (step + 1) << (step + 1);
        let (power, step) = if larger == 0 {
            let powers = self.powers >> power >> 1 << power << 1;
            if powers == 0 {
                return None;
            }
            let power = powers.trailing_zeros() as usize;
            (power, self.steps[power].trailing_zeros() as usize)
        } else {
            (power, larger.trailing_zeros() as usize)
        };
        Some(self.lists[power][step] as usize * GRAIN)
    }

    /// # Safety
    /// `at` is a block of this heap that is in no list.
    pub(super) unsafe fn link(&mut self, at: usize) {
        // SAFETY: as in `free`. A free block has room for the links: the smallest has 16 bytes.
        unsafe {
            let block = self.block(at);
            let (power, step) = class((*block).size >> 2);
            let head = self.lists[power][step];
            (*block).size |= FREE;
            (*block).next = head;
            (*block).prev = 0;
            let own = (at / GRAIN) as u32;
            if head != 0 {
                (*self.block(head as usize * GRAIN)).prev = own;
            }
            self.lists[power][step] = own;
            self.steps[power] |= 1 << step;
            self.powers |= 1 << power;
        }
    }

    /// # Safety
    /// `at` is a free block of this heap, in its list.
    pub(super) unsafe fn unlink(&mut self, at: usize) {
        // SAFETY: as in `free`.
        unsafe {
            let block = self.block(at);
            let (power, step) = class((*block).size >> 2);
            let (next, prev) = ((*block).next, (*block).prev);
            if next != 0 {
                (*self.block(next as usize * GRAIN)).prev = prev;
            }
            if prev != 0 {
                (*self.block(prev as usize * GRAIN)).next = next;
            } else {
                self.lists[power][step] = next;
                if next == 0 {
                    self.steps[power] &= !(1 << step);
                    if self.steps[power] == 0 {
                        self.powers &= !(1 << power);
                    }
                }
            }
        }
    }
}
