//! An MCP server on standard input and output, or on any reader and writer.
//!
//! It speaks the 2026-07-28 revision and every older one. Standard output belongs to the protocol: a
//! program that serves here must log to standard error. The protocol library logs whole results at the
//! `debug` level under the target `rmcp`; keep that target at `warn` where arguments are private.

use std::pin::Pin;
use std::task::{Context, Poll};

use rmcp::RoleServer;
use rmcp::service::{QuitReason, ServerInitializeError, serve_server_with_ct};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use crate::context::Origin;
use crate::hub::Hub;
use crate::server::Server;
pub use crate::server::{PAGE, ServerInfo};

/// The longest line that is read, in bytes. A longer one is dropped and the connection stays open.
pub const MAX_LINE: usize = 8 * 1024 * 1024;

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
    serve_lines(hub, info, Origin::Stdio, reader, writer, cancel).await
}

/// As [`serve_io`], for a connection of another kind.
pub(crate) async fn serve_lines<R, W>(
    hub: Hub,
    info: ServerInfo,
    origin: Origin,
    reader: R,
    writer: W,
    cancel: CancellationToken,
) -> Result<(), StdioError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let closing = cancel.child_token();
    let server = Server::new(hub, info, origin, closing.clone());
    let reader = EndWatch {
        reader,
        ended: closing,
    };
    let transport = AsyncRwTransport::new_server(reader, writer).with_max_line_length(MAX_LINE);
    serve_transport(server, transport, cancel).await
}

/// Runs one session until the client leaves or `cancel` fires.
pub(crate) async fn serve_transport<T>(
    server: Server,
    transport: T,
    cancel: CancellationToken,
) -> Result<(), StdioError>
where
    T: Transport<RoleServer> + 'static,
{
    let closing = server.closing();
    // The session gets a token of its own, because ending it cancels the token.
    let running = match serve_server_with_ct(server, transport, cancel.child_token()).await {
        Ok(running) => running,
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => return Ok(()),
        Err(error) => return Err(StdioError::Handshake(error.to_string())),
    };
    let ended = running.waiting().await;
    closing.cancel();
    match ended {
        Ok(QuitReason::JoinError(error)) | Err(error) => Err(StdioError::Aborted(error.to_string())),
        Ok(_) => Ok(()),
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

#[cfg(test)]
mod tests;
