//! One skill's JavaScript runtime. Created, used and freed on its worker; used only inside a fiber.

use std::rc::Rc;

use rquickjs::context::EvalOptions;
use rquickjs::{ArrayBuffer, CaughtError, Context, Ctx, Error, Function, Persistent, Runtime};

use super::host::Host;
use super::install::host_object;
use crate::error::CallError;
use crate::fiber::enter_stack;
use crate::shared::CallKind;

/// The JavaScript stack; the fiber's stack has room beyond it for host functions.
const JS_STACK: usize = 512 * 1024;
const BOOTSTRAP: &str = include_str!("bootstrap.js");

/// A runtime with its context and the function that dispatches calls into the bundle.
///
/// The fields are dropped in this order: nothing may outlive the runtime.
pub(crate) struct JsInstance {
    dispatch: Persistent<Function<'static>>,
    context: Context,
    _runtime: Runtime,
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
        result: Result<String, String>,
    },
    /// Run jobs that are left over.
    Pump,
}

impl JsInstance {
    /// Creates the runtime and evaluates the bundle. Runs inside a fiber.
    pub(crate) fn boot(host: &Rc<Host>) -> Result<Self, CallError> {
        let failed = |error: Error| CallError::Threw(format!("cannot create a JavaScript runtime: {error}"));
        let manifest = host.skill.package.manifest();
        let runtime = Runtime::new().map_err(failed)?;
        runtime
            .set_memory_limit(usize::try_from(manifest.memory_limit_mb * 1024 * 1024).unwrap_or(usize::MAX));
        runtime.set_max_stack_size(JS_STACK);
        let control = Rc::clone(&host.control);
        runtime.set_interrupt_handler(Some(Box::new(move || control.poll())));
        let context = Context::full(&runtime).map_err(failed)?;
        let dispatch = context.with(|ctx| {
            enter_stack(&ctx);
            let loaded = load(&ctx, host);
            loaded.map_err(|error| CallError::Threw(describe(&ctx, error)))
        })?;
        Ok(Self {
            dispatch,
            context,
            _runtime: runtime,
        })
    }

    /// Runs one activation and the jobs it leaves; returns whether jobs are left. Runs inside a fiber.
    pub(crate) fn run(&self, host: &Host, work: Work) -> bool {
        self.context.with(|ctx| {
            enter_stack(&ctx);
            let call = if let Work::Call { id, .. } = &work {
                Some(*id)
            } else {
                None
            };
            let outcome = self
                .dispatch
                .clone()
                .restore(&ctx)
                .and_then(|dispatch| match work {
                    Work::Call {
                        id,
                        kind,
                        name,
                        payload,
                    } => dispatch.call((kind.as_str(), id as f64, name, payload)),
                    Work::Timer(id) => dispatch.call(("timer", id, "", "")),
                    Work::Settle {
                        operation,
                        result: Ok(text),
                    } => dispatch.call(("settle", operation, "ok", text)),
                    Work::Settle {
                        operation,
                        result: Err(text),
                    } => dispatch.call(("settle", operation, "error", text)),
                    Work::Pump => Ok(()),
                });
            if let Err(error) = outcome {
                // The script was ended, or memory ran out before the bootstrap could report.
                let message = describe(&ctx, error);
                match call {
                    Some(call) if host.control.killed().is_none() => {
                        host.fail(call, CallError::Threw(message));
                    }
                    Some(_) => {}
                    None => host.log("error", &message),
                }
            }
            let jobs_left = pump(&ctx, host);
            if host.control.slices() > 0 && host.control.killed().is_none() {
                make_room(&ctx);
            }
            jobs_left
        })
    }
}

/// Collects cycles when memory is nearly used up. QuickJS waits until the heap has grown by half again, which
/// the limit may not allow, so that every later call would run out of memory. Only worth it after long activations.
fn make_room(ctx: &Ctx<'_>) {
    const PROBE: &[u8] = &[0; 512 * 1024];
    if ArrayBuffer::new_copy(ctx.clone(), PROBE).is_err() {
        ctx.catch();
        ctx.run_gc();
    }
}

fn load<'js>(ctx: &Ctx<'js>, host: &Rc<Host>) -> rquickjs::Result<Persistent<Function<'static>>> {
    let bootstrap: Function<'js> = ctx.eval_with_options(BOOTSTRAP, script("openhuman:bootstrap", true))?;
    let dispatch: Function<'js> = bootstrap.call((host_object(ctx, host)?,))?;
    let package = &host.skill.package;
    ctx.eval_with_options::<(), _>(package.code(), script(&package.manifest().entry, false))?;
    Ok(Persistent::save(ctx, dispatch))
}

fn script(name: &str, strict: bool) -> EvalOptions {
    let mut options = EvalOptions::default();
    options.strict = strict;
    options.filename = Some(name.to_owned());
    options
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

/// The first two frames of the skill's own code, each on a line of its own: none of the bootstrap, of
/// the engine, or of text that was evaluated or parsed.
/// The bootstrap does the same for what it reports itself.
fn own_frames(stack: &str) -> String {
    let own = |line: &&str| {
        let foreign = line.contains("(openhuman:") || line.contains("<input>:") || line.ends_with("(native)");
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
        let stack = "    at <input>:1:2\n    at parse (native)\n    at fetch (openhuman:bootstrap:50:10)\n    at a (index.js:1:2)\n    \
                     at b (index.js:2:2)\n    at c (index.js:3:2)\n    at <anonymous> (openhuman:bootstrap:236:60)\n";
        assert_eq!(
            own_frames(stack),
            "\n    at a (index.js:1:2)\n    at b (index.js:2:2)"
        );
        assert_eq!(own_frames("    at index.js:1:5\n"), "\n    at index.js:1:5");
        assert_eq!(own_frames("no frames here\n"), "");
    }
}
