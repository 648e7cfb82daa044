//! Where keys lie in memory: on pages that are not swapped out and not written into core dumps.
//!
//! Keys are small and many, pages are large and the number of locked ones is limited, so keys share pages. A page
//! is never given back: it is reused by the next keys. Where the operating system refuses, or has no such calls,
//! keys lie on the ordinary heap; they are overwritten when they are dropped in any case.

use std::fmt;

pub use self::wiping::WipingAllocator;
#[cfg(feature = "vault")]
use zeroize::Zeroize;
use zeroize::Zeroizing;

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe to write; every block says why it holds"
)]
mod wiping;

/// Bytes of a key.
const LEN: usize = 32;
/// How much of the stack below a caller [`scrub_stack`] overwrites.
#[cfg(feature = "vault")]
const SCRUBBED: usize = 48 * 1024;

/// What the operating system grants for the memory that holds keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// Keys are never written to swap.
    pub locked: bool,
    /// Keys are never part of a core dump.
    pub excluded_from_dumps: bool,
}

/// What protects keys in this process: the least that any page of keys has. Where nothing is granted, the usual
/// reason is the limit on locked memory (`ulimit -l`).
///
/// ```
/// let protection = openhuman_vault::memory_protection();
/// if !protection.locked {
///     eprintln!("keys may be swapped out; raise the limit on locked memory");
/// }
/// ```
pub fn memory_protection() -> Protection {
    // A first key makes sure that there is a page to tell about.
    drop(Guarded::zeroed());
    #[cfg(unix)]
    return pages::protection();
    #[cfg(not(unix))]
    Protection::default()
}

/// Switches core dumps of this process off, and on Linux reading its memory by other processes of the same user
/// (`ptrace`, `/proc/PID/mem`). For the `main` of a program that holds a vault; libraries leave this to it.
///
/// # Errors
/// What the operating system said. Off Unix there is nothing to switch off and the call succeeds.
pub fn forbid_core_dumps() -> std::io::Result<()> {
    #[cfg(unix)]
    return pages::forbid_core_dumps();
    #[cfg(not(unix))]
    Ok(())
}

/// Overwrites the part of the stack that the functions called before have used: what ciphers and hash functions
/// left of keys there. For the end of an operation that touched a password or the vault key.
#[cfg(feature = "vault")]
#[inline(never)]
pub(crate) fn scrub_stack() {
    let mut below = [0_u8; SCRUBBED];
    below.zeroize();
    std::hint::black_box(&below);
}

/// 32 bytes that are zeros before their first use and after their last.
pub(crate) struct Guarded(Place);

enum Place {
    #[cfg(unix)]
    Page(pages::Slot),
    Heap(Box<Zeroizing<[u8; LEN]>>),
}

impl Guarded {
    pub(crate) fn zeroed() -> Guarded {
        #[cfg(unix)]
        if let Some(slot) = pages::Slot::take() {
            return Guarded(Place::Page(slot));
        }
        Guarded(Place::Heap(Box::new(Zeroizing::new([0; LEN]))))
    }

    pub(crate) fn bytes(&self) -> &[u8; LEN] {
        match &self.0 {
            #[cfg(unix)]
            Place::Page(slot) => slot.bytes(),
            Place::Heap(bytes) => bytes,
        }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; LEN] {
        match &mut self.0 {
            #[cfg(unix)]
            Place::Page(slot) => slot.bytes_mut(),
            Place::Heap(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guarded(..)")
    }
}

#[cfg(unix)]
#[expect(
    unsafe_code,
    reason = "pages come from the operating system; every block says why it holds"
)]
mod pages {
    use std::io;
    use std::ptr::{NonNull, null_mut};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use zeroize::Zeroize;

    use super::{LEN, Protection};

    /// The smallest page of any supported machine; of a larger page only this much is used.
    const USED: usize = 4096;
    const SLOTS: usize = USED / LEN;

    static PAGES: Mutex<Vec<Page>> = Mutex::new(Vec::new());

    struct Page {
        start: NonNull<[u8; LEN]>,
        /// Bit `n` is set while slot `n` has an owner.
        taken: u128,
        protection: Protection,
    }

    const _: () = assert!(SLOTS == u128::BITS as usize);

    // SAFETY: `start` is a mapping of this process that lives until it ends, tied to no thread. What it points to
    // is read and written only through `Slot`, of which there is one for each set bit.
    unsafe impl Send for Page {}

    /// The one owner of 32 bytes of a page.
    pub(super) struct Slot {
        bytes: NonNull<[u8; LEN]>,
    }

    // SAFETY: a slot is the only owner of its bytes, which live as long as the process; like a `Box<[u8; 32]>` it
    // gives shared references for `&self` and exclusive ones for `&mut self`.
    unsafe impl Send for Slot {}
    // SAFETY: as above; nothing changes behind a shared reference.
    unsafe impl Sync for Slot {}

    impl Slot {
        /// A free slot, all zeros; `None` when the operating system gives no memory for another page.
        pub(super) fn take() -> Option<Slot> {
            let mut pages = pages();
            let free = match pages.iter().position(|page| page.taken != u128::MAX) {
                Some(free) => free,
                None => {
                    pages.push(Page::map()?);
                    pages.len() - 1
                }
            };
            let page = pages.get_mut(free)?;
            let slot = page.taken.trailing_ones();
            page.taken |= 1 << slot;
            // SAFETY: the bit of `slot` was clear, so slot < SLOTS and the address is within the mapping.
            let bytes = unsafe { page.start.add(slot as usize) };
            Some(Slot { bytes })
        }

