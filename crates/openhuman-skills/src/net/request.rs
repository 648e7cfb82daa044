//! A request as a skill describes it, checked and typed; and the decision whether it may leave.

use std::net::IpAddr;
use std::time::Duration;

use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use url::{Host, Url};

use super::address::is_public;
use crate::Grant;
use crate::grant::METHODS;

/// The largest request body, in bytes.
const MAX_REQUEST_BODY: usize = 8 * 1024 * 1024;
/// The longest address, in bytes.
const MAX_URL: usize = 16 * 1024;
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

/// Why a request fails, as the skill is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NetError(pub(crate) String);

/// A checked request. Placeholders of secrets are still inside.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<String>,
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

/// How an allowed request is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Only to public addresses; the rule may name the only secret this host may get.
    Public { secret: Option<String> },
    /// To whatever the explicitly granted host resolves to.
    Private,
}

impl Request {
    /// Reads `{url, method, headers, body, timeout, timeoutMs, redirect}`.
    pub(crate) fn parse(description: &Value) -> Result<Self, NetError> {
        let fail = |text: String| Err(NetError(text));
        let url = match description.get("url") {
            Some(Value::String(text)) if text.len() <= MAX_URL => Url::parse(text)
                .map_err(|error| NetError(format!("`{}` is not a URL: {error}", shorten(text))))?,
            Some(Value::String(_)) => return fail(format!("the URL is longer than {MAX_URL} bytes")),
            _ => return fail("the first argument must be a URL as a string".to_owned()),
        };
        let empty = Map::new();
        let options = match description.get("options") {
            None | Some(Value::Null) => &empty,
            Some(Value::Object(options)) => options,
            Some(_) => return fail("the options must be an object".to_owned()),
        };
        let method = match options.get("method") {
            None | Some(Value::Null) => Method::GET,
            Some(Value::String(name)) if METHODS.contains(&name.to_ascii_uppercase().as_str()) => {
                Method::from_bytes(name.to_ascii_uppercase().as_bytes())
                    .map_err(|_| NetError(format!("`{}` is not a method", shorten(name))))?
            }
            Some(other) => {
                return fail(format!(
                    "method must be one of {}, not {}",
                    METHODS.join(", "),
                    shorten(&other.to_string())
                ));
            }
        };
        let body = match options.get("body") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.len() > MAX_REQUEST_BODY => {
                return fail(format!("the body is larger than {MAX_REQUEST_BODY} bytes"));
            }
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => return fail("the body must be a string; use JSON.stringify for an object".to_owned()),
        };
        if body.as_deref().is_some_and(|text| !text.is_empty())
            && matches!(method, Method::GET | Method::HEAD)
        {
            return fail(format!("a {method} request has no body"));
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
            headers: headers(options.get("headers"))?,
            body,
            timeout,
            redirect,
            timeout_was_ms,
        })
    }
}

fn headers(wanted: Option<&Value>) -> Result<HeaderMap, NetError> {
    let mut headers = HeaderMap::new();
    let wanted = match wanted {
        None | Some(Value::Null) => return Ok(headers),
        Some(Value::Object(wanted)) => wanted,
        Some(_) => return Err(NetError("the headers must be an object".to_owned())),
    };
    for (name, value) in wanted {
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| NetError(format!("`{}` is not a header name", shorten(name))))?;
        if key == "content-length" {
            continue;
        }
        if FORBIDDEN_HEADERS.contains(&key.as_str()) {
            return Err(NetError(format!("the header `{key}` is set by the host")));
        }
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null => continue,
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => {
                return Err(NetError(format!(
                    "the value of the header `{key}` must be a string"
                )));
            }
        };
        let value = HeaderValue::from_str(&text).map_err(|_| {
            NetError(format!(
                "the value of the header `{key}` holds a forbidden character"
            ))
        })?;
        headers.append(key, value);
    }
    Ok(headers)
}

