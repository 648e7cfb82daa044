//! Activations that can be suspended in the middle of JavaScript. One of the modules with `unsafe` code.
//!
//! A [`Fiber`] runs one function on its own stack. Code on that stack suspends itself through its [`Control`],
//! from the interrupt handler of QuickJS, from a host function, or from the signal handler that notices a built-in
//! function that never asks ([`crate::stall`]). The scheduler resumes it later.
//!
//! Invariants:
//! - A fiber never leaves its thread, and fibers never nest: `CURRENT` names the one that runs, and only its own
//!   control can suspend it.
//! - A fiber is never unwound from outside, because that would unwind through C frames. One that must end is
//!   resumed with its kill flag set: every suspension then returns at once, and QuickJS ends the script. Only one
//!   that is stuck in a built-in function is *abandoned*: its stack is used for something else and nothing on it
//!   is ever dropped. What an activation owns is therefore kept outside of the stack, in `Fiber::data`, and the
//!   control is marked as wrecked, so that its runtime is buried and not used again. What an abandoned stack
//!   leaks is what QuickJS' callers had in their hands: the arguments of one host function at most.

mod stacks;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use corosensei::stack::{DefaultStack, Stack as _};
use corosensei::{Coroutine, CoroutineResult, Yielder};
use rquickjs::{Ctx, qjs};

pub(crate) use self::stacks::StackPool;
use crate::stall;
use crate::stall::counter::{self, TURNS};

/// How long a fiber that must end may run before it is looked at again.
const LAST_SLICE: Duration = Duration::from_secs(3600);

/// Why a fiber suspended itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// It used up its slice.
    Slice,
    /// It waits for the host.
    Wait,
    /// A built-in function ran for long without asking; it was suspended in the middle.
    Stall,
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
    /// The control of the fiber that runs on this thread now; null on the scheduler's stack. Constant initial value
    /// and no destructor, so a signal handler may read it.
    static CURRENT: Cell<*const Control> = const { Cell::new(ptr::null()) };
}

/// Shared by a fiber's inside and the scheduler. One for each skill, reused by its activations.
pub(crate) struct Control {
    yielder: Cell<*const Yielder<(), Pause>>,
    /// The lowest and the highest address of the fiber's stack.
    stack: Cell<(usize, usize)>,
    slice_end: Cell<Instant>,
    /// How long its slices are: so much time is between two questions at most, as far as the turns allow.
    slice: Cell<Duration>,
    deadline: Cell<Instant>,
    kill: Cell<Option<Kill>>,
    slices: Cell<u32>,
    stalls: Cell<u32>,
    /// QuickJS' own count of turns until it asks again; null when it is not known.
    counter: Cell<*mut i32>,
    /// How many turns take about a slice.
    pace: Cell<i32>,
    asked: Cell<Instant>,
    wrecked: Cell<bool>,
}

/// A sign of life for the watchdog when host code is entered, and when this is dropped. See [`Control::enter_host`].
pub(crate) struct InHost;

impl Drop for InHost {
    fn drop(&mut self) {
        stall::beat();
    }
}

impl Control {
    pub(crate) fn new() -> Rc<Self> {
        let now = Instant::now();
        Rc::new(Self {
            yielder: Cell::new(ptr::null()),
            stack: Cell::new((0, 0)),
            slice_end: Cell::new(now),
            slice: Cell::new(Duration::ZERO),
            deadline: Cell::new(now),
            kill: Cell::new(None),
            slices: Cell::new(0),
            stalls: Cell::new(0),
            counter: Cell::new(ptr::null_mut()),
            pace: Cell::new(TURNS),
            asked: Cell::new(now),
            wrecked: Cell::new(false),
        })
    }