        pub(super) fn bytes(&self) -> &[u8; LEN] {
            // SAFETY: mapped, initialized (the kernel gives zeros) and without another owner, see `Slot`.
            unsafe { self.bytes.as_ref() }
        }

        pub(super) fn bytes_mut(&mut self) -> &mut [u8; LEN] {
            // SAFETY: as in `bytes`, and `&mut self` makes it the only reference.
            unsafe { self.bytes.as_mut() }
        }
    }

    impl Drop for Slot {
        fn drop(&mut self) {
            // Before the slot can be taken again.
            self.bytes_mut().zeroize();
            for page in pages().iter_mut() {
                let offset = (self.bytes.addr().get()).wrapping_sub(page.start.addr().get());
                if offset < USED {
                    page.taken &= !(1 << (offset / LEN));
                }
            }
        }
    }

    impl Page {
        /// A page between two that cannot be touched.
        fn map() -> Option<Page> {
            // SAFETY: asks for a number.
            let size = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
            if size < USED {
                return None;
            }
            let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
            // SAFETY: a new private mapping at an address of the kernel's choice; it replaces nothing.
            let whole = unsafe { libc::mmap(null_mut(), 3 * size, libc::PROT_NONE, flags, -1, 0) };
            if whole == libc::MAP_FAILED {
                return None;
            }
            // SAFETY: one page into a mapping of three.
            let middle = unsafe { whole.byte_add(size) };
            // SAFETY: the range is the middle page of the mapping made above, which nobody else knows of.
            let opened = unsafe { libc::mprotect(middle, size, libc::PROT_READ | libc::PROT_WRITE) } == 0;
            let Some(start) = NonNull::new(middle.cast()).filter(|_| opened) else {
                // SAFETY: the mapping made above, to which no pointer remains.
                unsafe { libc::munmap(whole, 3 * size) };
                return None;
            };
            // SAFETY: changes how the kernel treats a page of ours, not what is in it.
            let locked = unsafe { libc::mlock(middle, size) } == 0;
            #[cfg(any(target_os = "linux", target_os = "android"))]
            // SAFETY: as above.
            let excluded_from_dumps = unsafe { libc::madvise(middle, size, libc::MADV_DONTDUMP) } == 0;
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            let excluded_from_dumps = false;
            if !locked {
                tracing::debug!(error = %io::Error::last_os_error(), "keys may be swapped out");
            }
            Some(Page {
                start,
                taken: 0,
                protection: Protection {
                    locked,
                    excluded_from_dumps,
                },
            })
        }
    }

    pub(super) fn protection() -> Protection {
        let pages = pages();
        let all = |what: fn(&Protection) -> bool| {
            !pages.is_empty() && pages.iter().all(|page| what(&page.protection))
        };
        Protection {
            locked: all(|protection| protection.locked),
            excluded_from_dumps: all(|protection| protection.excluded_from_dumps),
        }
    }

    pub(super) fn forbid_core_dumps() -> io::Result<()> {
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: reads one `rlimit`.
        if unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) } != 0 {
            return Err(io::Error::last_os_error());
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        // SAFETY: sets a flag of the process; the unused arguments are zeros as the manual asks.
        if unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    fn pages() -> MutexGuard<'static, Vec<Page>> {
        // Every change is one store; a panic leaves nothing half done.
        PAGES.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_do_not_overlap_and_are_zeros_when_they_come_back() {
        let mut held: Vec<Guarded> = (0..300).map(|_| Guarded::zeroed()).collect();
        for (n, slot) in held.iter_mut().enumerate() {
            slot.bytes_mut().fill(n as u8);
        }
        for (n, slot) in held.iter().enumerate() {
            assert_eq!(slot.bytes(), &[n as u8; LEN]);
        }
        drop(held);
        let again: Vec<Guarded> = (0..300).map(|_| Guarded::zeroed()).collect();
        assert!(again.iter().all(|slot| slot.bytes() == &[0; LEN]));
    }

    #[test]
    fn threads_share_pages() {
        std::thread::scope(|scope| {
            for thread in 0..8_u8 {
                scope.spawn(move || {
                    for round in 0..200 {
                        let mut slot = Guarded::zeroed();
                        assert_eq!(slot.bytes(), &[0; LEN]);
                        slot.bytes_mut().fill(thread + 1);
                        let other = Guarded::zeroed();
                        assert_eq!(slot.bytes(), &[thread + 1; LEN], "round {round}");
                        drop(other);
                    }
                });
            }
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_page_of_keys_is_locked_and_left_out_of_core_dumps() {
        let slot = Guarded::zeroed();
        let address = slot.bytes().as_ptr() as usize;
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut flags = None;
        let mut inside = false;
        for line in maps.lines() {
            if let Some((from, rest)) = line.split_once('-')
                && let Ok(from) = usize::from_str_radix(from, 16)
                && let Some(to) = rest
                    .split(' ')
                    .next()
                    .and_then(|to| usize::from_str_radix(to, 16).ok())
            {
                inside = (from..to).contains(&address);
            } else if inside && let Some(found) = line.strip_prefix("VmFlags:") {
                flags = Some(found.to_owned());
            }
        }
        let flags = flags.expect("the kernel tells the flags of a mapping");
        let protection = memory_protection();
        assert!(protection.excluded_from_dumps);
        assert!(flags.split_whitespace().any(|flag| flag == "dd"), "{flags}");
        assert_eq!(
            flags.split_whitespace().any(|flag| flag == "lo"),
            protection.locked,
            "{flags}"
        );
    }
}
