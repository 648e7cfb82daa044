//! Ways into the decoders for fuzzers and for the comparison with the official parser. Not part of the API.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::limits::Limits;
use crate::packet::{self, Body, Header, Kind, Parser};
use crate::payload::Payload;
use crate::polling::Frames;
use crate::session::{Output, Session, SessionConfig};

/// A frame of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A packet, without the Engine.IO type.
    Text(String),
    /// An attachment.
    Binary(Vec<u8>),
}

/// Decodes a sequence of frames with all their JSON, as the official decoder does; `None` when it is refused.
/// Each packet is an object with `type`, `nsp`, `id` and `data`, binary values in it as `{"$binary": hex}`.
pub fn decode(frames: &[Frame]) -> Option<Vec<Value>> {
    let limits = Limits::default();
    let mut packets = Vec::new();
    let mut partial: Option<(Utf8Bytes, packet::Packet, Vec<Bytes>)> = None;
    for frame in frames {
        match (frame, &mut partial) {
            (Frame::Text(text), None) => {
                let text = Utf8Bytes::from(text.as_str());
                let packet = packet::decode(&text, 0, &limits).ok()?;
                // The client does this when somebody wants the event.
                if let Body::Event { payload, .. } | Body::Ack { payload } = &packet.body {
                    whole(payload)?;
                }
                if packet.header.attachments > 0 {
                    partial = Some((text, packet, Vec::new()));
                } else {
                    packets.push(shown(&text, &packet, &[])?);
                }
            }
            (Frame::Binary(bytes), Some((text, packet, attachments))) => {
                attachments.push(Bytes::copy_from_slice(bytes));
                if attachments.len() == packet.header.attachments {
                    packets.push(shown(text, packet, attachments)?);
                    partial = None;
                }
            }
            _ => return None,
        }
    }
    Some(packets)
}

fn shown(text: &Utf8Bytes, packet: &packet::Packet, attachments: &[Bytes]) -> Option<Value> {
    let header: &Header = &packet.header;
    let number = match header.kind {
        Kind::Connect => 0,
        Kind::Disconnect => 1,
        // The official decoder gives binary packets the type of the others, once they are complete.
        Kind::Event | Kind::BinaryEvent => 2,
        Kind::Ack | Kind::BinaryAck => 3,
        Kind::ConnectError => 4,
    };
    let data = match &packet.body {
        Body::Event { payload, .. } | Body::Ack { payload } => {
            let mut data: Value = whole(payload)?;
            resolve(&mut data, attachments)?;
            data
        }
        _ => {
            let body = text.get(header.body_start()..).unwrap_or_default();
            if body.is_empty() {
                Value::Null
            } else {
                serde_json::from_str(body).ok()?
            }
        }
    };
    Some(json!({
        "type": number,
        "nsp": header.namespace(text),
        "id": header.id,
        "data": data,
    }))
}

fn whole(payload: &Payload) -> Option<Value> {
    payload
        .is_json()
        .then(|| payload.args::<Vec<Value>>(0).ok())
        .flatten()
        .map(Value::from)
}

/// Puts the attachments where their placeholders are; `None` when one has no attachment.
fn resolve(value: &mut Value, attachments: &[Bytes]) -> Option<()> {
    match value {
        Value::Array(list) => list.iter_mut().try_for_each(|value| resolve(value, attachments)),
        Value::Object(map)
            if map.get("_placeholder") == Some(&Value::Bool(true)) && !attachments.is_empty() =>
        {
            let number = map.get("num")?.as_u64()?;
            let bytes = attachments.get(usize::try_from(number).ok()?)?;
            *value = json!({ "$binary": data_encoding::HEXLOWER.encode(bytes) });
            Some(())
        }
        Value::Object(map) => map.values_mut().try_for_each(|value| resolve(value, attachments)),
        _ => Some(()),
    }
}

/// Decodes the header of a message's packet alone; returns where its JSON begins.
pub fn header(frame: &[u8]) -> usize {
    packet::decode_header(frame, 1, &Limits::default()).map_or(0, |header| header.body_start())
}

/// Checks a text as every delivered payload is checked.
pub fn is_json(text: &str) -> bool {
    crate::json::is_valid(text)
}

