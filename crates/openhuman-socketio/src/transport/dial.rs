//! Opening a transport: TCP, a proxy, TLS and the WebSocket handshake.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::{Duplex, ReadAhead, Transport, Transports, WebSocket};
use crate::cookies::Cookies;
use crate::endpoint::Endpoint;
use crate::error::ConnectError;
use crate::limits::Limits;
use crate::polling::Polling;
use crate::proxy::Proxy;
use crate::tls::Tls;

/// Small on purpose: the buffer exists for as long as the connection, and grows for long messages.
const READ_BUFFER: usize = 4 * 1024;
/// Frames are gathered up to this size before they go to the operating system.
const WRITE_BUFFER: usize = 32 * 1024;
/// How much of an HTTP error answer is repeated in an error.
const SHOWN_BODY: usize = 200;

/// Everything needed to open a transport, shared by all that belong to one connection.
pub(crate) struct Dialer {
    pub(crate) endpoint: Endpoint,
    pub(crate) tls: Tls,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) transports: Transports,
    pub(crate) remember_upgrade: bool,
    /// The last upgrade led to a WebSocket.
    pub(crate) upgraded: AtomicBool,
    pub(crate) limits: Limits,
    pub(crate) cookies: Cookies,
}

/// A transport to begin with.
#[derive(Debug, Clone, Copy)]
enum Way {
    WebSocket,
    Polling,
}

impl Dialer {
    /// WebSocket only, no proxy, the platform's certificates.
    pub(crate) fn new(endpoint: Endpoint, limits: Limits) -> Self {
        Self {
            endpoint,
            tls: Tls::default(),
            proxy: None,
            transports: Transports::default(),
            remember_upgrade: false,
            upgraded: AtomicBool::new(false),
            limits,
            cookies: Cookies::new(true),
        }
    }

    /// Opens the first transport. The caller bounds the time.
    pub(crate) async fn open(self: &Arc<Self>) -> Result<Transport, ConnectError> {
        let (first, second) = self.ways();
        match (self.open_by(first).await, second) {
            (Err(error), Some(second)) if is_refusal(&error) => {
                tracing::debug!(%error, ?second, "the first transport was refused: trying another");
                self.upgraded.store(false, Ordering::Relaxed);
                // The first error is the one that says more when nothing works.
                self.open_by(second).await.map_err(|_| error)
            }
            (opened, _) => opened,
        }
    }

    /// What is tried first, and what is tried when that is refused.
    fn ways(&self) -> (Way, Option<Way>) {
        if self.remember_upgrade && self.upgraded.load(Ordering::Relaxed) {
            return (Way::WebSocket, Some(Way::Polling));
        }
        match self.transports {
            Transports::WebSocket => (Way::WebSocket, None),
            Transports::WebSocketOrPolling => (Way::WebSocket, Some(Way::Polling)),
            Transports::PollingOrWebSocket => (Way::Polling, Some(Way::WebSocket)),
            Transports::PollingThenWebSocket | Transports::Polling => (Way::Polling, None),
        }
    }

    async fn open_by(self: &Arc<Self>, way: Way) -> Result<Transport, ConnectError> {
        match way {
            Way::WebSocket => {
                let socket = self.websocket(None).await?;
                Ok(Transport::websocket(socket, VecDeque::new()))
            }
            Way::Polling => Polling::open(Arc::clone(self)).await.map(Transport::polling),
        }
    }

    /// Opens a WebSocket, for a new session or to take over the one with this id.
    pub(crate) async fn websocket(&self, sid: Option<&str>) -> Result<WebSocket, ConnectError> {
        let stream = ReadAhead::new(self.stream().await?);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_message_size(Some(self.limits.max_frame_bytes))
            .max_frame_size(Some(self.limits.max_frame_bytes));
        let request = self
            .endpoint
            .request(sid, self.cookies.header(SystemTime::now()).as_deref())?;
        match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, response)) => {
                for header in response.headers().get_all("set-cookie") {
                    self.cookies
                        .take(&String::from_utf8_lossy(header.as_bytes()), SystemTime::now());
                }
                Ok(socket)
            }
            Err(WsError::Http(response)) => Err(websocket_refused(&response)),
            Err(error) => Err(ConnectError::WebSocket {
                message: error.to_string(),
            }),
        }
    }

    /// Opens a stream to the server: TCP, through the proxy if there is one, with TLS if the address says so.
    pub(crate) async fn stream(&self) -> Result<Box<dyn Duplex>, ConnectError> {
        let Endpoint { host, port, .. } = &self.endpoint;
        let stream: Box<dyn Duplex> = match &self.proxy {
            None => Box::new(connect_tcp(host, *port).await?),
            Some(proxy) => {
                let stream = connect_tcp(&proxy.host, proxy.port).await?;
                proxy.tunnel(Box::new(stream), host, *port).await?
            }
        };
        if !self.endpoint.secure {
            return Ok(stream);
        }
        let failed = |source| ConnectError::Tls {
            host: host.clone(),
            source,
        };
        let config = self.tls.config(host).await?;
        let name = ServerName::try_from(host.clone()).map_err(|error| failed(io::Error::other(error)))?;
        let secured = TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(failed)?;
        Ok(Box::new(secured))
    }
}

/// The server, or something before it, does not want this transport; another may do.
fn is_refusal(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::Http { .. } | ConnectError::WebSocket { .. } | ConnectError::Polling { .. }
    )
}

async fn connect_tcp(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let unreachable = |source| ConnectError::Unreachable {
        host: host.to_owned(),
        port,
        source,
    };
    let tcp = TcpStream::connect((host, port)).await.map_err(unreachable)?;
    // Small frames must not wait for the acknowledgement of the one before: with a PONG ahead of CONNECT,
    // that alone makes an attempt take 40 ms longer.
    tcp.set_nodelay(true).map_err(unreachable)?;
    Ok(tcp)
}

fn websocket_refused(response: &Response) -> ConnectError {
    let body = response.body().as_deref().unwrap_or_default();
    http_error(response.status().as_u16(), body)
}

/// An answer that is not what was asked for, shown short and in one line.
pub(crate) fn http_error(status: u16, body: &[u8]) -> ConnectError {
    let body = String::from_utf8_lossy(body.get(..SHOWN_BODY).unwrap_or(body));
    let body = body
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>();
    ConnectError::Http {
        status,
        body: body.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Address;

    fn dialer(url: &str) -> Dialer {
        Dialer::new(Endpoint::new(&Address::of(url)).unwrap(), Limits::default())
    }

    #[tokio::test]
    async fn small_frames_are_sent_at_once() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tcp = connect_tcp("127.0.0.1", port).await.unwrap();
        assert!(tcp.nodelay().unwrap());
    }

    /// A plain connection pays for TLS neither in time nor in memory.
    #[tokio::test]
    async fn a_plain_connection_makes_no_tls_configuration() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialer = dialer(&format!("http://{}", listener.local_addr().unwrap()));
        let server = async {
            let (tcp, _) = listener.accept().await.unwrap();
            tokio_tungstenite::accept_async(tcp).await.unwrap()
        };
        let (client, _server) = tokio::join!(dialer.websocket(None), server);
        assert!(client.is_ok());
        assert!(!dialer.tls.is_made());
    }

    #[test]
    fn an_http_error_is_shown_short_and_in_one_line() {
        let body = format!("line\r\n{}", "x".repeat(500));
        let ConnectError::Http { status, body } = http_error(503, body.as_bytes()) else {
            panic!("another error")
        };
        assert_eq!(status, 503);
        assert!(body.starts_with("line  x") && body.len() == SHOWN_BODY);
    }
}
