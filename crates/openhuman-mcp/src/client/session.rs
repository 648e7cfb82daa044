//! One server, connected and connected again.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    ClientCapabilities, ClientConfig, Implementation, PaginatedRequestParams, ProgressNotificationParam,
    ProtocolVersion, SubscriptionFilter,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, NotificationContext, Peer, RunningService,
    serve_client_with_lifecycle_and_ct,
};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{ClientHandler, RoleClient};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::child::Child;
use super::config::Transport;
use super::convert::{Listed, listed};
use super::{ServerState, Shared};
use crate::context::ProgressReport;

/// A connection that held this long makes the next wait short again.
const STABLE: Duration = Duration::from_secs(30);

/// How often a server may have its tools listed again.
const RELIST: Duration = Duration::from_secs(1);

/// The largest list of tools that is kept, in bytes of JSON.
const LARGEST_LIST: usize = 4 * 1024 * 1024;

/// Keeps a server connected until `cancel` fires.
pub(super) async fn keep(shared: Arc<Shared>, cancel: CancellationToken) {
    let mut wait = shared.options.retry;
    while !cancel.is_cancelled() {
        let started = Instant::now();
        let reason = match open(&shared, &cancel).await {
            Ok(mut connection) => {
                let reason = connection.follow(&shared, &cancel).await;
                connection.close().await;
                reason
            }
            Err(reason) => reason,
        };
        if cancel.is_cancelled() {
            break;
        }
        tracing::warn!(server = %shared.config.id, %reason, "an MCP server is not there");
        shared.set(ServerState::Failed { reason });
        if started.elapsed() >= STABLE {
            wait = shared.options.retry;
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(shared.options.longest_retry);
        shared.set(ServerState::Connecting);
    }
    shared.set(ServerState::Closed);
}

struct Connection {
    running: RunningService<RoleClient, Handler>,
    child: Option<Child>,
}

async fn open(shared: &Arc<Shared>, cancel: &CancellationToken) -> Result<Connection, String> {
    let limit = shared.options.start;
    let mut child = None;
    let attempt = async {
        let connection = connect(shared, cancel, &mut child).await?;
        list(shared, connection.peer()).await?;
        Ok(connection)
    };
    let outcome = tokio::select! {
        () = cancel.cancelled() => Err("it was closed".to_owned()),
        outcome = tokio::time::timeout(limit, attempt) => {
            outcome.unwrap_or_else(|_| Err(format!("it did not start within {} ms", limit.as_millis())))
        }
    };
    match outcome {
        Ok(running) => {
            let state = connected(running.peer());
            shared.known().peer = Some(running.peer().clone());
            shared.set(state);
            Ok(Connection { running, child })
        }
        Err(reason) => Err(with_last_words(reason, child.as_mut()).await),
    }
}

async fn connect(
    shared: &Arc<Shared>,
    cancel: &CancellationToken,
    child: &mut Option<Child>,
) -> Result<RunningService<RoleClient, Handler>, String> {
    let handler = Handler(Arc::clone(shared));
    let lifecycle = ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        // The newer revisions have no handshake to fall back to.
        legacy_version: Some(ProtocolVersion::V_2025_11_25),
    };
    let stop = cancel.child_token();
    match &shared.config.transport {
        Transport::Child(start) => {
            let (started, streams) = Child::start(start, &shared.options)?;
            *child = Some(started);
            let transport = AsyncRwTransport::new_client(streams.output, streams.input)
                .with_max_line_length(shared.options.longest_line);
            serve_client_with_lifecycle_and_ct(handler, transport, lifecycle, stop)
                .await
                .map_err(|error| refused(&error))
        }
        #[cfg(feature = "client-http")]
        Transport::Http(address) => {
            use rmcp::transport::StreamableHttpClientTransport;
            use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
            let Some(http) = shared.options.http.clone() else {
                return Err("there is no HTTP client to reach it with".into());
            };
            let config = StreamableHttpClientTransportConfig::with_uri(address.url.as_str())
                .custom_headers(address.headers()?)
                .max_sse_event_size(shared.options.longest_line);
            let transport = StreamableHttpClientTransport::with_client(http, config);
            serve_client_with_lifecycle_and_ct(handler, transport, lifecycle, stop)
                .await
                .map_err(|error| refused(&error))
        }
        #[cfg(not(feature = "client-http"))]
        Transport::Http(_) => Err("this program was built without HTTP for MCP servers".into()),
    }
}

