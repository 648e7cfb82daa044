//! From MessagePack.

use std::fmt::Write;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::error::ProtocolError;
use crate::limits::Limits;
use crate::msgpack::MAX_DEPTH;

type Result<T> = std::result::Result<T, ProtocolError>;

/// Reads a packet as the frame that the JSON parser would have sent, and its attachments.
pub(crate) fn decode(frame: &[u8], limits: &Limits) -> Result<(Utf8Bytes, Vec<Bytes>)> {
    let mut reader = Reader {
        rest: frame,
        attachments: Vec::new(),
        size: 0,
        limits,
    };
    let fields = reader.packet()?;
    if !reader.rest.is_empty() {
        return Err(invalid("something behind the packet"));
    }
    let kind = fields.kind.ok_or_else(|| invalid("a packet without a type"))?;
    let attachments = reader.attachments;
    let mut text = String::with_capacity(frame.len() + 16);
    text.push('4');
    match (kind, attachments.len()) {
        (2 | 3, count) if count > 0 => {
            // Binary events and acknowledgements have types of their own.
            let _ = write!(text, "{}{count}-", kind + 3);
        }
        (0..=4, 0) => {
            let _ = write!(text, "{kind}");
        }
        _ => {
            return Err(invalid(
                "unknown packet type, or binary values where there can be none",
            ));
        }
    }
    let namespace = fields
        .namespace
        .ok_or_else(|| invalid("a packet without a namespace"))?;
    if !namespace.starts_with('/') || namespace.contains(',') {
        return Err(invalid("malformed namespace"));
    }
    if namespace != "/" {
        text.push_str(&namespace);
        text.push(',');
    }
    if let Some(id) = fields.id {
        let _ = write!(text, "{id}");
    }
    text.push_str(&fields.data.unwrap_or_default());
    Ok((text.into(), attachments))
}

fn invalid(what: &'static str) -> ProtocolError {
    ProtocolError::InvalidPacket { what }
}

#[derive(Default)]
struct Fields {
    kind: Option<u64>,
    namespace: Option<String>,
    id: Option<u64>,
    /// As JSON.
    data: Option<String>,
}

struct Reader<'a> {
    rest: &'a [u8],
    attachments: Vec<Bytes>,
    /// Bytes in the attachments.
    size: usize,
    limits: &'a Limits,
}

