//! The clock of `performance`.

use std::rc::Rc;

use super::{Op, OpResult, give};
use crate::js::host::Host;
use crate::js::raw::Args;

pub(super) const OPS: &[Op] = &[Op {
    name: "performance.now",
    run: now,
}];

/// Milliseconds since the skill started, in steps of a tenth: coarse enough to tell nothing about its neighbours.
fn now<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let steps = host.started.elapsed().as_micros() / 100;
    give(args, steps as f64 / 10.0)
}
