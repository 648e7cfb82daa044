//! Sealed blocks on their way to the disk or from it, several at a time.

use libsqlite3_sys as ffi;

use super::BLOCK;
use crate::vfs::raw::{Code, RawFile};

/// Blocks that are written with one call, and read ahead with one when they are read in order.
const BLOCKS: usize = 16;

/// Neighbouring blocks as they lie, or will lie, on the disk.
#[derive(Default)]
pub(super) struct Window {
    /// Room for all blocks, from the first use on.
    sealed: Vec<[u8; BLOCK]>,
    first: u64,
    /// How many blocks there are.
    count: usize,
    /// The disk does not have them yet.
    waiting: bool,
    /// The block that was read last.
    last_read: Option<u64>,
}

impl Window {
    /// A place for a block, which reaches the disk with its neighbours when another one has no place here. What was
    /// there of an earlier version of the block is overwritten by the caller.
    pub(super) fn place_for(
        &mut self,
        raw: &mut impl RawFile,
        number: u64,
    ) -> Result<&mut [u8; BLOCK], Code> {
        let at = match self.find(number).filter(|_| self.waiting) {
            Some(at) => at,
            None => {
                let next = self.first + self.count as u64;
                if !self.waiting || number != next || self.count == BLOCKS {
                    self.write_out(raw)?;
                    self.make_room()?;
                    (self.first, self.count) = (number, 0);
                }
                self.waiting = true;
                self.count += 1;
                self.count - 1
            }
        };
        self.sealed.get_mut(at).ok_or(ffi::SQLITE_NOMEM)
    }

    /// Fills `out` with a sealed block. `blocks` is how many the file has. `false` when it ends before.
    pub(super) fn get(
        &mut self,
        raw: &mut impl RawFile,
        number: u64,
        blocks: u64,
        out: &mut [u8; BLOCK],
    ) -> Result<bool, Code> {
        let in_order = self.last_read.replace(number).map(|last| last + 1) == Some(number);
        if self.find(number).is_none() && in_order && number + 1 < blocks {
            self.read_ahead(raw, number, blocks)?;
        }
        match self.find(number) {
            Some(at) => {
                *out = self.sealed[at];
                Ok(true)
            }
            None => Ok(raw.read(out, number * BLOCK as u64)? == BLOCK),
        }
    }

    /// Forgets every block from `blocks` on.
    pub(super) fn truncate(&mut self, blocks: u64) {
        let kept = usize::try_from(blocks.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.count = self.count.min(kept);
    }

    fn read_ahead(&mut self, raw: &mut impl RawFile, number: u64, blocks: u64) -> Result<(), Code> {
        self.write_out(raw)?;
        self.make_room()?;
        // What is not there, or could not be read, is not in the window.
        (self.first, self.count) = (number, 0);
        let wanted = (blocks - number).min(BLOCKS as u64) as usize;
        let present = raw.read(self.sealed[..wanted].as_flattened_mut(), number * BLOCK as u64)?;
        self.count = present / BLOCK;
        Ok(())
    }

    /// Gives the disk what it does not have yet.
    pub(super) fn write_out(&mut self, raw: &mut impl RawFile) -> Result<(), Code> {
        if self.waiting && self.count > 0 {
            raw.write(
                self.sealed[..self.count].as_flattened(),
                self.first * BLOCK as u64,
            )?;
        }
        self.waiting = false;
        Ok(())
    }

    fn make_room(&mut self) -> Result<(), Code> {
        if self.sealed.is_empty() {
            self.sealed
                .try_reserve_exact(BLOCKS)
                .map_err(|_| ffi::SQLITE_IOERR_NOMEM)?;
            self.sealed.resize(BLOCKS, [0; BLOCK]);
        }
        Ok(())
    }

    /// Where in the window a block is.
    fn find(&self, number: u64) -> Option<usize> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        (at < self.count).then_some(at)
    }
}
