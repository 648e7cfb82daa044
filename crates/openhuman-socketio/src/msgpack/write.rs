//! To MessagePack.

use bytes::Bytes;
use serde_json::Value;

use crate::packet::Encoded;

/// Writes a packet of the JSON parser, which this crate has made itself, as one frame.
pub(crate) fn encode(packet: &Encoded) -> Bytes {
    // The Engine.IO type comes first.
    let text = packet.text.as_str().get(1..).unwrap_or_default();
    let (kind, rest) = text.split_at(text.len().min(1));
    let (kind, rest) = match kind {
        "5" | "6" => (
            if kind == "5" { 2 } else { 3 },
            rest.split_once('-').map_or("", |(_, rest)| rest),
        ),
        kind => (kind.parse().unwrap_or(0), rest),
    };
    let (namespace, rest) = match rest.strip_prefix('/') {
        Some(_) => rest.split_once(',').unwrap_or((rest, "")),
        None => ("/", rest),
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (id, data) = rest.split_at(digits);
    let data: Option<Value> = serde_json::from_str(data).ok();

    let mut out = Vec::with_capacity(text.len() + packet.size());
    let fields = 2 + u8::from(!id.is_empty()) + u8::from(data.is_some());
    out.push(0x80 | fields);
    write_text(&mut out, "type");
    out.push(kind);
    write_text(&mut out, "nsp");
    write_text(&mut out, namespace);
    if let Ok(id) = id.parse() {
        write_text(&mut out, "id");
        write_unsigned(&mut out, id);
    }
    if let Some(data) = data {
        write_text(&mut out, "data");
        write_value(&mut out, &data, &packet.attachments);
    }
    out.into()
}

fn write_value(out: &mut Vec<u8>, value: &Value, attachments: &[Bytes]) {
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(false) => out.push(0xc2),
        Value::Bool(true) => out.push(0xc3),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => write_unsigned(out, number),
            (None, Some(number), _) => write_negative(out, number),
            (None, None, number) => {
                out.push(0xcb);
                out.extend_from_slice(&number.unwrap_or_default().to_be_bytes());
            }
        },
        Value::String(text) => write_text(out, text),
        Value::Array(list) => {
            write_length(out, list.len(), 0x90, 16, [None, Some(0xdc), Some(0xdd)]);
            for value in list {
                write_value(out, value, attachments);
            }
        }
        Value::Object(map) => {
            if let Some(bytes) = attachment(value, attachments) {
                write_length(out, bytes.len(), 0, 0, [Some(0xc4), Some(0xc5), Some(0xc6)]);
                out.extend_from_slice(bytes);
                return;
            }
            write_length(out, map.len(), 0x80, 16, [None, Some(0xde), Some(0xdf)]);
            for (key, value) in map {
                write_text(out, key);
                write_value(out, value, attachments);
            }
        }
    }
}

fn attachment<'a>(value: &Value, attachments: &'a [Bytes]) -> Option<&'a Bytes> {
    if value.as_object()?.len() != 2 || value.get("_placeholder")? != &Value::Bool(true) {
        return None;
    }
    attachments.get(usize::try_from(value.get("num")?.as_u64()?).ok()?)
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    write_length(out, text.len(), 0xa0, 32, [Some(0xd9), Some(0xda), Some(0xdb)]);
    out.extend_from_slice(text.as_bytes());
}

/// A length below `small` goes into the byte `fix`; others follow the byte for their width, where there is one.
fn write_length(out: &mut Vec<u8>, length: usize, fix: u8, small: usize, widths: [Option<u8>; 3]) {
    let [one, two, four] = widths;
    match (u8::try_from(length), u16::try_from(length), one) {
        (Ok(length), _, _) if usize::from(length) < small => out.push(fix | length),
        (Ok(length), _, Some(one)) => out.extend_from_slice(&[one, length]),
        (_, Ok(length), _) => {
            out.extend(two);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.extend(four);
            // Nothing longer fits into the send buffer.
            out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

fn write_unsigned(out: &mut Vec<u8>, number: u64) {
    if let Ok(number @ 0..=0x7f) = u8::try_from(number) {
        out.push(number);
    } else if let Ok(number) = u8::try_from(number) {
        out.extend_from_slice(&[0xcc, number]);
    } else if let Ok(number) = u16::try_from(number) {
        out.push(0xcd);
        out.extend_from_slice(&number.to_be_bytes());
    } else if let Ok(number) = u32::try_from(number) {
        out.push(0xce);
        out.extend_from_slice(&number.to_be_bytes());
    } else {
        out.push(0xcf);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn write_negative(out: &mut Vec<u8>, number: i64) {
    if let Ok(number) = i8::try_from(number) {
        if number < -32 {
            out.push(0xd0);
        }
        out.extend_from_slice(&number.to_be_bytes());
    } else if let Ok(number) = i16::try_from(number) {
        out.push(0xd1);
        out.extend_from_slice(&number.to_be_bytes());
    } else if let Ok(number) = i32::try_from(number) {
        out.push(0xd2);
        out.extend_from_slice(&number.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&number.to_be_bytes());
    }
}
