//! Writing packets: one text frame each, and the attachments beside it.

use bytes::Bytes;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Encoded, Kind};

/// Appends the `namespace,` part of a header; nothing for the root.
fn push_namespace(out: &mut Vec<u8>, namespace: &str) {
    if namespace != "/" {
        out.extend_from_slice(namespace.as_bytes());
        out.push(b',');
    }
}

/// Begins an event or ack as if it had no attachments, Engine.IO type included.
pub(crate) fn begin(kind: Kind, namespace: &str, id: Option<u64>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(if kind == Kind::Ack { b"43" } else { b"42" });
    push_tail(&mut out, namespace, id);
    out
}

/// Rewrites a finished frame whose body starts at `body`, now that its attachments are known.
pub(crate) fn finish(
    kind: Kind,
    namespace: &str,
    id: Option<u64>,
    frame: Vec<u8>,
    body: usize,
    attachments: Vec<Bytes>,
) -> Result<Encoded, serde_json::Error> {
    let bytes = if attachments.is_empty() {
        frame
    } else {
        let mut out = Vec::with_capacity(frame.len() + 8);
        out.extend_from_slice(if kind == Kind::Ack { b"46" } else { b"45" });
        out.extend_from_slice(attachments.len().to_string().as_bytes());
        out.push(b'-');
        push_tail(&mut out, namespace, id);
        out.extend_from_slice(frame.get(body..).unwrap_or_default());
        out
    };
    let text = Utf8Bytes::try_from(bytes).map_err(|_| {
        <serde_json::Error as serde::ser::Error>::custom("a value was written that is not UTF-8")
    })?;
    Ok(Encoded { text, attachments })
}

fn push_tail(out: &mut Vec<u8>, namespace: &str, id: Option<u64>) {
    push_namespace(out, namespace);
    if let Some(id) = id {
        out.extend_from_slice(id.to_string().as_bytes());
    }
}

/// Where the JSON of an event without an id begins.
fn body_start(namespace: &str, event: &Encoded) -> usize {
    let count = if event.attachments.is_empty() {
        0
    } else {
        event.attachments.len().to_string().len() + 1
    };
    let namespace = if namespace == "/" { 0 } else { namespace.len() + 1 };
    2 + count + namespace
}

/// The JSON list of an event without an id.
pub(crate) fn body_of_event<'a>(namespace: &str, event: &'a Encoded) -> &'a str {
    event.text.get(body_start(namespace, event)..).unwrap_or_default()
}

/// An event without an id, from its JSON list.
pub(crate) fn event_of_body(namespace: &str, body: &str, attachments: Vec<Bytes>) -> Encoded {
    let mut text = match attachments.len() {
        0 => "42".to_owned(),
        count => format!("45{count}-"),
    };
    if namespace != "/" {
        text.push_str(namespace);
        text.push(',');
    }
    text.push_str(body);
    Encoded {
        text: text.into(),
        attachments,
    }
}

/// The same event, asking for an acknowledgement.
pub(crate) fn with_id(namespace: &str, event: &Encoded, id: u64) -> Encoded {
    let (head, body) = event.text.split_at(body_start(namespace, event));
    Encoded {
        text: format!("{head}{id}{body}").into(),
        attachments: event.attachments.clone(),
    }
}

/// The same event with another argument, in JSON, behind the others.
pub(crate) fn with_argument(event: &Encoded, json: &str) -> Encoded {
    let list = event.text.strip_suffix(']').unwrap_or(&event.text);
    Encoded {
        text: format!("{list},{json}]").into(),
        attachments: event.attachments.clone(),
    }
}

/// A CONNECT frame with its optional auth object.
pub(crate) fn encode_connect(namespace: &str, auth: Option<&Value>) -> Utf8Bytes {
    let mut out = b"40".to_vec();
    push_namespace(&mut out, namespace);
    let mut text = String::from_utf8(out).unwrap_or_default();
    if let Some(auth) = auth {
        text.push_str(&auth.to_string());
    }
    text.into()
}

/// A DISCONNECT frame.
pub(crate) fn encode_disconnect(namespace: &str) -> Utf8Bytes {
    if namespace == "/" {
        "41".into()
    } else {
        format!("41{namespace},").into()
    }
}
