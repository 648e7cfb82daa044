//! Placeholders of secrets, `{{secret:ID}}` and `{{secret:basic:ID:ID}}`, and putting values in their place.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::error::NetError;
use super::request::shorten;

const OPEN: &[u8] = b"{{secret:";
const CLOSE: &[u8] = b"}}";
const MAX_HANDLE: usize = 128;

/// A text whose memory is wiped when it is dropped.
pub(crate) type Wiped = Zeroizing<Vec<u8>>;

/// What a placeholder stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// `{{secret:ID}}`: the value.
    Value(String),
    /// `{{secret:basic:USER:PASSWORD}}`: the credentials of HTTP Basic, which is base64 of `user:password`.
    Basic(String, String),
}

impl Reference {
    fn parse(text: &str) -> Result<Self, NetError> {
        let handle = |text: &str| {
            let fits = !text.is_empty()
                && text.len() <= MAX_HANDLE
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-./@".contains(&byte));
            fits.then(|| text.to_owned())
        };
        let mut parts = text.split(':');
        let parsed = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(id), None, ..) => handle(id).map(Self::Value),
            (Some("basic"), Some(user), Some(password), None) => handle(user)
                .zip(handle(password))
                .map(|(user, password)| Self::Basic(user, password)),
            _ => None,
        };
        parsed.ok_or_else(|| NetError::invalid(format!("`{}` is not the handle of a secret", shorten(text))))
    }

    /// The placeholder as a skill writes it.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Value(handle) => format!("{{{{secret:{handle}}}}}"),
            Self::Basic(user, password) => format!("{{{{secret:basic:{user}:{password}}}}}"),
        }
    }
}

/// How a value is written at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Context {
    /// As it is.
    Raw,
    /// Percent-encoded, as in a URL or a form.
    Percent,
    /// Inside a JSON string.
    Json,
}

/// Replaces every placeholder in `text`; `None` when there is none. A placeholder that is percent-encoded itself is
/// replaced by a percent-encoded value in every context.
pub(crate) fn fill(
    text: &[u8],
    context: Context,
    reveal: &mut dyn FnMut(&Reference) -> Result<Wiped, NetError>,
) -> Result<Option<Wiped>, NetError> {
    let Some(mut found) = next(text)? else {
        return Ok(None);
    };
    let mut out = Wiped::new(Vec::with_capacity(text.len() + 256));
    let mut rest = text;
    loop {
        let context = if found.encoded { Context::Percent } else { context };
        let value = reveal(&found.reference)?;
        // Growing would leave an unwiped copy behind; at most every byte becomes three or six.
        let need = out.len() + found.start + value.len() * 6 + rest.len();
        if out.capacity() < need {
            let mut wider = Wiped::new(Vec::with_capacity(need * 2));
            wider.extend_from_slice(&out);
            out = wider;
        }
        out.extend_from_slice(rest.get(..found.start).unwrap_or_default());
        write_value(&mut out, &value, context);
        rest = rest.get(found.end..).unwrap_or_default();
        match next(rest)? {
            Some(another) => found = another,
            None => {
                out.extend_from_slice(rest);
                return Ok(Some(out));
            }
        }
    }
}

/// Whether there is a placeholder, or the beginning of one.
pub(crate) fn holds_placeholder(text: &[u8]) -> bool {
    !matches!(next(text), Ok(None))
}

/// The credentials of HTTP Basic.
pub(crate) fn basic(user: &[u8], password: &[u8]) -> Wiped {
    let mut pair = Wiped::new(Vec::with_capacity(user.len() + password.len() + 1));
    pair.extend_from_slice(user);
    pair.push(b':');
    pair.extend_from_slice(password);
    Wiped::new(STANDARD.encode(&*pair).into_bytes())
}

/// `Basic` credentials that hold placeholders inside their base64, as `btoa(id + ':' + secret)` makes them: the
/// text to fill and encode again.
pub(crate) fn inside_basic(header: &[u8]) -> Option<Vec<u8>> {
    let (scheme, encoded) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let inner = STANDARD.decode(encoded.trim_ascii()).ok()?;
    holds_placeholder(&inner).then_some(inner)
}

struct Found {
    start: usize,
    end: usize,
    reference: Reference,
    encoded: bool,
}

/// The first placeholder of a text.
fn next(text: &[u8]) -> Result<Option<Found>, NetError> {
    let mut from = 0;
    while let Some(at) = text
        .get(from..)
        .and_then(|rest| rest.iter().position(|&byte| byte == b'{' || byte == b'%'))
    {
        let start = from + at;
        let tail = text.get(start..).unwrap_or_default();
        if tail.starts_with(OPEN) {
            let inner = tail.get(OPEN.len()..).unwrap_or_default();
            let window = inner.get(..inner.len().min(3 * MAX_HANDLE)).unwrap_or_default();
            let Some(length) = window.windows(CLOSE.len()).position(|pair| pair == CLOSE) else {
                return Err(NetError::invalid("a {{secret:..}} placeholder is not closed"));
            };
            let handle = std::str::from_utf8(inner.get(..length).unwrap_or_default()).unwrap_or_default();
            return Ok(Some(Found {
                start,
                end: start + OPEN.len() + length + CLOSE.len(),
                reference: Reference::parse(handle)?,
                encoded: false,
            }));
        }
        if let Some(found) = encoded(tail) {
            let (reference, length) = found?;
            return Ok(Some(Found {
                start,
                end: start + length,
                reference,
                encoded: true,
            }));
        }
        from = start + 1;
    }
    Ok(None)
}

