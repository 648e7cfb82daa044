//! Text and bytes: UTF-8 both ways, and decoding of every encoding the web knows.

use std::rc::Rc;

use encoding_rs::{CoderResult, Decoder, DecoderResult, Encoding, ISO_2022_JP, REPLACEMENT};
use rquickjs::{Array, Value};

use super::{HostError, Op, OpResult, give};
use crate::js::host::Host;
use crate::js::raw::Args;
use crate::js::raw::intrinsics::byte_array;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "encoding.encode",
        run: encode,
    },
    Op {
        name: "encoding.encodeInto",
        run: encode_into,
    },
    Op {
        name: "encoding.label",
        run: label,
    },
    Op {
        name: "encoding.decode",
        run: decode,
    },
    Op {
        name: "encoding.binary",
        run: binary,
    },
];

/// Bytes as a `Uint8Array` whose memory counts against the skill.
pub(super) fn give_bytes<'js>(args: Args<'_, 'js>, bytes: &[u8]) -> OpResult<'js> {
    Ok(byte_array(args.ctx(), bytes)?)
}

/// `(text)`: its UTF-8.
fn encode<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let text = args.text(0)?;
    give_bytes(args, text.as_bytes())
}

/// `(text, room)`: `[bytes, read]`, as many whole characters as fit into `room` bytes, and how many UTF-16 units
/// of the text they were.
fn encode_into<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let text = args.text(0)?;
    let (fits, read) = fitting(&text, args.number(1)? as usize);
    let list = Array::new(args.ctx().clone())?;
    list.set(0, give_bytes(args, fits.as_bytes())?)?;
    list.set(1, read as f64)?;
    give(args, list)
}

fn fitting(text: &str, room: usize) -> (&str, usize) {
    let mut end = text.len().min(room);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let fits = text.get(..end).unwrap_or_default();
    (fits, fits.chars().map(char::len_utf16).sum())
}

/// `(label)`: the name of the encoding in lower case, or undefined.
fn label<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let encoding = find(&args.text(0)?);
    give(
        args,
        encoding.map(|encoding| encoding.name().to_ascii_lowercase()),
    )
}

fn find(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label(label.as_bytes()).filter(|encoding| *encoding != REPLACEMENT)
}

/// `(encoding, bytes, fatal, more)`: `[text, rest]`, where `rest` is the number of bytes at the end that are the
/// start of a character and belong before the next chunk; null when the bytes are wrong and `fatal` is set.
fn decode<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let encoding =
        find(&args.text(0)?).ok_or_else(|| HostError::Range("this encoding does not exist".to_owned()))?;
    let bytes = args.bytes(1)?;
    let Some((text, rest)) = decoded(encoding, &bytes, args.flag(2), args.flag(3)) else {
        return Ok(Value::new_null(args.ctx().clone()));
    };
    let list = Array::new(args.ctx().clone())?;
    list.set(0, text)?;
    list.set(1, rest as f64)?;
    give(args, list)
}

fn decoded(encoding: &'static Encoding, bytes: &[u8], fatal: bool, more: bool) -> Option<(String, usize)> {
    if more && encoding == ISO_2022_JP {
        // Its meaning depends on everything before, which nobody keeps: it waits for the end.
        return Some((String::new(), bytes.len()));
    }
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let text = run(&mut decoder, bytes, fatal, !more)?;
    Some((text, if more { unfinished(&mut decoder) } else { 0 }))
}

fn run(decoder: &mut Decoder, bytes: &[u8], fatal: bool, last: bool) -> Option<String> {
    let room = if fatal {
        decoder.max_utf8_buffer_length_without_replacement(bytes.len())
    } else {
        decoder.max_utf8_buffer_length(bytes.len())
    };
    // Most text is as long as its bytes; what does not fit is made room for.
    let mut text = String::with_capacity(room?.min(bytes.len() + 64));
    let mut rest = bytes;
    loop {
        let read = if fatal {
            let (result, read) = decoder.decode_to_string_without_replacement(rest, &mut text, last);
            match result {
                DecoderResult::InputEmpty => return Some(text),
                DecoderResult::Malformed(..) => return None,
                DecoderResult::OutputFull => read,
            }
        } else {
            let (result, read, _) = decoder.decode_to_string(rest, &mut text, last);
            match result {
                CoderResult::InputEmpty => return Some(text),
                CoderResult::OutputFull => read,
            }
        };
        rest = rest.get(read..).unwrap_or_default();
        text.reserve(rest.len() + 64);
    }
}

/// How many bytes at the end of what was decoded are the start of a character.
fn unfinished(decoder: &mut Decoder) -> usize {
    let mut none = String::with_capacity(64);
    match decoder.decode_to_string_without_replacement(&[], &mut none, true) {
        (DecoderResult::Malformed(length, after), _) => usize::from(length) + usize::from(after),
        _ => 0,
    }
}

/// `(bytes)`: a string with one character for each byte.
fn binary<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let text: String = args.bytes(0)?.into_iter().map(char::from).collect();
    give(args, text)
}

#[cfg(test)]
mod tests {
    use encoding_rs::{BIG5, EUC_JP, GB18030, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_characters_fit() {
        assert_eq!(fitting("aä€😀", 100), ("aä€😀", 5));
        assert_eq!(fitting("aä€😀", 9), ("aä€", 3));
        assert_eq!(fitting("aä€😀", 2), ("a", 1));
        assert_eq!(fitting("aä€😀", 0), ("", 0));
    }

    #[test]
    fn labels_are_those_of_the_web() {
        assert_eq!(find(" Latin1\n"), Some(WINDOWS_1252));
        assert_eq!(find("utf-16"), Some(UTF_16LE));
        assert_eq!(find("iso-2022-kr"), None);
        assert_eq!(find("utf-7"), None);
    }

    #[test]
    fn wrong_bytes_are_replaced_or_refused() {
        assert_eq!(
            decoded(UTF_8, b"a\xffb", false, false),
            Some(("a\u{fffd}b".to_owned(), 0))
        );
        assert_eq!(decoded(UTF_8, b"a\xffb", true, false), None);
        assert_eq!(
            decoded(UTF_8, b"a\xe2\x82", true, true),
            Some(("a".to_owned(), 2))
        );
        assert_eq!(
            decoded(UTF_8, b"a\xe2\x82", false, false),
            Some(("a\u{fffd}".to_owned(), 0))
        );
    }

    proptest! {
        /// However bytes are cut into chunks, the text is the same.
        #[test]
        fn chunks_do_not_matter(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..7), 0..6),
            encoding in prop::sample::select(vec![UTF_8, UTF_16LE, UTF_16BE, WINDOWS_1252, GB18030, BIG5, SHIFT_JIS, EUC_JP, ISO_2022_JP]),
            fatal: bool,
        ) {
            let whole: Vec<u8> = chunks.concat();
            let expected = decoded(encoding, &whole, fatal, false).map(|(text, _)| text);
            let mut text = Some(String::new());
            let mut carry = Vec::new();
            for (index, chunk) in chunks.iter().chain([&Vec::new()]).enumerate() {
                carry.extend_from_slice(chunk);
                let more = index < chunks.len();
                match decoded(encoding, &carry, fatal, more) {
                    Some((part, rest)) => {
                        if let Some(text) = &mut text {
                            text.push_str(&part);
                        }
                        carry = carry[carry.len() - rest..].to_vec();
                    }
                    None => { text = None; break; }
                }
            }
            prop_assert_eq!(text, expected);
        }
    }
}
