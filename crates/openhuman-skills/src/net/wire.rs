//! The default transport: HTTP/1.1 over TCP and rustls, to addresses that were checked before, with kept connections.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt as _};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::transport::{
    BoxedConnection, Endpoint, Transport, TransportError, TransportRequest, TransportResponse,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// When the next address is tried beside one that does not answer (RFC 8305).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
const IDLE: Duration = Duration::from_secs(30);
/// Idle connections to all hosts together.
const MOST_IDLE: usize = 4096;
/// The longest head of an answer, in bytes, and its most headers.
const MAX_HEAD: usize = 256 * 1024;
const MAX_HEADERS: usize = 200;

type Sender = SendRequest<Full<Bytes>>;

/// See the module.
pub(crate) struct Wire {
    tls: Option<TlsConnector>,
    pool: Arc<Pool>,
}

impl Wire {
    /// Trusts the roots of the operating system and these.
    pub(crate) fn new(roots: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let mut extra = RootCertStore::empty();
        for root in &roots {
            extra
                .add(root.clone())
                .map_err(|error| format!("a root certificate cannot be used: {error}"))?;
        }
        let tls = match Verifier::new_with_extra_roots(roots, provider) {
            Ok(verifier) => Some(
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(verifier))
                    .with_no_client_auth(),
            ),
            // The system has no roots: only those of the host are left, if it gave any.
            Err(_) if !extra.is_empty() => Some(builder.with_root_certificates(extra).with_no_client_auth()),
            Err(error) => {
                tracing::warn!(%error, "no trusted root certificates: skills cannot use https");
                None
            }
        };
        let tls = tls.map(|mut config| {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            TlsConnector::from(Arc::new(config))
        });
        Ok(Self {
            tls,
            pool: Arc::default(),
        })
    }
}

impl Transport for Wire {
    fn send(
        &self,
        request: TransportRequest,
    ) -> BoxFuture<'static, Result<TransportResponse, TransportError>> {
        let (tls, pool) = (self.tls.clone(), Arc::clone(&self.pool));
        Box::pin(async move {
            let TransportRequest {
                endpoint,
                method,
                target,
                headers,
                body,
            } = request;
            let mut message = http::Request::builder()
                .method(method)
                .uri(target)
                .body(Full::new(body))
                .map_err(|error| TransportError::Broken(format!("the URL cannot be sent: {error}")))?;
            *message.headers_mut() = headers;
            // A kept connection may have been closed by the other side; then the message comes back unsent.
            while let Some(mut kept) = pool.take(&endpoint) {
                match kept.sender.try_send_request(message).await {
                    Ok(response) => return Ok(answer(response, kept, endpoint, pool)),
                    Err(mut error) => match error.take_message() {
                        Some(unsent) => message = unsent,
                        None => return Err(broken(&error.into_error())),
                    },
                }
            }
            let mut fresh = open(&tls, &endpoint, &pool).await?;
            match fresh.sender.send_request(message).await {
                Ok(response) => Ok(answer(response, fresh, endpoint, pool)),
                Err(error) => Err(broken(&error)),
            }
        })
    }

    fn connect(&self, endpoint: Endpoint) -> BoxFuture<'static, Result<BoxedConnection, TransportError>> {
        let tls = self.tls.clone();
        Box::pin(async move { connect(&tls, &endpoint).await.map(|(connection, _)| connection) })
    }
}

/// The whole chain of causes.
fn broken(error: &hyper::Error) -> TransportError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    TransportError::Broken(text)
}

/// Connects and greets; makes room when the process has no file descriptor left.
async fn open(tls: &Option<TlsConnector>, endpoint: &Endpoint, pool: &Pool) -> Result<Kept, TransportError> {
    let (connection, peer) = match connect(tls, endpoint).await {
        Err(TransportError::Connect { source, .. }) if no_descriptors(&source) && pool.clear() => {
            connect(tls, endpoint).await?
        }
        other => other?,
    };
    let (sender, driver) = Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .handshake::<_, Full<Bytes>>(TokioIo::new(connection))
        .await
        .map_err(|error| broken(&error))?;
    // Ends with the connection, which ends when its sender and the body of its answer are dropped.
    tokio::spawn(async move {
        let _ = driver.await;
    });
    Ok(Kept { sender, peer })
}

fn no_descriptors(error: &io::Error) -> bool {
    // EMFILE and ENFILE.
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

async fn connect(
    tls: &Option<TlsConnector>,
    endpoint: &Endpoint,
) -> Result<(BoxedConnection, SocketAddr), TransportError> {
    let failed = |source| TransportError::Connect {
        authority: endpoint.authority(),
        source,
    };
    let late = || {
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
        )
    };
    let (stream, peer) = tokio::time::timeout(CONNECT_TIMEOUT, race(&endpoint.addresses))
        .await
        .map_err(|_| failed(late()))?
        .map_err(failed)?;
    let _ = stream.set_nodelay(true);
    if !endpoint.secure {
        return Ok((Box::new(stream), peer));
    }
    let untrusted = |source| TransportError::Tls {
        authority: endpoint.authority(),
        source,
    };
    let tls = tls
        .as_ref()
        .ok_or_else(|| untrusted(io::Error::other("this machine has no trusted root certificates")))?;
    let name =
        ServerName::try_from(endpoint.host.clone()).map_err(|error| untrusted(io::Error::other(error)))?;
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, tls.connect(name, stream))
        .await
        .map_err(|_| untrusted(late()))?
        .map_err(untrusted)?;
    Ok((Box::new(stream), peer))
}