/// One packet, its name, and its arguments in several forms.
pub fn packet(data: &[u8]) {
    let Ok(text) = Utf8Bytes::try_from(data.to_vec()) else {
        return;
    };
    let limits = Limits::default();
    let Ok(packet) = packet::decode(&text, 0, &limits) else {
        return;
    };
    if let Body::Event { payload, .. } | Body::Ack { payload } = &packet.body {
        let list = payload.args::<Vec<Value>>(0);
        let ignored = serde_json::from_str::<serde::de::IgnoredAny>(payload.text());
        assert_eq!(payload.is_json(), ignored.is_ok());
        // Not the other way round: what is not built has no depth, and no numbers that are too large.
        assert!(payload.is_json() || list.is_err());
        let last = list.ok().and_then(|mut list| list.pop());
        if let (Some(fast), Some(last)) = (payload.last_string(), last) {
            assert_eq!(Value::from(fast), last, "the offset is the last element");
        }
        let _ = payload.args::<(Option<&str>, Option<f64>)>(1);
    }
}

/// A body of long-polling, and the frames in it through a session.
pub fn payload(data: &[u8]) {
    let frames = Frames::new(Bytes::copy_from_slice(data)).map_while(Result::ok);
    let now = Instant::now();
    let mut session = joined(now, Parser::Json);
    for frame in frames {
        match frame {
            crate::transport::Frame::Text(text) => session.handle_text(now, &text),
            crate::transport::Frame::Binary(bytes) => session.handle_binary(now, bytes),
        }
    }
    drain(&mut session);
}

/// A whole link: frames, separated by newlines, the second byte of each line choosing text or binary, time or
/// credentials.
pub fn session(data: &[u8]) {
    let mut now = Instant::now();
    let mut session = joined(now, Parser::Json);
    for line in data.split(|byte| *byte == b'\n') {
        match (line, Utf8Bytes::try_from(line.to_vec())) {
            ([b'!', rest @ ..], _) => session.handle_binary(now, Bytes::copy_from_slice(rest)),
            ([b'~', rest @ ..], _) => {
                now += Duration::from_secs(rest.len() as u64);
                session.handle_timeout(now);
            }
            ([b'^', ..], _) => session.authenticate(1, None),
            (_, Ok(text)) => session.handle_text(now, &text),
            (_, Err(_)) => {}
        }
        drain(&mut session);
    }
    now += Duration::from_secs(200_000);
    while let Some(deadline) = session.deadline().filter(|deadline| *deadline <= now) {
        session.handle_timeout(deadline);
        drain(&mut session);
    }
}

/// The open packet.
pub fn open(data: &[u8]) {
    let now = Instant::now();
    let mut session = joined(now, Parser::Json);
    if let Ok(json) = std::str::from_utf8(data) {
        session.handle_text(now, &format!("0{json}").into());
        drain(&mut session);
    }
}

/// One MessagePack packet.
#[cfg(feature = "msgpack")]
pub fn msgpack(data: &[u8]) {
    let now = Instant::now();
    let mut session = joined(now, Parser::MessagePack);
    session.handle_text(now, &r#"0{"sid":"e"}"#.into());
    session.authenticate(1, None);
    session.handle_binary(now, Bytes::copy_from_slice(data));
    drain(&mut session);
}

fn joined(now: Instant, parser: Parser) -> Session {
    let config = SessionConfig {
        limits: Limits::default(),
        heartbeat_slack: Duration::from_secs(5),
        parser,
    };
    let mut session = Session::new(config, now);
    session.join(1, "/".into(), now + Duration::from_secs(20));
    session.join(2, "/admin".into(), now + Duration::from_secs(20));
    session
}

fn drain(session: &mut Session) {
    while let Some(output) = session.poll_output() {
        match output {
            Output::Event(_, event) => {
                let _ = event.payload.args::<(Value, Option<crate::binary::Binary>)>(1);
                let _ = event.payload.last_string();
            }
            Output::Ack { payload, .. } => {
                let _ = payload.args::<Vec<Value>>(0);
            }
            Output::Closed(disconnect) => assert!(!disconnect.to_string().is_empty()),
            _ => {}
        }
    }
}
