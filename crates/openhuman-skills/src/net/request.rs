//! A request as a skill describes it, checked and typed. Nothing is decided here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value};
use url::{Host, Url};

use super::error::NetError;
use crate::SecretValue;
use crate::grant::METHODS;

/// The largest request body, in bytes.
pub(crate) const MAX_REQUEST_BODY: usize = 8 * 1024 * 1024;
/// The longest address, in bytes.
const MAX_URL: usize = 16 * 1024;
/// The most headers, and the most bytes in all of them.
const MAX_HEADERS: (usize, usize) = (100, 64 * 1024);
/// The default and the largest time limit.
const TIMEOUT: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(120));
/// Headers that belong to the connection, not to the skill.
const FORBIDDEN_HEADERS: [&str; 10] = [
    "host",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "proxy-authorization",
    "proxy-connection",
];

/// A checked request, the first stage of egress. Placeholders of secrets are still inside.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// Headers the host itself adds, such as its session token; they never leave the first origin.
    pub(crate) host_headers: Vec<(HeaderName, Arc<SecretValue>)>,
    pub(crate) body: Option<Bytes>,
    pub(crate) timeout: Duration,
    pub(crate) redirect: Redirect,
    /// Whether the time limit was read as milliseconds, which deserves a warning.
    pub(crate) timeout_was_ms: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    Follow,
    Manual,
    Error,
}

impl Request {
    /// Reads the arguments of `net.fetch(url, {method, headers, body, timeout, timeoutMs, redirect})`.
    /// `timeout` is in seconds.
    pub(crate) fn parse(url: &str, options: &Value) -> Result<Self, NetError> {
        let empty = Map::new();
        let options = match options {
            Value::Null => &empty,
            Value::Object(options) => options,
            _ => return Err(NetError::invalid("the options must be an object")),
        };
        let body = match options.get("body") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(Bytes::from(text.clone())),
            Some(_) => {
                return Err(NetError::invalid(
                    "the body must be a string; use JSON.stringify for an object",
                ));
            }
        };
        let mut headers = Headers::default();
        match options.get("headers") {
            None | Some(Value::Null) => {}
            Some(Value::Object(wanted)) => {
                for (name, value) in wanted {
                    match value {
                        Value::Null => {}
                        Value::String(text) => headers.add(name, text, true)?,
                        Value::Number(_) | Value::Bool(_) => headers.add(name, &value.to_string(), true)?,
                        _ => {
                            let name = shorten(name);
                            let text = format!("the value of the header `{name}` must be a string");
                            return Err(NetError::invalid(text));
                        }
                    }
                }
            }
            Some(_) => return Err(NetError::invalid("the headers must be an object")),
        }
        Self::new(url, options, headers.0, body)
    }

    /// Reads what the standard `fetch` sends: headers as pairs, the body apart. Headers that belong to the
    /// connection are left out, as in a browser. `timeoutMs` is in milliseconds; there is no `timeout`.
    pub(crate) fn standard(description: &Value, body: Option<Bytes>) -> Result<Self, NetError> {
        let empty = Map::new();
        let options = description.as_object().unwrap_or(&empty);
        let url = options.get("url").and_then(Value::as_str).unwrap_or_default();
        let mut headers = Headers::default();
        for pair in options
            .get("headers")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if let (Some(name), Some(value)) = (
                pair.get(0).and_then(Value::as_str),
                pair.get(1).and_then(Value::as_str),
            ) {
                headers.add(name, value, false)?;
            }
        }
        let mut options = options.clone();
        options.remove("timeout");
        Self::new(url, &options, headers.0, body)
    }

    fn new(
        url: &str,
        options: &Map<String, Value>,
        headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<Self, NetError> {
        let url = address(url)?;
        let method = method(options.get("method"))?;
        if body.as_ref().is_some_and(|body| body.len() > MAX_REQUEST_BODY) {
            let text = format!("the body is larger than {MAX_REQUEST_BODY} bytes");
            return Err(NetError::invalid(text));
        }
        let body = body.filter(|body| !body.is_empty());
        if body.is_some() && matches!(method, Method::GET | Method::HEAD) {
            return Err(NetError::invalid(format!("a {method} request has no body")));
        }
        let (timeout, timeout_was_ms) = timeout(options)?;
        let redirect = match options.get("redirect").and_then(Value::as_str) {
            Some("manual") => Redirect::Manual,
            Some("error") => Redirect::Error,
            _ => Redirect::Follow,
        };
        Ok(Self {
            method,
            url,
            headers,
            host_headers: Vec::new(),
            body,
            timeout,
            redirect,
            timeout_was_ms,
        })
    }

    /// Whether the body says it is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.content_type().is_some_and(|kind| kind.contains("json"))
    }

    /// Whether the body says it is a form.
    pub(crate) fn is_form(&self) -> bool {
        self.content_type()
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
    }

    fn content_type(&self) -> Option<String> {
        let kind = self.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        Some(kind.trim().to_ascii_lowercase())
    }
}