    /// Prepares for a new activation, which must not be running yet.
    pub(crate) fn begin(&self, deadline: Instant) {
        self.deadline.set(deadline);
        self.kill.set(None);
        self.slices.set(0);
        self.stalls.set(0);
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

    /// Whether an activation of this skill was abandoned, so that its runtime must not be used again.
    #[cfg(test)]
    pub(crate) fn is_wrecked(&self) -> bool {
        self.wrecked.get()
    }

    /// Whether the activation was stuck before, or must end: it gets shorter turns inside built-in functions.
    pub(crate) fn is_suspect(&self) -> bool {
        self.stalls.get() > 0 || self.kill.get().is_some()
    }

    /// Says that host code runs until the guard is dropped: each end is a sign of life.
    pub(crate) fn enter_host(&self) -> InHost {
        stall::beat();
        InHost
    }

    /// Called often while JavaScript runs. Suspends the fiber at the end of its slice; returns whether the
    /// script must end.
    pub(crate) fn poll(&self) -> bool {
        stall::beat();
        if self.kill.get().is_some() {
            return true;
        }
        let now = Instant::now();
        if now >= self.deadline.get() {
            self.kill(Kill::Deadline);
            return true;
        }
        self.set_pace(now);
        if now >= self.slice_end.get() {
            self.slices.set(self.slices.get().saturating_add(1));
            return !self.suspend(Pause::Slice);
        }
        false
    }

    /// Names the context of this skill, whose turns are counted. It outlives every activation that follows.
    pub(crate) fn count_turns(&self, ctx: &Ctx<'_>) {
        self.counter.set(counter::of(ctx));
    }

    /// Has QuickJS ask again after about a slice: sooner than after 10,000 turns when these took longer.
    fn set_pace(&self, now: Instant) {
        let gap = now.saturating_duration_since(self.asked.replace(now));
        let counter = self.counter.get();
        if counter.is_null() {
            return;
        }
        let (mut pace, slice) = (self.pace.get(), self.slice.get());
        if gap > slice {
            let share = slice.as_secs_f64() / gap.as_secs_f64();
            pace = ((f64::from(pace) * share) as i32).max(1);
        } else if pace < TURNS && gap < slice / 2 {
            pace = (pace * 2).min(TURNS);
        }
        self.pace.set(pace);
        if pace < TURNS {
            // SAFETY: the word is the counter of the context that is asking, on this thread (`count_turns`).
            unsafe { counter.write_volatile(pace) };
        }
    }

    /// Has QuickJS ask at the next turn. Called in the signal handler.
    pub(crate) fn hurry(&self) {
        let counter = self.counter.get();
        if !counter.is_null() {
            // SAFETY: as in `set_pace`. The interrupted code may be just about to write it too, which loses one of
            // the two writes: then the next signal tries again.
            unsafe { counter.write_volatile(1) };
        }
    }

    /// Suspends the running fiber and returns, after it was resumed, whether it may go on. Returns `false` at
    /// once when the kill flag is set, or when the caller is not this control's running fiber.
    ///
    /// No lock and no borrow that the scheduler or another fiber needs may be held here.
    pub(crate) fn suspend(&self, pause: Pause) -> bool {
        if self.kill.get().is_some() {
            return false;
        }
        self.switch(pause) && self.kill.get().is_none()
    }

    /// Suspends the running fiber from the signal handler, whether it must end or not: the scheduler decides whether
    /// it is ever resumed.
    pub(crate) fn stall(&self) {
        self.stalls.set(self.stalls.get().saturating_add(1));
        self.switch(Pause::Stall);
    }

    fn switch(&self, pause: Pause) -> bool {
        let yielder = self.yielder.get();
        if yielder.is_null() || !ptr::eq(CURRENT.get(), self) {
            return false;
        }
        // SAFETY: `yielder` was set by the closure in `Fiber::new` to the yielder on the fiber's own stack and is
        // reset to null before that closure returns, so it points to a live yielder. `CURRENT` is this control,
        // so this code runs on that fiber's stack, which is what `suspend` requires; the signal handler has checked
        // that by the stack pointer (`interrupted`), since `CURRENT` is set a little before and after. Suspending
        // inside of a signal handler is a call like any other: every register the switch does not save is in the
        // frame of the signal, and a suspension that was about to happen where the signal came reads the way back
        // to the scheduler only afterwards, when the resumption of this one has renewed it.
        unsafe { (*yielder).suspend(pause) };
        true
    }
}

/// The control of the running fiber, if `stack_pointer` lies on its stack. For the signal handler.
pub(crate) fn interrupted(stack_pointer: usize) -> Option<&'static Control> {
    // SAFETY: while a control is current its fiber holds a reference to it, and the caller is on that fiber's
    // thread; the result is used on the same stack only.
    let control = unsafe { CURRENT.get().as_ref() }?;
    let (low, high) = control.stack.get();
    (low < stack_pointer && stack_pointer < high).then_some(control)
}

/// What a fiber did when it was resumed.
pub(crate) enum Step<T> {
    Paused(Pause),
    /// It returned, or it panicked.
    Done(thread::Result<T>),
}

