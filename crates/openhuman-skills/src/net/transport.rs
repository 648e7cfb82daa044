//! The port below all checks: how an allowed request reaches its host.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::{HeaderMap, Method, StatusCode};

/// Where to connect: the addresses were resolved and checked already, so nothing may be resolved again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// Whether it is spoken to over TLS. The certificate must be valid for [`host`](Self::host).
    pub secure: bool,
    /// The host name or address, in lower case and without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The addresses that were checked, in the order of preference; never empty.
    pub addresses: Arc<[SocketAddr]>,
}

impl Endpoint {
    /// The value of the `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        if *port == if self.secure { 443 } else { 80 } {
            host
        } else {
            format!("{host}:{port}")
        }
    }
}

/// A request that has passed every check. It holds the values of secrets: it is to be sent, not to be kept or
/// printed. Only this crate makes one.
#[non_exhaustive]
pub struct TransportRequest {
    /// Where it goes.
    pub endpoint: Endpoint,
    /// The method.
    pub method: Method,
    /// The path with the query, as in the request line.
    pub target: String,
    /// Every header but those of the connection.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
}

impl fmt::Debug for TransportRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportRequest")
            .field("endpoint", &self.endpoint)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// The answer of a host, as it came: not yet decoded, scanned or limited.
#[non_exhaustive]
pub struct TransportResponse {
    /// The status.
    pub status: StatusCode,
    /// The text behind the status, if it is not the usual one.
    pub reason: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, piece by piece. Dropping it ends the transfer.
    pub body: BoxStream<'static, Result<Bytes, TransportError>>,
}

impl TransportResponse {
    /// An answer with no headers and an empty body.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            reason: None,
            headers: HeaderMap::new(),
            body: Box::pin(futures_util::stream::empty()),
        }
    }

    /// Adds a header; one that is not valid is left out.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
            self.headers.append(name, value);
        }
        self
    }

    /// Replaces the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        let body: Bytes = body.into();
        self.body = Box::pin(futures_util::stream::once(async move { Ok(body) }));
        self
    }

    /// Replaces the body by pieces.
    #[must_use]
    pub fn pieces(mut self, pieces: impl IntoIterator<Item = Bytes, IntoIter: Send + 'static>) -> Self {
        self.body = Box::pin(futures_util::stream::iter(pieces.into_iter().map(Ok)));
        self
    }
}

impl fmt::Debug for TransportResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportResponse")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No connection to any of the addresses.
    #[error("cannot connect to {authority}: {source}")]
    Connect {
        /// The host and port.
        authority: String,
        /// What the last address said.
        source: io::Error,
    },
    /// TLS failed, for example because the certificate is not valid for the host.
    #[error("no TLS connection to {authority}: {source}")]
    Tls {
        /// The host and port.
        authority: String,
        /// What failed.
        source: io::Error,
    },
    /// The connection broke, or what came is not HTTP.
    #[error("{0}")]
    Broken(String),
}

/// A connection for bytes in both directions.
#[cfg(feature = "runtime")]
pub type BoxedConnection = Box<dyn Connection>;

/// What a [`BoxedConnection`] can do.
#[cfg(feature = "runtime")]
pub trait Connection: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

#[cfg(feature = "runtime")]
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Connection for T {}

/// Sends what has passed every check. The default speaks HTTP/1.1 over TCP and rustls; a simulator may answer
/// itself. Whatever it answers is decoded, limited and scanned like an answer from the network.
pub trait Transport: Send + Sync {
    /// Sends one request, exactly once and without following redirects. Dropping the future gives it up; the caller
    /// limits the time.
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'static, Result<TransportResponse, TransportError>>;

    /// Opens a connection for a WebSocket, which the caller speaks itself. The default has none.
    #[cfg(feature = "runtime")]
    fn connect(&self, endpoint: Endpoint) -> BoxFuture<'static, Result<BoxedConnection, TransportError>> {
        Box::pin(async move {
            Err(TransportError::Connect {
                authority: endpoint.authority(),
                source: io::Error::new(io::ErrorKind::Unsupported, "this transport has no WebSockets"),
            })
        })
    }
}

type Answer = dyn Fn(&TransportRequest) -> Result<TransportResponse, TransportError> + Send + Sync;

/// A transport that never touches the network: a function answers.
///
/// ```
/// use openhuman_skills::{MemoryTransport, TransportResponse};
/// let transport = MemoryTransport::new(|request| {
///     let text = format!("{} {}", request.method, request.target);
///     Ok(TransportResponse::new(http::StatusCode::OK).header("content-type", "text/plain").body(text))
/// });
/// ```
#[derive(Clone)]
pub struct MemoryTransport(Arc<Answer>);

impl MemoryTransport {
    /// Answers each request with this function.
    pub fn new(
        answer: impl Fn(&TransportRequest) -> Result<TransportResponse, TransportError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(answer))
    }
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryTransport")
    }
}

impl Transport for MemoryTransport {
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'static, Result<TransportResponse, TransportError>> {
        let answer = (self.0)(&request);
        Box::pin(async move { answer })
    }
}