/// A placeholder whose braces (and perhaps more) are percent-encoded, at the start of `text`.
fn encoded(text: &[u8]) -> Option<Result<(Reference, usize), NetError>> {
    if !text.get(..6)?.eq_ignore_ascii_case(b"%7b%7b") {
        return None;
    }
    let mut plain = Vec::with_capacity(64);
    let mut at = 0;
    while plain.len() < 3 * MAX_HANDLE && at < text.len() {
        let byte = *text.get(at)?;
        let hex = text
            .get(at + 1..at + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) if byte == b'%' => {
                plain.push(decoded);
                at += 3;
            }
            _ => {
                plain.push(byte);
                at += 1;
            }
        }
        let prefix = plain.len().min(OPEN.len());
        if plain.get(..prefix) != OPEN.get(..prefix) {
            return None;
        }
        if plain.len() > OPEN.len() && plain.ends_with(CLOSE) {
            let handle = plain
                .get(OPEN.len()..plain.len() - CLOSE.len())
                .unwrap_or_default();
            let handle = std::str::from_utf8(handle).unwrap_or_default();
            return Some(Reference::parse(handle).map(|reference| (reference, at)));
        }
    }
    Some(Err(NetError::invalid(
        "a {{secret:..}} placeholder is not closed",
    )))
}

fn write_value(out: &mut Vec<u8>, value: &[u8], context: Context) {
    match context {
        Context::Raw => out.extend_from_slice(value),
        Context::Percent => percent_encode(value, out),
        Context::Json => match std::str::from_utf8(value).ok().map(serde_json::to_string) {
            Some(Ok(quoted)) => {
                let quoted = Wiped::new(quoted.into_bytes());
                out.extend_from_slice(quoted.get(1..quoted.len() - 1).unwrap_or_default());
            }
            _ => out.extend_from_slice(value),
        },
    }
}

/// Everything but the unreserved characters of RFC 3986. A colon stays readable: it is allowed in a path, where
/// tokens such as `123:abc` belong.
pub(crate) fn percent_encode(value: &[u8], out: &mut Vec<u8>) {
    let mut text = String::with_capacity(3);
    for &byte in value {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(byte);
        } else {
            text.clear();
            let _ = write!(text, "%{byte:02X}");
            out.extend_from_slice(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, context: Context) -> Result<Option<String>, NetError> {
        let mut reveal = |reference: &Reference| match reference {
            Reference::Value(handle) if handle == "key" => Ok(Wiped::new(b"s3cr/\"t".to_vec())),
            Reference::Basic(user, password) if user == "id" && password == "key" => {
                Ok(basic(b"me", b"s3cr/\"t"))
            }
            other => Err(NetError::refused(other.label())),
        };
        let filled = fill(text.as_bytes(), context, &mut reveal)?;
        Ok(filled.map(|text| String::from_utf8_lossy(&text).into_owned()))
    }

    #[test]
    fn values_are_written_as_their_place_needs() {
        let is = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(
            filled("a {{secret:key}}{{secret:key}} b", Context::Raw),
            is("a s3cr/\"ts3cr/\"t b")
        );
        assert_eq!(filled("{{secret:key}}!", Context::Percent), is("s3cr%2F%22t!"));
        assert_eq!(
            filled(r#"{"a":"{{secret:key}}"}"#, Context::Json),
            is(r#"{"a":"s3cr/\"t"}"#)
        );
        assert_eq!(
            filled("Basic {{secret:basic:id:key}}", Context::Raw),
            is("Basic bWU6czNjci8idA==")
        );
        for encoded in [
            "%7B%7Bsecret:key%7D%7D",
            "x=%7b%7bsecret%3Akey%7d%7d&y",
            "%7B%7B%73ecret:key}}",
        ] {
            let text = filled(encoded, Context::Raw).unwrap().unwrap();
            assert!(
                text.contains("s3cr%2F%22t") && !text.contains("%7"),
                "{encoded}: {text}"
            );
        }
        for plain in [
            "",
            "{{secre:key}}",
            "{ {secret:key}}",
            "100%",
            "%7B%7Bother%7D%7D",
            "%7",
            "{{{",
        ] {
            assert_eq!(filled(plain, Context::Raw), Ok(None), "{plain}");
        }
        assert!(
            filled("{{{secret:key}}}", Context::Raw)
                .unwrap()
                .unwrap()
                .starts_with("{s3cr")
        );
    }

    #[test]
    fn what_is_no_handle_is_refused() {
        for bad in [
            "{{secret:key",
            "{{secret:}}",
            "{{secret:a b}}",
            "{{secret:a:b}}",
            "{{secret:basic:a}}",
            "{{secret:basic:a:b:c}}",
            "{{secret:none}}",
            "{{secret:{{secret:key}}}}",
            "%7B%7Bsecret%3Akey",
            "%7B%7Bsecret%3A%FF%7D%7D",
        ] {
            assert!(filled(bad, Context::Raw).is_err(), "{bad}");
            assert!(holds_placeholder(bad.as_bytes()), "{bad}");
        }
        assert!(filled(&format!("{{{{secret:{}}}}}", "x".repeat(200)), Context::Raw).is_err());
    }

    #[test]
    fn basic_credentials_made_from_placeholders_are_seen() {
        let header = format!("Basic {}", STANDARD.encode("{{secret:id}}:{{secret:key}}"));
        assert_eq!(
            inside_basic(header.as_bytes()).unwrap(),
            b"{{secret:id}}:{{secret:key}}"
        );
        for other in ["Basic !!!", "Bearer e3s=", "Basic bWU6cHc=", "", "Basic"] {
            assert_eq!(inside_basic(other.as_bytes()), None, "{other}");
        }
    }
}
