//! Activations that can be suspended in the middle of JavaScript: the only module with `unsafe` code.
//!
//! A [`Fiber`] runs one closure on its own stack. Code on that stack suspends itself through its [`Control`],
//! from the interrupt handler of QuickJS or from a host function, and the scheduler resumes it later.
//!
//! Invariants:
//! - A fiber never leaves its thread, and fibers never nest: `CURRENT` names the one that runs, and only its own
//!   control can suspend it.
//! - A fiber is never unwound from outside, because that would unwind through C frames. One that must end is
//!   resumed with its kill flag set: every suspension then returns at once, and QuickJS ends the script.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::thread;
use std::time::Instant;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use rquickjs::{Ctx, qjs};

/// The size of a fiber's stack: 512 KB for JavaScript, the rest for host functions and their libraries. Pages
/// that are never touched cost address space only.
const STACK_SIZE: usize = 1024 * 1024;
/// How many unused stacks are kept.
const KEPT_STACKS: usize = 32;

/// Why a fiber suspended itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// It used up its slice.
    Slice,
    /// It waits for the host.
    Wait,
}

/// Why a fiber must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    /// It reached its wall limit.
    Deadline,
    /// Nobody waits for its result any more.
    Cancelled,
    /// Its skill is being stopped.
    Stopped,
}

thread_local! {
    /// The control of the fiber that runs on this thread now; null on the scheduler's stack.
    static CURRENT: Cell<*const Control> = const { Cell::new(ptr::null()) };
}

/// Shared by a fiber's inside and the scheduler. One for each skill, reused by its activations.
pub(crate) struct Control {
    yielder: Cell<*const Yielder<(), Pause>>,
    slice_end: Cell<Instant>,
    deadline: Cell<Instant>,
    kill: Cell<Option<Kill>>,
    slices: Cell<u32>,
    /// How deep host functions are nested on this fiber now.
    in_host: Cell<u32>,
}

/// Marks that host code runs, until it is dropped. See [`Control::enter_host`].
pub(crate) struct InHost<'a>(&'a Cell<u32>);

impl Drop for InHost<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Control {
    pub(crate) fn new() -> Rc<Self> {
        let now = Instant::now();
        Rc::new(Self {
            yielder: Cell::new(ptr::null()),
            slice_end: Cell::new(now),
            deadline: Cell::new(now),
            kill: Cell::new(None),
            slices: Cell::new(0),
            in_host: Cell::new(0),
        })
    }

    /// Prepares for a new activation, which must not be running yet.
    pub(crate) fn begin(&self, deadline: Instant) {
        self.deadline.set(deadline);
        self.kill.set(None);
        self.slices.set(0);
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline.get()
    }

    /// Sets the kill flag; the first reason stays.
    pub(crate) fn kill(&self, reason: Kill) {
        if self.kill.get().is_none() {
            self.kill.set(Some(reason));
        }
    }

    pub(crate) fn killed(&self) -> Option<Kill> {
        self.kill.get()
    }

    /// How many slices the activation has used up.
    pub(crate) fn slices(&self) -> u32 {
        self.slices.get()
    }

    /// Says that host code runs on this fiber until the guard is dropped. Outside of it, a fiber runs only QuickJS'
    /// own code and the skill's allocator.
    pub(crate) fn enter_host(&self) -> InHost<'_> {
        self.in_host.set(self.in_host.get() + 1);
        InHost(&self.in_host)
    }

    /// Called often while JavaScript runs. Suspends the fiber at the end of its slice; returns whether the
    /// script must end.
    pub(crate) fn poll(&self) -> bool {
        if self.kill.get().is_some() {
            return true;
        }
        let now = Instant::now();
        if now >= self.deadline.get() {
            self.kill(Kill::Deadline);
            return true;
        }
        if now >= self.slice_end.get() {
            self.slices.set(self.slices.get().saturating_add(1));
            return !self.suspend(Pause::Slice);
        }
        false
    }

    /// Suspends the running fiber and returns, after it was resumed, whether it may go on. Returns `false` at
    /// once when the kill flag is set, or when the caller is not this control's running fiber.
    ///
    /// No lock and no borrow that the scheduler or another fiber needs may be held here.
    pub(crate) fn suspend(&self, pause: Pause) -> bool {
        let yielder = self.yielder.get();
        if self.kill.get().is_some() || yielder.is_null() || !ptr::eq(CURRENT.get(), self) {
            return false;
        }
        // SAFETY: `yielder` was set by the closure in `Fiber::new` to the yielder on the fiber's own stack and is
        // reset to null before that closure returns, so it points to a live yielder. `CURRENT` is this control,
        // so this code runs on that fiber's stack, which is what `suspend` requires.
        unsafe { (*yielder).suspend(pause) };
        self.kill.get().is_none()
    }
}

