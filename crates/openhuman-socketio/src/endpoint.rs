//! Where to connect: the URL, the namespace and the request headers, checked once.

use std::fmt;

use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Uri};
use url::{Host, Url};

use crate::error::ConnectError;
use crate::limits::Limits;

/// Headers that the WebSocket handshake writes itself.
const HANDSHAKE_HEADERS: [&str; 7] = [
    "connection",
    "host",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "upgrade",
];

/// A checked address.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) secure: bool,
    /// For the resolver and TLS: no brackets around IPv6 addresses.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Without the namespace's query.
    pub(crate) namespace: String,
    request: Request,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The request can carry credentials in its headers and query.
        f.debug_struct("Endpoint")
            .field("secure", &self.secure)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    pub(crate) fn new(
        url: &str,
        path: &str,
        namespace: &str,
        headers: &[(String, String)],
        limits: &Limits,
    ) -> Result<Self, ConnectError> {
        let (namespace, namespace_query) = split_namespace(namespace, limits)?;
        let parsed = Url::parse(url).map_err(|error| invalid_url(presentable(url), &error))?;
        let shown = without_secrets(&parsed);
        let secure = match parsed.scheme() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            other => return Err(invalid_url(&shown, &format_args!("unknown scheme {other:?}"))),
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(invalid_url(
                &shown,
                &"credentials do not belong in it; use auth or headers",
            ));
        }
        let host = match parsed.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(invalid_url(&shown, &"it has no host")),
        };
        let port = parsed.port().unwrap_or(if secure { 443 } else { 80 });
        let uri = request_uri(&parsed, secure, path, namespace_query)
            .map_err(|error| invalid_url(&shown, &error))?;
        let mut request = uri
            .into_client_request()
            .map_err(|error| invalid_url(&shown, &error))?;
        for (name, value) in headers {
            let (name, value) = header(name, value)?;
            request.headers_mut().append(name, value);
        }
        Ok(Self {
            secure,
            host,
            port,
            namespace: namespace.to_owned(),
            request,
        })
    }

    /// A new WebSocket request, with a key of its own.
    pub(crate) fn request(&self) -> Result<Request, ConnectError> {
        let mut request = self
            .request
            .uri()
            .clone()
            .into_client_request()
            .map_err(|error| ConnectError::WebSocket {
                message: error.to_string(),
            })?;
        for (name, value) in self.request.headers() {
            if !HANDSHAKE_HEADERS.contains(&name.as_str()) {
                request.headers_mut().append(name.clone(), value.clone());
            }
        }
        Ok(request)
    }
}

fn invalid_url(url: &str, problem: &dyn fmt::Display) -> ConnectError {
    ConnectError::InvalidUrl {
        url: url.to_owned(),
        problem: problem.to_string(),
    }
}

/// What can be repeated of something that is not a URL: nothing before an `@` or behind a `?` or `#`.
fn presentable(url: &str) -> &str {
    let start = url.rfind('@').map_or(0, |at| at + 1);
    url.get(start..)
        .unwrap_or_default()
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
}

