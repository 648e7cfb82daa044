//! Whether a text is JSON, without building anything.
//!
//! Every delivered event is checked so that a server that sends garbage is noticed when it does. Most of the bytes
//! are in strings, which are passed over in blocks.

use serde::de::IgnoredAny;

/// Nesting up to which the check keeps its place in one integer; deeper texts are left to serde_json.
const DEPTH: u32 = 128;

pub(crate) fn is_valid(text: &str) -> bool {
    let mut scan = Scan {
        bytes: text.as_bytes(),
        at: 0,
    };
    match scan.document() {
        Some(valid) => valid,
        None => serde_json::from_str::<IgnoredAny>(text).is_ok(),
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    /// `None` when the nesting is too deep to tell.
    fn document(&mut self) -> Option<bool> {
        // The lowest bit is the innermost: set for an object, clear for a list.
        let (mut nesting, mut depth) = (0u128, 0u32);
        loop {
            self.space();
            let (open, object) = match self.bytes.get(self.at) {
                Some(b'{') => (true, true),
                Some(b'[') => (true, false),
                _ => (false, false),
            };
            if open {
                if depth == DEPTH {
                    return None;
                }
                self.at += 1;
                depth += 1;
                nesting = nesting << 1 | u128::from(object);
                self.space();
                let empty = self.is(if object { b'}' } else { b']' });
                if !empty {
                    if object && !self.key() {
                        return Some(false);
                    }
                    continue;
                }
                depth -= 1;
                nesting >>= 1;
            } else if !self.scalar() {
                return Some(false);
            }
            // Behind a value.
            loop {
                self.space();
                if depth == 0 {
                    return Some(self.at == self.bytes.len());
                }
                let object = nesting & 1 == 1;
                if self.is(b',') {
                    if object && !self.key() {
                        return Some(false);
                    }
                    break;
                }
                if !self.is(if object { b'}' } else { b']' }) {
                    return Some(false);
                }
                depth -= 1;
                nesting >>= 1;
            }
        }
    }

    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Passes over this byte, if it is the next.
    fn is(&mut self, byte: u8) -> bool {
        let is = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(is);
        is
    }

    /// A key and its colon.
    fn key(&mut self) -> bool {
        self.space();
        let key = self.is(b'"') && self.string();
        self.space();
        key && self.is(b':')
    }

    fn scalar(&mut self) -> bool {
        match self.bytes.get(self.at) {
            Some(b'"') => {
                self.at += 1;
                self.string()
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => false,
        }
    }

    fn word(&mut self, word: &[u8]) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += word.len();
        rest.starts_with(word)
    }

    /// The rest of a string, behind its opening quote.
    fn string(&mut self) -> bool {
        loop {
            while let Some(block) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk) {
                let special = specials(u64::from_le_bytes(*block));
                if special != 0 {
                    self.at += special.trailing_zeros() as usize / 8;
                    break;
                }
                self.at += size_of::<u64>();
            }
            let byte = self.bytes.get(self.at);
            self.at += 1;
            match byte {
                Some(b'"') => return true,
                Some(b'\\') if self.escape() => {}
                // Only where less than a block is left.
                Some(b' '..) if byte != Some(&b'\\') => {}
                _ => return false,
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> bool {
        let kind = self.bytes.get(self.at);
        self.at += 1;
        match kind {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
            Some(b'u') => {
                let digits = self.bytes.get(self.at..self.at + 4);
                self.at += 4;
                digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            }
            _ => false,
        }
    }

    fn number(&mut self) -> bool {
        self.is(b'-');
        if !self.is(b'0') && !self.digits() {
            return false;
        }
        if self.is(b'.') && !self.digits() {
            return false;
        }
        if self.is(b'e') || self.is(b'E') {
            if !self.is(b'+') {
                self.is(b'-');
            }
            return self.digits();
        }
        true
    }

    /// At least one digit.
    fn digits(&mut self) -> bool {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at > start
    }
}

/// Marks the bytes that end the plain part of a string: a quote, a backslash, what is below a blank. The lowest mark is
/// exact; those above it may be wrong.
fn specials(block: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
    let quote = zero(block ^ (ONES * b'"' as u64));
    let backslash = zero(block ^ (ONES * b'\\' as u64));
    let control = block.wrapping_sub(ONES * b' ' as u64) & !block;
    (quote | backslash | control) & HIGH
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
