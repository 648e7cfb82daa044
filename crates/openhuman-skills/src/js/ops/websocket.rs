//! WebSocket connections.

use std::rc::Rc;
use std::sync::Arc;

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{HostError, Op, OpResult, give, nothing};
use crate::js::host::{Host, Quota, Settled};
use crate::js::raw::{Args, bytes_of};
use crate::net::websocket::{Incoming, socket_address};
use crate::net::{NetError, NetErrorKind};

pub(super) const OPS: &[Op] = &[
    Op {
        name: "websocket.check",
        run: check,
    },
    Op {
        name: "websocket.open",
        run: open,
    },
    Op {
        name: "websocket.next",
        run: next,
    },
    Op {
        name: "websocket.send",
        run: send,
    },
    Op {
        name: "websocket.queued",
        run: queued,
    },
    Op {
        name: "websocket.close",
        run: close,
    },
];

const OPENS: Quota = Quota {
    what: "WebSocket connections",
    limit: 8,
};
const READS: Quota = Quota {
    what: "waits for messages",
    limit: 16,
};

/// `(url)`: the address as it will be used, or an exception.
fn check<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let url = socket_address(&args.text(0)?).map_err(|error| HostError::Dom {
        name: "SyntaxError",
        message: format!("WebSocket: {error}"),
    })?;
    let shown = url.as_str().replacen("http", "ws", 1);
    give(args, shown)
}

/// `(operation, url, protocols as JSON)`: settles with `{id, protocol}` when the connection is open.
fn open<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let url = socket_address(&args.text(1)?).map_err(|error| failed(&error))?;
    let protocols = args.json(2)?;
    let protocols: Vec<String> = protocols
        .as_array()
        .map(|all| {
            all.iter()
                .filter_map(|one| one.as_str().map(str::to_owned))
                .collect()
        })
        .unwrap_or_default();
    let (egress, shared) = (host.egress(), Arc::clone(&host.shared));
    host.begin(args.id(0)?, OPENS, async move {
        let opened = shared.client.open_socket(&egress, url, &protocols).await;
        let (id, protocol) = opened.map_err(|error| failed(&error))?;
        Ok(Settled::Json(json!({"id": id, "protocol": protocol}).to_string()))
    })?;
    nothing(args)
}

/// `(operation, id)`: settles with a string, a `Uint8Array`, or at the end `{code, reason, clean}`.
fn next<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let (id, run) = (args.id(1)?, Arc::clone(&host.net));
    host.begin(args.id(0)?, READS, async move {
        Ok(match run.sockets.next(id).await {
            Incoming::Text(text) => Settled::Text(text),
            Incoming::Binary(bytes) => Settled::Bytes(bytes),
            Incoming::Closed { code, reason, clean } => {
                Settled::Json(json!({"code": code, "reason": reason, "clean": clean}).to_string())
            }
        })
    })?;
    nothing(args)
}

/// `(id, string or bytes)`: queues a message; the bytes that wait now.
fn send<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let value = args.value(1);
    let message = match bytes_of(&value) {
        Some(bytes) => Message::binary(bytes),
        None => Message::text(args.text(1)?),
    };
    let waiting = host.net.sockets.send(&host.egress(), args.id(0)?, message);
    give(args, waiting.map_err(|error| failed(&error))? as f64)
}

/// `(id)`: the bytes that wait to be sent.
fn queued<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    give(args, host.net.sockets.queued(args.id(0)?) as f64)
}

/// `(id, code or null, reason)`: begins to close.
fn close<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let code = if args.is_absent(1) {
        None
    } else {
        Some(args.number(1)? as u16)
    };
    host.net.sockets.close(args.id(0)?, code, &args.text(2)?);
    nothing(args)
}

fn failed(error: &NetError) -> HostError {
    let text = format!("WebSocket: {error}");
    match error.kind {
        NetErrorKind::Invalid => HostError::Type(text),
        _ => HostError::Failed(text),
    }
}
