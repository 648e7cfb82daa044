//! Where QuickJS counts down to its next question whether to go on.
//!
//! QuickJS asks after 10,000 loop turns or calls, which take 70 us when each is cheap and minutes when each is a
//! built-in function over megabytes. With its counter in reach, a fiber sets how soon it is asked again by how long
//! the last turns took ([`Control::poll`](crate::fiber::Control::poll)), and the watchdog can have the next turn
//! ask. So loops of heavy built-in functions are shared and ended like any other loop, and only a single call that
//! takes long by itself has to be suspended inside.
//!
//! The counter is a field of a private structure. Its place is not assumed: it is looked for once in each process,
//! next to a list that is known to be empty, and believed only when a context behaves as it must when the field
//! is set. When that fails, everything works as without it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::OnceLock;

use rquickjs::{Context, Ctx};

use crate::arena::{Arena, bury};

/// What QuickJS sets the counter to.
pub(crate) const TURNS: i32 = 10_000;
/// More than the size of a context.
const SEARCHED: usize = 1024;

/// Looks for the place. Done on the thread that starts the watchdog: what runs here must not be suspended.
pub(crate) fn prepare() {
    PLACE.get_or_init(find);
}

/// The counter of a context; null when its place is not known.
pub(crate) fn of(ctx: &Ctx<'_>) -> *mut i32 {
    match *PLACE.get_or_init(find) {
        Some(offset) => ctx.as_raw().as_ptr().cast::<u8>().wrapping_add(offset).cast(),
        None => std::ptr::null_mut(),
    }
}

static PLACE: OnceLock<Option<usize>> = OnceLock::new();

fn find() -> Option<usize> {
    let arena = Arena::new(1 << 20).ok()?;
    let runtime = arena.runtime().ok()?;
    let asked = Rc::new(Cell::new(0));
    let count = Rc::clone(&asked);
    runtime.set_interrupt_handler(Some(Box::new(move || {
        count.set(count.get() + 1);
        false
    })));
    let context = Context::full(&runtime).ok();
    let found = context
        .as_ref()
        .and_then(|context| context.with(|ctx| search(&ctx, &asked)));
    bury(runtime, context, arena);
    if found.is_none() {
        tracing::warn!(
            "QuickJS' interrupt counter was not found: loops of heavy built-in functions are shared less fairly"
        );
    }
    found
}

fn search(ctx: &Ctx<'_>, asked: &Cell<u32>) -> Option<usize> {
    let base = ctx.as_raw().as_ptr().cast::<u8>();
    let step = size_of::<usize>();
    for offset in (step..SEARCHED).step_by(step) {
        let place = base.wrapping_add(offset).cast::<usize>();
        // SAFETY: a context lies in its arena, whose first commit step is far larger than what is searched.
        let (next, prev) = unsafe { (place.read(), place.wrapping_add(1).read()) };
        if next != place as usize || prev != place as usize {
            continue;
        }
        let counter = place.cast::<i32>().wrapping_sub(1);
        if proves(ctx, counter, asked) {
            return Some(offset - size_of::<i32>());
        }
    }
    None
}

/// Whether a context counts down there and asks when it gets to zero.
fn proves(ctx: &Ctx<'_>, counter: *mut i32, asked: &Cell<u32>) -> bool {
    let loops = |turns: u32| {
        ctx.eval::<(), _>(format!("for (let i = 0; i < {turns}; i++);"))
            .is_ok()
    };
    // SAFETY: `counter` is a four-byte word inside the context. What it held is put back when it is not a counter; a
    // word that a script of one loop does not change is no pointer it uses.
    unsafe {
        let before = counter.read();
        if !(0..=TURNS).contains(&before) || !loops(1) {
            return false;
        }
        let first = counter.read();
        let calm = asked.get();
        if !loops(100) {
            return false;
        }
        let counted = first - counter.read();
        if !(100..500).contains(&counted) || asked.get() != calm {
            return false;
        }
        counter.write(1);
        loops(3) && asked.get() == calm + 1 && (TURNS - 100..=TURNS).contains(&counter.read())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_in_the_engine_that_is_built_in() {
        let offset = PLACE.get_or_init(find).expect("found");
        assert!(offset.is_multiple_of(size_of::<i32>()) && offset < SEARCHED);
    }
}
