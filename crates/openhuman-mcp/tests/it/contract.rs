//! Rows of the known failures of the earlier system that concern this crate, and many calls on a connection that breaks.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use openhuman_mcp::link::memory::{MemoryPeer, pair};
use openhuman_mcp::{
    CallContext, CallError, CancellationToken, Hub, HubOptions, LinkOptions, ServerInfo, ToolDefinition,
    ToolProvider, ToolResult, Toolset, link, stdio,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::watch;

/// Generous: a loaded machine must not fail a test.
const PATIENCE: Duration = Duration::from_secs(120);

/// `work__echo`, `work__fail`, and `work__wait`, which takes as many milliseconds as it is told.
struct Work {
    revision: watch::Sender<u64>,
    running: AtomicUsize,
}

struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ToolProvider for Work {
    fn toolsets(&self) -> Vec<Toolset> {
        let revision = *self.revision.borrow();
        let names = ["echo", "fail", "wait"].into_iter().map(str::to_owned);
        let tools = names.chain((0..revision).map(|n| format!("extra-{n}")));
        vec![Toolset {
            id: "work".into(),
            name: "Work".into(),
            status: "connected".into(),
            running: true,
            tools: tools
                .map(|name| ToolDefinition::new(name, "", json!({"type": "object"})))
                .collect(),
        }]
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    fn call<'a>(
        &'a self,
        _toolset: &'a str,
        tool: &'a str,
        args: Value,
        _ctx: CallContext,
    ) -> BoxFuture<'a, Result<ToolResult, CallError>> {
        Box::pin(async move {
            self.running.fetch_add(1, Ordering::SeqCst);
            let _running = Running(&self.running);
            match tool {
                "fail" => Err(CallError::Failed("no luck".into())),
                "wait" => {
                    let millis = args["ms"].as_u64().unwrap_or_default();
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    Ok(ToolResult::text("waited"))
                }
                _ => Ok(ToolResult::text(args["text"].as_str().unwrap_or_default())),
            }
        })
    }
}

fn hub() -> (Hub, Arc<Work>) {
    let work = Arc::new(Work {
        revision: watch::Sender::new(0),
        running: AtomicUsize::new(0),
    });
    let hub = Hub::new(HubOptions::default());
    hub.add_provider(Arc::clone(&work) as Arc<dyn ToolProvider>);
    (hub, work)
}

fn serve(hub: Hub) -> (MemoryPeer, CancellationToken, tokio::task::JoinHandle<()>) {
    let (near, peer) = pair();
    let cancel = CancellationToken::new();
    let server = tokio::spawn(link::serve(
        hub,
        Arc::new(near),
        LinkOptions::default(),
        cancel.clone(),
    ));
    (peer, cancel, server)
}

async fn next(peer: &mut MemoryPeer) -> (String, Value) {
    let received = tokio::time::timeout(PATIENCE, peer.receive()).await;
    received
        .expect("an event in time")
        .expect("the served end is there")
}

async fn answer(peer: &mut MemoryPeer, event: &str) -> Value {
    loop {
        let (name, data) = next(peer).await;
        if name == event {
            return data;
        }
    }
}

