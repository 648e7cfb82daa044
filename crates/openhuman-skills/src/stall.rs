//! Built-in functions that never ask whether they may go on: noticed, and suspended in the middle.
//!
//! QuickJS asks between bytecodes, in regular expressions and between jobs, but a single built-in call
//! (`[].reverse.call({length: 2**53 - 1})`, a quadratic `indexOf`, `JSON.parse` of 20 MB) may run for milliseconds or
//! for ever without asking. Here:
//!
//! 1. Each worker has a [`Pulse`]: a number that changes whenever a fiber is resumed, asks, or enters or leaves host
//!    code.
//! 2. One watchdog thread for each engine looks at the pulses every two milliseconds while any worker runs. A pulse
//!    that runs and has not changed since the last look gets a signal. While every worker is idle the watchdog
//!    sleeps without a timeout, so an idle process has no wake-ups.
//! 3. The handler has QuickJS ask at its next chance ([`counter`]), which is enough for loops of heavy functions.
//!    For a function that gives none, it ([`signal`]) measures on the worker's own thread the thread's CPU time
//!    since the first signal of this beat, never wall time. At 20 ms it suspends the fiber, right there, as
//!    [`Pause::Stall`].
//! 4. The scheduler resumes it later at low priority: the handler returns and the built-in function goes on as if
//!    nothing had been. A long one is merely shared with the others. One that reaches the limit of its call, or
//!    whose skill is stopped, is never resumed: its stack, its runtime and its arena are freed as they are.
//!
//! Where the handler may suspend: only when a fiber runs and the interrupted program counter lies in QuickJS' own
//! C code, or in a string function of the C library (`memset`, `memmove`...) that QuickJS called directly. Such
//! code holds no lock: QuickJS has none outside of `Atomics`, which skills do not have, and its allocator is the
//! skill's arena. Never in Rust code, in `malloc`, or in the kernel's shared page. When the counter is elsewhere, the
//! watchdog tries again a little later, at jittered times. Host code that calls into QuickJS is below such a frame
//! sometimes (`JSON.stringify` with a `toJSON` of the skill): it must bear a suspension there anyway, because the
//! interrupt handler suspends there too, so it holds no lock and no borrow.
//!
//! Under AddressSanitizer: `RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address
//! ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0 cargo test --target x86_64-unknown-linux-gnu
//! -p openhuman-skills --features corosensei/sanitizer --lib -- arena fiber stall`, and the same with `--test it --
//! stall:: --skip leave_nothing_behind` (the sanitizer keeps freed memory, so footprints mean nothing there).
//!
//! Platforms: Linux and macOS on x86-64 and aarch64. Elsewhere, Windows included, and where QuickJS' code cannot be
//! told from other code, [`Watchdog::available`] is false: a stuck built-in function then holds its worker; calls
//! to it end at their limit with an error, and the other workers go on.
//!
//! [`Pause::Stall`]: crate::fiber::Pause::Stall

#[expect(unsafe_code, reason = "a field of QuickJS; argued at each block")]
pub(crate) mod counter;
#[cfg(unix)]
#[expect(unsafe_code, reason = "the signal handler; argued at each block")]
mod signal;

use std::cell::Cell;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

/// How often the watchdog looks.
const TICK: Duration = Duration::from_millis(2);
/// After this many looks without any beat it sleeps.
const QUIET: u32 = 25;

thread_local! {
    /// The pulse of this worker thread; null on other threads. Constant initial value and no destructor, so a
    /// signal handler may read it.
    static PULSE: Cell<*const Pulse> = const { Cell::new(ptr::null()) };
}

/// What one worker shows the watchdog. The lowest bit of a beat says that a fiber runs.
#[derive(Debug)]
pub(crate) struct Pulse {
    beat: AtomicU64,
    /// The beat the watchdog saw last.
    seen: AtomicU64,
    /// The beat the watchdog sent a signal for; 0 when the signal was handled.
    asked: AtomicU64,
    /// The handler could not suspend where it was: try again soon.
    missed: AtomicBool,
    /// The beat and the CPU time (ns) of the first signal of that beat. Only the worker's thread uses them.
    first: AtomicU64,
    first_cpu: AtomicU64,
    watch: Arc<Watch>,
    #[cfg(unix)]
    thread: Mutex<Option<libc::pthread_t>>,
}

impl Pulse {
    fn new(watch: &Arc<Watch>) -> Self {
        Self {
            beat: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            missed: AtomicBool::new(false),
            first: AtomicU64::new(0),
            first_cpu: AtomicU64::new(0),
            watch: Arc::clone(watch),
            #[cfg(unix)]
            thread: Mutex::default(),
        }
    }

    /// The next beat. Only the worker's thread writes, so load and store need not be one operation.
    fn next(&self, running: bool) -> u64 {
        ((self.beat.load(Ordering::Relaxed) >> 1) + 1) << 1 | u64::from(running)
    }
}

/// A fiber asks, or goes into or out of host code: what runs does not hang.
pub(crate) fn beat() {
    with_pulse(|pulse| pulse.beat.store(pulse.next(true), Ordering::Relaxed));
}

