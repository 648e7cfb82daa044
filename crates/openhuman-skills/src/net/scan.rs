//! Looking for the values of secrets in what comes back and in what leaves.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::placeholder::{Reference, Wiped, percent_encode};

/// Shorter values cannot be told from ordinary text.
const SHORTEST: usize = 6;
/// Values remembered for one skill; the oldest are forgotten first.
const MOST: usize = 64;

/// The values that went out for one run of a skill.
#[derive(Default)]
pub(crate) struct Revealed(Mutex<State>);

#[derive(Default)]
struct State {
    values: VecDeque<(Reference, Wiped)>,
    scanner: Option<Arc<Scanner>>,
}

impl Revealed {
    /// Remembers a value until the skill stops.
    pub(crate) fn remember(&self, reference: &Reference, value: &[u8]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state
            .values
            .iter()
            .any(|(known, same)| known == reference && same.as_slice() == value)
        {
            return;
        }
        if state.values.len() >= MOST {
            state.values.pop_front();
        }
        state
            .values
            .push_back((reference.clone(), Wiped::new(value.to_vec())));
        state.scanner = Scanner::new(
            state
                .values
                .iter()
                .map(|(reference, value)| (reference, &***value)),
        )
        .map(Arc::new);
    }

    /// What looks for them; `None` when there are none.
    pub(crate) fn scanner(&self) -> Option<Arc<Scanner>> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.scanner.clone()
    }
}

/// Finds values, plain and as they are usually encoded, without regard to case.
pub(crate) struct Scanner {
    needles: Vec<(Wiped, Arc<Reference>)>,
    /// For each pair of bytes whether a needle begins with it.
    starts: Box<[u64; 1024]>,
    longest: usize,
}

impl Scanner {
    pub(crate) fn new<'a>(values: impl Iterator<Item = (&'a Reference, &'a [u8])>) -> Option<Self> {
        let mut needles: Vec<(Wiped, Arc<Reference>)> = Vec::new();
        for (reference, value) in values.filter(|(_, value)| value.len() >= SHORTEST) {
            let reference = Arc::new(reference.clone());
            for form in forms(value) {
                if !needles.iter().any(|(known, _)| known.eq_ignore_ascii_case(&form)) {
                    needles.push((form, Arc::clone(&reference)));
                }
            }
        }
        // The longest first, so that a value which contains another is found whole.
        needles.sort_by_key(|(needle, _)| std::cmp::Reverse(needle.len()));
        let longest = needles.first()?.0.len();
        let mut starts = Box::new([0; 1024]);
        for (needle, _) in &needles {
            if let [first, second, ..] = needle.as_slice() {
                let pair = pair(*first, *second);
                if let Some(word) = starts.get_mut(pair / 64) {
                    *word |= 1 << (pair % 64);
                }
            }
        }
        Some(Self {
            needles,
            starts,
            longest,
        })
    }

    /// The first value in a text: where it is, and whose it is.
    pub(crate) fn find(&self, text: &[u8]) -> Option<(usize, usize, &Reference)> {
        text.windows(2).enumerate().find_map(|(at, window)| {
            let &[first, second] = window else { return None };
            let pair = pair(first, second);
            if self
                .starts
                .get(pair / 64)
                .is_none_or(|word| word & (1 << (pair % 64)) == 0)
            {
                return None;
            }
            let tail = text.get(at..)?;
            let found = self.needles.iter().find(|(needle, _)| {
                tail.get(..needle.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(needle))
            });
            found.map(|(needle, reference)| (at, needle.len(), &**reference))
        })
    }

    /// Every secret whose value is in a text.
    pub(crate) fn find_all(&self, mut text: &[u8]) -> Vec<&Reference> {
        let mut found = Vec::new();
        while let Some((at, length, reference)) = self.find(text) {
            if !found.contains(&reference) {
                found.push(reference);
            }
            text = text.get(at + length..).unwrap_or_default();
        }
        found
    }

    /// Puts placeholders where values are.
    pub(crate) fn redact<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let mut rest = text;
        let mut out = Vec::new();
        while let Some((at, length, reference)) = self.find(rest) {
            out.extend_from_slice(rest.get(..at).unwrap_or_default());
            out.extend_from_slice(reference.label().as_bytes());
            rest = rest.get(at + length..).unwrap_or_default();
        }
        if out.is_empty() && rest.len() == text.len() {
            return Cow::Borrowed(text);
        }
        out.extend_from_slice(rest);
        Cow::Owned(out)
    }

    /// How many bytes at the end of a text could be the beginning of a value.
    fn open_end(&self, text: &[u8]) -> usize {
        let most = text.len().min(self.longest - 1);
        let begins = |tail: &[u8]| {
            self.needles.iter().any(|(needle, _)| {
                needle
                    .get(..tail.len())
                    .is_some_and(|start| tail.len() < needle.len() && start.eq_ignore_ascii_case(tail))
            })
        };
        (1..=most)
            .rev()
            .find(|&length| text.get(text.len() - length..).is_some_and(begins))
            .unwrap_or(0)
    }
}