/// What a fiber did when it was resumed.
pub(crate) enum Step<T> {
    Paused(Pause),
    /// It returned, or it panicked.
    Done(thread::Result<T>),
}

/// One activation on its own stack.
pub(crate) struct Fiber<T> {
    /// `None` after it is done.
    coroutine: Option<Coroutine<(), Pause, thread::Result<T>, DefaultStack>>,
    control: Rc<Control>,
}

impl<T: 'static> Fiber<T> {
    pub(crate) fn new(stack: DefaultStack, control: Rc<Control>, body: impl FnOnce() -> T + 'static) -> Self {
        let inside = Rc::clone(&control);
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<(), Pause>, ()| {
            inside.yielder.set(yielder);
            let result = catch_unwind(AssertUnwindSafe(body));
            inside.yielder.set(ptr::null());
            result
        });
        Self {
            coroutine: Some(coroutine),
            control,
        }
    }

    /// Runs the fiber until it suspends itself or ends. Its stack goes back to `stacks` when it ends.
    pub(crate) fn resume(&mut self, slice_end: Instant, stacks: &mut StackPool) -> Step<T> {
        match self.run(slice_end) {
            Some(CoroutineResult::Yield(pause)) => Step::Paused(pause),
            Some(CoroutineResult::Return(result)) => {
                if let Some(coroutine) = self.coroutine.take() {
                    stacks.give(coroutine.into_stack());
                }
                Step::Done(result)
            }
            None => Step::Done(Err(Box::new("the fiber has ended already"))),
        }
    }

    fn run(&mut self, slice_end: Instant) -> Option<CoroutineResult<Pause, thread::Result<T>>> {
        let coroutine = self.coroutine.as_mut()?;
        assert!(CURRENT.get().is_null(), "fibers never nest");
        self.control.slice_end.set(slice_end);
        CURRENT.set(Rc::as_ptr(&self.control));
        // The body catches its own panics, so `resume` returns.
        let result = coroutine.resume(());
        CURRENT.set(ptr::null());
        Some(result)
    }
}

impl<T> Drop for Fiber<T> {
    fn drop(&mut self) {
        let Some(mut coroutine) = self.coroutine.take() else {
            return;
        };
        if coroutine.done() {
            return;
        }
        if coroutine.started() {
            // Ended by resuming: with the kill flag set no suspension succeeds, so one resume runs it to its end.
            self.control.kill(Kill::Stopped);
            let outer = CURRENT.replace(Rc::as_ptr(&self.control));
            let ended = matches!(coroutine.resume(()), CoroutineResult::Return(_));
            CURRENT.set(outer);
            if !ended {
                // Leaking its stack is the only other choice that does not unwind through C.
                std::mem::forget(coroutine);
            }
        }
    }
}

/// Stacks of ended fibers, for the next ones.
#[derive(Default)]
pub(crate) struct StackPool(Vec<DefaultStack>);

impl StackPool {
    pub(crate) fn take(&mut self) -> std::io::Result<DefaultStack> {
        match self.0.pop() {
            Some(stack) => Ok(stack),
            None => DefaultStack::new(STACK_SIZE),
        }
    }

    fn give(&mut self, stack: DefaultStack) {
        if self.0.len() < KEPT_STACKS {
            self.0.push(stack);
        }
    }
}