/// The URL without user, password, query and fragment.
fn without_secrets(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// Separates a query from the namespace: on the wire it would be part of the name, which no server knows.
fn split_namespace<'a>(
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

/// `<base path>/<path>/?EIO=4&transport=websocket[&query]`, trailing slash kept.
fn request_uri(
    url: &Url,
    secure: bool,
    path: &str,
    namespace_query: Option<&str>,
) -> Result<Uri, Box<dyn std::error::Error>> {
    let mut target = url.clone();
    let base = url.path().trim_end_matches('/');
    let path = match path.trim_matches('/') {
        "" => "/".to_owned(),
        inner => format!("/{inner}/"),
    };
    target.set_path(&format!("{base}{path}"));
    target.set_query(None);
    target.set_fragment(None);
    {
        let mut pairs = target.query_pairs_mut();
        pairs
            .append_pair("EIO", "4")
            .append_pair("transport", "websocket");
        let added = url::form_urlencoded::parse(namespace_query.unwrap_or_default().as_bytes());
        for (name, value) in url.query_pairs().chain(added) {
            pairs.append_pair(&name, &value);
        }
    }
    let host = target.host_str().unwrap_or_default();
    let port = target.port().map(|port| format!(":{port}")).unwrap_or_default();
    let scheme = if secure { "wss" } else { "ws" };
    let query = target.query().unwrap_or_default();
    Ok(format!("{scheme}://{host}{port}{}?{query}", target.path()).parse::<Uri>()?)
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), ConnectError> {
    let invalid = |problem| ConnectError::InvalidHeader {
        name: name.to_owned(),
        problem,
    };
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("the name is malformed"))?;
    if HANDSHAKE_HEADERS.contains(&parsed.as_str()) {
        return Err(invalid("the WebSocket handshake sets it"));
    }
    let mut value =
        HeaderValue::from_str(value).map_err(|_| invalid("the value has characters a header cannot hold"))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str, namespace: &str) -> Result<Endpoint, ConnectError> {
        Endpoint::new(url, "/socket.io/", namespace, &[], &Limits::default())
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
                "ws://h/socket.io/?EIO=4&transport=websocket&a=1&b=x+y",
            ),
            (
                "http://[::1]:80",
                "ws://[::1]/socket.io/?EIO=4&transport=websocket",
            ),
        ] {
            let endpoint = endpoint(url, "/").unwrap();
            assert_eq!(endpoint.request().unwrap().uri().to_string(), uri);
        }
        assert_eq!(endpoint("wss://[::1]", "/").unwrap().host, "::1");
        assert_eq!(endpoint("wss://h", "/").unwrap().port, 443);
    }

    #[test]
    fn the_path_can_be_changed() {
        let uri = |path| {
            let endpoint = Endpoint::new("http://h", path, "/", &[], &Limits::default()).unwrap();
            endpoint.request().unwrap().uri().path().to_owned()
        };
        assert_eq!(uri("/custom"), "/custom/");
        assert_eq!(uri("a/b/"), "/a/b/");
        assert_eq!(uri("/"), "/");
    }

    #[test]
    fn a_query_in_the_namespace_moves_to_the_handshake() {
        let endpoint = endpoint("http://h", "/admin?x=1").unwrap();
        assert_eq!(endpoint.namespace, "/admin");
        assert!(
            endpoint
                .request()
                .unwrap()
                .uri()
                .to_string()
                .ends_with("websocket&x=1")
        );
    }

    #[test]
    fn bad_addresses_are_refused_without_repeating_secrets() {
        let failed = |url: &str| endpoint(url, "/").unwrap_err().to_string();
        assert!(failed("ftp://h").contains("ftp"));
        assert!(failed("not a url?token=s3cret").contains("not a url"));
        assert!(!failed("not a url?token=s3cret").contains("s3cret"));
        assert!(!failed("https://user:s3cret@h").contains("s3cret"));
        assert!(!failed("https://user:s3cret@not a host").contains("s3cret"));
        for namespace in ["admin", "/a,b", "", "/a\n"] {
            assert!(endpoint("http://h", namespace).is_err(), "{namespace:?}");
        }
        assert!(endpoint("http://h", &format!("/{}", "x".repeat(255))).is_ok());
        assert!(endpoint("http://h", &format!("/{}", "x".repeat(256))).is_err());
    }

    #[test]
    fn headers_are_checked_and_never_shown() {
        let with = |name: &str, value: &str| {
            let headers = [(name.to_owned(), value.to_owned())];
            Endpoint::new("http://h", "/socket.io/", "/", &headers, &Limits::default())
        };
        let endpoint = with("authorization", "Bearer s3cret").unwrap();
        assert_eq!(
            endpoint.request().unwrap().headers()["authorization"],
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