/// A fiber is about to run on this thread. Wakes the watchdog if it sleeps.
pub(crate) fn running() {
    with_pulse(|pulse| {
        pulse.beat.store(pulse.next(true), Ordering::SeqCst);
        pulse.watch.wake();
    });
}

/// The scheduler runs again.
pub(crate) fn idle() {
    with_pulse(|pulse| pulse.beat.store(pulse.next(false), Ordering::Relaxed));
}

#[expect(unsafe_code, reason = "argued at the block")]
fn with_pulse(act: impl FnOnce(&Pulse)) {
    let pulse = PULSE.get();
    if !pulse.is_null() {
        // SAFETY: `Lane` keeps the pulse alive and clears the pointer before it lets go of it, on this thread.
        act(unsafe { &*pulse });
    }
}

/// The thread that notices fibers that hang. Ends when the last handle is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shared: Arc<Watch>,
}

#[derive(Debug)]
struct Watch {
    pulses: Mutex<Vec<Arc<Pulse>>>,
    asleep: AtomicBool,
    over: AtomicBool,
    /// The thread, once it runs.
    thread: OnceLock<Thread>,
    /// CPU time after which a fiber is suspended.
    limit: Duration,
}

impl Watchdog {
    /// Starts the thread. A fiber is suspended when it has used `limit` of CPU time without asking.
    pub(crate) fn start(limit: Duration) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Watch {
            pulses: Mutex::default(),
            asleep: AtomicBool::new(false),
            over: AtomicBool::new(false),
            thread: OnceLock::new(),
            limit,
        });
        if Self::available() {
            counter::prepare();
            let watch = Arc::clone(&shared);
            let thread = thread::Builder::new()
                .name("skill-watchdog".to_owned())
                .stack_size(128 * 1024)
                .spawn(move || watch.run())?;
            let _ = shared.thread.set(thread.thread().clone());
        } else {
            tracing::warn!("built-in functions that never end cannot be suspended on this platform");
        }
        Ok(Arc::new(Self { shared }))
    }

    /// Whether fibers that hang can be suspended here. Installs the handler the first time.
    pub(crate) fn available() -> bool {
        #[cfg(unix)]
        return signal::install();
        #[cfg(not(unix))]
        false
    }

    /// CPU time after which a fiber is suspended.
    pub(crate) fn limit(&self) -> Duration {
        self.shared.limit
    }

    /// Registers the calling thread as a worker, until the result is dropped.
    pub(crate) fn watch(self: &Arc<Self>) -> Lane {
        let pulse = Arc::new(Pulse::new(&self.shared));
        #[cfg(unix)]
        signal::enter(&pulse);
        PULSE.set(Arc::as_ptr(&pulse));
        self.shared.lock().push(Arc::clone(&pulse));
        Lane {
            pulse,
            watchdog: Arc::clone(self),
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.shared.thread.get() {
            thread.unpark();
        }
    }
}

/// A worker thread that is watched. Stays on its thread.
#[derive(Debug)]
pub(crate) struct Lane {
    pulse: Arc<Pulse>,
    watchdog: Arc<Watchdog>,
}

impl Drop for Lane {
    fn drop(&mut self) {
        PULSE.set(ptr::null());
        #[cfg(unix)]
        signal::leave(&self.pulse);
        self.watchdog
            .shared
            .lock()
            .retain(|pulse| !Arc::ptr_eq(pulse, &self.pulse));
    }
}

impl Watch {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Pulse>>> {
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        if self.asleep.load(Ordering::SeqCst)
            && self.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    fn run(&self) {
        let tick = (self.limit / 4).clamp(Duration::from_micros(200), TICK);
        let mut quiet = 0;
        let mut jitter = 0x9E37_79B9_u32;
        while !self.over.load(Ordering::SeqCst) {
            let (mut active, mut missed) = (false, false);
            for pulse in self.lock().iter() {
                let now = pulse.beat.load(Ordering::SeqCst);
                let still = pulse.seen.swap(now, Ordering::Relaxed) == now;
                active |= now & 1 == 1 || !still;
                if still && now & 1 == 1 {
                    missed |= pulse.missed.swap(false, Ordering::Relaxed);
                    pulse.asked.store(now, Ordering::SeqCst);
                    #[cfg(unix)]
                    signal::send(pulse);
                }
            }
            quiet = if active { 0 } else { quiet + 1 };
            if quiet >= QUIET {
                self.sleep();
                quiet = 0;
            } else if missed {
                // Off the beat of whatever loop it is in.
                jitter = jitter.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                thread::park_timeout(Duration::from_micros(500 + u64::from(jitter >> 16) % 1500));
            } else {
                thread::park_timeout(tick);
            }
        }
    }

    /// Sleeps until a worker runs something. A worker marks its beat first and looks at `asleep` then; this does
    /// it the other way round, so one of the two sees the other.
    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        let busy =
            |pulse: &Arc<Pulse>| pulse.beat.load(Ordering::SeqCst) != pulse.seen.load(Ordering::Relaxed);
        if self.lock().iter().any(busy) {
            self.asleep.store(false, Ordering::SeqCst);
            return;
        }
        while self.asleep.load(Ordering::SeqCst) && !self.over.load(Ordering::SeqCst) {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}