/// Reads an address. The fragment is dropped: it never leaves.
pub(crate) fn address(text: &str) -> Result<Url, NetError> {
    if text.is_empty() {
        return Err(NetError::invalid("the first argument must be a URL as a string"));
    }
    if text.len() > MAX_URL {
        return Err(NetError::invalid(format!(
            "the URL is longer than {MAX_URL} bytes"
        )));
    }
    let mut url = Url::parse(text)
        .map_err(|error| NetError::invalid(format!("`{}` is not a URL: {error}", shorten(text))))?;
    url.set_fragment(None);
    Ok(url)
}

fn method(wanted: Option<&Value>) -> Result<Method, NetError> {
    match wanted {
        None | Some(Value::Null) => Ok(Method::GET),
        Some(Value::String(name)) if METHODS.contains(&name.to_ascii_uppercase().as_str()) => {
            Method::from_bytes(name.to_ascii_uppercase().as_bytes())
                .map_err(|_| NetError::invalid(format!("`{}` is not a method", shorten(name))))
        }
        Some(other) => Err(NetError::invalid(format!(
            "method must be one of {}, not {}",
            METHODS.join(", "),
            shorten(&other.to_string())
        ))),
    }
}

/// Headers while they are collected.
#[derive(Default)]
struct Headers(HeaderMap);

impl Headers {
    fn add(&mut self, name: &str, value: &str, strict: bool) -> Result<(), NetError> {
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| NetError::invalid(format!("`{}` is not a header name", shorten(name))))?;
        if key == CONTENT_LENGTH || key == ACCEPT_ENCODING {
            return Ok(()); // The host sets both.
        }
        if FORBIDDEN_HEADERS.contains(&key.as_str()) {
            if strict {
                return Err(NetError::invalid(format!(
                    "the header `{key}` is set by the host"
                )));
            }
            return Ok(());
        }
        let size: usize = self
            .0
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        if self.0.len() >= MAX_HEADERS.0 || size + name.len() + value.len() > MAX_HEADERS.1 {
            let (count, bytes) = MAX_HEADERS;
            let text = format!("a request has at most {count} headers of together {bytes} bytes");
            return Err(NetError::invalid(text));
        }
        // Bytes, as the standard writes them: a character beyond Latin-1 has none.
        let bytes: Option<Vec<u8>> = value
            .trim_matches([' ', '\t'])
            .chars()
            .map(|character| u8::try_from(character).ok())
            .collect();
        let value = bytes
            .and_then(|bytes| HeaderValue::from_bytes(&bytes).ok())
            .ok_or_else(|| {
                NetError::invalid(format!(
                    "the value of the header `{key}` holds a forbidden character"
                ))
            })?;
        self.0.append(key, value);
        Ok(())
    }
}

/// Seconds by contract. Old skills pass milliseconds too, so a value of 1000 or more is read as such.
fn timeout(options: &Map<String, Value>) -> Result<(Duration, bool), NetError> {
    let number = |key: &str| match options.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(number) if number > 0.0 => Ok(Some(number)),
            _ => Err(NetError::invalid(format!("`{key}` must be a positive number"))),
        },
    };
    let (seconds, was_ms) = match (number("timeoutMs")?, number("timeout")?) {
        (Some(ms), _) => (ms / 1000.0, false),
        (None, Some(value)) if value >= 1000.0 => (value / 1000.0, true),
        (None, Some(value)) => (value, false),
        (None, None) => return Ok((TIMEOUT.0, false)),
    };
    let limit = Duration::from_secs_f64(seconds.min(TIMEOUT.1.as_secs_f64()));
    Ok((limit, was_ms))
}

