//! The signal that interrupts a built-in function.
//!
//! SIGURG, because nothing is lost when it reaches a thread or a time it was not meant for: its default is to be
//! ignored, and the runtimes that use it elsewhere use it for the same purpose. A handler that was there before is
//! called for every signal that is not ours.
//!
//! The handler runs on the fiber's stack (no alternate stack), and suspending inside of it switches to the
//! scheduler's stack like any other suspension: the frame the kernel pushed (with the vector registers) stays on
//! the fiber's stack, and when the fiber is resumed the handler returns and the kernel restores every register from
//! it. `SA_NODEFER` with an empty mask keeps the thread's signal mask the same inside and outside of the handler,
//! so nothing has to be restored when the scheduler goes on. A frame that is abandoned leaves nothing behind in
//! the kernel. `errno` is saved and restored; `SA_RESTART` keeps system calls of host code going.

use std::mem;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::{PULSE, Pulse};
use crate::fiber;

const SIGNAL: libc::c_int = libc::SIGURG;

/// A range of code.
#[derive(Clone, Copy, Debug)]
struct Code {
    from: usize,
    to: usize,
}

impl Code {
    fn holds(&self, address: usize) -> bool {
        (self.from..self.to).contains(&address)
    }
}

/// The code a fiber may be suspended in.
#[derive(Debug)]
struct Text {
    /// QuickJS and its parts.
    engine: Code,
    /// The C library's functions on bytes.
    leaves: [Code; 6],
}

static TEXT: OnceLock<Option<Text>> = OnceLock::new();
/// The handler that was there before, on the heap, for ever.
static BEFORE: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

// The first and the last functions of QuickJS' object files, and some between them. Only their addresses are used.
unsafe extern "C" {
    fn js_malloc_rt();
    fn js_realloc_rt();
    fn JS_SetHostPromiseRejectionTracker();
    fn JS_NewRuntime2();
    fn JS_NewContext();
    fn JS_Call();
    fn JS_Eval();
    fn JS_WriteObject();
    fn JS_JSONStringify();
    fn JS_AddIntrinsicBaseObjects();
    fn JS_AddIntrinsicTypedArrays();
    fn JS_AddIntrinsicBigInt();
    fn JS_AddIntrinsicWeakRef();
    fn JS_AddIntrinsicDOMException();
    fn lre_compile();
    fn lre_exec();
    fn lre_case_conv();
    fn unicode_normalize();
    fn unicode_prop();
    fn js_dtoa();
    fn js_atod();
}

impl Text {
    /// QuickJS is compiled from C into a few objects of one archive, which a linker keeps together and in order:
    /// everything between two of its functions is QuickJS. Checked: the range is small, and no function of Rust or
    /// of the C library lies in it.
    fn find() -> Option<Self> {
        let engine = [
            js_malloc_rt as *const () as usize,
            js_realloc_rt as *const () as usize,
            JS_SetHostPromiseRejectionTracker as *const () as usize,
            JS_NewRuntime2 as *const () as usize,
            JS_NewContext as *const () as usize,
            JS_Call as *const () as usize,
            JS_Eval as *const () as usize,
            JS_WriteObject as *const () as usize,
            JS_JSONStringify as *const () as usize,
            JS_AddIntrinsicBaseObjects as *const () as usize,
            JS_AddIntrinsicTypedArrays as *const () as usize,
            JS_AddIntrinsicBigInt as *const () as usize,
            JS_AddIntrinsicWeakRef as *const () as usize,
            JS_AddIntrinsicDOMException as *const () as usize,
            lre_compile as *const () as usize,
            lre_exec as *const () as usize,
            lre_case_conv as *const () as usize,
            unicode_normalize as *const () as usize,
            unicode_prop as *const () as usize,
            js_dtoa as *const () as usize,
            js_atod as *const () as usize,
        ];
        let leaves = [
            libc::memcpy as *const () as usize,
            libc::memmove as *const () as usize,
            libc::memset as *const () as usize,
            libc::memchr as *const () as usize,
            libc::memcmp as *const () as usize,
            libc::strlen as *const () as usize,
        ];
        let engine = Code {
            from: engine.iter().copied().min()?,
            to: engine.iter().copied().max()?,
        };
        let foreign = [
            on_signal as *const () as usize,
            fiber::enter_stack as *const () as usize,
            std::thread::park as *const () as usize,
            std::alloc::handle_alloc_error as *const () as usize,
            libc::malloc as *const () as usize,
            libc::free as *const () as usize,
            libc::pthread_mutex_lock as *const () as usize,
        ];
        let size = engine.to - engine.from;
        let alone = !foreign.iter().chain(&leaves).any(|at| engine.holds(*at));
        // The parts of one such function, in hand-written assembly, lie around its entry; its neighbours are others
        // of the kind.
        let leaves = leaves.map(|at| Code {
            from: at.saturating_sub(1024),
            to: at.saturating_add(4096),
        });
        ((200_000..4_000_000).contains(&size) && alone).then_some(Self { engine, leaves })
    }

