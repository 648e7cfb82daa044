//! Prints how fast the hub is on this machine:
//!
//! ```text
//! cargo run --release -p openhuman-mcp --example figures
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use openhuman_mcp::{
    CallContext, CallError, CancellationToken, Hub, HubOptions, LinkOptions, Origin, ToolDefinition,
    ToolProvider, ToolResult, Toolset, link,
};
use serde_json::{Value, json};
use tokio::sync::watch;

const CALLS: u32 = 100_000;
const SKILLS: usize = 100;
const TOOLS: usize = 100;

/// A hundred skills with a hundred tools each.
struct Many(watch::Sender<u64>);

impl ToolProvider for Many {
    fn toolsets(&self) -> Vec<Toolset> {
        let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
        let tool = |n| ToolDefinition::new(format!("tool-{n}"), "Does what its number says", schema.clone());
        let revision = *self.0.borrow();
        let set = |n| Toolset {
            id: format!("skill-{n}"),
            name: format!("Skill {n}"),
            status: format!("revision {revision}"),
            running: true,
            tools: (0..TOOLS).map(tool).collect(),
        };
        (0..SKILLS).map(set).collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    fn call<'a>(
        &'a self,
        _toolset: &'a str,
        _tool: &'a str,
        _args: Value,
        _ctx: CallContext,
    ) -> BoxFuture<'a, Result<ToolResult, CallError>> {
        Box::pin(std::future::ready(Ok(ToolResult::text("done"))))
    }
}

fn per_call(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1e6 / f64::from(CALLS)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let many = Arc::new(Many(watch::Sender::new(0)));
    let hub = Hub::new(HubOptions::default());
    let started = Instant::now();
    drop(many.toolsets());
    println!(
        "listing {} tools takes the provider {:?}",
        SKILLS * TOOLS,
        started.elapsed()
    );
    let started = Instant::now();
    hub.add_provider(Arc::clone(&many) as Arc<dyn ToolProvider>);
    println!(
        "catalog of {} tools built, listing included, in {:?}",
        hub.catalog().tools.len(),
        started.elapsed()
    );

    let ctx = CallContext::new(Origin::Agent);
    let started = Instant::now();
    for _ in 0..CALLS {
        let result = hub.call("skill-50__tool-50", json!({}), ctx.clone()).await;
        assert!(!result.is_error);
    }
    println!("one call through the hub: {:.2} us", per_call(started.elapsed()));

    let (events, mut peer) = link::memory::pair();
    let cancel = CancellationToken::new();
    let server = tokio::spawn(link::serve(
        hub,
        Arc::new(events),
        LinkOptions::default(),
        cancel.clone(),
    ));
    peer.ready();
    peer.receive().await.expect("the first tool:sync");

    let started = Instant::now();
    many.0.send_modify(|revision| *revision += 1);
    peer.receive().await.expect("tool:sync after a change");
    println!(
        "change to tool:sync, 10 ms of coalescing included: {:?}",
        started.elapsed()
    );

    let call = |id: u32| json!({"requestId": id, "toolCall": {"name": "skill-50__tool-50"}});
    let started = Instant::now();
    for id in 0..CALLS {
        peer.send("mcp:toolCall", call(id));
        peer.receive().await.expect("an answer");
    }
    println!(
        "one mcp:toolCall over a memory link, one at a time: {:.2} us",
        per_call(started.elapsed())
    );
    cancel.cancel();
    server.await.expect("the server ends");
}
