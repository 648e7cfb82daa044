//! Schedules.

use std::rc::Rc;

use super::{Op, OpResult, give, nothing};
use crate::js::host::Host;
use crate::js::raw::Args;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "cron.register",
        run: register,
    },
    Op {
        name: "cron.unregister",
        run: unregister,
    },
    Op {
        name: "cron.list",
        run: list,
    },
];

fn register<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    host.cron_register(args.text(0)?, &args.text(1)?)?;
    nothing(args)
}

fn unregister<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    give(args, host.cron_unregister(&args.text(0)?)?)
}

fn list<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    give(args, host.cron_list())
}