impl<'a> Reader<'a> {
    fn packet(&mut self) -> Result<Fields> {
        let count = match self.byte()? {
            byte @ 0x80..=0x8f => usize::from(byte & 0x0f),
            0xde => self.number(2)?,
            0xdf => self.number(4)?,
            _ => return Err(invalid("a packet that is not a map")),
        };
        let mut fields = Fields::default();
        for _ in 0..count {
            let name = self.key()?;
            let mut json = String::new();
            let mut nothing = Vec::new();
            let keeps_binary = name == "data";
            if !keeps_binary {
                std::mem::swap(&mut nothing, &mut self.attachments);
            }
            self.value(&mut json, 0)?;
            if !keeps_binary {
                std::mem::swap(&mut nothing, &mut self.attachments);
            }
            let whole = || json.parse::<u64>().ok();
            match name.as_str() {
                // `undefined` reads as null.
                _ if json == "null" => {}
                "type" => fields.kind = Some(whole().ok_or_else(|| invalid("a type that is no number"))?),
                "id" => fields.id = Some(whole().ok_or_else(|| invalid("an id that is no number"))?),
                "nsp" => {
                    let name =
                        serde_json::from_str(&json).map_err(|_| invalid("a namespace that is no text"))?;
                    fields.namespace = Some(name);
                }
                "data" if fields.data.is_some() => return Err(invalid("a packet with two payloads")),
                "data" => fields.data = Some(json),
                _ => {}
            }
        }
        Ok(fields)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| invalid("MessagePack that ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        self.take(1)
            .map(|bytes| bytes.first().copied().unwrap_or_default())
    }

    fn unsigned(&mut self, bytes: usize) -> Result<u64> {
        Ok(self
            .take(bytes)?
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn number(&mut self, bytes: usize) -> Result<usize> {
        self.unsigned(bytes)
            .map(|value| usize::try_from(value).unwrap_or(usize::MAX))
    }

    /// A map's key, which JSON has as text only.
    fn key(&mut self) -> Result<String> {
        let mut json = String::new();
        // A depth at which a list or map is refused.
        self.value(&mut json, MAX_DEPTH)?;
        if json.starts_with('"') {
            return serde_json::from_str(&json).map_err(|_| invalid("a malformed key"));
        }
        Ok(json)
    }

    /// Writes the next value as JSON.
    fn value(&mut self, json: &mut String, depth: usize) -> Result<()> {
        let first = self.byte()?;
        match first {
            0x00..=0x7f => push(json, first),
            0xe0..=0xff => push(json, i16::from(first) - 256),
            0x80..=0x8f => return self.map(json, usize::from(first & 0x0f), depth),
            0x90..=0x9f => return self.list(json, usize::from(first & 0x0f), depth),
            0xa0..=0xbf => return self.text(json, usize::from(first & 0x1f)),
            0xc0 => json.push_str("null"),
            0xc2 => json.push_str("false"),
            0xc3 => json.push_str("true"),
            0xc4..=0xc6 => {
                let length = self.number(1 << (first - 0xc4))?;
                return self.binary(json, length);
            }
            0xc7..=0xc9 => {
                let length = self.number(1 << (first - 0xc7))?;
                return self.extension(json, length);
            }
            0xca => {
                let bits = u32::try_from(self.unsigned(4)?).unwrap_or_default();
                float(json, f64::from(f32::from_bits(bits)));
            }
            0xcb => {
                let bits = self.unsigned(8)?;
                float(json, f64::from_bits(bits));
            }
            0xcc..=0xcf => {
                let value = self.unsigned(1 << (first - 0xcc))?;
                push(json, value);
            }
            0xd0 => {
                let value = self.unsigned(1)?.to_be_bytes()[7];
                push(json, i8::from_be_bytes([value]));
            }
            0xd1 => {
                let [.., a, b] = self.unsigned(2)?.to_be_bytes();
                push(json, i16::from_be_bytes([a, b]));
            }
            0xd2 => {
                let [.., a, b, c, d] = self.unsigned(4)?.to_be_bytes();
                push(json, i32::from_be_bytes([a, b, c, d]));
            }
            0xd3 => {
                let value = self.unsigned(8)?;
                push(json, i64::from_be_bytes(value.to_be_bytes()));
            }
            0xd4..=0xd8 => return self.extension(json, 1 << (first - 0xd4)),
            0xd9..=0xdb => {
                let length = self.number(1 << (first - 0xd9))?;
                return self.text(json, length);
            }
            0xdc | 0xdd => {
                let length = self.number(2 << (first - 0xdc))?;
                return self.list(json, length, depth);
            }
            0xde | 0xdf => {
                let length = self.number(2 << (first - 0xde))?;
                return self.map(json, length, depth);
            }
            0xc1 => return Err(invalid("a byte that MessagePack does not use")),
        }
        Ok(())
    }

    fn text(&mut self, json: &mut String, length: usize) -> Result<()> {
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| invalid("a text that is not UTF-8"))?;
        let quoted = serde_json::to_string(text).map_err(|_| invalid("a text that JSON cannot hold"))?;
        json.push_str(&quoted);
        Ok(())
    }

    fn binary(&mut self, json: &mut String, length: usize) -> Result<()> {
        let bytes = self.take(length)?;
        self.size = self.size.saturating_add(length);
        let max = self.limits.max_attachment_bytes;
        if self.size > max {
            return Err(ProtocolError::AttachmentsTooLarge { size: self.size, max });
        }
        let (number, max) = (self.attachments.len(), self.limits.max_attachments);
        if number >= max {
            return Err(ProtocolError::TooManyAttachments {
                count: number + 1,
                max,
            });
        }
        let _ = write!(json, r#"{{"_placeholder":true,"num":{number}}}"#);
        self.attachments.push(Bytes::copy_from_slice(bytes));
        Ok(())
    }

    /// `undefined` and dates are what the JavaScript library writes; JSON turns both into what it has.
    fn extension(&mut self, json: &mut String, length: usize) -> Result<()> {
        let kind = self.byte()?;
        let bytes = self.take(length)?;
        match (kind, bytes) {
            (0x00, [0x00]) => json.push_str("null"),
            // Milliseconds, as the older versions of the library write dates.
            (0x00, [_, _, _, _, _, _, _, _]) => {
                let millis = bytes
                    .iter()
                    .fold(0u64, |value, byte| value << 8 | u64::from(*byte));
                push(json, i64::from_be_bytes(millis.to_be_bytes()));
            }
            // MessagePack's own timestamps, in milliseconds, as `Date.valueOf()` has them.
            (0xff, [_, _, _, _]) => push(json, i64::from(be32(bytes)) * 1000),
            (0xff, [a, b, c, d, _, _, _, _]) => {
                let head = be32(&[*a, *b, *c, *d]);
                let seconds = i64::from(head & 3) << 32 | i64::from(be32(bytes.get(4..).unwrap_or_default()));
                push(json, seconds * 1000 + i64::from(head >> 2) / 1_000_000);
            }
            (0xff, [_, _, _, _, seconds @ ..]) if seconds.len() == 8 => {
                let seconds = seconds
                    .iter()
                    .fold(0u64, |value, byte| value << 8 | u64::from(*byte));
                let seconds = i64::from_be_bytes(seconds.to_be_bytes());
                let millis = seconds
                    .checked_mul(1000)
                    .ok_or_else(|| invalid("a date out of range"))?;
                push(json, millis.saturating_add(i64::from(be32(bytes)) / 1_000_000));
            }
            _ => return Err(invalid("a MessagePack extension that is not known")),
        }
        Ok(())
    }

    fn list(&mut self, json: &mut String, length: usize, depth: usize) -> Result<()> {
        self.check(length, depth)?;
        json.push('[');
        for n in 0..length {
            if n > 0 {
                json.push(',');
            }
            self.value(json, depth + 1)?;
        }
        json.push(']');
        Ok(())
    }

    fn map(&mut self, json: &mut String, length: usize, depth: usize) -> Result<()> {
        self.check(length.saturating_mul(2), depth)?;
        json.push('{');
        for n in 0..length {
            if n > 0 {
                json.push(',');
            }
            let key = self.key()?;
            let quoted = serde_json::to_string(&key).map_err(|_| invalid("a key that JSON cannot hold"))?;
            json.push_str(&quoted);
            json.push(':');
            self.value(json, depth + 1)?;
        }
        json.push('}');
        Ok(())
    }

    /// Each element takes a byte at least, so a length that is a lie costs nothing.
    fn check(&self, elements: usize, depth: usize) -> Result<()> {
        if depth >= MAX_DEPTH {
            return Err(invalid("a payload that is nested too deeply"));
        }
        if elements > self.rest.len() {
            return Err(invalid("MessagePack that ends too early"));
        }
        Ok(())
    }
}

fn be32(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .take(4)
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn push(json: &mut String, value: impl std::fmt::Display) {
    let _ = write!(json, "{value}");
}

/// As `JSON.stringify` does it: what JSON does not have becomes null.
fn float(json: &mut String, value: f64) {
    match serde_json::Number::from_f64(value) {
        Some(number) => push(json, number),
        None => json.push_str("null"),
    }
}