fn connected(peer: &Peer<RoleClient>) -> ServerState {
    let info = peer.peer_info();
    let server = info.as_ref().map(|info| &info.server_info);
    ServerState::Connected {
        server: server
            .and_then(|server| server.as_ref())
            .map(|server| format!("{} {}", server.name, server.version))
            .unwrap_or_default(),
        protocol: info
            .map(|info| info.protocol_version.as_str().to_owned())
            .unwrap_or_default(),
    }
}

/// Lists the tools anew and compares them with the pins.
async fn list(shared: &Shared, peer: &Peer<RoleClient>) -> Result<(), String> {
    let mut all: Vec<Listed> = Vec::new();
    let mut size = 0;
    let mut cursor = None;
    loop {
        let request = PaginatedRequestParams::default().with_cursor(cursor);
        let page = peer
            .list_tools(Some(request))
            .await
            .map_err(|error| format!("it did not list its tools: {error}"))?;
        for tool in page.tools {
            let tool = listed(tool);
            size += tool.size;
            if all.len() >= shared.options.most_tools || size > LARGEST_LIST {
                tracing::warn!(server = %shared.config.id, "a server has more tools than fit; the rest is left out");
                break;
            }
            all.push(tool);
        }
        cursor = page.next_cursor;
        if cursor.is_none() || all.len() >= shared.options.most_tools || size > LARGEST_LIST {
            break;
        }
    }
    shared.known().listed = all;
    shared.review_again();
    Ok(())
}

impl Connection {
    /// Follows the changes of a connected server; why it ended.
    async fn follow(&mut self, shared: &Arc<Shared>, cancel: &CancellationToken) -> String {
        let peer = self.running.peer().clone();
        let subscribed = AbortOnDrop(tokio::spawn(subscribe(Arc::clone(shared), peer.clone())));
        let reason = loop {
            tokio::select! {
                () = cancel.cancelled() => break "it was closed".to_owned(),
                () = closed(&self.running) => break "it closed the connection".to_owned(),
                () = shared.list_changed.notified() => {
                    let limit = shared.options.start;
                    match tokio::time::timeout(limit, list(shared, &peer)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(reason)) => break reason,
                        Err(_) => break format!("it did not list its tools within {} ms", limit.as_millis()),
                    }
                    // What changes all the time is listed once a second.
                    tokio::time::sleep(RELIST).await;
                }
            }
        };
        drop(subscribed);
        with_last_words(reason, self.child.as_mut()).await
    }

    async fn close(mut self) {
        // A child that does not go by itself is killed when it is dropped.
        let _ended = self.running.close_with_timeout(Duration::from_secs(2)).await;
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Ends when the connection has.
async fn closed(running: &RunningService<RoleClient, Handler>) {
    const LOOK: Duration = Duration::from_millis(100);
    while !running.is_closed() && !running.peer().is_transport_closed() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Revision 2026-07-28 tells of changes only who subscribes.
async fn subscribe(shared: Arc<Shared>, peer: Peer<RoleClient>) {
    let modern = peer
        .peer_info()
        .is_some_and(|info| info.protocol_version.as_str() >= ProtocolVersion::V_2026_07_28.as_str());
    if !modern {
        return;
    }
    let filter = SubscriptionFilter::builder().tools_list_changed().build();
    let Ok(mut subscription) = peer.listen(filter).await else {
        return;
    };
    // What changed before it began was not told.
    shared.list_changed.notify_one();
    while let Ok(Some(_changed)) = subscription.next().await {
        shared.list_changed.notify_one();
    }
}

async fn with_last_words(reason: String, child: Option<&mut Child>) -> String {
    let words = match child {
        Some(child) => child.last_words().await,
        None => String::new(),
    };
    if words.is_empty() {
        reason
    } else {
        format!("{reason}; it wrote: {words}")
    }
}

/// Why it could not be opened. The library's own words name its types.
fn refused(error: &ClientInitializeError) -> String {
    if error.is_authorization_required() {
        return "it wants an authorisation; put its token into the headers of its configuration".into();
    }
    match error {
        ClientInitializeError::ConnectionClosed(_) => "it ended before it was ready".into(),
        ClientInitializeError::TransportError { error, .. } => {
            format!(
                "it ended or was not reached before it was ready ({})",
                error.error
            )
        }
        other => other.to_string(),
    }
}

/// What a server may ask of us: to be told about changes and progress, nothing else. Whatever it wants from a user is
/// declined.
#[derive(Clone)]
struct Handler(Arc<Shared>);

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let about = Implementation::new("openhuman", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), about)
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.list_changed.notify_one();
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let progress = self.0.progress().get(&params.progress_token).cloned();
        if let Some(progress) = progress {
            progress.report(ProgressReport {
                progress: params.progress,
                total: params.total,
                message: params.message,
            });
        }
    }
}
