//! Published state.

use std::rc::Rc;

use super::{Op, OpResult, give, nothing};
use crate::js::host::Host;
use crate::js::raw::Args;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "state.get",
        run: get,
    },
    Op {
        name: "state.set",
        run: set,
    },
    Op {
        name: "state.delete",
        run: delete,
    },
    Op {
        name: "state.keys",
        run: keys,
    },
];

fn get<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    give(args, host.state_get(&args.text(0)?))
}

fn set<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    host.state_set(args.text(0)?, args.text(1)?)?;
    nothing(args)
}

fn delete<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    host.state_delete(&args.text(0)?)?;
    nothing(args)
}

fn keys<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    give(args, host.state_keys())
}
