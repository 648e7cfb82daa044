//! Results of calls, logging, and what the host adds.

use std::rc::Rc;

use super::{Op, OpResult, nothing};
use crate::js::host::Host;
use crate::js::raw::Args;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "call.settled",
        run: settled,
    },
    Op {
        name: "console.log",
        run: log,
    },
    Op {
        name: "module.call",
        run: module,
    },
    Op {
        name: "async.cancel",
        run: cancel,
    },
];

fn settled<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let call = args.number(0)?;
    host.settled(call as u64, &args.text(1)?, args.text(2)?);
    nothing(args)
}

fn log<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    host.log(&args.text(0)?, &args.text(1)?);
    nothing(args)
}

fn module<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let answer = host.call_module(&args.text(0)?, args.text(1)?, &args.text(2)?)?;
    Ok(args.ctx().json_parse(answer)?)
}

fn cancel<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    host.cancel(args.id(0)?);
    nothing(args)
}