/// The host without brackets or a trailing dot, in lower case.
pub(crate) fn host_name(host: &Host<&str>) -> String {
    match host {
        Host::Domain(name) => name.trim_end_matches('.').to_ascii_lowercase(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(options: &Value) -> Result<Request, NetError> {
        Request::parse("https://api.example.com/x", options)
    }

    #[test]
    fn requests_are_read() {
        let options = json!({"method": "post", "headers": {"X-A": "1", "Content-Length": "9", "Accept-Encoding": "x"},
            "body": "hi"});
        let request = parse(&options).unwrap();
        assert_eq!(
            (request.method, request.body.as_deref()),
            (Method::POST, Some(&b"hi"[..]))
        );
        assert_eq!(request.headers.len(), 1);
        let latin = parse(&json!({"headers": {"a": "é"}})).unwrap();
        assert_eq!(latin.headers["a"].as_bytes(), [0xe9]);
        assert_eq!(parse(&json!(null)).unwrap().timeout, Duration::from_secs(30));
    }

    #[test]
    fn bad_requests_throw() {
        for options in [
            json!({"method": "TRACE"}),
            json!({"method": "CONNECT"}),
            json!({"method": "GET / HTTP/1.1\r\nx"}),
            json!({"method": 5}),
            json!({"method": "POST", "body": {"a": 1}}),
            json!({"method": "POST", "body": 5}),
            json!({"body": "x"}),
            json!({"headers": []}),
            json!({"headers": {"host": "x"}}),
            json!({"headers": {"a b": "x"}}),
            json!({"headers": {"a": "x\r\ny: z"}}),
            json!({"headers": {"a": "x\u{0}"}}),
            json!({"headers": {"a": "€"}}),
            json!({"headers": {"a": {}}}),
            json!({"headers": {"a": "x".repeat(70_000)}}),
            json!({"timeout": 0}),
            json!({"timeout": -1}),
            json!({"timeout": "x"}),
            json!([]),
        ] {
            assert!(parse(&options).is_err(), "{options}");
        }
        for url in [
            "",
            "not a url",
            "https://",
            &format!("https://a.org/{}", "x".repeat(17_000)),
        ] {
            assert!(Request::parse(url, &Value::Null).is_err(), "{url}");
        }
    }

    #[test]
    fn standard_requests_keep_pairs_and_lose_connection_headers() {
        let description = json!({"url": "https://api.example.com/#part", "method": "PUT", "timeout": 1, "timeoutMs": 1500,
            "headers": [["x-a", "1"], ["x-a", "2"], ["host", "evil"], ["connection", "close"]]});
        let request = Request::standard(&description, Some(Bytes::from_static(&[0, 255]))).unwrap();
        assert_eq!(request.headers.get_all("x-a").iter().count(), 2);
        assert_eq!(request.headers.len(), 2);
        assert_eq!(request.timeout, Duration::from_millis(1500));
        assert_eq!(request.url.as_str(), "https://api.example.com/");
        assert_eq!(request.body.as_deref(), Some(&[0, 255][..]));
    }

    #[test]
    fn timeouts_are_seconds_unless_they_are_large() {
        let read = |options: &Value| {
            let request = parse(options).unwrap();
            (request.timeout, request.timeout_was_ms)
        };
        assert_eq!(read(&json!({"timeout": 60})), (Duration::from_secs(60), false));
        assert_eq!(read(&json!({"timeout": 10000})), (Duration::from_secs(10), true));
        assert_eq!(
            read(&json!({"timeoutMs": 500})),
            (Duration::from_millis(500), false)
        );
        assert_eq!(read(&json!({"timeout": 999})), (Duration::from_secs(120), false));
        assert_eq!(read(&json!({"timeout": 1e300})), (Duration::from_secs(120), true));
    }
}
