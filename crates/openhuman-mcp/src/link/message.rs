//! The whole of MCP over the event connection: `mcp:message`, one JSON-RPC object each way.
//!
//! The binding is described in `docs/mcp-over-socketio.md`. A session begins with the first message and ends with the
//! connection; nothing is replayed.

use std::sync::Arc;

use rmcp::RoleServer;
use rmcp::model::{ErrorCode, ErrorData, ServerJsonRpcMessage};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{EventLink, LinkError};
use crate::context::Origin;
use crate::hub::Hub;
use crate::info::ServerInfo;
use crate::server::Server;
use crate::wire::{self, McpResponse, RequestId, code};

/// Messages that may wait for the session, which takes them in as fast as it can start their work.
const WAITING: usize = 1024;

/// The session of one connection, once there is one.
#[derive(Default)]
pub(super) struct Session(Option<Running>);

struct Running {
    messages: mpsc::Sender<RxJsonRpcMessage<RoleServer>>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Session {
    /// Hands a message to the session. What it answers when it cannot, for messages that want an answer.
    pub(super) fn take(
        &mut self,
        hub: &Hub,
        link: &Arc<dyn EventLink>,
        info: &ServerInfo,
        data: &Value,
    ) -> Option<McpResponse> {
        let id = data.get("id").and_then(RequestId::from_value);
        let wants_answer = data.get("method").is_some() && data.get("id").is_some() || !data.is_object();
        let refuse = |code, text: &str| wants_answer.then(|| McpResponse::error(id.clone(), code, text));
        if data.is_array() {
            return refuse(
                code::INVALID_REQUEST,
                "Batches are not part of this binding; send one message per event",
            );
        }
        let Ok(message) = serde_json::from_value(data.clone()) else {
            return refuse(code::INVALID_REQUEST, "A JSON-RPC 2.0 message of MCP is expected");
        };
        let running = match &self.0 {
            Some(running) if !running.messages.is_closed() => running,
            _ => self.0.insert(start(hub.clone(), Arc::clone(link), info.clone())),
        };
        match running.messages.try_send(message) {
            Ok(()) => None,
            Err(_) => refuse(
                code::INTERNAL_ERROR,
                "Too many messages are waiting; wait for answers and send it again",
            ),
        }
    }

    /// Ends the session: everything in flight is cancelled.
    pub(super) async fn end(&mut self) {
        if let Some(running) = self.0.take() {
            running.cancel.cancel();
            drop(running.messages);
            running.task.abort();
            let _cancelled = running.task.await;
        }
    }
}

fn start(hub: Hub, link: Arc<dyn EventLink>, info: ServerInfo) -> Running {
    let (messages, incoming) = mpsc::channel(WAITING);
    let cancel = CancellationToken::new();
    let server = Server::new(hub, info, Origin::SocketIo, cancel.child_token());
    let transport = Messages { link, incoming };
    let stop = cancel.clone();
    let task = tokio::spawn(async move {
        let _stop_on_abort = stop.clone().drop_guard();
        if let Err(error) = crate::stdio::serve_transport(server, transport, stop).await {
            tracing::debug!(%error, "an MCP session over events ended");
        }
    });
    Running {
        messages,
        cancel,
        task,
    }
}

struct Messages {
    link: Arc<dyn EventLink>,
    incoming: mpsc::Receiver<RxJsonRpcMessage<RoleServer>>,
}

impl Transport<RoleServer> for Messages {
    type Error = LinkError;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let link = Arc::clone(&self.link);
        async move {
            let text = serde_json::value::to_raw_value(&item).or_else(|error| unwritable(item, &error));
            match text {
                Ok(text) => link.emit_text(wire::MCP_MESSAGE, text).await,
                Err(error) => Err(LinkError::Failed(error.to_string())),
            }
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        self.incoming.recv().await
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.incoming.close();
        Ok(())
    }
}

/// An answer that cannot be written becomes an error with the same id, so that the caller does not wait.
fn unwritable(
    item: TxJsonRpcMessage<RoleServer>,
    error: &serde_json::Error,
) -> serde_json::Result<Box<serde_json::value::RawValue>> {
    let id = item.into_result().and_then(|(_, id)| id);
    let error = ErrorData::new(ErrorCode::INTERNAL_ERROR, error.to_string(), None);
    serde_json::value::to_raw_value(&ServerJsonRpcMessage::error(error, id))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::link::{LinkOptions, memory, serve};
    use crate::testing::Bench;
    use crate::{HubOptions, link::memory::MemoryPeer};

    async fn message(peer: &mut MemoryPeer) -> Value {
        loop {
            let (event, data) = peer.receive().await.expect("the served end is there");
            if event == wire::MCP_MESSAGE {
                return data;
            }
        }
    }

    async fn ask(peer: &mut MemoryPeer, request: Value) -> Value {
        peer.send(wire::MCP_MESSAGE, request);
        message(peer).await
    }

    #[tokio::test]
    async fn both_eras_speak_the_whole_protocol_on_the_hub_of_the_other_events() {
        let (hub, bench) = Bench::hub(HubOptions::default());
        let (link, mut peer) = memory::pair();
        let cancel = CancellationToken::new();
        let server = tokio::spawn(serve(hub, Arc::new(link), LinkOptions::default(), cancel.clone()));
        peer.ready();
        let opened = ask(
            &mut peer,
            json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}}),
        )
        .await;
        assert_eq!(opened["result"]["serverInfo"]["name"], "openhuman");
        peer.send(
            wire::MCP_MESSAGE,
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        );
        let called = ask(
            &mut peer,
            json!({"jsonrpc": "2.0", "id": "c", "method": "tools/call",
                "params": {"name": "bench__echo", "arguments": {"text": "ü"}}}),
        )
        .await;
        assert_eq!(called["id"], "c");
        assert_eq!(called["result"]["content"][0]["text"], "{\"text\":\"ü\"}");
        bench.add_tool("late");
        assert_eq!(
            message(&mut peer).await["method"],
            "notifications/tools/list_changed"
        );

        // A lost connection ends the session; the next one begins anew, here without a handshake.
        peer.send(
            wire::MCP_MESSAGE,
            json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "bench__hang"}}),
        );
        tokio::time::timeout(Duration::from_secs(20), bench.started())
            .await
            .unwrap();
        peer.lost();
        tokio::time::timeout(Duration::from_secs(20), bench.last_token().cancelled())
            .await
            .expect("the call in flight is cancelled");
        peer.ready();
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "0"},
        });
        let listed = ask(
            &mut peer,
            json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {"_meta": meta}}),
        )
        .await;
        assert_eq!(listed["result"]["tools"][0]["name"], "bench__echo");
        cancel.cancel();
        server.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_message_is_answered_when_it_wants_an_answer() {
        let (hub, _bench) = Bench::hub(HubOptions::default());
        let (link, mut peer) = memory::pair();
        let cancel = CancellationToken::new();
        let server = tokio::spawn(serve(hub, Arc::new(link), LinkOptions::default(), cancel.clone()));
        peer.ready();
        for (wrong, id) in [
            (
                json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}]),
                Value::Null,
            ),
            (json!("text"), Value::Null),
            (json!({"jsonrpc": "1.0", "id": 5, "method": "ping"}), json!(5)),
        ] {
            let answer = ask(&mut peer, wrong).await;
            assert_eq!(answer["id"], id);
            assert_eq!(answer["error"]["code"], code::INVALID_REQUEST);
        }
        // A broken notification has no answer: the next one is that of the request after it.
        peer.send(wire::MCP_MESSAGE, json!({"nonsense": true}));
        let answer = ask(&mut peer, json!({"jsonrpc": "1.0", "id": 6, "method": "ping"})).await;
        assert_eq!(answer["id"], 6);
        cancel.cancel();
        server.await.unwrap();
    }
}
