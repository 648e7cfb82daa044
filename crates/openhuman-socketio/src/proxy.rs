//! Proxies in front of the server: HTTP CONNECT and SOCKS5.

use std::fmt;
use std::io;

use data_encoding::BASE64;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::error::ConnectError;
use crate::http::Connection;
use crate::transport::Duplex;

/// A proxy through which the server is reached.
///
/// The proxy resolves the server's name. TLS is spoken with the server, through the proxy; the connection to
/// the proxy itself is plain.
///
/// ```
/// use openhuman_socketio::{Client, Proxy};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let proxy = Proxy::parse("http://user:password@proxy.example:3128")?;
/// let builder = Client::builder("https://api.example.com").proxy(proxy);
/// let socks = Proxy::parse("socks5://127.0.0.1:1080")?;
/// # let _ = (builder, socks);
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// User and password.
    login: Option<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Socks5,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("kind", &self.kind)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("login", &self.login.is_some())
            .finish()
    }
}

impl Proxy {
    /// Reads `http://`, `socks5://` or `socks5h://`, with an optional percent-encoded `user:password@`. The
    /// default ports are 8080 and 1080.
    ///
    /// # Errors
    /// [`ConnectError::InvalidProxy`].
    pub fn parse(url: &str) -> Result<Self, ConnectError> {
        let invalid = |problem: &'static str| ConnectError::InvalidProxy { problem };
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "http" => Kind::Http,
            "socks5" | "socks5h" => Kind::Socks5,
            _ => return Err(invalid("it is neither http:// nor socks5://")),
        };
        let rest = rest.trim_end_matches('/');
        let (login, address) = match rest.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, rest),
        };
        let login = match login {
            Some(login) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                let login = decoded(user).zip(decoded(password));
                Some(login.ok_or_else(|| invalid("its user or password is not percent-encoded UTF-8"))?)
            }
            None => None,
        };
        if kind == Kind::Socks5 {
            let fits = |text: &str| (1..=255).contains(&text.len());
            if login
                .as_ref()
                .is_some_and(|(user, password)| !fits(user) || !fits(password))
            {
                return Err(invalid("SOCKS5 takes users and passwords of 1 to 255 bytes"));
            }
        } else if login.as_ref().is_some_and(|(user, _)| user.contains(':')) {
            return Err(invalid("HTTP takes no user with a colon"));
        }
        let ipv6_end = address.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match address.get(ipv6_end..).and_then(|rest| rest.rfind(':')) {
            Some(at) => {
                let (host, port) = address.split_at(ipv6_end + at);
                let port = port.trim_start_matches(':').parse().ok().filter(|port| *port > 0);
                (
                    host,
                    port.ok_or_else(|| invalid("its port is not a number from 1 to 65535"))?,
                )
            }
            None => (address, if kind == Kind::Http { 8080 } else { 1080 }),
        };
        let host = host.trim_matches(['[', ']']);
        let unusable = |c: char| c.is_control() || c.is_whitespace() || "/?#@[]".contains(c);
        if host.is_empty() || host.contains(unusable) || !host.is_ascii() {
            return Err(invalid("it has no usable host"));
        }
        Ok(Self {
            kind,
            host: host.to_owned(),
            port,
            login,
        })
    }

    /// The proxy that the environment names for this server: `https_proxy` or `http_proxy` by the server's
    /// scheme, else `all_proxy`, in small or capital letters; none for hosts in `no_proxy`. `HTTP_PROXY` is
    /// not read in capitals, because a CGI request can set it.
    ///
    /// # Errors
    /// [`ConnectError::InvalidProxy`] when the variable cannot be used.
    pub fn from_environment(url: &str) -> Result<Option<Self>, ConnectError> {
        Self::from_variables(url, &|name| std::env::var(name).ok())
    }

    fn from_variables(
        url: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ConnectError> {
        let endpoint = crate::endpoint::Endpoint::new(&crate::endpoint::Address::of(url))?;
        let first = |names: &[&str]| {
            let mut values = names.iter().filter_map(|name| variable(name));
            values.find(|value| !value.trim().is_empty())
        };
        if first(&["no_proxy", "NO_PROXY"]).is_some_and(|list| excluded(&endpoint.host, &list)) {
            return Ok(None);
        }
        let own: &[&str] = if endpoint.secure {
            &["https_proxy", "HTTPS_PROXY"]
        } else {
            &["http_proxy"]
        };
        let named = first(own).or_else(|| first(&["all_proxy", "ALL_PROXY"]));
        named.map(|proxy| Self::parse(proxy.trim())).transpose()
    }

    /// Asks the proxy, over a stream to it, for one to the server.
    pub(crate) async fn tunnel(
        &self,
        stream: Box<dyn Duplex>,
        host: &str,
        port: u16,
    ) -> Result<Box<dyn Duplex>, ConnectError> {
        let tunnel = match self.kind {
            Kind::Http => self.http_tunnel(stream, host, port).await,
            Kind::Socks5 => self.socks_tunnel(stream, host, port).await,
        };
        tunnel.map_err(|problem| ConnectError::Proxy {
            proxy: format!("{}:{}", self.host, self.port),
            problem,
        })
    }

    async fn http_tunnel(
        &self,
        stream: Box<dyn Duplex>,
        host: &str,
        port: u16,
    ) -> Result<Box<dyn Duplex>, String> {
        let bracketed = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let mut head = format!("CONNECT {bracketed}:{port} HTTP/1.1\r\nHost: {bracketed}:{port}\r\n");
        if let Some((user, password)) = &self.login {
            let login = BASE64.encode(format!("{user}:{password}").as_bytes());
            head.push_str(&format!("Proxy-Authorization: Basic {login}\r\n"));
        }
        head.push_str("\r\n");
        let mut connection = Connection::new(stream);
        let answer = connection
            .exchange(head.as_bytes(), b"", 4096)
            .await
            .map_err(|error| failed(&error))?;
        match answer.status {
            200..=299 => connection
                .into_stream()
                .ok_or_else(|| "it sent something before the tunnel was used".to_owned()),
            407 => Err("it answered HTTP 407: it wants a user and a password".to_owned()),
            status => Err(format!("it answered HTTP {status}")),
        }
    }

    /// RFC 1928 and 1929.
    async fn socks_tunnel(
        &self,
        mut stream: Box<dyn Duplex>,
        host: &str,
        port: u16,
    ) -> Result<Box<dyn Duplex>, String> {
        const VERSION: u8 = 5;
        const NO_LOGIN: u8 = 0;
        const PASSWORD: u8 = 2;
        let methods: &[u8] = if self.login.is_some() {
            &[VERSION, 1, PASSWORD]
        } else {
            &[VERSION, 1, NO_LOGIN]
        };
        write(&mut stream, methods).await?;
        match (read::<2>(&mut stream).await?, &self.login) {
            ([VERSION, NO_LOGIN], None) => {}
            ([VERSION, PASSWORD], Some((user, password))) => {
                let mut login = vec![1];
                for part in [user, password] {
                    login.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
                    login.extend_from_slice(part.as_bytes());
                }
                write(&mut stream, &login).await?;
                if read::<2>(&mut stream).await?[1] != 0 {
                    return Err("it refused the user or the password".to_owned());
                }
            }
            ([VERSION, 0xff], None) => return Err("it wants a user and a password".to_owned()),
            ([VERSION, _], _) => return Err("it refused this way to log in".to_owned()),
            _ => return Err("it does not speak SOCKS5".to_owned()),
        }
        let mut request = vec![VERSION, 1, 0];
        match host.parse() {
            Ok(std::net::IpAddr::V4(address)) => {
                request.push(1);
                request.extend_from_slice(&address.octets());
            }
            Ok(std::net::IpAddr::V6(address)) => {
                request.push(4);
                request.extend_from_slice(&address.octets());
            }
            Err(_) => {
                request.push(3);
                request.push(u8::try_from(host.len()).map_err(|_| "the server's name is too long for it")?);
                request.extend_from_slice(host.as_bytes());
            }
        }
        request.extend_from_slice(&port.to_be_bytes());
        write(&mut stream, &request).await?;
        let [version, reply, _, kind] = read::<4>(&mut stream).await?;
        if version != VERSION {
            return Err("it does not speak SOCKS5".to_owned());
        }
        if reply != 0 {
            return Err(format!("it cannot reach the server: {}", socks_reply(reply)));
        }
        // The address that the proxy uses, which nobody needs, and its port.
        let length = match kind {
            1 => 4,
            4 => 16,
            3 => usize::from(read::<1>(&mut stream).await?[0]),
            _ => return Err("it gave an address of an unknown kind".to_owned()),
        };
        let mut rest = vec![0; length + 2];
        stream
            .read_exact(&mut rest)
            .await
            .map_err(|error| failed(&error))?;
        Ok(stream)
    }
}