#[tokio::test]
async fn row_9_mcp_and_tool_sync_work_end_to_end_against_a_fake_backend() {
    let (hub, work) = hub();
    let (mut peer, cancel, server) = serve(hub);
    peer.ready();
    let (name, sync) = next(&mut peer).await;
    assert_eq!(name, "tool:sync");
    let skill =
        json!({"skillId": "work", "name": "Work", "status": "connected", "tools": ["echo", "fail", "wait"]});
    assert_eq!(sync, json!({ "tools": [skill] }));

    peer.send("mcp:listTools", json!({"requestId": "l"}));
    let listed = answer(&mut peer, "mcp:listToolsResponse").await;
    assert_eq!(listed["requestId"], "l");
    assert_eq!(listed["tools"][0]["name"], "work__echo");

    peer.send(
        "mcp:toolCall",
        json!({"requestId": 7, "toolCall": {"name": "work__echo", "arguments": {"text": "hé"}}}),
    );
    assert_eq!(
        answer(&mut peer, "mcp:toolCallResponse").await,
        json!({"requestId": 7, "result": {"content": [{"type": "text", "text": "hé"}], "isError": false}})
    );

    work.revision.send_replace(1);
    let sync = answer(&mut peer, "tool:sync").await;
    assert_eq!(sync["tools"][0]["tools"][3], "extra-0");
    cancel.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn row_19_a_failed_tool_looks_failed_to_every_client() {
    let text = "Tool execution failed: no luck";
    let (hub, _work) = hub();
    let (mut peer, cancel, server) = serve(hub.clone());
    peer.ready();
    let failed = |result: &Value| {
        assert_eq!(result["isError"], true, "{result}");
        assert_eq!(result["content"][0]["text"], text);
    };
    let call = json!({"requestId": 1, "toolCall": {"name": "work__fail"}});
    let acknowledged = peer.send_with_ack("mcp:toolCall", call);
    failed(&answer(&mut peer, "mcp:toolCallResponse").await["result"]);
    failed(&acknowledged.await.unwrap()["result"]);
    let request =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "work__fail"}});
    peer.send("mcp:request", request.clone());
    failed(&answer(&mut peer, "mcp:response").await["result"]);
    let open = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}});
    peer.send("mcp:message", open.clone());
    answer(&mut peer, "mcp:message").await;
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    peer.send("mcp:message", ready.clone());
    peer.send("mcp:message", request.clone());
    failed(&answer(&mut peer, "mcp:message").await["result"]);
    cancel.cancel();
    server.await.unwrap();

    let (near, far) = tokio::io::duplex(64 * 1024);
    let (reader, writer) = tokio::io::split(far);
    let cancel = CancellationToken::new();
    let session = tokio::spawn(stdio::serve_io(
        hub,
        ServerInfo::default(),
        reader,
        writer,
        cancel.clone(),
    ));
    let (reader, mut writer) = tokio::io::split(near);
    let mut lines = BufReader::new(reader).lines();
    let all = format!("{open}\n{ready}\n{request}\n");
    writer.write_all(all.as_bytes()).await.unwrap();
    lines.next_line().await.unwrap();
    let line = lines.next_line().await.unwrap().unwrap();
    failed(&serde_json::from_str::<Value>(&line).unwrap()["result"]);
    cancel.cancel();
    session.await.unwrap().unwrap();
}

/// Small, good enough, and the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Ten thousand calls of all three kinds at once on one connection that breaks now and then: nobody gets two answers,
/// what was asked after the last break gets one, and nothing is left running. `OPENHUMAN_MCP_TORTURE` is the number of
/// rounds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_and_random_disconnects_give_one_answer_each() {
    const CALLS: u64 = 10_000;
    let rounds = std::env::var("OPENHUMAN_MCP_TORTURE")
        .ok()
        .and_then(|rounds| rounds.parse().ok());
    let (hub, work) = hub();
    let (mut peer, cancel, server) = serve(hub);
    peer.ready();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut id = 0;
    for _round in 0..rounds.unwrap_or(2_u64) {
        let mut answers: HashMap<u64, u32> = HashMap::new();
        let mut after_the_break = id;
        for call in 0..CALLS {
            id += 1;
            let arguments = json!({"ms": dice.roll(40)});
            if dice.roll(3) == 0 {
                let params = json!({"name": "work__wait", "arguments": arguments});
                let request = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
                peer.send("mcp:request", request);
            } else {
                let call = json!({"name": "work__wait", "arguments": arguments});
                peer.send("mcp:toolCall", json!({"requestId": id, "toolCall": call}));
            }
            // The last break is well before the end, so that many calls outlive it.
            if call < CALLS / 2 && dice.roll(1_000) == 0 {
                peer.lost();
                peer.ready();
                after_the_break = id;
            }
            while let Some((_, data)) = peer.try_receive() {
                count(&mut answers, &data);
            }
        }
        let first = after_the_break + 1;
        while (first..=id).any(|id| !answers.contains_key(&id)) {
            let (_, data) = next(&mut peer).await;
            count(&mut answers, &data);
        }
        let twice: Vec<_> = answers.iter().filter(|(_, times)| **times != 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
        let resting = async {
            while work.running.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, resting)
            .await
            .expect("nothing is left running");
    }
    cancel.cancel();
    server.await.unwrap();
}

fn count(answers: &mut HashMap<u64, u32>, data: &Value) {
    let id = data.get("requestId").or_else(|| data.get("id"));
    if let Some(id) = id.and_then(Value::as_u64) {
        *answers.entry(id).or_default() += 1;
    }
}