/// Seconds by contract. Old skills pass milliseconds too, so a value of 1000 or more is read as such.
fn timeout(options: &Map<String, Value>) -> Result<(Duration, bool), NetError> {
    let number = |key: &str| match options.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(number) if number > 0.0 => Ok(Some(number)),
            _ => Err(NetError(format!("`{key}` must be a positive number"))),
        },
    };
    let (seconds, was_ms) = match (number("timeoutMs")?, number("timeout")?) {
        (Some(ms), _) => (ms / 1000.0, false),
        (None, Some(value)) if value >= 1000.0 => (value / 1000.0, true),
        (None, Some(value)) => (value, false),
        (None, None) => return Ok((TIMEOUT.0, false)),
    };
    Ok((
        Duration::from_secs_f64(seconds.min(TIMEOUT.1.as_secs_f64())),
        was_ms,
    ))
}

/// Decides whether a request to `url` may leave, and how. `asked` is what the manifest asks for; it allows nothing
/// and only tells which refusal it is.
pub(crate) fn authorize(grant: &Grant, asked: &Grant, method: &Method, url: &Url) -> Result<Route, NetError> {
    let secure = match url.scheme() {
        "https" => true,
        "http" => false,
        other => {
            return Err(NetError(format!(
                "`{other}:` addresses cannot be requested; use https"
            )));
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(NetError(
            "a URL must not hold a user name or password; use a header".to_owned(),
        ));
    }
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Err(NetError("the URL has no host".to_owned()));
    };
    let name = host_name(&host);
    if grant.private.contains(&(name.clone(), port)) {
        return Ok(Route::Private);
    }
    let private = match host {
        Host::Ipv4(address) => !is_public(IpAddr::V4(address)),
        Host::Ipv6(address) => !is_public(IpAddr::V6(address)),
        // Names of the machine itself by definition (RFC 6761); what others resolve to is checked when they do.
        Host::Domain(_) => name == "localhost" || name.ends_with(".localhost"),
    };
    if private {
        return Err(NetError(format!(
            "{host}:{port} is a private address; it needs an explicit grant of this host and port"
        )));
    }
    let rule_in = |rules: &Grant| {
        let mut rules = rules.hosts.iter();
        rules
            .find(|rule| rule.allows(method.as_str(), secure, &name, port))
            .cloned()
    };
    match rule_in(grant) {
        Some(rule) => Ok(Route::Public {
            secret: rule.secret_handle().map(str::to_owned),
        }),
        None if rule_in(asked).is_some() => Err(NetError(format!(
            "{name} is asked for by the manifest but was not allowed; allow the skill first"
        ))),
        None => Err(NetError(format!(
            "{method} {}://{name}:{port} is not asked for in the manifest; add it to the manifest's permissions.net",
            url.scheme()
        ))),
    }
}

