//! One skill's JavaScript runtime. Created, used and freed on its worker; used only inside a fiber.

use std::cell::{Cell, OnceCell, RefCell};
use std::mem;
use std::rc::Rc;
use std::sync::Arc;

use rquickjs::{CaughtError, Context, Ctx, Error, Persistent, Runtime, Value};

use super::dispatch::Dispatch;
use super::host::{Host, Settled};
use super::library::Realm;
use super::modules::Modules;
use super::ops::HostError;
use super::raw;
use crate::arena::{Arena, bury};
use crate::error::CallError;
use crate::fiber::enter_stack;
use crate::shared::CallKind;

/// The JavaScript stack; the fiber's stack has room beyond it for host functions.
const JS_STACK: usize = 512 * 1024;
/// Rejected promises nobody handles that are kept until the end of an activation.
const MAX_REJECTIONS: usize = 16;

/// A runtime with its context and the function that dispatches calls into the bundle.
///
/// Made outside of a fiber and filled inside, so that it can be freed when the fiber never ends. It is not taken apart
/// but buried with its arena, in whatever state it is: see [`bury`].
#[derive(Default)]
pub(crate) struct JsInstance {
    dispatch: OnceCell<Dispatch>,
    rejections: Rc<Rejections>,
    realm: OnceCell<Rc<Realm>>,
    context: OnceCell<Context>,
    runtime: OnceCell<Runtime>,
    arena: OnceCell<Arena>,
    churn: Cell<Churn>,
}

/// Whether calls make and free the same chunk of the heap again and again.
#[derive(Clone, Copy, Default)]
struct Churn {
    /// Chunks freed when it was last looked at.
    seen: usize,
    /// How many activations in a row have freed one.
    streak: u8,
    /// How often something was done about it.
    settled: u8,
}

impl Drop for JsInstance {
    fn drop(&mut self) {
        self.rejections.forget();
        mem::forget(self.dispatch.take());
        if let Some(realm) = self.realm.take() {
            realm.forget();
        }
        if let Some(arena) = self.arena.take() {
            match self.runtime.take() {
                Some(runtime) => bury(runtime, self.context.take(), arena),
                None => drop(arena),
            }
        }
    }
}

/// Promises that were rejected and that nobody handles yet, with the reason.
#[derive(Default)]
struct Rejections(RefCell<Vec<(Persistent<Value<'static>>, Persistent<Value<'static>>)>>);

impl Rejections {
    /// Lets go of the values without touching them: their runtime is about to be buried.
    fn forget(&self) {
        // A fiber that was abandoned while it borrowed the list leaks it.
        if let Ok(mut waiting) = self.0.try_borrow_mut() {
            for entry in waiting.drain(..) {
                mem::forget(entry);
            }
        }
    }

    /// Called by the engine when a promise is rejected without a handler, and when it gets one later.
    fn track<'js>(&self, ctx: &Ctx<'js>, promise: Value<'js>, reason: Value<'js>, handled: bool) {
        let mut waiting = self.0.borrow_mut();
        if handled {
            waiting.retain(|(known, _)| known.clone().restore(ctx).map_or(true, |known| known != promise));
        } else if waiting.len() < MAX_REJECTIONS {
            waiting.push((Persistent::save(ctx, promise), Persistent::save(ctx, reason)));
        }
    }

    /// Logs what nobody has handled by now.
    fn report(&self, ctx: &Ctx<'_>, host: &Host) {
        let waiting = self.0.take();
        for (_, reason) in waiting {
            if let Ok(reason) = reason.restore(ctx) {
                let text = describe_value(ctx, reason);
                host.log("error", &format!("a rejected promise was not handled: {text}"));
            }
        }
    }
}

/// What an activation does.
pub(crate) enum Work {
    Call {
        id: u64,
        kind: CallKind,
        name: String,
        payload: String,
    },
    Timer(u32),
    Settle {
        operation: u32,
        result: Result<Settled, HostError>,
    },
    /// Run jobs that are left over.
    Pump,
}

