//! The index of the log, shared by the connections of this process in memory. On disk it would show page
//! numbers and a checksum of the plaintext.

use std::ffi::c_int;
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use libsqlite3_sys as ffi;

use super::raw::Code;

const LOCKS: usize = ffi::SQLITE_SHM_NLOCK as usize;

/// What all connections to one database share.
#[derive(Default)]
pub(crate) struct Shm(Mutex<State>);

#[derive(Default)]
struct State {
    /// Connections that have mapped a region. When the last one lets go, the index is forgotten: the next
    /// connection finds zeros and rebuilds it from the log.
    clients: usize,
    regions: Vec<Region>,
    /// Per lock: how many hold it shared, or -1 for one that holds it exclusively.
    locks: [i32; LOCKS],
}

/// One connection's part.
#[derive(Default)]
pub(crate) struct ShmClient {
    attached: bool,
    shared: [bool; LOCKS],
    exclusive: [bool; LOCKS],
}

/// Zeroed memory that SQLite reads and writes through its own pointers, with its own atomics and locks. Only
/// pointers to it exist while connections use it, never references.
struct Region {
    words: NonNull<u64>,
    count: usize,
}

// SAFETY: a region is plain memory; moving the owner of the pointer to another thread moves nothing else.
unsafe impl Send for Region {}

impl Region {
    fn new(bytes: usize) -> Option<Region> {
        let count = bytes.div_ceil(size_of::<u64>());
        let mut words = Vec::new();
        words.try_reserve_exact(count).ok()?;
        words.resize(count, 0u64);
        let words = NonNull::new(Box::into_raw(words.into_boxed_slice()).cast())?;
        Some(Region { words, count })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let slice = std::ptr::slice_from_raw_parts_mut(self.words.as_ptr(), self.count);
        // SAFETY: pointer and length come from `Box::into_raw` of such a slice, and no connection uses the
        // region any more: all have unmapped it.
        let mut words = unsafe { Box::from_raw(slice) };
        words.fill(0);
    }
}

impl Shm {
    /// The address of region `index`; `None` when it does not exist and is not to be created.
    pub(crate) fn map(
        &self,
        client: &mut ShmClient,
        index: usize,
        size: usize,
        extend: bool,
    ) -> Result<Option<NonNull<u64>>, Code> {
        let mut state = self.state();
        if !client.attached {
            client.attached = true;
            state.clients += 1;
        }
        while extend && state.regions.len() <= index {
            state.regions.push(Region::new(size).ok_or(ffi::SQLITE_NOMEM)?);
        }
        Ok(state.regions.get(index).map(|region| region.words))
    }

    /// Takes or frees the locks `first..first + count`, as SQLite's `xShmLock` describes it.
    pub(crate) fn lock(
        &self,
        client: &mut ShmClient,
        first: usize,
        count: usize,
        flags: c_int,
    ) -> Result<(), Code> {
        let range = first
            ..first
                .checked_add(count)
                .filter(|end| *end <= LOCKS)
                .ok_or(ffi::SQLITE_IOERR_SHMLOCK)?;
        let mut state = self.state();
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            for slot in range {
                state.release(client, slot);
            }
            return Ok(());
        }
        if flags & ffi::SQLITE_SHM_SHARED != 0 {
            for slot in range {
                if client.shared[slot] {
                    continue;
                }
                if state.locks[slot] < 0 {
                    return Err(ffi::SQLITE_BUSY);
                }
                state.locks[slot] += 1;
                client.shared[slot] = true;
            }
            return Ok(());
        }
        if range.clone().any(|slot| state.locks[slot] != 0) {
            return Err(ffi::SQLITE_BUSY);
        }
        for slot in range {
            state.locks[slot] = -1;
            client.exclusive[slot] = true;
        }
        Ok(())
    }

    /// Orders this thread's accesses to the regions with those of the others.
    pub(crate) fn barrier(&self) {
        fence(Ordering::SeqCst);
        drop(self.state());
        fence(Ordering::SeqCst);
    }

    /// Ends the client's use of the regions; frees them when it was the last.
    pub(crate) fn unmap(&self, client: &mut ShmClient) {
        let mut state = self.state();
        for slot in 0..LOCKS {
            state.release(client, slot);
        }
        if client.attached {
            client.attached = false;
            state.clients -= 1;
            if state.clients == 0 {
                state.regions.clear();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn release(&mut self, client: &mut ShmClient, slot: usize) {
        if std::mem::take(&mut client.exclusive[slot]) {
            self.locks[slot] = 0;
        }
        if std::mem::take(&mut client.shared[slot]) {
            self.locks[slot] -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARED: c_int = ffi::SQLITE_SHM_LOCK | ffi::SQLITE_SHM_SHARED;
    const EXCLUSIVE: c_int = ffi::SQLITE_SHM_LOCK | ffi::SQLITE_SHM_EXCLUSIVE;
    const FREE: c_int = ffi::SQLITE_SHM_UNLOCK | ffi::SQLITE_SHM_EXCLUSIVE;

    #[test]
    fn exclusive_excludes_and_shared_shares() {
        let (shm, mut a, mut b) = (Shm::default(), ShmClient::default(), ShmClient::default());
        shm.lock(&mut a, 3, 1, SHARED).unwrap();
        shm.lock(&mut b, 3, 1, SHARED).unwrap();
        assert_eq!(shm.lock(&mut a, 2, 3, EXCLUSIVE), Err(ffi::SQLITE_BUSY));
        shm.lock(&mut a, 3, 1, ffi::SQLITE_SHM_UNLOCK | ffi::SQLITE_SHM_SHARED)
            .unwrap();
        assert_eq!(
            shm.lock(&mut a, 2, 3, EXCLUSIVE),
            Err(ffi::SQLITE_BUSY),
            "b still holds it"
        );
        shm.unmap(&mut b);
        shm.lock(&mut a, 2, 3, EXCLUSIVE).unwrap();
        assert_eq!(shm.lock(&mut b, 4, 1, SHARED), Err(ffi::SQLITE_BUSY));
        shm.lock(&mut a, 2, 3, FREE).unwrap();
        shm.lock(&mut b, 4, 1, SHARED).unwrap();
        assert_eq!(
            shm.lock(&mut a, 7, 2, SHARED),
            Err(ffi::SQLITE_IOERR_SHMLOCK),
            "there are eight locks"
        );
    }

    #[test]
    fn the_index_is_forgotten_when_the_last_connection_leaves() {
        let (shm, mut a, mut b) = (Shm::default(), ShmClient::default(), ShmClient::default());
        assert_eq!(shm.map(&mut a, 0, 32768, false).unwrap(), None);
        let region = shm.map(&mut a, 1, 32768, true).unwrap().unwrap();
        assert_eq!(shm.map(&mut b, 1, 32768, false).unwrap(), Some(region));
        // SAFETY: the region has 4096 words and both clients have it mapped.
        unsafe { region.as_ptr().write(7) };
        shm.unmap(&mut a);
        let seen = shm.map(&mut b, 1, 32768, false).unwrap().unwrap();
        // SAFETY: as above; b still has it mapped.
        assert_eq!(unsafe { seen.as_ptr().read() }, 7);
        shm.unmap(&mut b);
        assert_eq!(shm.map(&mut a, 1, 32768, false).unwrap(), None);
        shm.unmap(&mut a);
    }
}