/// The host without brackets or a trailing dot, in lower case.
pub(crate) fn host_name(host: &Host<&str>) -> String {
    match host {
        Host::Domain(name) => name.trim_end_matches('.').to_ascii_lowercase(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::HostRule;

    fn parse(options: &Value) -> Result<Request, NetError> {
        Request::parse(&json!({"url": "https://api.example.com/x", "options": options}))
    }

    #[test]
    fn requests_are_read() {
        let request =
            parse(&json!({"method": "post", "headers": {"X-A": "1", "Content-Length": "9"}, "body": "hi"}))
                .unwrap();
        assert_eq!(
            (request.method, request.body.as_deref()),
            (Method::POST, Some("hi"))
        );
        assert_eq!(request.headers.len(), 1);
        assert_eq!(parse(&json!(null)).unwrap().timeout, Duration::from_secs(30));
    }

    #[test]
    fn bad_requests_throw() {
        for options in [
            json!({"method": "TRACE"}),
            json!({"method": "CONNECT"}),
            json!({"method": 5}),
            json!({"method": "POST", "body": {"a": 1}}),
            json!({"method": "POST", "body": 5}),
            json!({"body": "x"}),
            json!({"headers": []}),
            json!({"headers": {"host": "x"}}),
            json!({"headers": {"a b": "x"}}),
            json!({"headers": {"a": "x\r\ny: z"}}),
            json!({"headers": {"a": {}}}),
            json!({"timeout": 0}),
            json!({"timeout": -1}),
            json!({"timeout": "x"}),
            json!([]),
        ] {
            assert!(parse(&options).is_err(), "{options}");
        }
        assert!(Request::parse(&json!({"url": "not a url"})).is_err());
        assert!(Request::parse(&json!({"url": 5})).is_err());
    }

    #[test]
    fn timeouts_are_seconds_unless_they_are_large() {
        let read = |options: &Value| {
            parse(options)
                .map(|request| (request.timeout, request.timeout_was_ms))
                .unwrap()
        };
        assert_eq!(read(&json!({"timeout": 60})), (Duration::from_secs(60), false));
        assert_eq!(read(&json!({"timeout": 10000})), (Duration::from_secs(10), true));
        assert_eq!(
            read(&json!({"timeoutMs": 500})),
            (Duration::from_millis(500), false)
        );
        assert_eq!(read(&json!({"timeout": 999})), (Duration::from_secs(120), false));
    }

    #[test]
    fn only_granted_public_hosts_are_reached() {
        let mut grant = Grant::none();
        grant
            .allow_host("*")
            .allow_private("127.0.0.1", 8080)
            .allow_private("::1", 9000)
            .allow_private("db.internal", 80);
        let decide = |url: &str| authorize(&grant, &Grant::none(), &Method::GET, &Url::parse(url).unwrap());
        assert_eq!(
            decide("https://api.example.com/"),
            Ok(Route::Public { secret: None })
        );
        for private in [
            "http://127.0.0.1:8080/",
            "https://127.0.0.1:8080/",
            "http://[::1]:9000/",
            "http://DB.internal/",
            "http://0x7f.1:8080/",
        ] {
            assert_eq!(decide(private), Ok(Route::Private), "{private}");
        }
        for refused in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://127.0.0.1/",
            "https://127.0.0.1:8081/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2002:7f00:1::]/",
            "https://[fe80::1]/",
            "https://169.254.169.254/latest/meta-data/",
            "https://10.0.0.1/",
            "https://192.168.1.1/",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "https://localhost/",
            "https://api.localhost./",
            "https://user:pass@api.example.com/",
            "file:///etc/passwd",
            "ftp://api.example.com/",
            "data:text/plain,x",
        ] {
            assert!(decide(refused).is_err(), "{refused}");
        }
        assert!(
            authorize(
                &Grant::none(),
                &grant,
                &Method::GET,
                &Url::parse("https://api.example.com/").unwrap()
            )
            .is_err(),
            "what is asked for is not allowed by that"
        );
    }

    #[test]
    fn a_refusal_says_what_is_missing() {
        let mut asked = Grant::none();
        asked.allow_host(HostRule::new("example.com").methods(["GET"]));
        asked.allow_host(HostRule::new("127.0.0.1").http().ports([8080]));
        let refused = |grant: &Grant, method: &Method, url: &str| {
            authorize(grant, &asked, method, &Url::parse(url).unwrap())
                .unwrap_err()
                .0
        };
        let none = Grant::none();
        assert_eq!(
            refused(&none, &Method::GET, "https://example.com/x"),
            "example.com is asked for by the manifest but was not allowed; allow the skill first"
        );
        assert_eq!(
            refused(&none, &Method::POST, "https://example.com/x"),
            "POST https://example.com:443 is not asked for in the manifest; add it to the manifest's permissions.net"
        );
        assert_eq!(
            refused(&asked, &Method::GET, "https://other.example.com/"),
            "GET https://other.example.com:443 is not asked for in the manifest; add it to the manifest's \
             permissions.net"
        );
        for grant in [&none, &asked] {
            assert_eq!(
                refused(grant, &Method::GET, "http://127.0.0.1:8080/"),
                "127.0.0.1:8080 is a private address; it needs an explicit grant of this host and port"
            );
        }
        assert_eq!(
            refused(&none, &Method::GET, "https://[::1]:9/"),
            "[::1]:9 is a private address; it needs an explicit grant of this host and port"
        );
    }
}