/// One activation on its own stack, with what it owns.
pub(crate) struct Fiber<A, T> {
    /// `None` after it is done.
    coroutine: Option<Coroutine<(), Pause, thread::Result<T>, DefaultStack>>,
    control: Rc<Control>,
    /// A box that outlives everything on the stack. A raw pointer, because the body holds a reference to it.
    data: NonNull<A>,
}

impl<A: 'static, T: 'static> Fiber<A, T> {
    /// Prepares `body(&data)` to run on `stack`.
    pub(crate) fn new(stack: DefaultStack, control: Rc<Control>, data: A, body: fn(&A) -> T) -> Self {
        let inside = Rc::as_ptr(&control);
        let data = NonNull::from(Box::leak(Box::new(data)));
        control.stack.set((stack.limit().get(), stack.base().get()));
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<(), Pause>, ()| {
            // SAFETY: the fiber holds the control and the data, and nothing runs on this stack after the fiber is
            // dropped.
            let (inside, data) = unsafe { (&*inside, data.as_ref()) };
            inside.yielder.set(yielder);
            let result = catch_unwind(AssertUnwindSafe(|| body(data)));
            inside.yielder.set(ptr::null());
            result
        });
        Self {
            coroutine: Some(coroutine),
            control,
            data,
        }
    }

    /// Runs the fiber until it suspends itself or ends. Its stack goes back to `stacks` when it ends.
    pub(crate) fn resume(&mut self, slice: Duration, stacks: &mut StackPool) -> Step<T> {
        match self.run(slice) {
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

    fn run(&mut self, slice: Duration) -> Option<CoroutineResult<Pause, thread::Result<T>>> {
        let coroutine = self.coroutine.as_mut()?;
        assert!(CURRENT.get().is_null(), "fibers never nest");
        let now = Instant::now();
        self.control.slice.set(slice);
        self.control.slice_end.set(now + slice);
        self.control.asked.set(now);
        CURRENT.set(Rc::as_ptr(&self.control));
        stall::running();
        // The body catches its own panics, so `resume` returns.
        let result = coroutine.resume(());
        stall::idle();
        CURRENT.set(ptr::null());
        Some(result)
    }

    /// Runs the fiber to its end with its kill flag set, or abandons it when it gets stuck on the way.
    pub(crate) fn end(mut self, stacks: &mut StackPool) {
        self.finish(stacks);
    }

    /// Never resumes the fiber again: frees its stack without unwinding it and marks its control as wrecked.
    /// Meant for one that is suspended in the middle of a built-in function.
    pub(crate) fn abandon(mut self, stacks: &mut StackPool) {
        self.wreck(stacks);
    }

    fn finish(&mut self, stacks: &mut StackPool) {
        self.control.kill(Kill::Stopped);
        while self.coroutine.as_ref().is_some_and(Coroutine::started) {
            match self.resume(LAST_SLICE, stacks) {
                // With the flag set, a fiber suspends itself only when it is stuck.
                Step::Paused(Pause::Stall) => return self.wreck(stacks),
                Step::Paused(_) | Step::Done(_) => {}
            }
        }
    }

    fn wreck(&mut self, stacks: &mut StackPool) {
        let Some(mut coroutine) = self.coroutine.take() else {
            return;
        };
        self.control.wrecked.set(true);
        self.control.yielder.set(ptr::null());
        // SAFETY: nothing on this stack runs again, so what would have to be dropped there is leaked, which is
        // safe: no reference to it is left elsewhere (`data` and the control are kept outside, the runtime is
        // buried). The kernel keeps no state for the frame of the signal that the stack may end in.
        unsafe { coroutine.force_reset() };
        stacks.give(coroutine.into_stack());
    }
}

impl<A, T> Drop for Fiber<A, T> {
    fn drop(&mut self) {
        debug_assert!(
            self.coroutine
                .as_ref()
                .is_none_or(|coroutine| !coroutine.started()),
            "a fiber that started is ended or abandoned, not dropped"
        );
        if let Some(coroutine) = self.coroutine.take()
            && coroutine.started()
        {
            // Only when the scheduler itself panics. Unwinding the stack would go through C frames, so it stays.
            self.control.wrecked.set(true);
            std::mem::forget(coroutine);
            return;
        }
        // SAFETY: made by `Box::leak` in `new`, and nothing on the fiber's stack refers to it any more.
        drop(unsafe { Box::from_raw(self.data.as_ptr()) });
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
mod tests;
