//! An MCP server over Streamable HTTP, for clients on this machine.
//!
//! Every request needs the bearer token. A request with an `Origin` is refused unless that origin was named, and so is
//! one for another host, so that no web page reaches the tools: neither directly nor through a name that points here.
//! Revision 2026-07-28 is served without sessions; clients of older revisions get one each, which ends when they are
//! idle. There is no TLS: addresses other than loopback belong behind a proxy and have to be asked for.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::context::Origin;
use crate::hub::Hub;
use crate::server::{Server, ServerInfo};

/// Where the endpoint is.
pub const PATH: &str = "/mcp";

/// The shortest token that is taken, in characters: 128 bits in hexadecimal digits.
const SHORTEST_TOKEN: usize = 32;

/// How an HTTP server behaves.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// What clients have to send as `Authorization: Bearer ..`. Thirty-two characters at least.
    pub token: String,
    /// The origins of web pages that may call, such as `http://localhost:5173`. Default: none.
    pub origins: Vec<String>,
    /// The hosts that clients may address it by, beside the loopback names. Default: none.
    pub hosts: Vec<String>,
    /// Whether an address other than loopback may be listened on. Default: no.
    pub beyond_loopback: bool,
    /// The longest body that is read, in bytes. Default: 4 MiB.
    pub longest_body: usize,
    /// How many clients of the older revisions may have a session. Default: 64.
    pub sessions: usize,
    /// How long such a session may be idle. Default: 5 min.
    pub idle: Duration,
}

impl HttpOptions {
    /// The defaults, with a token.
    pub fn new(token: impl Into<String>) -> Self {
        Self {
            token: token.into(),
            origins: Vec::new(),
            hosts: Vec::new(),
            beyond_loopback: false,
            longest_body: 4 * 1024 * 1024,
            sessions: 64,
            idle: Duration::from_secs(300),
        }
    }
}

impl std::fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpOptions")
            .field("origins", &self.origins)
            .field("hosts", &self.hosts)
            .field("beyond_loopback", &self.beyond_loopback)
            .finish_non_exhaustive()
    }
}

/// Why an HTTP server does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The address is one that other machines reach.
    #[error("{0} is reached by other machines; listen on 127.0.0.1, or ask for it where a proxy adds TLS")]
    BeyondLoopback(SocketAddr),
    /// The token is too easy to guess.
    #[error("the token has fewer than {SHORTEST_TOKEN} characters; make one of 128 random bits or more")]
    WeakToken,
    /// The address cannot be listened on, or the listener failed.
    #[error("the MCP server cannot listen: {0}")]
    Io(#[from] std::io::Error),
}

/// Listens on an address. Port 0 finds a free one; ask the listener which.
///
/// # Errors
/// When the address is not loopback and that was not asked for, or it is taken.
pub async fn bind(address: SocketAddr, options: &HttpOptions) -> Result<TcpListener, HttpError> {
    check_address(address, options)?;
    Ok(TcpListener::bind(address).await?)
}

/// Serves the hub until `cancel` fires.
///
/// # Errors
/// When the token is too short, the listener is beyond loopback without leave, or it fails.
pub async fn serve(
    hub: Hub,
    info: ServerInfo,
    listener: TcpListener,
    options: HttpOptions,
    cancel: CancellationToken,
) -> Result<(), HttpError> {
    check_address(listener.local_addr()?, &options)?;
    let router = router(hub, info, options, cancel.child_token())?;
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { cancel.cancelled().await })
        .await?;
    Ok(())
}

/// The endpoint as a router, for a program that serves other things on the same port. Its sessions end with `cancel`.
///
/// # Errors
/// When the token is too short.
pub fn router(
    hub: Hub,
    info: ServerInfo,
    options: HttpOptions,
    cancel: CancellationToken,
) -> Result<Router, HttpError> {
    if options.token.chars().count() < SHORTEST_TOKEN {
        return Err(HttpError::WeakToken);
    }
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.keep_alive = Some(options.idle);
    let sessions = Arc::new(sessions);
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    hosts.extend(options.hosts.iter().cloned());
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts(hosts)
        .with_allowed_origins(options.origins.iter().cloned())
        .enforce_origin_validation()
        .with_max_request_body_bytes(options.longest_body)
        .with_json_response(true)
        .with_cancellation_token(cancel.clone());
    let server = move || {
        Ok(Server::new(
            hub.clone(),
            info.clone(),
            Origin::Http,
            cancel.child_token(),
        ))
    };
    let service = StreamableHttpService::new(server, Arc::clone(&sessions), config);
    let gate = Arc::new(Gate {
        token: options.token,
        most: options.sessions,
        sessions,
    });
    let service = tower_service(service);
    Ok(Router::new()
        .route_service(PATH, service)
        .layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let gate = Arc::clone(&gate);
            async move { gate.pass(request, next).await }
        })))
}

fn check_address(address: SocketAddr, options: &HttpOptions) -> Result<(), HttpError> {
    if address.ip().is_loopback() || options.beyond_loopback {
        Ok(())
    } else {
        Err(HttpError::BeyondLoopback(address))
    }
}

/// The service with axum's body type.
fn tower_service(
    service: StreamableHttpService<Server, LocalSessionManager>,
) -> axum::routing::MethodRouter<(), Infallible> {
    axum::routing::any(move |request: Request| {
        let service = service.clone();
        async move { service.handle(request).await.map(Body::new) }
    })
}

/// What every request has to pass.
struct Gate {
    token: String,
    most: usize,
    sessions: Arc<LocalSessionManager>,
}

impl Gate {
    async fn pass(&self, request: Request, next: Next) -> Response {
        if !self.knows(request.headers()) {
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
            return (StatusCode::UNAUTHORIZED, challenge, "A bearer token is needed").into_response();
        }
        if self.opens_session(&request) && self.sessions.sessions.read().await.len() >= self.most {
            let later = [(header::RETRY_AFTER, "30")];
            return (
                StatusCode::SERVICE_UNAVAILABLE,
                later,
                "Too many sessions are open",
            )
                .into_response();
        }
        next.run(request).await
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let (scheme, token) = given.and_then(|value| value.split_once(' ')).unwrap_or_default();
        scheme.eq_ignore_ascii_case("bearer")
            && bool::from(token.trim().as_bytes().ct_eq(self.token.as_bytes()))
    }

    /// Whether a session may come of this: requests inside of one name it, and newer revisions have none.
    fn opens_session(&self, request: &Request) -> bool {
        let headers = request.headers();
        let version = headers
            .get("mcp-protocol-version")
            .and_then(|value| value.to_str().ok());
        request.method() == Method::POST
            && !headers.contains_key("mcp-session-id")
            && version.is_none_or(|version| version < "2026-07-28")
    }
}

#[cfg(test)]
mod tests;
