use futures_util::future::BoxFuture;
use serde_json::json;

use super::memory::{MemoryPeer, pair};
use super::schedule::RETRY;
use super::*;
use crate::HubOptions;
use crate::testing::{Behaviour, Bench};

struct Fixture {
    peer: MemoryPeer,
    bench: Arc<Bench>,
    server: tokio::task::JoinHandle<()>,
    cancel: CancellationToken,
}

fn start(options: LinkOptions) -> Fixture {
    let (hub, bench) = Bench::hub(HubOptions::default());
    let (link, peer) = pair();
    let cancel = CancellationToken::new();
    let server = tokio::spawn(serve(hub, Arc::new(link), options, cancel.clone()));
    Fixture {
        peer,
        bench,
        server,
        cancel,
    }
}

impl Fixture {
    async fn next(&mut self, event: &str) -> Value {
        let (name, data) = self.peer.receive().await.expect("the link is open");
        assert_eq!(name, event, "{data}");
        data
    }

    /// Everything sent before this has been handled once the answer is here.
    async fn ping(&mut self) {
        self.peer.send(
            wire::MCP_REQUEST,
            json!({"jsonrpc": "2.0", "id": "p", "method": "ping"}),
        );
        assert_eq!(
            self.next(wire::MCP_RESPONSE).await,
            json!({"jsonrpc": "2.0", "id": "p", "result": {}})
        );
    }
}

fn call(id: &str, name: &str) -> Value {
    json!({"requestId": id, "toolCall": {"name": name}})
}

#[tokio::test]
async fn the_memory_link_conforms() {
    let (link, peer) = pair();
    peer.ready();
    conformance::check(Arc::new(link), peer).await.unwrap();
}

#[tokio::test]
async fn the_conformance_check_notices_a_link_that_loses_events() {
    struct Lossy(memory::MemoryLink);
    impl EventLink for Lossy {
        fn emit<'a>(&'a self, event: &'a str, data: Value) -> BoxFuture<'a, Result<(), LinkError>> {
            let event = if event == wire::TOOL_CALL_RESPONSE {
                "mistake"
            } else {
                event
            };
            self.0.emit(event, data)
        }
        fn next(&self) -> BoxFuture<'_, Option<LinkEvent>> {
            self.0.next()
        }
    }
    let (link, peer) = pair();
    peer.ready();
    let error = conformance::check(Arc::new(Lossy(link)), peer).await.unwrap_err();
    assert_eq!(error.step, "mcp:toolCall with text that is not ASCII");
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_changes_is_one_sync_after_ten_milliseconds() {
    let mut fixture = start(LinkOptions::default());
    fixture.peer.ready();
    let first = fixture.next(wire::TOOL_SYNC).await;
    assert_eq!(first["tools"][0]["skillId"], "bench");
    for index in 0..50 {
        fixture.bench.add_tool(&format!("t{index}"));
        tokio::task::yield_now().await;
    }
    let changed = tokio::time::Instant::now();
    let second = fixture.next(wire::TOOL_SYNC).await;
    assert!(
        changed.elapsed() <= Duration::from_millis(10),
        "{:?}",
        changed.elapsed()
    );
    assert_eq!(second["tools"][0]["tools"].as_array().unwrap().len(), 56);

    // There and back again within the window is no news.
    fixture.bench.set(Behaviour::Stopped);
    tokio::task::yield_now().await;
    fixture.bench.set(Behaviour::Normal);
    tokio::time::sleep(Duration::from_millis(50)).await;
    fixture.ping().await;
    assert!(fixture.peer.try_receive().is_none());
}

