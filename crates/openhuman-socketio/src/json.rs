//! Whether a text is JSON, without building anything.
//!
//! Every delivered event is checked so that a server that sends garbage is noticed when it does. Most of the bytes
//! are in strings, which are passed over in blocks.

use serde::de::IgnoredAny;
use wide::u8x16;

/// Nesting up to which the check keeps its place in one integer; deeper texts are left to serde_json.
const DEPTH: u32 = 128;

/// Bytes that a backslash alone escapes.
const ESCAPED: u8 = 1;
/// Bytes between the parts of a value.
const SPACE: u8 = 2;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let (mut at, escaped, space) = (0, b"\"\\/bfnrt", b" \n\r\t");
    while at < escaped.len() {
        classes[escaped[at] as usize] |= ESCAPED;
        at += 1;
    }
    at = 0;
    while at < space.len() {
        classes[space[at] as usize] |= SPACE;
        at += 1;
    }
    classes
};

fn is(class: u8, byte: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

pub(crate) fn is_valid(text: &str) -> bool {
    match document(text.as_bytes()) {
        Ok(end) => end.is_some(),
        Err(TooDeep) => serde_json::from_str::<IgnoredAny>(text).is_ok(),
    }
}

/// The nesting is too deep to tell.
struct TooDeep;

/// The end of the text, if it is one value. The functions below return where what they pass over ends, or `None` when it
/// is not what it should be.
fn document(bytes: &[u8]) -> Result<Option<usize>, TooDeep> {
    // The lowest bit is the innermost: set for an object, clear for a list.
    let (mut nesting, mut depth, mut at) = (0u128, 0u32, 0);
    loop {
        at = space(bytes, at);
        let value = match bytes.get(at) {
            Some(b'"') => string(bytes, at + 1),
            Some(open @ (b'{' | b'[')) => {
                let object = *open == b'{';
                at = space(bytes, at + 1);
                if bytes.get(at) == Some(if object { &b'}' } else { &b']' }) {
                    Some(at + 1)
                } else if depth == DEPTH {
                    return Err(TooDeep);
                } else {
                    depth += 1;
                    nesting = nesting << 1 | u128::from(object);
                    if object {
                        match key(bytes, at) {
                            Some(behind) => at = behind,
                            None => return Ok(None),
                        }
                    }
                    continue;
                }
            }
            _ => scalar(bytes, at),
        };
        let Some(behind) = value else { return Ok(None) };
        at = behind;
        // Behind a value.
        loop {
            at = space(bytes, at);
            if depth == 0 {
                return Ok((at == bytes.len()).then_some(at));
            }
            let object = nesting & 1 == 1;
            match bytes.get(at) {
                Some(b',') => {
                    at += 1;
                    if object {
                        match key(bytes, space(bytes, at)) {
                            Some(behind) => at = behind,
                            None => return Ok(None),
                        }
                    }
                    break;
                }
                Some(b'}') if object => {}
                Some(b']') if !object => {}
                _ => return Ok(None),
            }
            at += 1;
            depth -= 1;
            nesting >>= 1;
        }
    }
}

#[inline]
fn space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|byte| is(SPACE, *byte)) {
        at += 1;
    }
    at
}

/// A key and its colon.
#[inline]
fn key(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let at = space(bytes, string(bytes, at + 1)?);
    (bytes.get(at) == Some(&b':')).then_some(at + 1)
}

fn scalar(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let word = |word: &[u8]| rest.starts_with(word).then_some(at + word.len());
    match rest.first()? {
        b'-' | b'0'..=b'9' => number(bytes, at),
        b't' => word(b"true"),
        b'f' => word(b"false"),
        b'n' => word(b"null"),
        _ => None,
    }
}

/// What follows a backslash.
#[inline]
fn escape(bytes: &[u8], at: usize) -> Option<usize> {
    if is(ESCAPED, *bytes.get(at)?) {
        Some(at + 1)
    } else {
        unicode(bytes, at)
    }
}

#[cold]
fn unicode(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = bytes.get(at..at + 5)?.strip_prefix(b"u")?;
    digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 5)
}

fn number(bytes: &[u8], mut at: usize) -> Option<usize> {
    let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
    let digits = |start: usize| {
        let rest = bytes.get(start..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(start + count)
    };
    at += usize::from(is(at, b'-'));
    at = if is(at, b'0') { at + 1 } else { digits(at)? };
    if is(at, b'.') {
        at = digits(at + 1)?;
    }
    if is(at, b'e') || is(at, b'E') {
        at += 1;
        at += usize::from(is(at, b'+') || is(at, b'-'));
        at = digits(at)?;
    }
    Some(at)
}

/// Bytes of a string that are looked at together.
const BLOCK: usize = 16;

/// The rest of a string, behind its opening quote.
#[inline]
fn string(bytes: &[u8], mut at: usize) -> Option<usize> {
    // 1 when the first byte of the block is escaped by the last of the one before.
    let mut carry = 0;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        let block = u8x16::new(*block);
        let quotes = block.simd_eq(u8x16::splat(b'"')).to_bitmask();
        let slashes = block.simd_eq(u8x16::splat(b'\\')).to_bitmask();
        let controls = block.simd_eq(block.min(u8x16::splat(b' ' - 1))).to_bitmask();
        let (escaped, next) = if slashes | carry == 0 {
            (0, 0)
        } else {
            escaped(slashes, carry)
        };
        let stop = (quotes & !escaped) | controls;
        let inside = stop.wrapping_sub(1) & !stop;
        if escaped & inside != 0 {
            let unusual = escaped & inside & !usually_escaped(block);
            if unusual != 0 && !are_unicode(bytes, at, unusual) {
                return None;
            }
        }
        if stop != 0 {
            let first = stop.trailing_zeros();
            return ((quotes >> first) & 1 == 1).then_some(at + first as usize + 1);
        }
        carry = next;
        at += BLOCK;
    }
    if carry == 1 {
        at = escape(bytes, at)?;
    }
    end_of_string(bytes, at)
}