impl JsInstance {
    /// Creates the runtime and evaluates the bundle. Runs once, inside a fiber.
    pub(crate) fn boot(&self, host: &Rc<Host>) -> Result<(), CallError> {
        let failed = |error: Error| CallError::Threw(format!("cannot create a JavaScript runtime: {error}"));
        let limit = memory_limit(host);
        let arena = Arena::new(limit)
            .map_err(|error| CallError::Threw(format!("no address space for a skill's memory: {error}")))?;
        let arena = self.arena.get_or_init(|| arena);
        let runtime = arena.runtime().map_err(failed)?;
        let runtime = self.runtime.get_or_init(|| runtime);
        // The arena refuses first, and leaves room for the error; this is the same limit once more, a little higher.
        runtime.set_memory_limit(limit.saturating_add(64 * 1024));
        runtime.set_max_stack_size(JS_STACK);
        let control = Rc::clone(&host.control);
        runtime.set_interrupt_handler(Some(Box::new(move || control.poll())));
        let (tracked, control) = (Rc::clone(&self.rejections), Rc::clone(&host.control));
        runtime.set_host_promise_rejection_tracker(Some(Box::new(move |ctx, promise, reason, handled| {
            let _host = control.enter_host();
            tracked.track(&ctx, promise, reason, handled);
        })));
        if host.skill.package.is_module() {
            let modules = Modules::new(host);
            runtime.set_loader(modules.clone(), modules);
        }
        let context = raw::intrinsics::context(runtime).map_err(failed)?;
        let context = self.context.get_or_init(|| context);
        context.with(|ctx| {
            enter_stack(&ctx);
            host.control.count_turns(&ctx);
            self.load(&ctx, host)
                .map_err(|error| CallError::Threw(describe(&ctx, error)))
        })?;
        Ok(())
    }

    /// Attaches the library and runs the bundle.
    fn load(&self, ctx: &Ctx<'_>, host: &Rc<Host>) -> rquickjs::Result<()> {
        let realm = self.realm.get_or_init(|| Realm::new(host));
        let exports = realm.install(ctx).map_err(|error| raise(ctx, &error))?;
        let _ = self.dispatch.set(Dispatch::new(ctx, &exports)?);
        #[cfg(feature = "kit")]
        host.shared.kit.prepare(ctx)?;
        let package = &host.skill.package;
        if package.is_module() {
            return super::modules::run_entry(ctx, host);
        }
        let bytecode = match package.bytecode().get() {
            Some(known) => Arc::clone(known),
            None => {
                let compiled = raw::compile(ctx, package.code(), &package.manifest().entry, false)?;
                Arc::clone(package.bytecode().get_or_init(|| compiled.into()))
            }
        };
        raw::load(ctx, &bytecode).map(drop)
    }

    /// Gives memory that is free but was used back to the system.
    pub(crate) fn trim(&self) {
        if let Some(arena) = self.arena.get() {
            arena.trim();
        }
    }

    /// How often these bytes occur in the memory of the runtime, free memory included.
    pub(crate) fn occurrences(&self, needle: &[u8]) -> usize {
        self.arena.get().map_or(0, |arena| arena.count(needle))
    }

    /// Runs one activation and the jobs it leaves; returns whether jobs are left. Runs inside a fiber.
    pub(crate) fn run(&self, host: &Host, work: Work) -> bool {
        let (Some(context), Some(realm), Some(dispatch)) =
            (self.context.get(), self.realm.get(), self.dispatch.get())
        else {
            return false;
        };
        context.with(|ctx| {
            enter_stack(&ctx);
            let call = if let Work::Call { id, .. } = &work {
                Some(*id)
            } else {
                None
            };
            let outcome = match work {
                Work::Call {
                    id,
                    kind,
                    name,
                    payload,
                } => dispatch.call(&ctx, host, id, kind, &name, &payload),
                Work::Timer(id) => dispatch.timer(&ctx, id),
                Work::Settle { operation, result } => dispatch.answer(&ctx, realm, operation, result),
                Work::Pump => Ok(()),
            };
            if let Err(error) = outcome {
                // The script was ended, or memory ran out before the bootstrap could report.
                let message = describe(&ctx, raise(&ctx, &error));
                match call {
                    Some(call) if host.control.killed().is_none() => {
                        host.fail(call, CallError::Threw(message));
                    }
                    Some(_) => {}
                    None => host.log("error", &message),
                }
            }
            let jobs_left = pump(&ctx, host);
            if let Some(panic) = host.take_panic() {
                std::panic::resume_unwind(panic);
            }
            if !jobs_left {
                self.rejections.report(&ctx, host);
            }
            if host.control.slices() > 0 && host.control.killed().is_none() {
                self.make_room(&ctx, host);
            }
            self.settle_heap(&ctx);
            jobs_left
        })
    }

