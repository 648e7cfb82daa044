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
    pub(crate) fn new(
        url: &str,
        path: &str,
        namespace_query: Option<&str>,
        headers: &[(String, String)],
    ) -> Result<Self, ConnectError> {
        let url = Parts::of(url)?;
        let path = match path.trim_matches('/') {
            "" => "/".to_owned(),
            inner => format!("/{inner}/"),
        };
        let path = format!("{}{}", url.path.trim_end_matches('/'), encoded(&path));
        let mut query = String::new();
        for part in [url.query, namespace_query].into_iter().flatten() {
            for pair in part.split('&').filter(|pair| !pair.is_empty()) {
                query.push('&');
                query.push_str(&encoded(pair));
            }
        }
        let mut map = HeaderMap::new();
        for (name, value) in headers {
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
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint, ConnectError> {
        Endpoint::new(url, "/socket.io/", None, &[])
    }

    fn uri(endpoint: &Endpoint) -> String {
        endpoint.request(None, None).unwrap().uri().to_string()
    }

    #[test]
    fn the_request_is_built_from_the_base_url() {
        for (url, uri) in [
            ("http://h", "ws://h/socket.io/?EIO=4&transport=websocket"),
            (
                "https://h:8443/",
                "wss://h:8443/socket.io/?EIO=4&transport=websocket",
            ),
            (
                "https://h/api/",
                "wss://h/api/socket.io/?EIO=4&transport=websocket",
            ),
            (
                "ws://h?a=1&b=x%20y#frag",
                "ws://h/socket.io/?EIO=4&transport=websocket&a=1&b=x%20y",
            ),
            (
                "http://[::1]:80",
                "ws://[::1]/socket.io/?EIO=4&transport=websocket",
            ),
        ] {
            assert_eq!(self::uri(&endpoint(url).unwrap()), uri);
        }
        let endpoint = endpoint("wss://[::1]").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("::1", 443));
        assert_eq!(endpoint.authority, "[::1]");
        assert!(
            endpoint
                .target("polling", Some("a b"))
                .contains("&transport=polling&sid=a%20b")
        );
    }

    #[test]
    fn the_path_can_be_changed() {
        let path = |path| Endpoint::new("http://h", path, None, &[]).unwrap().path;
        assert_eq!(path("/custom"), "/custom/");
        assert_eq!(path("a/b/"), "/a/b/");
        assert_eq!(path("/"), "/");
        assert_eq!(path("/with space"), "/with%20space/");
    }

    #[test]
    fn a_query_in_the_namespace_moves_to_the_handshake() {
        let (namespace, query) = split_namespace("/admin?x=1&y=\u{e9}", &Limits::default()).unwrap();
        assert_eq!(namespace, "/admin");
        let endpoint = Endpoint::new("http://h?a=1", "/socket.io/", query, &[]).unwrap();
        assert!(uri(&endpoint).ends_with("websocket&a=1&x=1&y=%C3%A9"));
    }

    #[test]
    fn bad_addresses_are_refused_without_repeating_secrets() {
        let failed = |url: &str| endpoint(url).unwrap_err().to_string();
        assert!(failed("ftp://h").contains("ftp"));
        assert!(failed("not a url?token=s3cret").contains("not a url"));
        assert!(!failed("not a url?token=s3cret").contains("s3cret"));
        assert!(!failed("https://user:s3cret@h").contains("s3cret"));
        assert!(!failed("https://user:s3cret@not a host").contains("s3cret"));
        for url in [
            "http://",
            "http://h:0",
            "http://h:70000",
            "http://h:x",
            "http://b\u{fc}cher",
            "http:// h",
            "http://[::1",
        ] {
            assert!(endpoint(url).is_err(), "{url:?}");
        }
        let namespace = |name: &str| split_namespace(name, &Limits::default()).is_ok();
        for name in ["admin", "/a,b", "", "/a\n"] {
            assert!(!namespace(name), "{name:?}");
        }
        assert!(namespace(&format!("/{}", "x".repeat(255))));
        assert!(!namespace(&format!("/{}", "x".repeat(256))));
    }

    #[test]
    fn headers_are_checked_and_never_shown() {
        let with = |name: &str, value: &str| {
            let headers = [(name.to_owned(), value.to_owned())];
            Endpoint::new("http://h", "/socket.io/", None, &headers)
        };
        let endpoint = with("authorization", "Bearer s3cret").unwrap();
        assert_eq!(
            endpoint.request(None, None).unwrap().headers()["authorization"],
            "Bearer s3cret"
        );
        assert!(!format!("{endpoint:?}").contains("s3cret"));
        for (name, value) in [
            ("Host", "other"),
            ("bad name", "x"),
            ("x", "a\nb"),
            ("Upgrade", "h2c"),
        ] {
            let error = with(name, value).unwrap_err();
            assert!(matches!(error, ConnectError::InvalidHeader { .. }));
        }
    }
}