/// The first address that answers; each has a head start before the next.
async fn race(addresses: &[SocketAddr]) -> io::Result<(TcpStream, SocketAddr)> {
    let mut rest = addresses.iter().copied();
    let mut running = FuturesUnordered::new();
    let attempt = |address: SocketAddr| async move {
        TcpStream::connect(address).await.map(|stream| (stream, address))
    };
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "there is no address");
    let mut more = rest.next();
    loop {
        if let Some(address) = more.take() {
            running.push(attempt(address));
        }
        if running.is_empty() {
            return Err(last);
        }
        let step = tokio::time::timeout(NEXT_ADDRESS, running.next()).await;
        match step {
            Ok(Some(Ok(connected))) => return Ok(connected),
            Ok(Some(Err(error))) => {
                last = error;
                more = rest.next();
            }
            Ok(None) => more = rest.next(),
            Err(_) => {
                more = rest.next();
                if more.is_none() {
                    match running.next().await {
                        Some(Ok(connected)) => return Ok(connected),
                        Some(Err(error)) => last = error,
                        None => {}
                    }
                }
            }
        }
    }
}

fn answer(
    response: http::Response<Incoming>,
    kept: Kept,
    endpoint: Endpoint,
    pool: Arc<Pool>,
) -> TransportResponse {
    let (head, body) = response.into_parts();
    let reason = head.extensions.get::<ReasonPhrase>();
    let reason = reason.map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned());
    let lease = Lease { kept, endpoint, pool };
    let body = WireBody {
        body,
        lease: Some(lease),
    };
    TransportResponse {
        status: head.status,
        reason,
        headers: head.headers,
        body: Box::pin(body),
    }
}

/// A body that gives its connection back when it has been read to the end.
struct WireBody {
    body: Incoming,
    lease: Option<Lease>,
}

impl Stream for WireBody {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Poll::Ready(Some(Ok(data))),
                    Err(_trailers) => {}
                },
                Some(Err(error)) => {
                    self.lease = None;
                    return Poll::Ready(Some(Err(broken(&error))));
                }
                None => {
                    if let Some(lease) = self.lease.take() {
                        lease.give_back();
                    }
                    return Poll::Ready(None);
                }
            }
        }
    }
}

impl Drop for WireBody {
    fn drop(&mut self) {
        // A short body may have come to its end without being asked for more.
        if self.body.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }
}

struct Lease {
    kept: Kept,
    endpoint: Endpoint,
    pool: Arc<Pool>,
}

impl Lease {
    fn give_back(self) {
        let Self {
            mut kept,
            endpoint,
            pool,
        } = self;
        if kept.sender.is_ready() {
            return pool.put(endpoint, kept);
        }
        let Ok(handle) = tokio::runtime::Handle::try_current() else {
            return;
        };
        // The driver has a last word to say first; it ends with the connection at the latest.
        handle.spawn(async move {
            if kept.sender.ready().await.is_ok() {
                pool.put(endpoint, kept);
            }
        });
    }
}

/// A connection and whom it leads to.
struct Kept {
    sender: Sender,
    peer: SocketAddr,
}

/// Connections that wait for their next request. One is used again only toward an address that was checked for that
/// very request, so a connection inside is never taken for a public host.
#[derive(Default)]
struct Pool(Mutex<Idle>);

#[derive(Default)]
struct Idle {
    by_host: HashMap<(bool, String, u16), Vec<(Instant, Kept)>>,
    count: usize,
    reaper: bool,
}

impl Pool {
    fn take(&self, endpoint: &Endpoint) -> Option<Kept> {
        let key = (endpoint.secure, endpoint.host.clone(), endpoint.port);
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Idle { by_host, count, .. } = &mut *idle;
        let kept = by_host.get_mut(&key)?;
        let now = Instant::now();
        let mut found = None;
        // The newest last: it is the one least likely to have been closed.
        while let Some((since, candidate)) = kept.pop() {
            *count -= 1;
            let fresh = now.duration_since(since) < IDLE && !candidate.sender.is_closed();
            if fresh && endpoint.addresses.contains(&candidate.peer) {
                found = Some(candidate);
                break;
            }
        }
        if kept.is_empty() {
            by_host.remove(&key);
        }
        found
    }

    fn put(self: &Arc<Self>, endpoint: Endpoint, kept: Kept) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.count >= MOST_IDLE || kept.sender.is_closed() {
            return;
        }
        let key = (endpoint.secure, endpoint.host, endpoint.port);
        idle.by_host.entry(key).or_default().push((Instant::now(), kept));
        idle.count += 1;
        if !idle.reaper {
            idle.reaper = true;
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }

    /// Closes every idle connection; whether there was one.
    fn clear(&self) -> bool {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let any = idle.count > 0;
        idle.by_host.clear();
        idle.count = 0;
        any
    }
}

/// Closes connections that nobody came for; ends when there are none, or with the engine.
async fn reap(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(IDLE / 2).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let mut left = 0;
        idle.by_host.retain(|_, kept| {
            kept.retain(|(since, kept)| now.duration_since(*since) < IDLE && !kept.sender.is_closed());
            left += kept.len();
            !kept.is_empty()
        });
        idle.count = left;
        if left == 0 {
            idle.reaper = false;
            return;
        }
    }
}