    /// Ends the making and freeing of the same chunk in every call, which would cost more than the call.
    fn settle_heap(&self, ctx: &Ctx<'_>) {
        const OFTEN: u8 = 8;
        const TIMES: u8 = 4;
        let Some(arena) = self.arena.get() else {
            return;
        };
        let Churn {
            seen,
            streak,
            settled,
        } = self.churn.get();
        let freed = arena.churn();
        let streak = if freed == seen {
            0
        } else {
            streak.saturating_add(1)
        };
        let due = streak >= OFTEN && settled < TIMES;
        if due {
            raw::keep_spare_chunks(ctx, || arena.asked());
        }
        self.churn.set(Churn {
            seen: freed,
            streak: if due { 0 } else { streak },
            settled: settled + u8::from(due),
        });
    }

    /// Collects cycles when memory is nearly used up. QuickJS waits until the heap has grown by half again, which
    /// the limit may not allow, so that every later call would run out of memory. Only worth it after long
    /// activations.
    fn make_room(&self, ctx: &Ctx<'_>, host: &Host) {
        const ROOM: usize = 512 * 1024;
        let used = self.arena.get().map_or(0, Arena::used);
        if used.saturating_add(ROOM) > memory_limit(host) {
            ctx.run_gc();
        }
    }
}

/// The most bytes a skill's heap may hold.
fn memory_limit(host: &Host) -> usize {
    let limit = host.skill.package.manifest().memory_limit_mb * 1024 * 1024;
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Makes a host error the pending exception.
fn raise(ctx: &Ctx<'_>, error: &HostError) -> Error {
    match error {
        HostError::Js => Error::Exception,
        other => rquickjs::Exception::throw_message(ctx, &other.to_string()),
    }
}

/// Runs pending jobs until none is left, the activation must end, or it has used a slice while messages wait.
fn pump(ctx: &Ctx<'_>, host: &Host) -> bool {
    loop {
        if host.control.poll() {
            return true;
        }
        if host.control.slices() > 0 && host.has_messages() {
            return true;
        }
        if !ctx.execute_pending_job() {
            return false;
        }
    }
}

fn describe<'js>(ctx: &Ctx<'js>, error: Error) -> String {
    match CaughtError::from_error(ctx, error) {
        CaughtError::Exception(exception) => {
            let message = exception.message().unwrap_or_default();
            let stack = exception.stack().unwrap_or_default();
            format!("{message}{}", own_frames(&stack))
        }
        CaughtError::Value(value) => match value.as_string().map(rquickjs::String::to_string) {
            Some(Ok(text)) => text,
            _ => format!("a value of type {} was thrown", value.type_of().as_str()),
        },
        CaughtError::Error(error) => error.to_string(),
    }
}

fn describe_value<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> String {
    let error = ctx.throw(value);
    describe(ctx, error)
}

/// The first two frames of the skill's own code, each on a line of its own: none of the bootstrap, of
/// the engine, or of text that was evaluated or parsed.
/// The bootstrap does the same for what it reports itself.
fn own_frames(stack: &str) -> String {
    let own = |line: &&str| {
        let hosts = line.contains("(<null>") || line.contains("(openhuman:");
        let foreign = hosts || line.contains("<input>:") || line.ends_with("(native)");
        line.trim_start().starts_with("at ") && !foreign
    };
    let frames = stack.lines().map(str::trim_end).filter(own).take(2);
    frames.flat_map(|line| ["\n", line]).collect()
}

#[cfg(test)]
mod tests {
    use super::own_frames;

    #[test]
    fn frames_of_the_host_are_left_out() {
        let stack = "    at <input>:1:2\n    at parse (native)\n    at fetch (<null>)\n    at a (index.js:1:2)\n    \
                     at b (index.js:2:2)\n    at c (index.js:3:2)\n    at <anonymous> (openhuman:bootstrap:236:60)\n";
        assert_eq!(
            own_frames(stack),
            "\n    at a (index.js:1:2)\n    at b (index.js:2:2)"
        );
        assert_eq!(own_frames("    at index.js:1:5\n"), "\n    at index.js:1:5");
        assert_eq!(own_frames("no frames here\n"), "");
    }
}