/// Marks the bytes behind the first, third and so on of a row of backslashes, and whether the first byte of the next block
/// is one of them.
fn escaped(slashes: u32, carry: u32) -> (u32, u32) {
    const EVEN: u32 = 0x5555;
    let slashes = slashes & !carry;
    let behind = (slashes << 1) | carry;
    // Rows that begin at odd places; adding all backslashes carries each to the end of its row.
    let odd = slashes & !EVEN & !behind;
    let ends = odd + slashes;
    ((EVEN ^ (ends << 1)) & behind & 0xffff, (ends >> BLOCK) & 1)
}

/// Marks what a backslash alone escapes.
fn usually_escaped(block: u8x16) -> u32 {
    let is = |byte| block.simd_eq(u8x16::splat(byte));
    let marks = is(b'"') | is(b'\\') | is(b'/') | is(b'b') | is(b'f') | is(b'n') | is(b'r') | is(b't');
    marks.to_bitmask()
}

#[cold]
fn are_unicode(bytes: &[u8], at: usize, mut marks: u32) -> bool {
    while marks != 0 {
        if unicode(bytes, at + marks.trailing_zeros() as usize).is_none() {
            return false;
        }
        marks &= marks - 1;
    }
    true
}

/// As `string`, where less than a block is left.
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at = escape(bytes, at + 1)?,
            0..b' ' => return None,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference(text: &str) -> bool {
        serde_json::from_str::<IgnoredAny>(text).is_ok()
    }

    #[test]
    fn the_edges_of_the_grammar() {
        let long = "x".repeat(100);
        for text in [
            "",
            " ",
            "null",
            "nul",
            "nullx",
            "true false",
            "[",
            "[]",
            "[ ]",
            "[,]",
            "[1,]",
            "[1 2]",
            "{}",
            "{,}",
            r#"{"a":1}"#,
            r#"{"a":1,}"#,
            r#"{"a" : 1 , "b":[{}]}"#,
            r#"{"a"}"#,
            "{1:2}",
            "{]",
            "[}",
            "[[]",
            "[]]",
            "0",
            "-0",
            "01",
            "-",
            "-a",
            "1.",
            ".1",
            "1.5",
            "1e",
            "1e+",
            "1E-2",
            "1e+-2",
            "--1",
            "+1",
            "1e5.5",
            r#""""#,
            r#"""#,
            r#""\"#,
            r#""\""#,
            r#""\x""#,
            r#""\u12g4""#,
            r#""\u123"#,
            r#""\ud800""#,
            r#""\u0000""#,
            "\"\u{1}\"",
            "\"\t\"",
            "\"\u{7f}\u{e9}\"",
            "\u{feff}1",
            "\u{a0}1",
            "1\u{0}",
        ] {
            for text in [
                text.to_owned(),
                format!(r#"["{long}",{text}]"#),
                format!("[\"{long}\\n{text}\"]"),
            ] {
                assert_eq!(is_valid(&text), reference(&text), "{text:?}");
            }
        }
        for depth in [127, 128, 129, 5_000] {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert!(is_valid(&text), "{depth}");
            assert!(!is_valid(&text[1..]), "{depth}");
        }
    }

    proptest! {
        /// Rows of backslashes across the blocks, and what they escape.
        #[test]
        fn escapes_are_told_apart_wherever_they_are(before in "[ax]{0,17}", text in r#"[\\\\\\"u0bnq\x01é]{0,50}"#) {
            let text = format!(r#"["{before}{text}","z"]"#);
            prop_assert_eq!(is_valid(&text), reference(&text), "{}", text);
        }

        #[test]
        fn the_check_agrees_with_serde_json(text in r#"[\[\]{}",:\\ntu0-9eE.+\-a \x01é]{0,40}"#) {
            prop_assert_eq!(is_valid(&text), reference(&text));
        }

        #[test]
        fn changes_to_valid_texts_are_noticed_alike(at: prop::sample::Index, other: char, cut: bool) {
            let text = r#"["a long enough text, so that \"blocks\" are passed over \u00e9",{"k":[1.5e3,-0,null]},true]"#;
            let mut chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len());
            if cut { chars.truncate(at) } else { chars[at] = other }
            let text: String = chars.into_iter().collect();
            prop_assert_eq!(is_valid(&text), reference(&text));
        }
    }
}
