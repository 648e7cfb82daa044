//! Text files of the skill.

use std::rc::Rc;
use std::sync::Arc;

use super::{HostError, Op, OpResult, give, nothing};
use crate::DataError;
use crate::data::{self, DataFiles};
use crate::js::host::Host;
use crate::js::raw::Args;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "data.read",
        run: read,
    },
    Op {
        name: "data.write",
        run: write,
    },
];

fn read<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let name = args.text(0)?;
    let found = blocking(host, "data.read", move |files, skill, _| {
        data::read(files, skill, &name)
    })?;
    match found {
        Some(text) => give(args, text),
        None => Ok(rquickjs::Value::new_null(args.ctx().clone())),
    }
}

fn write<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let (name, text) = (args.text(0)?, args.text(1)?);
    blocking(host, "data.write", move |files, skill, limit| {
        data::write(files, skill, &name, &text, limit)
    })?;
    nothing(args)
}

/// Works on the skill's folder on a thread that may block.
fn blocking<T: Send + 'static>(
    host: &Rc<Host>,
    what: &str,
    work: impl FnOnce(&dyn DataFiles, &crate::SkillId, u64) -> Result<T, DataError> + Send + 'static,
) -> Result<T, HostError> {
    let files = Arc::clone(&host.shared.ports.data);
    let (skill, blocking) = (host.skill.id.clone(), host.shared.blocking.clone());
    let limit = host.skill.grant().data_mb() * 1024 * 1024;
    let done =
        host.wait_for(async move { blocking.run(move || work(files.as_ref(), &skill, limit)).await })?;
    match done {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error @ DataError::Name { .. })) => Err(HostError::Type(format!("{what}: {error}"))),
        Ok(Err(error)) => Err(HostError::Failed(format!("{what}: {error}"))),
        Err(_) => Err(HostError::Failed(format!("{what}: it ended unexpectedly"))),
    }
}
