//! Where to connect: the URL, the namespace and the request headers, checked once.

use std::fmt;

use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::error::ConnectError;
use crate::limits::Limits;

/// Headers that the requests write themselves.
const OWN_HEADERS: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "transfer-encoding",
    "upgrade",
];

/// What the caller gave.
pub(crate) struct Address<'a> {
    pub(crate) url: &'a str,
    pub(crate) path: &'a str,
    pub(crate) trailing_slash: bool,
    /// Behind that of the URL.
    pub(crate) queries: &'a [&'a str],
    pub(crate) headers: &'a [(String, String)],
}

impl<'a> Address<'a> {
    pub(crate) fn of(url: &'a str) -> Self {
        Self {
            url,
            path: "/socket.io/",
            trailing_slash: true,
            queries: &[],
            headers: &[],
        }
    }
}

/// A checked address.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) secure: bool,
    /// For the resolver and TLS: no brackets around IPv6 addresses.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// As in the `Host` header: brackets, and the port unless it is the scheme's own.
    pub(crate) authority: String,
    pub(crate) headers: HeaderMap,
    path: String,
    /// `&name=value` for each pair that the caller asked for.
    query: String,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The headers and the query can carry credentials.
        f.debug_struct("Endpoint")
            .field("secure", &self.secure)
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    pub(crate) fn new(address: &Address<'_>) -> Result<Self, ConnectError> {
        let url = Parts::of(address.url)?;
        let path = match address.path.trim_matches('/') {
            "" => "/".to_owned(),
            inner if address.trailing_slash => format!("/{inner}/"),
            inner => format!("/{inner}"),
        };
        let path = format!("{}{}", url.path.trim_end_matches('/'), encoded(&path));
        let mut query = String::new();
        for part in url.query.iter().chain(address.queries) {
            for pair in part.split('&').filter(|pair| !pair.is_empty()) {
                query.push('&');
                query.push_str(&encoded(pair));
            }
        }
        let mut map = HeaderMap::new();
        for (name, value) in address.headers {
            let (name, value) = header(name, value)?;
            map.append(name, value);
        }
        Ok(Self {
            secure: url.secure,
            host: url.host.trim_matches(['[', ']']).to_owned(),
            port: url.port.unwrap_or(if url.secure { 443 } else { 80 }),
            authority: match url.port {
                Some(port) => format!("{}:{port}", url.host),
                None => url.host.to_owned(),
            },
            headers: map,
            path,
            query,
        })
    }

    /// `<base path>/<path>/?EIO=4&transport=<transport>[&sid][&query]`, trailing slash kept.
    pub(crate) fn target(&self, transport: &str, sid: Option<&str>) -> String {
        let sid = sid
            .map(|sid| format!("&sid={}", encoded(sid)))
            .unwrap_or_default();
        format!("{}?EIO=4&transport={transport}{sid}{}", self.path, self.query)
    }

    /// A new WebSocket request, with a key of its own. `sid` is the session to upgrade, if there is one.
    pub(crate) fn request(&self, sid: Option<&str>, cookies: Option<&str>) -> Result<Request, ConnectError> {
        let scheme = if self.secure { "wss" } else { "ws" };
        let uri = format!("{scheme}://{}{}", self.authority, self.target("websocket", sid));
        let failed = |error: &dyn fmt::Display| ConnectError::WebSocket {
            message: error.to_string(),
        };
        let mut request = uri.into_client_request().map_err(|error| failed(&error))?;
        for (name, value) in &self.headers {
            request.headers_mut().append(name.clone(), value.clone());
        }
        if let Some(cookies) = cookies {
            let cookies = HeaderValue::from_str(cookies).map_err(|error| failed(&error))?;
            request.headers_mut().append("cookie", cookies);
        }
        Ok(request)
    }
}

/// The parts of a URL that count here. Written by hand: a URL library brings the tables of
/// internationalised names, half of all dependencies, for names that can be given in ASCII.
struct Parts<'a> {
    secure: bool,
    /// With brackets around an IPv6 address.
    host: &'a str,
    /// `None` when it is the scheme's own.
    port: Option<u16>,
    path: String,
    query: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Result<Self, ConnectError> {
        let invalid = |problem: &dyn fmt::Display| ConnectError::InvalidUrl {
            url: presentable(url),
            problem: problem.to_string(),
        };
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| invalid(&"it does not start with http://, https://, ws:// or wss://"))?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            other => return Err(invalid(&format_args!("unknown scheme {other:?}"))),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(invalid(&"credentials do not belong in it; use auth or headers"));
        }
        if !authority.is_ascii() {
            return Err(invalid(&"write the host in ASCII, as xn--..."));
        }
        // The HTTP library knows what can be in a host and a port.
        let parsed: Uri = format!("http://{authority}/")
            .parse()
            .map_err(|error| invalid(&error))?;
        let host = match parsed.host() {
            Some(host) if !host.is_empty() => authority.get(..host.len()).unwrap_or_default(),
            _ => return Err(invalid(&"it has no host")),
        };
        let port = match authority.get(host.len()..).unwrap_or_default() {
            "" | ":" => None,
            port => {
                let number = port.trim_start_matches(':').parse().ok().filter(|port| *port > 0);
                Some(number.ok_or_else(|| invalid(&"the port is not a number from 1 to 65535"))?)
            }
        };
        Ok(Self {
            secure,
            host,
            port: port.filter(|port| *port != if secure { 443 } else { 80 }),
            path: encoded(path),
            query,
        })
    }
}

/// What can be repeated of a URL in an error: nothing before an `@` or behind a `?` or `#`.
fn presentable(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let start = rest.rfind('@').map_or(0, |at| at + 1);
    let rest = rest.get(start..).unwrap_or_default();
    format!("{scheme}{}", rest.split(['?', '#']).next().unwrap_or_default())
}

/// Percent-encodes what cannot stand in a path or query. What is encoded already stays as it is.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Appends `name=value` to a query, encoding everything that has a meaning in it.
pub(crate) fn push_pair(query: &mut String, name: &str, value: &str) {
    push_encoded(query, name);
    query.push('=');
    push_encoded(query, value);
    query.push('&');
}

fn push_encoded(query: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            query.push(char::from(byte));
        } else {
            query.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// Separates a query from the namespace: on the wire it would be part of the name, which no server knows.
pub(crate) fn split_namespace<'a>(
    namespace: &'a str,
    limits: &Limits,
) -> Result<(&'a str, Option<&'a str>), ConnectError> {
    let (name, query) = match namespace.split_once('?') {
        Some((name, query)) => (name, Some(query)),
        None => (namespace, None),
    };
    let usable = name.starts_with('/')
        && name.len() <= limits.max_namespace_bytes
        && !name.contains(|c: char| c == ',' || c.is_control());
    if usable {
        Ok((name, query))
    } else {
        Err(ConnectError::InvalidNamespace {
            namespace: namespace.to_owned(),
        })
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), ConnectError> {
    let invalid = |problem| ConnectError::InvalidHeader {
        name: name.to_owned(),
        problem,
    };
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("the name is malformed"))?;
    if OWN_HEADERS.contains(&parsed.as_str()) {
        return Err(invalid("the handshake sets it"));
    }
    let mut value =
        HeaderValue::from_str(value).map_err(|_| invalid("the value has characters a header cannot hold"))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

#[cfg(test)]
mod tests;
