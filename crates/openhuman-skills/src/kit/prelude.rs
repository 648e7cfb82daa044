//! Scripts that prepare a context before the package's own.

use rquickjs::context::EvalOptions;
use rquickjs::{Ctx, Function, Result};

use super::Hooks;
use crate::js::raw;

/// Frames of a file with this prefix are the host's, and are not shown.
const FILE: &str = "openhuman:kit";
const SKILL: &str = include_str!("js/skill.js");

impl Hooks {
    /// Prepares a new context, after the globals are there and before the package's script.
    pub(crate) fn prepare<'js>(&self, ctx: &Ctx<'js>) -> Result<()> {
        let run = |source: &str| -> Result<()> {
            let mut options = EvalOptions::default();
            options.strict = true;
            options.filename = Some(FILE.to_owned());
            let script: Function<'js> = ctx.eval_with_options(source, options)?;
            script.call((raw::lookup_function(ctx)?,))
        };
        if self.time.is_some() {
            run(SKILL)?;
        }
        self.script.map_or(Ok(()), run)
    }
}
