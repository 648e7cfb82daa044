//! Reading packets: the header and the name, and nothing of the JSON behind them.

use memchr::{memchr, memchr2};
use serde::Deserialize;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Body, Header, Kind, Name, Packet, Rejection, is_reserved};
use crate::error::ProtocolError;
use crate::limits::Limits;
use crate::payload::Payload;

/// The greatest acknowledgement id: 2^53 - 1, the greatest integer that every peer can represent.
pub(super) const MAX_ID: u64 = (1 << 53) - 1;

/// The longest refusal whose data is kept: built as a tree, it would be many times as large as its text.
const MAX_DATA_BYTES: usize = 64 * 1024;

/// How much of the text of a refusal is kept.
const MAX_MESSAGE_BYTES: usize = 1024;

/// Decodes the packet that starts at `offset` of a text frame (1 behind an Engine.IO type).
pub(crate) fn decode(frame: &Utf8Bytes, offset: usize, limits: &Limits) -> Result<Packet, ProtocolError> {
    let header = decode_header(frame.as_bytes(), offset, limits)?;
    let text = frame.as_str().get(header.body..).unwrap_or_default();
    let body = match header.kind {
        Kind::Connect => decode_connect(text)?,
        Kind::Disconnect if text.is_empty() => Body::Disconnect,
        Kind::Disconnect => return Err(invalid("DISCONNECT with a payload")),
        Kind::ConnectError => Body::ConnectError(decode_rejection(text)?),
        Kind::Event | Kind::BinaryEvent => {
            check_list(text)?;
            let name = decode_name(frame, header.body, limits)?;
            Body::Event {
                name,
                payload: Payload::new(frame.clone(), header.body),
            }
        }
        Kind::Ack | Kind::BinaryAck => {
            check_list(text)?;
            Body::Ack {
                payload: Payload::new(frame.clone(), header.body),
            }
        }
    };
    Ok(Packet { header, body })
}

pub(super) fn invalid(what: &'static str) -> ProtocolError {
    ProtocolError::InvalidPacket { what }
}

pub(crate) fn decode_header(frame: &[u8], offset: usize, limits: &Limits) -> Result<Header, ProtocolError> {
    let mut at = offset;
    let kind = match frame.get(at) {
        Some(b'0') => Kind::Connect,
        Some(b'1') => Kind::Disconnect,
        Some(b'2') => Kind::Event,
        Some(b'3') => Kind::Ack,
        Some(b'4') => Kind::ConnectError,
        Some(b'5') => Kind::BinaryEvent,
        Some(b'6') => Kind::BinaryAck,
        Some(_) => return Err(invalid("unknown packet type")),
        None => return Err(invalid("empty packet")),
    };
    at += 1;

    let mut attachments = 0;
    if matches!(kind, Kind::BinaryEvent | Kind::BinaryAck) {
        let (count, end) = digits(frame, at);
        let count = count.ok_or_else(|| invalid("no attachment count"))?;
        if frame.get(end) != Some(&b'-') {
            return Err(invalid("malformed attachment count"));
        }
        attachments = usize::try_from(count).unwrap_or(usize::MAX);
        if attachments > limits.max_attachments {
            return Err(ProtocolError::TooManyAttachments {
                count: attachments,
                max: limits.max_attachments,
            });
        }
        at = end + 1;
    }

    let mut namespace = None;
    if frame.get(at) == Some(&b'/') {
        let rest = frame.get(at..).unwrap_or_default();
        let len = memchr(b',', rest).unwrap_or(rest.len());
        if len > limits.max_namespace_bytes {
            return Err(ProtocolError::NamespaceTooLong {
                size: len,
                max: limits.max_namespace_bytes,
            });
        }
        namespace = Some(at..at + len);
        at = (at + len + 1).min(frame.len());
    }

    let (id, end) = digits(frame, at);
    if id.is_some_and(|id| id > MAX_ID) {
        return Err(invalid("acknowledgement id above 2^53 - 1"));
    }
    Ok(Header {
        kind,
        attachments,
        namespace,
        id,
        body: end,
    })
}

/// Reads decimal digits from `at`: their value (saturating) if there is any, and where they end.
fn digits(frame: &[u8], at: usize) -> (Option<u64>, usize) {
    let rest = frame.get(at..).unwrap_or_default();
    let mut value: Option<u64> = None;
    let mut len = 0;
    for byte in rest.iter().take_while(|byte| byte.is_ascii_digit()) {
        let digit = u64::from(byte - b'0');
        value = Some(value.unwrap_or(0).saturating_mul(10).saturating_add(digit));
        len += 1;
    }
    (value, at + len)
}

