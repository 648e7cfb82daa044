//! An MCP server on a unix socket: the messages of the stdio server, for many clients of one user.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::Origin;
use crate::hub::Hub;
use crate::server::ServerInfo;
use crate::stdio::serve_lines;

/// How many clients are served at once; more wait.
const CLIENTS: usize = 64;

/// A socket that only this user may connect to. Dropping it removes the file.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

/// Makes a socket at a path. A socket there that nobody listens on any more is replaced; anything else is kept.
///
/// # Errors
/// When somebody listens there, when there is a file of another kind, or the folder cannot be written to.
pub async fn bind(path: impl Into<PathBuf>) -> io::Result<Socket> {
    let path = path.into();
    clear(&path).await?;
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let owner = std::fs::symlink_metadata(&path)?.uid();
    Ok(Socket {
        listener,
        path,
        owner,
    })
}

async fn clear(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!(
                "{} is there and is no socket; choose another path",
                path.display()
            ),
        )),
        Ok(_) if UnixStream::connect(path).await.is_ok() => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("another program serves on {}", path.display()),
        )),
        Ok(_) => std::fs::remove_file(path),
    }
}

/// Serves the hub to everybody who connects until `cancel` fires. Connections of other users are closed.
///
/// # Errors
/// When the socket fails.
pub async fn serve(hub: Hub, info: ServerInfo, socket: Socket, cancel: CancellationToken) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CLIENTS));
    let mut clients = JoinSet::new();
    let outcome = loop {
        let place = tokio::select! {
            () = cancel.cancelled() => break Ok(()),
            Some(_ended) = clients.join_next() => continue,
            // The semaphore is never closed.
            place = Arc::clone(&places).acquire_owned() => place.ok(),
        };
        let accepted = tokio::select! {
            () = cancel.cancelled() => break Ok(()),
            accepted = socket.listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => break Err(error),
        };
        if !stream.peer_cred().is_ok_and(|peer| peer.uid() == socket.owner) {
            tracing::warn!("a connection of another user was closed");
            continue;
        }
        let (hub, info, cancel) = (hub.clone(), info.clone(), cancel.child_token());
        clients.spawn(async move {
            let _place = place;
            let (reader, writer) = stream.into_split();
            if let Err(error) = serve_lines(hub, info, Origin::Unix, reader, writer, cancel).await {
                tracing::debug!(%error, "a client on the unix socket was lost");
            }
        });
    };
    while clients.join_next().await.is_some() {}
    outcome
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    use super::*;
    use crate::HubOptions;
    use crate::testing::Bench;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("openhuman-mcp-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    async fn ask(stream: UnixStream) -> Value {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        let open = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}});
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let call =
            json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "bench__echo"}});
        writer
            .write_all(format!("{open}\n{ready}\n{call}\n").as_bytes())
            .await
            .unwrap();
        lines.next_line().await.unwrap().unwrap();
        serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn several_clients_are_served_and_the_socket_is_private() {
        let folder = folder("unix");
        let path = folder.join("mcp.sock");
        let (hub, _bench) = Bench::hub(HubOptions::default());
        let cancel = CancellationToken::new();
        let info = ServerInfo {
            name: "t".into(),
            version: "0".into(),
        };
        let socket = bind(&path).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let server = tokio::spawn(serve(hub, info, socket, cancel.clone()));
        let (left, right) = tokio::join!(UnixStream::connect(&path), UnixStream::connect(&path));
        let (left, right) = tokio::join!(ask(left.unwrap()), ask(right.unwrap()));
        assert_eq!(left["result"]["content"][0]["text"], "{}");
        assert_eq!(left, right);
        assert_eq!(
            bind(&path).await.unwrap_err().kind(),
            io::ErrorKind::AddrInUse,
            "a server that runs is not replaced"
        );
        cancel.cancel();
        server.await.unwrap().unwrap();
        assert!(!path.exists());

        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a socket that a killed server left behind");
        drop(bind(&path).await.unwrap());
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(
            bind(&path).await.unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        std::fs::remove_dir_all(folder).unwrap();
    }
}