#[tokio::test]
async fn every_ready_gets_a_sync_and_nothing_is_sent_before() {
    let mut fixture = start(LinkOptions::default());
    fixture.bench.add_tool("early");
    fixture.ping().await;
    assert!(fixture.peer.try_receive().is_none(), "not connected yet");
    for _ in 0..2 {
        fixture.peer.ready();
        fixture.next(wire::TOOL_SYNC).await;
        fixture.peer.lost();
    }
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_was_refused_is_sent_again() {
    struct Refusing(memory::MemoryLink, std::sync::atomic::AtomicU32);
    impl EventLink for Refusing {
        fn emit<'a>(&'a self, event: &'a str, data: Value) -> BoxFuture<'a, Result<(), LinkError>> {
            if self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 3 {
                return Box::pin(async { Err(LinkError::Failed("the queue is full".into())) });
            }
            self.0.emit(event, data)
        }
        fn next(&self) -> BoxFuture<'_, Option<LinkEvent>> {
            self.0.next()
        }
    }
    let (hub, _bench) = Bench::hub(HubOptions::default());
    let (link, mut peer) = pair();
    let link = Arc::new(Refusing(link, 0.into()));
    tokio::spawn(serve(hub, link, LinkOptions::default(), CancellationToken::new()));
    peer.ready();
    let started = tokio::time::Instant::now();
    assert_eq!(peer.receive().await.unwrap().0, wire::TOOL_SYNC);
    assert_eq!(started.elapsed(), 3 * RETRY);
}

#[tokio::test]
async fn listed_tools_belong_to_running_skills() {
    let mut fixture = start(LinkOptions::default());
    fixture.peer.send(wire::LIST_TOOLS, json!({"requestId": "1"}));
    let listed = fixture.next(wire::LIST_TOOLS_RESPONSE).await;
    assert_eq!(
        listed["tools"][0],
        json!({"name": "bench__echo", "description": "does echo", "inputSchema": {"type": "object"}})
    );
    fixture.bench.set(Behaviour::Stopped);
    fixture.peer.send(wire::LIST_TOOLS, json!({"requestId": "2"}));
    assert_eq!(
        fixture.next(wire::LIST_TOOLS_RESPONSE).await,
        json!({"requestId": "2", "tools": []})
    );
    fixture.peer.send(wire::TOOL_CALL, call("3", "bench__echo"));
    let refused = fixture.next(wire::TOOL_CALL_RESPONSE).await;
    assert_eq!(refused["result"]["isError"], true);
    assert_eq!(
        refused["result"]["content"][0]["text"],
        "Skill 'bench' is not running (status: offline)"
    );
}

#[tokio::test]
async fn requests_without_an_id_are_answered_only_by_acknowledgement() {
    let mut fixture = start(LinkOptions::default());
    fixture.peer.send(wire::LIST_TOOLS, json!({}));
    fixture
        .peer
        .send(wire::TOOL_CALL, json!({"toolCall": {"name": "bench__echo"}}));
    fixture.peer.send(wire::TOOL_CALL, Value::Null);
    fixture.peer.send("tool:sync", json!({"requestId": "not ours"}));
    let acked = fixture
        .peer
        .send_with_ack(wire::TOOL_CALL, json!({"toolCall": {"name": "bench__fail"}}));
    assert_eq!(
        acked.await.unwrap(),
        json!({"result": {
            "content": [{"type": "text", "text": "Tool execution failed: no luck"}], "isError": true,
        }})
    );
    fixture.ping().await;
    assert!(fixture.peer.try_receive().is_none());
}

#[tokio::test]
async fn json_rpc_lists_calls_and_cancels() {
    let mut fixture = start(LinkOptions::default());
    let rpc = |id: &str, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    fixture
        .peer
        .send(wire::MCP_REQUEST, rpc("1", "tools/list", json!({})));
    let listed = fixture.next(wire::MCP_RESPONSE).await;
    assert_eq!(listed["result"]["tools"][0]["annotations"]["readOnlyHint"], true);
    fixture.peer.send(
        wire::MCP_REQUEST,
        rpc(
            "2",
            "tools/call",
            json!({"name": "bench__echo", "arguments": {"a": 1}}),
        ),
    );
    let called = fixture.next(wire::MCP_RESPONSE).await;
    assert_eq!(
        called,
        json!({"jsonrpc": "2.0", "id": "2", "result": {"content": [{"type": "text", "text": "{\"a\":1}"}], "isError": false}})
    );
    fixture.peer.send(wire::MCP_REQUEST, json!([]));
    assert_eq!(fixture.next(wire::MCP_RESPONSE).await["error"]["code"], -32600);

    fixture.peer.send(
        wire::MCP_REQUEST,
        rpc("3", "tools/call", json!({"name": "bench__hang"})),
    );
    fixture.bench.started().await;
    fixture.peer.send(
        wire::MCP_REQUEST,
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "3"}}),
    );
    let cancelled = fixture.next(wire::MCP_RESPONSE).await;
    assert_eq!(
        (&cancelled["id"], &cancelled["result"]["isError"]),
        (&json!("3"), &json!(true))
    );
    assert!(fixture.bench.last_token().is_cancelled());
}

