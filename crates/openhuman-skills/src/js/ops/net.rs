//! Requests to other hosts: `net.fetch`, which waits, and the host side of the standard `fetch`.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rquickjs::{Array, Object, String as JsString};
use serde_json::{Value, json};

use super::{HostError, Op, OpResult, nothing};
use crate::js::host::{Host, Quota, Settled};
use crate::js::raw::{Args, bytes_of};
use crate::net::request::Request;
use crate::net::{Answer, NetError, NetErrorKind, late};

pub(super) const OPS: &[Op] = &[
    Op {
        name: "net.fetch",
        run: fetch,
    },
    Op {
        name: "net.start",
        run: start,
    },
    Op {
        name: "net.read",
        run: read,
    },
    Op {
        name: "net.drop",
        run: drop_body,
    },
    Op {
        name: "net.abort",
        run: abort,
    },
];

const STARTS: Quota = Quota {
    what: "requests",
    limit: 16,
};
const READS: Quota = Quota {
    what: "reads of responses",
    limit: 64,
};
/// How long an answer waits for the rest of a short body.
const AHEAD: Duration = Duration::from_millis(2);
/// How long a body may take when the skill set no limit.
const BODY: Duration = Duration::from_secs(120);

/// `net.fetch(url, options)`: suspends the skill until the whole answer is there.
fn fetch<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let options = if args.is_absent(1) {
        Value::Null
    } else {
        args.json(1)?
    };
    let request = Request::parse(&args.text(0)?, &options)
        .map_err(|error| HostError::Type(format!("net.fetch: {error}")))?;
    if request.timeout_was_ms {
        host.log(
            "warn",
            "net.fetch: `timeout` is in seconds; a value of 1000 or more is read as milliseconds",
        );
    }
    let (egress, shared) = (host.egress(), Arc::clone(&host.shared));
    let work = Box::pin(async move { shared.client.fetch(&egress, request).await });
    let (answer, body) = host
        .wait_for(work)?
        .map_err(|error| HostError::Failed(format!("net.fetch: {error}")))?;
    whole_answer(args, &answer, &body)
}

/// `{status, statusText, ok, url, headers, body}`.
pub(super) fn whole_answer<'js>(args: Args<'_, 'js>, answer: &Answer, body: &[u8]) -> OpResult<'js> {
    let ctx = args.ctx();
    let object = Object::new(ctx.clone())?;
    object.set("status", answer.status)?;
    object.set("statusText", answer.status_text.as_str())?;
    object.set("ok", (200..300).contains(&answer.status))?;
    object.set("url", answer.url.as_str())?;
    object.set("headers", headers(args, answer)?)?;
    object.set("body", JsString::from_str(ctx.clone(), &text(answer, body))?)?;
    Ok(object.into_value())
}

/// Lower-case names; repeated headers joined with `, `; `set-cookie` as an array.
fn headers<'js>(args: Args<'_, 'js>, answer: &Answer) -> Result<Object<'js>, HostError> {
    let object = Object::new(args.ctx().clone())?;
    let cookies = Array::new(args.ctx().clone())?;
    for (index, (name, value)) in answer.headers.iter().enumerate() {
        if name == "set-cookie" {
            cookies.set(cookies.len(), value.as_str())?;
            continue;
        }
        if answer
            .headers
            .iter()
            .take(index)
            .any(|(earlier, _)| earlier == name)
        {
            continue;
        }
        let all = answer.headers.iter().filter(|(other, _)| other == name);
        let all: Vec<&str> = all.map(|(_, value)| value.as_str()).collect();
        object.set(name.as_str(), all.join(", "))?;
    }
    if !cookies.is_empty() {
        object.set("set-cookie", cookies)?;
    }
    Ok(object)
}

/// UTF-8, or Latin-1 where the server says so.
fn text(answer: &Answer, body: &[u8]) -> String {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let kind = answer.headers.iter().find(|(name, _)| name == "content-type");
    let kind = kind
        .map(|(_, value)| value.to_ascii_lowercase())
        .unwrap_or_default();
    match std::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        Err(_) if kind.contains("iso-8859-1") || kind.contains("latin1") => {
            body.iter().map(|&byte| char::from(byte)).collect()
        }
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

/// `(operation, request as JSON, body)`: settles when the head of the answer is there.
fn start<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let description = args.json(1)?;
    let body = if args.is_absent(2) {
        None
    } else {
        let value = args.value(2);
        Some(match bytes_of(&value) {
            Some(bytes) => Bytes::from(bytes),
            None => Bytes::from(args.text(2)?),
        })
    };
    let limited = description.get("timeoutMs").is_some_and(|limit| !limit.is_null());
    let request = Request::standard(&description, body).map_err(|error| failed(&error))?;
    let (egress, shared) = (host.egress(), Arc::clone(&host.shared));
    let begun = Instant::now();
    host.begin(args.id(0)?, STARTS, async move {
        let limit = request.timeout;
        let answer = tokio::time::timeout(limit, shared.client.send(&egress, request))
            .await
            .unwrap_or_else(|_| Err(late(limit)))
            .map_err(|error| failed(&error))?;
        let mut answer = answer;
        // Usually the body of a short answer is there already.
        let _ = tokio::time::timeout(AHEAD, answer.body.read_ahead()).await;
        let mut described = json!({
            "status": answer.status,
            "statusText": answer.status_text,
            "url": answer.url,
            "redirected": answer.redirected,
            "headers": answer.headers,
            "hasBody": answer.has_body,
        });
        let until = begun + if limited { limit } else { limit + BODY };
        let id = egress
            .run
            .keep(answer.body, until)
            .map_err(|error| failed(&error))?;
        if let Some(described) = described.as_object_mut() {
            described.insert("id".to_owned(), Value::from(id));
        }
        Ok(Settled::Json(described.to_string()))
    })?;
    nothing(args)
}

/// `(operation, id)`: settles with the next piece of a body, of at most 64 KB, or with nothing at its end.
fn read<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let (id, run) = (args.id(1)?, Arc::clone(&host.net));
    host.begin(args.id(0)?, READS, async move {
        match run.read(id).await {
            Ok(Some(piece)) => Ok(Settled::Bytes(piece)),
            Ok(None) => Ok(Settled::Nothing),
            Err(error) => Err(failed(&error)),
        }
    })?;
    nothing(args)
}

/// `(id)`: gives a body up.
fn drop_body<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    host.net.drop_body(args.id(0)?);
    nothing(args)
}

/// `(operation)`: gives a request or a read up; its promise is not settled by the host any more.
fn abort<'js>(host: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    host.cancel(args.id(0)?);
    nothing(args)
}

/// The standard says `TypeError` for whatever the network does; a time limit of ours has the name of its signal.
fn failed(error: &NetError) -> HostError {
    match error.kind {
        NetErrorKind::TimedOut => HostError::Dom {
            name: "TimeoutError",
            message: format!("fetch: {error}"),
        },
        _ => HostError::Type(format!("fetch: {error}")),
    }
}
