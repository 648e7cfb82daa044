//! The language model.

use std::rc::Rc;

use serde_json::Value;

use super::{HostError, Op, OpResult, nothing};
use crate::ModelOptions;
use crate::js::host::{Host, Quota, Settled};
use crate::js::raw::Args;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "model.generate",
        run: generate,
    },
    Op {
        name: "model.summarize",
        run: summarize,
    },
];

const REQUESTS: Quota = Quota {
    what: "model requests",
    limit: 4,
};
/// The longest text, in bytes.
const MAX_TEXT: usize = 1024 * 1024;

fn generate<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    ask(host, args, "model.generate", true)
}

fn summarize<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    ask(host, args, "model.summarize", false)
}

fn ask<'js>(host: &Rc<Host>, args: Args<'_, 'js>, what: &'static str, generate: bool) -> OpResult<'js> {
    let (operation, text) = (args.id(0)?, args.text(1)?);
    let options = options(&args.json(2)?).map_err(|text| HostError::Type(format!("{what}: {text}")))?;
    if text.len() > MAX_TEXT {
        return Err(HostError::Range(format!("{what}: more than {MAX_TEXT} bytes")));
    }
    if !host.skill.grant().model {
        return Err(HostError::Failed(format!(
            "{what}: not granted; ask for permissions.model"
        )));
    }
    let Some(port) = host.shared.ports.models.clone() else {
        return Err(HostError::Failed(format!("{what}: this host has no model")));
    };
    let skill = host.skill.id.clone();
    host.begin(operation, REQUESTS, async move {
        let answer = if generate {
            port.generate(&skill, text, options).await
        } else {
            port.summarize(&skill, text, options).await
        };
        answer
            .map(Settled::Text)
            .map_err(|text| HostError::Failed(format!("{what}: {text}")))
    })?;
    nothing(args)
}

fn options(value: &Value) -> Result<ModelOptions, String> {
    let mut options = ModelOptions::default();
    match value.get("maxTokens") {
        None | Some(Value::Null) => {}
        Some(tokens) => {
            let tokens = tokens.as_u64().and_then(|tokens| u32::try_from(tokens).ok());
            let tokens = tokens.filter(|tokens| *tokens > 0);
            options.max_tokens = Some(tokens.ok_or("`maxTokens` must be a positive whole number")?);
        }
    }
    match value.get("temperature") {
        None | Some(Value::Null) => {}
        Some(warmth) => {
            let warmth = warmth.as_f64().filter(|warmth| (0.0..=2.0).contains(warmth));
            options.temperature = Some(warmth.ok_or("`temperature` must be between 0 and 2")?);
        }
    }
    Ok(options)
}