/// Redacts a text that comes in pieces; a value that lies across two is found too.
pub(crate) struct Redactor {
    scanner: Option<Arc<Scanner>>,
    held: Vec<u8>,
}

impl Redactor {
    pub(crate) fn new(scanner: Option<Arc<Scanner>>) -> Self {
        let held = Vec::new();
        Self { scanner, held }
    }

    /// Takes a piece; gives what is certain by now.
    pub(crate) fn push(&mut self, piece: Vec<u8>) -> Vec<u8> {
        let Some(scanner) = &self.scanner else {
            return piece;
        };
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(&piece);
        // Only what follows the last value can still become one.
        let mut clear = 0;
        while let Some((at, length, _)) = text.get(clear..).and_then(|rest| scanner.find(rest)) {
            clear += at + length;
        }
        let open = scanner.open_end(text.get(clear..).unwrap_or_default());
        self.held = text.split_off(text.len() - open);
        scanner.redact(&text).into_owned()
    }

    /// What was held back.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first.to_ascii_lowercase()) << 8 | usize::from(second.to_ascii_lowercase())
}

/// The value as servers usually write it: as it is, percent-encoded, in JSON, in HTML, in hex, and inside base64 at
/// each of the three offsets.
fn forms(value: &[u8]) -> Vec<Wiped> {
    let mut forms = vec![Wiped::new(value.to_vec())];
    let mut percent = Wiped::default();
    percent_encode(value, &mut percent);
    forms.push(percent);
    let encode_but = |kept: &[u8], space: &[u8]| {
        let mut out = Wiped::default();
        for &byte in value {
            match byte {
                b' ' => out.extend_from_slice(space),
                _ if byte.is_ascii_alphanumeric() || kept.contains(&byte) => out.push(byte),
                _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            }
        }
        out
    };
    forms.push(encode_but(b"-._~", b"%20")); // RFC 3986
    forms.push(encode_but(b"-_.!~*'()", b"%20")); // encodeURIComponent
    forms.push(encode_but(b"-_.*", b"+")); // a form
    forms.push(encode_but(b"-._~!$&'()*+,;=:@/[]|^\\%", b"%20")); // a path
    forms.push(encode_but(b"-._~!$&()*+,;=:@/?[]{}|^`\\%", b"%20")); // a query
    if let Ok(text) = std::str::from_utf8(value) {
        if let Ok(quoted) = serde_json::to_string(text) {
            let quoted = Wiped::new(quoted.into_bytes());
            forms.push(Wiped::new(
                quoted.get(1..quoted.len() - 1).unwrap_or_default().to_vec(),
            ));
        }
        forms.push(escaped_json(text));
        let html = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        forms.push(Wiped::new(
            html.replace('"', "&quot;").replace('\'', "&#39;").into_bytes(),
        ));
        forms.push(Wiped::new(
            html.replace('"', "&#34;").replace('\'', "&#x27;").into_bytes(),
        ));
    }
    let mut hex = Wiped::default();
    for byte in value {
        hex.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    forms.push(hex);
    for offset in 0..3 {
        let mut shifted = Wiped::new(vec![0; offset]);
        shifted.extend_from_slice(value);
        // Characters that hold bits of neighbours are left out on both sides.
        let first = (offset * 8).div_ceil(6);
        let last = shifted.len() * 8 / 6;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = Wiped::new(engine.encode(&*shifted).into_bytes());
            forms.push(Wiped::new(encoded.get(first..last).unwrap_or_default().to_vec()));
        }
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// JSON as cautious writers make it: with `\/`, and everything beyond ASCII as `\uXXXX`.
fn escaped_json(text: &str) -> Wiped {
    let mut out = Wiped::default();
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte @ (b'"' | b'\\' | b'/')) => out.extend_from_slice(&[b'\\', byte]),
            Ok(byte @ b' '..=b'~') => out.push(byte),
            _ => out.extend_from_slice(format!("\\u{unit:04x}").as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const SECRET: &str = "t0p-s3cr/t ü\"&key";

    fn scanner() -> Scanner {
        let reference = Reference::Value("key".to_owned());
        Scanner::new([(&reference, SECRET.as_bytes())].into_iter()).unwrap()
    }

    fn redacted(text: &[u8]) -> String {
        String::from_utf8_lossy(&scanner().redact(text)).into_owned()
    }

    #[test]
    fn values_are_found_in_every_usual_form() {
        let component = "t0p-s3cr%2Ft%20%C3%BC%22%26key";
        let mut forms = vec![
            SECRET.to_owned(),
            SECRET.to_uppercase().replace('Ü', "ü"),
            component.to_owned(),
            component.to_lowercase(),
            component.replace("%20", "+"),
            "t0p-s3cr/t%20%C3%BC%22&key".to_owned(),
            r#"t0p-s3cr/t ü\"&key"#.to_owned(),
            r#"t0p-s3cr\/t \u00fc\"&key"#.to_owned(),
            "t0p-s3cr/t ü&quot;&amp;key".to_owned(),
            SECRET.bytes().map(|byte| format!("{byte:02X}")).collect(),
        ];
        for before in ["", "a", "ab", "abc", "user:"] {
            for after in ["", "z", "zy", "zyx"] {
                let text = format!("{before}{SECRET}{after}");
                forms.push(STANDARD.encode(&text));
                forms.push(URL_SAFE_NO_PAD.encode(&text));
            }
        }
        for form in forms {
            let out = redacted(format!("before {form} after").as_bytes());
            assert!(out.contains("{{secret:key}}"), "{form}: {out}");
            assert!(
                out.starts_with("before ") && out.ends_with(" after"),
                "{form}: {out}"
            );
        }
        for other in ["t0p-s3cr/t", "nothing here", "", "t"] {
            assert_eq!(redacted(other.as_bytes()), other);
        }
    }

    #[test]
    fn pieces_are_scanned_across_their_borders() {
        let text = format!("{{\"a\":\"{SECRET}\"}}t0p-{SECRET}{SECRET}t0p-s3");
        let whole = redacted(text.as_bytes());
        let scanner = Arc::new(scanner());
        for size in 1..text.len() {
            let mut redactor = Redactor::new(Some(Arc::clone(&scanner)));
            let mut out = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                out.extend(redactor.push(piece.to_vec()));
            }
            out.extend(redactor.finish());
            assert_eq!(String::from_utf8_lossy(&out), whole, "pieces of {size}");
        }
        assert_eq!(whole.matches("{{secret:key}}").count(), 3);
    }

    #[test]
    fn ordinary_text_is_not_held_back() {
        let mut redactor = Redactor::new(Some(Arc::new(scanner())));
        assert_eq!(redactor.push(b"data: hello\n\n".to_vec()), b"data: hello\n\n");
        assert_eq!(redactor.push(b"x t0p-".to_vec()), b"x ");
        assert_eq!(redactor.push(b"other".to_vec()), b"t0p-other");
        assert!(redactor.finish().is_empty());
    }

    #[test]
    fn short_values_are_not_looked_for_and_old_ones_are_forgotten() {
        let reference = Reference::Value("pin".to_owned());
        assert!(Scanner::new([(&reference, &b"1234"[..])].into_iter()).is_none());
        let revealed = Revealed::default();
        for index in 0..MOST + 8 {
            revealed.remember(&reference, format!("value-{index:04}").as_bytes());
            revealed.remember(&reference, format!("value-{index:04}").as_bytes());
        }
        let scanner = revealed.scanner().unwrap();
        assert!(scanner.find(b"value-0000").is_none() && scanner.find(b"value-0071").is_some());
        assert_eq!(scanner.find_all(b"value-0070 value-0071"), [&reference]);
    }
}