/// Checks the outer brackets of a list without reading it.
fn check_list(text: &str) -> Result<(), ProtocolError> {
    let end = text.trim_end_matches(is_json_space);
    if text.starts_with('[') && end.len() > 1 && end.ends_with(']') {
        Ok(())
    } else {
        Err(invalid("the payload is not a list"))
    }
}

fn is_json_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Finds the first element of the list that starts at `body`: a string, or a number as its text.
fn decode_name(frame: &Utf8Bytes, body: usize, limits: &Limits) -> Result<Name, ProtocolError> {
    let text = frame.as_str();
    let bytes = frame.as_bytes();
    let skip_space = |mut at: usize| {
        while bytes.get(at).is_some_and(|byte| is_json_space(char::from(*byte))) {
            at += 1;
        }
        at
    };
    let start = skip_space(body + 1);
    let (name, end) = match bytes.get(start) {
        Some(b'"') => string_at(text, start)?,
        Some(b'-' | b'0'..=b'9') => {
            let rest = text.get(start..).unwrap_or_default();
            let len = rest
                .find(|c| matches!(c, ',' | ']') || is_json_space(c))
                .unwrap_or(rest.len());
            let number = rest.get(..len).unwrap_or_default();
            if serde_json::from_str::<serde_json::Number>(number).is_err() {
                return Err(invalid("the event name is not a number"));
            }
            (Name::Plain(start..start + len), start + len)
        }
        _ => return Err(invalid("the event has no name")),
    };
    if !matches!(bytes.get(skip_space(end)), Some(b',' | b']')) {
        return Err(invalid("malformed event name"));
    }
    let as_str = name.as_str(text);
    if as_str.len() > limits.max_event_name_bytes {
        return Err(ProtocolError::EventNameTooLong {
            size: as_str.len(),
            max: limits.max_event_name_bytes,
        });
    }
    if is_reserved(as_str) {
        return Err(ProtocolError::ReservedEvent {
            name: as_str.to_owned(),
        });
    }
    Ok(name)
}

/// The JSON string whose opening quote is at `start`, and the offset behind its closing quote.
fn string_at(text: &str, start: usize) -> Result<(Name, usize), ProtocolError> {
    let unterminated = || invalid("unterminated event name");
    let bytes = text.as_bytes();
    let mut at = start + 1;
    let mut escaped = false;
    loop {
        let rest = bytes.get(at..).ok_or_else(unterminated)?;
        let found = memchr2(b'"', b'\\', rest).ok_or_else(unterminated)?;
        at += found;
        if bytes.get(at) == Some(&b'"') {
            break;
        }
        escaped = true;
        at += 2;
    }
    if !escaped {
        return Ok((Name::Plain(start + 1..at), at + 1));
    }
    let quoted = text.get(start..=at).unwrap_or_default();
    let name: String = serde_json::from_str(quoted).map_err(|_| invalid("malformed event name"))?;
    Ok((Name::Escaped(name.into_boxed_str()), at + 1))
}

fn decode_connect(text: &str) -> Result<Body, ProtocolError> {
    #[derive(Deserialize, Default)]
    struct Connected {
        sid: Option<String>,
        pid: Option<String>,
    }
    let connected = match text {
        "" => Connected::default(),
        text if text.starts_with('{') => {
            serde_json::from_str(text).map_err(|_| invalid("malformed CONNECT"))?
        }
        _ => return Err(invalid("CONNECT with a payload that is not an object")),
    };
    Ok(Body::Connect {
        sid: connected.sid,
        pid: connected.pid,
    })
}

fn decode_rejection(text: &str) -> Result<Rejection, ProtocolError> {
    if text.is_empty() {
        return Ok(Rejection {
            message: String::new(),
            data: None,
        });
    }
    let malformed = || invalid("CONNECT_ERROR with a payload that is not an object or a text");
    if text.len() > MAX_DATA_BYTES && text.starts_with('{') {
        #[derive(Deserialize)]
        struct Told {
            #[serde(default)]
            message: String,
        }
        let told: Told = serde_json::from_str(text).map_err(|_| malformed())?;
        return Ok(Rejection {
            message: shorten(told.message),
            data: None,
        });
    }
    match serde_json::from_str(text).map_err(|_| malformed())? {
        Value::String(message) if text.starts_with('"') => Ok(Rejection {
            message: shorten(message),
            data: None,
        }),
        Value::Object(mut fields) if text.starts_with('{') => {
            let message = match fields.remove("message") {
                Some(Value::String(message)) => message,
                Some(other) => other.to_string(),
                None => String::new(),
            };
            Ok(Rejection {
                message: shorten(message),
                data: fields.remove("data"),
            })
        }
        _ => Err(malformed()),
    }
}

/// The message goes into errors and states, which are copied and shown.
fn shorten(mut message: String) -> String {
    if message.len() > MAX_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        message.push_str(" ...");
    }
    message
}