#[tokio::test]
async fn a_lost_connection_cancels_what_is_running() {
    let mut fixture = start(LinkOptions::default());
    fixture.peer.send(wire::TOOL_CALL, call("1", "bench__hang"));
    fixture.bench.started().await;
    fixture.peer.lost();
    fixture.bench.last_token().cancelled().await;
    fixture.ping().await;
    assert!(
        fixture.peer.try_receive().is_none(),
        "nothing is answered on the next connection"
    );
}

#[tokio::test]
async fn too_many_calls_are_refused_and_still_answered() {
    let mut fixture = start(LinkOptions {
        max_in_flight: 1,
        ..LinkOptions::default()
    });
    fixture.peer.send(wire::TOOL_CALL, call("1", "bench__hang"));
    fixture.peer.send(wire::TOOL_CALL, call("2", "bench__echo"));
    let refused = fixture.next(wire::TOOL_CALL_RESPONSE).await;
    assert_eq!(
        (&refused["requestId"], &refused["result"]["isError"]),
        (&json!("2"), &json!(true))
    );
}

#[tokio::test]
async fn ten_thousand_calls_in_flight_get_one_answer_each() {
    let mut fixture = start(LinkOptions::default());
    for id in 0..10_000_u32 {
        fixture.peer.send(
            wire::TOOL_CALL,
            json!({"requestId": id, "toolCall": {"name": "bench__echo"}}),
        );
    }
    let mut seen = vec![false; 10_000];
    for _ in 0..seen.len() {
        let answer = fixture.next(wire::TOOL_CALL_RESPONSE).await;
        assert_eq!(answer["result"]["isError"], false, "{answer}");
        let id = usize::try_from(answer["requestId"].as_u64().unwrap()).unwrap();
        assert!(!std::mem::replace(&mut seen[id], true), "one answer for {id}");
    }
    fixture.ping().await;
    assert!(fixture.peer.try_receive().is_none());
}

#[tokio::test]
async fn serving_ends_when_cancelled_or_when_the_link_closes() {
    let fixture = start(LinkOptions::default());
    fixture.cancel.cancel();
    fixture.server.await.unwrap();
    let fixture = start(LinkOptions::default());
    drop(fixture.peer);
    fixture.server.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_asks_and_does_not_read_cannot_fill_the_memory() {
    /// Takes every event at once and never gets an answer out.
    struct Stuck {
        asked: std::sync::atomic::AtomicUsize,
        full: tokio::sync::Notify,
    }
    const MOST: usize = 4 + MAX_ANSWERS;
    impl EventLink for Stuck {
        fn emit<'a>(&'a self, _event: &'a str, _data: Value) -> BoxFuture<'a, Result<(), LinkError>> {
            Box::pin(std::future::pending())
        }
        fn next(&self) -> BoxFuture<'_, Option<LinkEvent>> {
            Box::pin(async {
                let asked = self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                if asked == MOST {
                    self.full.notify_one();
                }
                Some(LinkEvent::Event {
                    name: wire::LIST_TOOLS.to_owned(),
                    data: json!({"requestId": asked}),
                    ack: None,
                })
            })
        }
    }
    let (hub, _bench) = Bench::hub(HubOptions::default());
    let link = Arc::new(Stuck {
        asked: std::sync::atomic::AtomicUsize::new(0),
        full: tokio::sync::Notify::new(),
    });
    let cancel = CancellationToken::new();
    let options = LinkOptions {
        max_in_flight: 4,
        ..LinkOptions::default()
    };
    let server = tokio::spawn(serve(
        hub,
        Arc::clone(&link) as Arc<dyn EventLink>,
        options,
        cancel.clone(),
    ));
    link.full.notified().await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(link.asked.load(std::sync::atomic::Ordering::SeqCst), MOST);
    cancel.cancel();
    server.await.unwrap();
}
