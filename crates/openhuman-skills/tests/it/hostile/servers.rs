//! Servers on loopback: one that nothing may ever reach, and one that was granted and misleads.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use futures_util::future::BoxFuture;
use futures_util::stream;
use openhuman_skills::NameResolver;
use tokio::net::TcpListener;

/// Both servers; they end with the test's runtime.
pub(crate) struct Servers {
    pub(crate) canary: u16,
    pub(crate) open: u16,
    reached: Arc<AtomicUsize>,
}

impl Servers {
    pub(crate) async fn start() -> Self {
        let reached = Arc::new(AtomicUsize::new(0));
        let hits = Arc::clone(&reached);
        let canary = Router::new().fallback(move || {
            hits.fetch_add(1, Ordering::SeqCst);
            async { "canary" }
        });
        Self {
            canary: serve(canary).await,
            open: serve(open()).await,
            reached,
        }
    }

    /// How many requests got where none may go.
    pub(crate) fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }
}

async fn serve(router: Router) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

fn open() -> Router {
    Router::new()
        .route("/to", any(redirect))
        .route(
            "/loop",
            get(|| async { (StatusCode::FOUND, [(header::LOCATION, "/loop")]) }),
        )
        .route("/host", any(host))
        .route(
            "/echo",
            any(|request: Request| async move { request.uri().to_string() }),
        )
        .route("/large", get(|| async { vec![b'x'; 9 * 1024 * 1024] }))
        .route("/endless", get(endless))
        .route("/headers", get(headers))
        .route("/slow", get(std::future::pending::<()>))
}

async fn redirect(request: Request) -> Response {
    let target = request.uri().query().unwrap_or_default().to_owned();
    (StatusCode::FOUND, [(header::LOCATION, target)]).into_response()
}

async fn host(headers: HeaderMap) -> String {
    headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

async fn endless() -> Body {
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    Body::from_stream(stream::repeat_with(move || Ok::<_, io::Error>(chunk.clone())))
}

async fn headers() -> Response {
    let mut response = "many".into_response();
    for n in 0..90 {
        let name = HeaderName::from_bytes(format!("x-h{n}").as_bytes()).unwrap();
        response
            .headers_mut()
            .insert(name, HeaderValue::from_bytes(&[b'v'; 2000]).unwrap());
    }
    response
}

/// Names that lead inside. Every other name is unknown, so that nothing leaves this machine.
#[derive(Default)]
pub(crate) struct Names {
    turn: AtomicBool,
}

impl NameResolver for Names {
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let v4 = |a, b, c, d| IpAddr::V4(Ipv4Addr::new(a, b, c, d));
        let found = match host.as_str() {
            "localhost" | "localhost." | "loopback.test" => vec![loopback],
            "mixed.test" => vec![v4(93, 184, 216, 34), loopback],
            // Documentation addresses are no public ones either, so that nothing is sent in any turn.
            "rebinding.test" if self.turn.fetch_not(Ordering::SeqCst) => vec![loopback],
            "rebinding.test" => vec![v4(192, 0, 2, 1)],
            "private.test" => vec![v4(10, 0, 0, 1)],
            "cgnat.test" => vec![v4(100, 64, 0, 1)],
            "metadata.test" => vec![v4(169, 254, 169, 254)],
            _ => Vec::new(),
        };
        Box::pin(async move {
            if found.is_empty() {
                Err(io::ErrorKind::NotFound.into())
            } else {
                Ok(found)
            }
        })
    }
}
