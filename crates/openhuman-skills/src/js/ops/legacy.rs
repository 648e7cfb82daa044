//! Text, bytes and randomness.

use std::rc::Rc;

use rquickjs::TypedArray;

use super::{HostError, Op, OpResult, give};
use crate::js::host::Host;
use crate::js::raw::Args;

const MAX_RANDOM: f64 = 65_536.0;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "legacy.random",
        run: random,
    },
    Op {
        name: "legacy.encode",
        run: encode,
    },
    Op {
        name: "legacy.decode",
        run: decode,
    },
];

// Arrays are copied into the skill's heap: bytes beside it would not count against its limit.

fn random<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let length = args.number(0)?;
    if !(0.0..=MAX_RANDOM).contains(&length) {
        return Err(HostError::Range("at most 65536 random bytes at once".to_owned()));
    }
    let mut bytes = vec![0; length as usize];
    getrandom::fill(&mut bytes).map_err(|error| HostError::Failed(error.to_string()))?;
    give(args, TypedArray::new_copy(args.ctx().clone(), bytes))
}

fn encode<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    give(
        args,
        TypedArray::new_copy(args.ctx().clone(), args.text(0)?.into_bytes()),
    )
}

fn decode<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let bytes = args.bytes(0)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => give(args, text),
        Err(_) if args.flag(1) => Err(HostError::Type("the bytes are not UTF-8".to_owned())),
        Err(_) => give(args, String::from_utf8_lossy(bytes).into_owned()),
    }
}
