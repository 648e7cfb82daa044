//! The host functions, by area. Everything a skill can reach goes through one of them.

mod accounts;
mod base64;
mod core;
mod cron;
mod crypto;
mod data;
mod db;
mod encoding;
mod hooks;
#[cfg(feature = "kit")]
mod kit;
mod memory;
mod model;
mod net;
mod performance;
mod platform;
mod skills;
mod state;
mod timers;
mod url;
mod webhooks;
mod websocket;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::OnceLock;

use rquickjs::{IntoJs, Value};

use super::host::Host;
use super::raw::Args;
use crate::DbError;

/// A host function. It runs inside a fiber and may suspend it ([`Host::wait_for`]); while it is suspended it must
/// hold no lock and no borrow that others need.
pub(crate) struct Op {
    /// `area.name`.
    pub(crate) name: &'static str,
    pub(crate) run: Run,
}

type Run = for<'a, 'js> fn(&'a Rc<Host>, Args<'a, 'js>) -> OpResult<'js>;

pub(crate) type OpResult<'js> = Result<Value<'js>, HostError>;

/// The areas. A new one is one line here.
const AREAS: &[&[Op]] = &[
    accounts::OPS,
    base64::OPS,
    data::OPS,
    hooks::OPS,
    memory::OPS,
    model::OPS,
    skills::OPS,
    webhooks::OPS,
    core::OPS,
    cron::OPS,
    crypto::OPS,
    db::OPS,
    encoding::OPS,
    #[cfg(feature = "kit")]
    kit::OPS,
    net::OPS,
    performance::OPS,
    platform::OPS,
    state::OPS,
    timers::OPS,
    url::OPS,
    websocket::OPS,
];

/// A reason that becomes a JavaScript exception.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    /// A `TypeError`: the arguments are wrong.
    #[error("{0}")]
    Type(String),
    /// A `RangeError`.
    #[error("{0}")]
    Range(String),
    /// An `Error`: the operation failed.
    #[error("{0}")]
    Failed(String),
    /// A `DOMException`.
    #[error("{name}: {message}")]
    Dom { name: &'static str, message: String },
    /// An exception is pending in the context already.
    #[error("JavaScript threw")]
    Js,
    /// The call is being ended; no `catch` of the script sees this.
    #[error("the call was ended")]
    Ended,
}

impl From<DbError> for HostError {
    fn from(error: DbError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<rquickjs::Error> for HostError {
    fn from(error: rquickjs::Error) -> Self {
        match error {
            rquickjs::Error::Exception => Self::Js,
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Reads JSON that `JSON.stringify` wrote. It writes lone surrogates as escapes, which no text outside JavaScript can
/// hold: they become U+FFFD.
pub(crate) fn parse_json(text: &str) -> Result<serde_json::Value, serde_json::Error> {
    match serde_json::from_str(text) {
        Err(_) if text.contains("\\ud") => serde_json::from_str(&replace_lone_surrogates(text)),
        parsed => parsed,
    }
}

/// Replaces the escapes of lone surrogates. `JSON.stringify` writes pairs as they are and the others in lower case.
fn replace_lone_surrogates(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let lone = escape.get(1..3) == Some("ud")
            && escape
                .as_bytes()
                .get(3)
                .is_some_and(|digit| matches!(digit, b'8'..=b'9' | b'a'..=b'f'));
        let length = if lone { 6 } else { 2 };
        out.push_str(if lone {
            "\\ufffd"
        } else {
            escape.get(..2).unwrap_or(escape)
        });
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

fn table() -> &'static (Vec<&'static Op>, HashMap<&'static str, usize>) {
    static TABLE: OnceLock<(Vec<&'static Op>, HashMap<&'static str, usize>)> = OnceLock::new();
    TABLE.get_or_init(|| {
        let ops: Vec<&Op> = AREAS.iter().flat_map(|area| area.iter()).collect();
        let names = ops
            .iter()
            .enumerate()
            .map(|(index, op)| (op.name, index))
            .collect();
        (ops, names)
    })
}

/// A host function by its number.
pub(super) fn get(index: usize) -> Option<&'static Op> {
    table().0.get(index).copied()
}

/// The number of a host function.
pub(super) fn index(name: &str) -> Option<usize> {
    table().1.get(name).copied()
}

/// Turns a Rust value into the result of a host function.
pub(crate) fn give<'js>(args: Args<'_, 'js>, value: impl IntoJs<'js>) -> OpResult<'js> {
    Ok(value.into_js(args.ctx())?)
}

/// The result of a host function that has none.
pub(crate) fn nothing<'js>(args: Args<'_, 'js>) -> OpResult<'js> {
    Ok(Value::new_undefined(args.ctx().clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        let parsed = parse_json(r#"{"a":"x\ud800y","b":"\\ud800","c":"\ndef\ud83d"}"#).unwrap();
        assert_eq!(
            parsed,
            serde_json::json!({"a": "x\u{FFFD}y", "b": "\\ud800", "c": "\ndef\u{FFFD}"})
        );
        assert!(parse_json("{").is_err() && parse_json(r#""\ud8"#).is_err());
    }

    #[test]
    fn names_are_unique() {
        assert_eq!(table().0.len(), table().1.len());
    }
}
