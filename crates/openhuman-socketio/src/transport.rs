//! Opening a WebSocket: TCP, TLS where the address asks for it, and the handshake.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Error as WsError};

use crate::endpoint::Endpoint;
use crate::error::ConnectError;
use crate::limits::Limits;

/// Small on purpose: the buffer exists for as long as the connection, and grows for long messages.
const READ_BUFFER: usize = 4 * 1024;
/// Frames are gathered up to this size before they go to the operating system.
const WRITE_BUFFER: usize = 32 * 1024;
/// How much of an HTTP error answer is repeated in an error.
const SHOWN_BODY: usize = 200;

/// A byte stream in both directions.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub(crate) type WebSocket = WebSocketStream<Box<dyn Duplex>>;

/// The TLS configuration: given, or made when the first secure connection needs it.
#[derive(Debug, Default)]
pub(crate) struct Tls(OnceLock<Arc<ClientConfig>>);

impl Tls {
    pub(crate) fn given(config: Arc<ClientConfig>) -> Self {
        Self(OnceLock::from(config))
    }

    async fn config(&self, host: &str) -> Result<Arc<ClientConfig>, ConnectError> {
        if let Some(config) = self.0.get() {
            return Ok(Arc::clone(config));
        }
        let failed = |source: io::Error| ConnectError::Tls {
            host: host.to_owned(),
            source,
        };
        // Reading the platform's certificates can take a while.
        let config = tokio::task::spawn_blocking(platform_config)
            .await
            .map_err(|error| failed(io::Error::other(error)))?
            .map_err(|error| failed(io::Error::other(error)))?;
        Ok(Arc::clone(self.0.get_or_init(|| Arc::new(config))))
    }
}

fn platform_config() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth())
}

/// Opens a WebSocket. The caller bounds the time.
pub(crate) async fn dial(endpoint: &Endpoint, tls: &Tls, limits: &Limits) -> Result<WebSocket, ConnectError> {
    let Endpoint { host, port, .. } = endpoint;
    let unreachable = |source| ConnectError::Unreachable {
        host: host.clone(),
        port: *port,
        source,
    };
    let tcp = connect_tcp(host, *port).await.map_err(unreachable)?;
    let stream: Box<dyn Duplex> = if endpoint.secure {
        let failed = |source| ConnectError::Tls {
            host: host.clone(),
            source,
        };
        let config = tls.config(host).await?;
        let name = ServerName::try_from(host.clone()).map_err(|error| failed(io::Error::other(error)))?;
        Box::new(
            TlsConnector::from(config)
                .connect(name, tcp)
                .await
                .map_err(failed)?,
        )
    } else {
        Box::new(tcp)
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(limits.max_frame_bytes))
        .max_frame_size(Some(limits.max_frame_bytes));
    let handshake =
        tokio_tungstenite::client_async_with_config(endpoint.request()?, stream, Some(config)).await;
    match handshake {
        Ok((socket, _response)) => Ok(socket),
        Err(WsError::Http(response)) => Err(http_error(&response)),
        Err(error) => Err(ConnectError::WebSocket {
            message: error.to_string(),
        }),
    }
}

async fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect((host, port)).await?;
    // Small frames must not wait for the acknowledgement of the one before: with a PONG ahead of CONNECT,
    // that alone makes an attempt take 40 ms longer.
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

fn http_error(response: &Response) -> ConnectError {
    let body = response.body().as_deref().unwrap_or_default();
    let body = String::from_utf8_lossy(body.get(..SHOWN_BODY).unwrap_or(body));
    let body = body
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>();
    ConnectError::Http {
        status: response.status().as_u16(),
        body: body.trim().to_owned(),
    }
}

/// The parts of a transport failure that callers tell apart.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The peer went away.
    Closed,
    /// The peer announced more than is accepted.
    TooLarge { size: usize, max: usize },
    /// Anything else.
    Other(String),
}

impl From<WsError> for Failure {
    fn from(error: WsError) -> Self {
        use tungstenite::error::{CapacityError, ProtocolError};
        match error {
            WsError::ConnectionClosed
            | WsError::AlreadyClosed
            | WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Closed,
            WsError::Io(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::BrokenPipe
                        | io::ErrorKind::UnexpectedEof
                ) =>
            {
                Self::Closed
            }
            WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
                Self::TooLarge { size, max: max_size }
            }
            other => Self::Other(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_frames_are_sent_at_once() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = connect_tcp("127.0.0.1", listener.local_addr().unwrap().port())
            .await
            .unwrap();
        assert!(tcp.nodelay().unwrap());
    }

    /// A plain connection pays for TLS neither in time nor in memory.
    #[tokio::test]
    async fn a_plain_connection_makes_no_tls_configuration() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let endpoint = Endpoint::new(&url, "/socket.io/", "/", &[], &Limits::default()).unwrap();
        let tls = Tls::default();
        let limits = Limits::default();
        let server = async {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio_tungstenite::accept_async(tcp).await.unwrap()
        };
        let (client, _server) = tokio::join!(dial(&endpoint, &tls, &limits), server);
        assert!(client.is_ok());
        assert!(tls.0.get().is_none());
    }

    /// The provider is named, so no process-wide default is needed or set.
    #[test]
    fn the_platform_configuration_needs_no_default_provider() {
        // A machine without any certificates may refuse; it must not panic.
        let _ = platform_config();
        assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    }

    #[test]
    fn an_http_error_is_shown_short_and_in_one_line() {
        let body = format!("line\r\n{}", "x".repeat(500));
        let response = tungstenite::http::Response::builder()
            .status(503)
            .body(Some(body.into_bytes()))
            .unwrap();
        let ConnectError::Http { status, body } = http_error(&response) else {
            panic!("another error")
        };
        assert_eq!(status, 503);
        assert!(body.starts_with("line  x") && body.len() == SHOWN_BODY);
    }
}
