//! What only a simulated skill has.

use std::rc::Rc;

use super::{Op, OpResult, give};
use crate::js::host::Host;
use crate::js::raw::Args;

pub(super) const OPS: &[Op] = &[Op {
    name: "kit.look",
    run: look,
}];

/// The time, as a script sees it.
fn look<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let now = match &host.shared.kit.time {
        Some(time) => time.look(),
        None => host.shared.clock.now_ms(),
    };
    give(args, now as f64)
}
