//! The machine the skill runs on.

use std::rc::Rc;

use super::{Op, OpResult, give, nothing};
use crate::js::host::Host;
use crate::js::raw::Args;
use crate::manifest::platform_name;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "platform.os",
        run: os,
    },
    Op {
        name: "platform.env",
        run: env,
    },
    Op {
        name: "platform.notify",
        run: notify,
    },
];

fn os<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    give(args, platform_name())
}

fn env<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    give(args, host.env(&args.text(0)?))
}

fn notify<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    host.notify(&args.text(0)?, &args.text(1)?)?;
    nothing(args)
}
