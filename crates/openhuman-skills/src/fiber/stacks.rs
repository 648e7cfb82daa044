//! The stacks that fibers run on, kept for the next.

use corosensei::stack::{DefaultStack, Stack as _};

/// The size of a fiber's stack: 512 KB for JavaScript, the rest for host functions and their libraries, and the
/// frame of a signal. Pages that are never touched cost address space only.
const STACK_SIZE: usize = 1024 * 1024;
/// How many unused stacks are kept for good.
const KEPT_STACKS: usize = 32;
/// How many are kept after a burst of calls that waited at once: to map and unmap one for each call costs more than
/// the call.
const KEPT_AFTER_A_BURST: usize = 4096;
/// How many of these are given back when the pool is tidied; more at once would hold up the worker.
const GIVEN_BACK: usize = 64;
/// What a kept stack keeps of its memory when it is tidied.
#[cfg(unix)]
const KEPT_BYTES: usize = 16 * 1024;

/// Stacks of ended fibers, for the next ones.
#[derive(Default)]
pub(crate) struct StackPool {
    pub(super) kept: Vec<DefaultStack>,
    /// Used since they were tidied.
    used: usize,
}

impl StackPool {
    pub(crate) fn take(&mut self) -> std::io::Result<DefaultStack> {
        match self.kept.pop() {
            Some(stack) => Ok(stack),
            None => DefaultStack::new(STACK_SIZE),
        }
    }

    pub(super) fn give(&mut self, stack: DefaultStack) {
        self.used += 1;
        if self.kept.len() < KEPT_AFTER_A_BURST {
            self.kept.push(stack);
        }
    }

    /// Whether tidying would give memory back.
    pub(crate) fn is_untidy(&self) -> bool {
        self.used > 0 || self.kept.len() > KEPT_STACKS
    }

    /// Gives the deeper memory of the kept stacks back to the system, and some of those that a burst has left.
    pub(crate) fn tidy(&mut self) {
        let surplus = self.kept.len().saturating_sub(KEPT_STACKS);
        // The first ones have waited longest.
        self.kept.drain(..surplus.min(GIVEN_BACK));
        if std::mem::take(&mut self.used) == 0 {
            return;
        }
        #[cfg(unix)]
        for stack in self.kept.iter().rev().take(KEPT_STACKS) {
            let (low, high) = (stack.limit().get(), stack.base().get());
            // SAFETY: nothing runs on a kept stack. The lowest page is the guard, which holds no memory.
            unsafe {
                libc::madvise(
                    low as *mut libc::c_void,
                    high - low - KEPT_BYTES,
                    libc::MADV_DONTNEED,
                );
            }
        }
    }
}
