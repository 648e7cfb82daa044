//! The functions of the library that calls from the host go through.

use rquickjs::{Ctx, Function, Object, Persistent, Value};

use super::host::{Host, Settled};
use super::library::Realm;
use super::ops::HostError;
use super::raw::text_of;
use super::raw::tools::{Called, ToolPath};
use crate::shared::CallKind;

/// One for each kind of call, looked up once.
pub(super) struct Dispatch {
    path: ToolPath,
    finish: Persistent<Function<'static>>,
    threw: Persistent<Function<'static>>,
    tool: Persistent<Function<'static>>,
    hook: Persistent<Function<'static>>,
    describe: Persistent<Function<'static>>,
    timer: Persistent<Function<'static>>,
    answer: Persistent<Function<'static>>,
}

impl Dispatch {
    pub(super) fn new<'js>(ctx: &Ctx<'js>, exports: &Object<'js>) -> rquickjs::Result<Self> {
        let find = |name| -> rquickjs::Result<_> {
            Ok(Persistent::save(ctx, exports.get::<_, Function<'js>>(name)?))
        };
        Ok(Self {
            path: ToolPath::new(ctx)?,
            finish: find("finish")?,
            threw: find("threw")?,
            tool: find("tool")?,
            hook: find("hook")?,
            describe: find("describe")?,
            timer: find("timer")?,
            answer: find("answer")?,
        })
    }

    /// Calls a tool or a hook with its arguments as JSON. What returns at once settles the call here; what is a
    /// promise settles it later, from the library.
    pub(super) fn call(
        &self,
        ctx: &Ctx<'_>,
        host: &Host,
        id: u64,
        kind: CallKind,
        name: &str,
        payload: &str,
    ) -> Result<(), HostError> {
        let number = id as f64;
        let result: Value<'_> = match kind {
            CallKind::Tool => {
                let args = ctx.json_parse(payload)?;
                match self.path.call(ctx, name, &args)? {
                    Called::Returned(value) if value.is_string() => value,
                    Called::Returned(value) => self.finish.clone().restore(ctx)?.call((number, value))?,
                    Called::Threw(error) => self.threw.clone().restore(ctx)?.call((number, error))?,
                    Called::Unusual => self.tool.clone().restore(ctx)?.call((number, name, args))?,
                }
            }
            CallKind::Hook | CallKind::Ping => {
                let args = ctx.json_parse(payload)?;
                self.hook.clone().restore(ctx)?.call((number, name, args))?
            }
            CallKind::Describe => self.describe.clone().restore(ctx)?.call((number,))?,
        };
        if result.is_string() {
            host.settled(id, "ok", text_of(ctx, &result)?);
        }
        Ok(())
    }

    /// Calls the function of a timer.
    pub(super) fn timer(&self, ctx: &Ctx<'_>, id: u32) -> Result<(), HostError> {
        Ok(self.timer.clone().restore(ctx)?.call((id,))?)
    }

    /// Settles the promise of an operation.
    pub(super) fn answer(
        &self,
        ctx: &Ctx<'_>,
        realm: &Realm,
        operation: u32,
        result: Result<Settled, HostError>,
    ) -> Result<(), HostError> {
        let (how, value) = realm.answer(ctx, result)?;
        Ok(self.answer.clone().restore(ctx)?.call((operation, how, value))?)
    }
}