fn socks_reply(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "it knows no CONNECT",
        8 => "it knows no addresses of this kind",
        _ => "unknown failure",
    }
}

async fn write(stream: &mut Box<dyn Duplex>, bytes: &[u8]) -> Result<(), String> {
    stream.write_all(bytes).await.map_err(|error| failed(&error))?;
    stream.flush().await.map_err(|error| failed(&error))
}

async fn read<const N: usize>(stream: &mut Box<dyn Duplex>) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    stream
        .read_exact(&mut bytes)
        .await
        .map_err(|error| failed(&error))?;
    Ok(bytes)
}

fn failed(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        "it closed the connection".to_owned()
    } else {
        error.to_string()
    }
}

/// Percent-decodes UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// True when the list, as curl reads it, has this host, a domain above it, or `*`.
fn excluded(host: &str, list: &str) -> bool {
    let host = host.to_ascii_lowercase();
    list.split(',')
        .map(|entry| entry.trim().to_ascii_lowercase())
        .any(|entry| {
            let entry = entry.trim_start_matches('.').trim_matches(['[', ']']);
            entry == "*" || (!entry.is_empty() && (host == entry || host.ends_with(&format!(".{entry}"))))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_logins_never_shown() {
        let proxy = Proxy::parse("http://us%40er:p%3Aw@proxy.example:3128/").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.example", 3128));
        assert_eq!(proxy.login, Some(("us@er".to_owned(), "p:w".to_owned())));
        assert!(!format!("{proxy:?}").contains("us@er"));
        let socks = Proxy::parse("SOCKS5://[::1]").unwrap();
        assert_eq!(
            (socks.host.as_str(), socks.port, socks.kind),
            ("::1", 1080, Kind::Socks5)
        );
        assert_eq!(Proxy::parse("proxy").unwrap().port, 8080);
        for bad in [
            "",
            "http://",
            "ftp://h",
            "https://h",
            "http://h:0",
            "http://h:x",
            "http://a b",
            "http://%zz@h",
            "http://%ff@h",
            "http://a%3ab:c@h",
            "socks5://user@h",
            "http://h/path",
        ] {
            assert!(Proxy::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_environment_is_read_as_other_programs_read_it() {
        let named = |url: &str, variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(is, _)| *is == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            Proxy::from_variables(url, &variable)
                .unwrap()
                .map(|proxy| proxy.host)
        };
        let set = [
            ("http_proxy", "http://plain"),
            ("HTTPS_PROXY", "secure:1"),
            ("no_proxy", "localhost, .local"),
        ];
        assert_eq!(named("http://h", &set).as_deref(), Some("plain"));
        assert_eq!(named("wss://h", &set).as_deref(), Some("secure"));
        assert_eq!(named("http://localhost:1", &set), None);
        assert_eq!(named("http://a.LOCAL", &set), None);
        assert_eq!(named("http://notlocal", &set).as_deref(), Some("plain"));
        assert_eq!(named("http://h", &[("HTTP_PROXY", "http://request")]), None);
        assert_eq!(
            named("http://h", &[("ALL_PROXY", "socks5://s")]).as_deref(),
            Some("s")
        );
        assert_eq!(named("http://h", &[("all_proxy", "s"), ("NO_PROXY", "*")]), None);
        assert_eq!(named("http://h", &[]), None);
    }
}