/// Tells QuickJS that its stack starts here. Called exactly once at the entry of each activation: calling it
/// deeper would let recursion through host functions escape the stack limit.
///
/// rquickjs built without `parallel` never calls this itself.
pub(crate) fn enter_stack(ctx: &Ctx<'_>) {
    // SAFETY: `ctx` proves that the context is alive and that this thread holds its runtime. The call only
    // records the current stack pointer in the runtime.
    unsafe { qjs::JS_UpdateStackTop(qjs::JS_GetRuntime(ctx.as_raw().as_ptr())) };
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn far_future() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    fn slice() -> Instant {
        Instant::now() + Duration::from_millis(5)
    }

    #[test]
    fn a_fiber_suspends_and_ends_with_its_value() {
        let mut stacks = StackPool::default();
        let control = Control::new();
        control.begin(far_future());
        let inside = Rc::clone(&control);
        let mut fiber = Fiber::new(stacks.take().unwrap(), Rc::clone(&control), move || {
            assert!(inside.suspend(Pause::Wait));
            7
        });
        assert!(matches!(
            fiber.resume(slice(), &mut stacks),
            Step::Paused(Pause::Wait)
        ));
        assert!(matches!(fiber.resume(slice(), &mut stacks), Step::Done(Ok(7))));
        assert_eq!(stacks.0.len(), 1);
    }

    #[test]
    fn polling_suspends_at_the_end_of_the_slice_and_ends_at_the_deadline() {
        let mut stacks = StackPool::default();
        let control = Control::new();
        control.begin(Instant::now() + Duration::from_millis(20));
        let inside = Rc::clone(&control);
        let mut fiber = Fiber::new(stacks.take().unwrap(), Rc::clone(&control), move || {
            while !inside.poll() {}
        });
        let mut pauses = 0;
        while let Step::Paused(Pause::Slice) =
            fiber.resume(Instant::now() + Duration::from_millis(1), &mut stacks)
        {
            pauses += 1;
        }
        assert!(pauses > 1);
        assert_eq!(control.killed(), Some(Kill::Deadline));
    }

    #[test]
    fn dropping_a_suspended_fiber_runs_it_to_its_end() {
        struct Flag(Rc<Cell<bool>>);
        impl Drop for Flag {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let mut stacks = StackPool::default();
        let control = Control::new();
        control.begin(far_future());
        let ended = Rc::new(Cell::new(false));
        let (inside, flag) = (Rc::clone(&control), Flag(Rc::clone(&ended)));
        let mut fiber = Fiber::new(stacks.take().unwrap(), control, move || {
            let _flag = flag;
            while inside.suspend(Pause::Wait) {}
        });
        let _ = fiber.resume(slice(), &mut stacks);
        drop(fiber);
        assert!(ended.get());
    }

    #[test]
    fn a_control_cannot_suspend_from_outside_its_fiber() {
        let mut stacks = StackPool::default();
        let (one, two) = (Control::new(), Control::new());
        one.begin(far_future());
        two.begin(far_future());
        assert!(!one.suspend(Pause::Wait), "not on the scheduler's stack");
        let foreign = Rc::clone(&one);
        let mut first = Fiber::new(stacks.take().unwrap(), Rc::clone(&one), {
            let one = Rc::clone(&one);
            move || one.suspend(Pause::Wait)
        });
        let _ = first.resume(slice(), &mut stacks);
        let mut second = Fiber::new(stacks.take().unwrap(), two, move || foreign.suspend(Pause::Wait));
        assert!(matches!(
            second.resume(slice(), &mut stacks),
            Step::Done(Ok(false))
        ));
    }

    #[test]
    fn a_panic_stays_inside_and_the_stack_is_kept() {
        let mut stacks = StackPool::default();
        let control = Control::new();
        control.begin(far_future());
        let mut fiber = Fiber::new(stacks.take().unwrap(), control, || -> u8 {
            std::panic::panic_any("inside")
        });
        assert!(matches!(fiber.resume(slice(), &mut stacks), Step::Done(Err(_))));
        assert_eq!(stacks.0.len(), 1);
    }
}
