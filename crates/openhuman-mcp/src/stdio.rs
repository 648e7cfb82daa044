//! An MCP server on standard input and output, or on any reader and writer.
//!
//! It speaks the 2026-07-28 revision and every older one. Standard output belongs to the protocol: a
//! program that serves here must log to standard error. The protocol library logs whole results at the
//! `debug` level under the target `rmcp`; keep that target at `warn` where arguments are private.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, SubscriptionFilter, Tool, ToolAnnotations,
};
use rmcp::service::{
    NotificationContext, RequestContext, ServerInitializeError, SubscriptionContext, serve_server_with_ct,
};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::catalog::CatalogTool;
use crate::hub::Hub;
use crate::tool::{CallContext, Content, Origin, ToolResult};

/// The longest line that is read, in bytes. A longer one is dropped and the connection stays open.
pub const MAX_LINE: usize = 8 * 1024 * 1024;

/// How many tools one page of `tools/list` has.
pub const PAGE: usize = 1_000;

/// How the server introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// The program, for example `openhuman`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Why serving ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StdioError {
    /// The client did not open the session the way the protocol asks.
    #[error("the MCP session could not be opened: {0}; check that the client speaks MCP over stdio")]
    Handshake(String),
    /// The serving task ended abnormally.
    #[error("the MCP session ended abnormally: {0}")]
    Aborted(String),
}

/// Serves the hub on the standard streams of this process until the client closes standard input or
/// `cancel` fires. Pipes are driven without blocking threads where the system allows it; elsewhere a thread
/// waits for input, so a program that stops through `cancel` should then exit rather than wait for its
/// runtime.
///
/// # Errors
///
/// [`StdioError::Handshake`] when the client breaks the protocol before the session is open. A client that
/// leaves is no error.
pub async fn serve(hub: Hub, info: ServerInfo, cancel: CancellationToken) -> Result<(), StdioError> {
    let (reader, writer) = rmcp::transport::io::stdio_pipes();
    serve_io(hub, info, reader, writer, cancel).await
}

/// Serves the hub on any reader and writer, one JSON-RPC message per line.
///
/// After the end of the input, running calls have 5 s to answer; after `cancel`, 2 s. Then they are
/// cancelled.
///
/// # Errors
///
/// As [`serve`].
pub async fn serve_io<R, W>(
    hub: Hub,
    info: ServerInfo,
    reader: R,
    writer: W,
    cancel: CancellationToken,
) -> Result<(), StdioError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let mut changes = hub.changes();
    let initialized = Arc::new(Notify::new());
    let closing = cancel.child_token();
    let server = Server {
        hub,
        info,
        initialized: Arc::clone(&initialized),
        closing: closing.clone(),
    };
    let reader = EndWatch {
        reader,
        ended: closing,
    };
    let transport = AsyncRwTransport::new_server(reader, writer).with_max_line_length(MAX_LINE);
    // The session gets a token of its own, because ending it cancels the token.
    let running = match serve_server_with_ct(server, transport, cancel.child_token()).await {
        Ok(running) => running,
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => return Ok(()),
        Err(error) => return Err(StdioError::Handshake(error.to_string())),
    };
    let peer = running.peer().clone();
    changes.mark_unchanged();
    let announce = async {
        // Sessions without a handshake subscribe instead, and never reach this notification.
        initialized.notified().await;
        while changes.changed().await.is_ok() {
            if let Err(error) = peer.notify_tool_list_changed().await {
                tracing::debug!(%error, "the client was not told about the changed tools");
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = running.waiting() => match ended {
            Ok(rmcp::service::QuitReason::JoinError(error)) => Err(StdioError::Aborted(error.to_string())),
            Ok(_) => Ok(()),
            Err(error) => Err(StdioError::Aborted(error.to_string())),
        },
        () = announce => Ok(()),
    }
}

struct Server {
    hub: Hub,
    info: ServerInfo,
    initialized: Arc<Notify>,
    /// Fires at the end of the input, so that subscriptions do not hold up the end of the session.
    closing: CancellationToken,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new(
            self.info.name.as_str(),
            self.info.version.as_str(),
        ))
    }

    async fn on_initialized(&self, _context: NotificationContext<RoleServer>) {
        self.initialized.notify_one();
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let catalog = self.hub.catalog();
        let start = match request.and_then(|request| request.cursor) {
            None => 0,
            Some(cursor) => cursor
                .parse::<usize>()
                .ok()
                .filter(|start| *start <= catalog.tools.len())
                .ok_or_else(|| {
                    ErrorData::invalid_params("The cursor is not one this server gave out", None)
                })?,
        };
        let page = catalog.tools.iter().skip(start).take(PAGE).map(tool).collect();
        let mut result = ListToolsResult::with_all_items(page);
        if start + PAGE < catalog.tools.len() {
            result.next_cursor = Some((start + PAGE).to_string());
        }
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let ctx = CallContext {
            origin: Origin::Stdio,
            cancel: context.ct,
        };
        Ok(call_result(self.hub.call(&request.name, arguments, ctx).await).into())
    }

    fn accepted_subscription_filter(&self, _requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(SubscriptionFilter::builder().tools_list_changed().build())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.hub.changes();
        changes.mark_unchanged();
        let wants_tools = context.accepted().tools_list_changed == Some(true);
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                () = self.closing.cancelled() => return Ok(()),
                changed = changes.changed(), if wants_tools => {
                    if changed.is_err() || context.sink().notify_tool_list_changed().await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// A reader that tells when its input has ended.
struct EndWatch<R> {
    reader: R,
    ended: CancellationToken,
}

impl<R: AsyncRead + Unpin> AsyncRead for EndWatch<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let room = buf.remaining() > 0;
        let polled = Pin::new(&mut self.reader).poll_read(cx, buf);
        match &polled {
            Poll::Ready(Ok(())) if room && buf.filled().len() == before => self.ended.cancel(),
            Poll::Ready(Err(_)) => self.ended.cancel(),
            _ => {}
        }
        polled
    }
}

fn tool(entry: &CatalogTool) -> Tool {
    let schema = match &entry.input_schema {
        Value::Object(schema) => schema.clone(),
        _ => Map::new(),
    };
    let hints = entry.annotations;
    let annotations = ToolAnnotations::from_raw(
        entry.title.clone(),
        Some(hints.read_only),
        Some(hints.destructive),
        Some(hints.idempotent),
        Some(hints.open_world),
    );
    let tool = Tool::new_with_raw(
        entry.name.clone(),
        Some(Cow::Owned(entry.description.clone())),
        schema,
    )
    .with_annotations(annotations);
    match &entry.title {
        Some(title) => tool.with_title(title.as_str()),
        None => tool,
    }
}

fn call_result(result: ToolResult) -> CallToolResult {
    // Every revision takes an object as structured content; other values stay text.
    let structured = match result.content.as_slice() {
        [Content::Json { data }] if data.is_object() => Some(data.clone()),
        _ => None,
    };
    let blocks = result.content.into_iter().map(block).collect();
    let mut out = if result.is_error {
        CallToolResult::error(blocks)
    } else {
        CallToolResult::success(blocks)
    };
    out.structured_content = structured;
    out
}

fn block(content: Content) -> ContentBlock {
    match content {
        Content::Text { text } => ContentBlock::text(text),
        Content::Json { data } => ContentBlock::text(data.to_string()),
        Content::Other(data) => serde_json::from_value(data.clone())
            .unwrap_or_else(|_not_an_mcp_block| ContentBlock::text(data.to_string())),
    }
}

#[cfg(test)]
mod tests;
