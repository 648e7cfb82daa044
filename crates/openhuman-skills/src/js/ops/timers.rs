//! Timers. The host keeps the time, the script the functions.

use std::rc::Rc;

use super::{Op, OpResult, nothing};
use crate::js::host::Host;
use crate::js::raw::Args;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "timers.set",
        run: set,
    },
    Op {
        name: "timers.clear",
        run: clear,
    },
    Op {
        name: "timers.sleep",
        run: sleep,
    },
];

fn set<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    host.timer_set(args.id(0)?, args.number(1)?, args.flag(2))?;
    nothing(args)
}

fn clear<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    host.timer_clear(args.id(0)?);
    nothing(args)
}

fn sleep<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    host.sleep(args.number(0)?)?;
    nothing(args)
}
