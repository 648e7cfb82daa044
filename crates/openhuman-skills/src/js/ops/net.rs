//! Requests to other hosts.

use std::rc::Rc;

use super::{Op, OpResult, give, nothing};
use crate::js::host::Host;
use crate::js::raw::Args;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "net.fetch",
        run: fetch,
    },
    Op {
        name: "net.fetchText",
        run: fetch_text,
    },
];

fn fetch<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    give(args, host.fetch(&args.text(0)?)?)
}

fn fetch_text<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    host.fetch_start(args.id(0)?, &args.text(1)?)?;
    nothing(args)
}