    /// Whether a fiber may be suspended at this place.
    fn allows(&self, at: &Place) -> bool {
        self.engine.holds(at.counter)
            || (self.engine.holds(at.caller) && self.leaves.iter().any(|leaf| leaf.holds(at.counter)))
    }
}

/// Where a thread was interrupted.
struct Place {
    counter: usize,
    stack: usize,
    /// Where a function without a frame of its own returns to; anything in other functions.
    caller: usize,
}

/// Installs the handler, once for the process. Says whether it can work here.
pub(super) fn install() -> bool {
    TEXT.get_or_init(|| {
        let text = Text::find().filter(|_| SUPPORTED)?;
        // SAFETY: an all-zero sigaction is valid; the handler has the signature SA_SIGINFO asks for. The old action
        // is stored before another thread can send the signal to a worker: workers register afterwards.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_NODEFER;
            libc::sigemptyset(&raw mut action.sa_mask);
            let mut before: libc::sigaction = mem::zeroed();
            if libc::sigaction(SIGNAL, ptr::null(), &raw mut before) != 0 {
                return None;
            }
            BEFORE.store(Box::into_raw(Box::new(before)), Ordering::SeqCst);
            if libc::sigaction(SIGNAL, &raw const action, ptr::null_mut()) != 0 {
                return None;
            }
        }
        Some(text)
    })
    .is_some()
}

/// Makes the calling thread reachable.
pub(super) fn enter(pulse: &Pulse) {
    // SAFETY: the set is initialised before it is used.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, SIGNAL);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut());
    }
    // SAFETY: no arguments.
    let own = unsafe { libc::pthread_self() };
    *pulse
        .thread
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(own);
}

/// The calling thread is about to end.
pub(super) fn leave(pulse: &Pulse) {
    *pulse
        .thread
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner) = None;
}

/// Sends the signal to the worker of this pulse.
pub(super) fn send(pulse: &Pulse) {
    let thread = pulse
        .thread
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(thread) = *thread {
        // SAFETY: the thread takes itself out under this lock before it ends.
        unsafe { libc::pthread_kill(thread, SIGNAL) };
    }
}

/// CPU time of the calling thread in nanoseconds.
fn cpu_time() -> u64 {
    // SAFETY: a plain out parameter; the call is allowed in signal handlers.
    unsafe {
        let mut time: libc::timespec = mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
        (time.tv_sec as u64) * 1_000_000_000 + time.tv_nsec as u64
    }
}

fn errno() -> *mut libc::c_int {
    // SAFETY: the address of this thread's errno; allowed in signal handlers.
    #[cfg(target_os = "linux")]
    unsafe {
        libc::__errno_location()
    }
    // SAFETY: as above.
    #[cfg(not(target_os = "linux"))]
    unsafe {
        libc::__error()
    }
}

extern "C" fn on_signal(number: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: both are addresses of this thread's own memory. The address of errno is asked for anew afterwards,
    // though the thread is the same.
    let saved = unsafe { *errno() };
    let pulse = PULSE.get();
    // SAFETY: `Lane` clears the pointer on this thread before the pulse goes away.
    match unsafe { pulse.as_ref() } {
        Some(pulse) if pulse.asked.load(Ordering::SeqCst) != 0 => {
            // SAFETY: the kernel passes the context of what it interrupted.
            let place = unsafe { interrupted(context) };
            consider(pulse, &place);
        }
        _ => chain(number, info, context),
    }
    // SAFETY: as above.
    unsafe { *errno() = saved };
}

