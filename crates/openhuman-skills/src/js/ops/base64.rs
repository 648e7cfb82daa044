//! Base64 between strings whose characters are bytes, after the HTML standard
//! (<https://html.spec.whatwg.org/multipage/webappapis.html#atob>).

use std::rc::Rc;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{HostError, Op, OpResult, give};
use crate::js::host::Host;
use crate::js::raw::Args;

pub(super) const OPS: &[Op] = &[
    Op {
        name: "base64.decode",
        run: decode,
    },
    Op {
        name: "base64.encode",
        run: encode,
    },
];

/// Padding is optional, and the bits beyond the last byte may be anything.
const FORGIVING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `(text)`: the bytes as a string, one character each.
fn decode<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let bytes = forgiving(&args.text(0)?).ok_or_else(|| wrong("atob: the string is not base64"))?;
    give(args, bytes.into_iter().map(char::from).collect::<String>())
}

/// `(text)`: the base64 of a string whose characters are bytes.
fn encode<'js>(_: &Rc<Host>, args: Args<'_, 'js>) -> OpResult<'js> {
    let bytes: Option<Vec<u8>> = args.text(0)?.chars().map(|c| u8::try_from(c).ok()).collect();
    let bytes = bytes.ok_or_else(|| wrong("btoa: the string has characters beyond U+00FF"))?;
    give(args, FORGIVING.encode(bytes))
}

/// Forgiving decoding: whitespace is nothing, padding only counts where it completes four characters.
fn forgiving(text: &str) -> Option<Vec<u8>> {
    let mut text: Vec<u8> = text
        .bytes()
        .filter(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\x0C' | b'\r'))
        .collect();
    if text.len().is_multiple_of(4) {
        for _ in 0..2 {
            if text.last() == Some(&b'=') {
                text.pop();
            }
        }
    }
    if text.contains(&b'=') {
        return None;
    }
    FORGIVING.decode(text).ok()
}

fn wrong(text: &str) -> HostError {
    HostError::Dom {
        name: "InvalidCharacterError",
        message: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_forgives_what_the_standard_says() {
        let good: [(&str, &[u8]); 8] = [
            ("", b""),
            ("YQ==", b"a"),
            ("YQ", b"a"),
            ("YR", b"a"),
            (" Y\tW\nJ\r\x0C", b"ab"),
            ("YWI=", b"ab"),
            ("/+8=", &[255, 239]),
            ("  ", b""),
        ];
        for (text, bytes) in good {
            assert_eq!(forgiving(text).as_deref(), Some(bytes), "{text:?}");
        }
        for text in [
            "Y", "=", "==", "YQ=", "YQ===", "Y=Q=", "YWJj=", "YWI==", "Y Q = =!", "-_8=", "ä", "YWJjZ",
            "\u{b}",
        ] {
            assert_eq!(forgiving(text), None, "{text:?}");
        }
    }
}