/// Suspends the fiber if it has run long enough and is at a place that allows it.
fn consider(pulse: &Pulse, place: &Place) {
    let asked = pulse.asked.swap(0, Ordering::SeqCst);
    let beat = pulse.beat.load(Ordering::Relaxed);
    let Some(control) = fiber::interrupted(place.stack).filter(|_| beat == asked) else {
        return;
    };
    let now = cpu_time();
    control.hurry();
    if pulse.first.load(Ordering::Relaxed) != beat {
        pulse.first.store(beat, Ordering::Relaxed);
        pulse.first_cpu.store(now, Ordering::Relaxed);
    }
    let limit = u64::try_from(pulse.watch.limit.as_nanos()).unwrap_or(u64::MAX);
    let used = now.saturating_sub(pulse.first_cpu.load(Ordering::Relaxed));
    // One that was stuck before, or must end, has only what it had until the first signal.
    if used < limit && !control.is_suspect() {
        return;
    }
    match TEXT.get() {
        Some(Some(text)) if text.allows(place) => control.stall(),
        _ => pulse.missed.store(true, Ordering::Relaxed),
    }
}

/// Passes a signal that is not ours on.
fn chain(number: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the pointer is null or leads to a sigaction that is never changed or freed. Its handler has the
    // signature its flags say.
    unsafe {
        let Some(before) = BEFORE.load(Ordering::SeqCst).as_ref() else {
            return;
        };
        let handler = before.sa_sigaction;
        if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
            return;
        }
        if before.sa_flags & libc::SA_SIGINFO != 0 {
            let handler = mem::transmute::<
                usize,
                extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void),
            >(handler);
            handler(number, info, context);
        } else {
            let handler = mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler);
            handler(number);
        }
    }
}

const SUPPORTED: bool = cfg!(all(
    any(target_os = "linux", target_os = "macos"),
    any(target_arch = "x86_64", target_arch = "aarch64")
));

/// The word at the stack pointer of what was interrupted. Read in assembly, because it may be any part of a frame
/// that is not ours, which a sanitizer would object to.
///
/// # Safety
/// `stack` is the stack pointer of this thread's interrupted code.
#[cfg(target_arch = "x86_64")]
unsafe fn peek(stack: usize) -> usize {
    let word;
    // SAFETY: the stack is in use there, so it is readable.
    unsafe {
        std::arch::asm!("mov {}, [{}]", out(reg) word, in(reg) stack, options(nostack, readonly, preserves_flags));
    }
    word
}

/// # Safety
/// `context` is what a handler installed with SA_SIGINFO was given.
unsafe fn interrupted(context: *mut libc::c_void) -> Place {
    // SAFETY: passed on; on x86-64 the word at the stack pointer is readable, as the stack is in use.
    unsafe {
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        {
            let registers = &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
            let stack = registers[libc::REG_RSP as usize] as usize;
            Place {
                counter: registers[libc::REG_RIP as usize] as usize,
                stack,
                caller: peek(stack),
            }
        }
        #[cfg(all(target_os = "linux", target_arch = "aarch64"))]
        {
            let registers = &(*context.cast::<libc::ucontext_t>()).uc_mcontext;
            Place {
                counter: registers.pc as usize,
                stack: registers.sp as usize,
                caller: registers.regs[30] as usize,
            }
        }
        #[cfg(all(target_os = "macos", target_arch = "x86_64"))]
        {
            let registers = &(*(*context.cast::<libc::ucontext_t>()).uc_mcontext).__ss;
            let stack = registers.__rsp as usize;
            Place {
                counter: registers.__rip as usize,
                stack,
                caller: peek(stack),
            }
        }
        #[cfg(all(target_os = "macos", target_arch = "aarch64"))]
        {
            let registers = &(*(*context.cast::<libc::ucontext_t>()).uc_mcontext).__ss;
            Place {
                counter: registers.__pc as usize,
                stack: registers.__sp as usize,
                caller: registers.__lr as usize,
            }
        }
        #[cfg(not(all(
            any(target_os = "linux", target_os = "macos"),
            any(target_arch = "x86_64", target_arch = "aarch64")
        )))]
        {
            let _ = context;
            Place {
                counter: 0,
                stack: 0,
                caller: 0,
            }
        }
    }
}
