//! The measurements of `cargo xtask bench tools`, each one line of JSON, and the smallest servers they are made on:
//!
//! ```text
//! bench_mcp hub                                  the hub in one process
//! bench_mcp drive-stdio TOOL COMMAND..           a server on standard streams
//! bench_mcp drive-http TOOL modern|session COMMAND..   a server over HTTP that prints its address
//! bench_mcp stdio | http                         our servers, with one tool
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use openhuman_mcp::http::{self, HttpOptions, PATH};
use openhuman_mcp::{
    CallContext, CallError, CancellationToken, Hub, HubOptions, LinkOptions, Origin, ServerInfo,
    ToolDefinition, ToolProvider, ToolResult, Toolset, link, stdio,
};
use serde_json::{Value, json};
use tokio::sync::watch;

mod drive;

const CALLS: u32 = 200_000;
const SKILLS: usize = 100;
const TOOLS: usize = 100;
const ROUNDS: usize = 15;

/// A hundred skills with a hundred tools each, or one with one.
struct Many {
    changed: watch::Sender<u64>,
    skills: usize,
    tools: usize,
    /// Whether it says which toolsets have changed.
    numbered: bool,
}

impl Many {
    fn new(skills: usize, tools: usize, numbered: bool) -> Arc<Self> {
        Arc::new(Self {
            numbered,
            changed: watch::Sender::new(0),
            skills,
            tools,
        })
    }
}

impl Many {
    fn set(&self, n: usize) -> Toolset {
        let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
        let tool = |n| ToolDefinition::new(format!("tool-{n}"), "Does what its number says", schema.clone());
        let revision = *self.changed.borrow();
        Toolset {
            id: format!("skill-{n}"),
            name: format!("Skill {n}"),
            // One skill's status changes, and one skill's tools do.
            status: if n == 3 {
                format!("revision {revision}")
            } else {
                "connected".into()
            },
            running: true,
            tools: (0..self.tools)
                .map(tool)
                .chain((n == 5).then(|| ToolDefinition::new(format!("new-{revision}"), "", schema.clone())))
                .collect(),
        }
    }
}

impl ToolProvider for Many {
    fn toolsets(&self) -> Vec<Toolset> {
        (0..self.skills).map(|n| self.set(n)).collect()
    }

    fn versions(&self) -> Option<Vec<(String, u64)>> {
        let revision = *self.changed.borrow();
        let version = |n| if n == 3 || n == 5 { revision } else { 0 };
        self.numbered.then(|| {
            (0..self.skills)
                .map(|n| (format!("skill-{n}"), version(n)))
                .collect()
        })
    }

    fn toolset(&self, id: &str) -> Option<Toolset> {
        Some(self.set(id.strip_prefix("skill-")?.parse().ok()?))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn call<'a>(
        &'a self,
        _toolset: &'a str,
        _tool: &'a str,
        args: Value,
        _ctx: CallContext,
    ) -> BoxFuture<'a, Result<ToolResult, CallError>> {
        let text = args["text"].as_str().unwrap_or("done").to_owned();
        Box::pin(std::future::ready(Ok(ToolResult::text(text))))
    }
}

/// Both ends of a measurement are on this machine and end with it.
const TOKEN: &str = "bench-bench-bench-bench-bench-bench";

type Served = Result<Option<Value>, Box<dyn std::error::Error>>;

fn small() -> Hub {
    let hub = Hub::new(HubOptions::default());
    hub.add_provider(Many::new(1, 1, false));
    hub
}

async fn serve_stdio() -> Served {
    stdio::serve(small(), ServerInfo::default(), CancellationToken::new()).await?;
    Ok(None)
}

async fn serve_http() -> Served {
    let options = HttpOptions::new(TOKEN);
    let listener = http::bind(([127, 0, 0, 1], 0).into(), &options).await?;
    println!("http://{}{PATH}", listener.local_addr()?);
    http::serve(
        small(),
        ServerInfo::default(),
        listener,
        options,
        CancellationToken::new(),
    )
    .await?;
    Ok(None)
}

fn millis(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// From a change of a provider to `tool:sync`, in milliseconds, the ten of coalescing included.
async fn syncs(hub: &Hub, many: &Many) -> f64 {
    let (events, mut peer) = link::memory::pair();
    let cancel = CancellationToken::new();
    let server = tokio::spawn(link::serve(
        hub.clone(),
        Arc::new(events),
        LinkOptions::default(),
        cancel.clone(),
    ));
    peer.ready();
    peer.receive().await.expect("the first tool:sync");
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        many.changed.send_modify(|revision| *revision += 1);
        peer.receive().await.expect("tool:sync after a change");
        took.push(millis(started.elapsed()));
    }
    cancel.cancel();
    server.await.expect("the server ends");
    median(took)
}

async fn figures() -> Value {
    let many = Many::new(SKILLS, TOOLS, false);
    let hub = Hub::new(HubOptions::default());
    hub.add_provider(Arc::clone(&many) as Arc<dyn ToolProvider>);

    let ctx = CallContext::new(Origin::Agent);
    let mut rounds = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        for _ in 0..CALLS / 5 {
            let result = hub
                .call("skill-50__tool-50", json!({"text": "x"}), ctx.clone())
                .await;
            assert!(!result.is_error);
        }
        rounds.push(started.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS / 5));
    }
    let dispatch = median(rounds);

    let mut listed = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let catalog = hub.catalog();
        let names: usize = catalog.tools.iter().map(|tool| tool.name.len()).sum();
        assert!(names > SKILLS * TOOLS);
        listed.push(millis(started.elapsed()));
    }
    let provider = (0..ROUNDS).map(|_| {
        let started = Instant::now();
        drop(many.toolsets());
        millis(started.elapsed())
    });
    let provider = median(provider.collect());
    // Once with a provider that lists everything again, once with one that says what changed.
    let relisted = syncs(&hub, &many).await;
    let numbered = Many::new(SKILLS, TOOLS, true);
    let knowing = Hub::new(HubOptions::default());
    knowing.add_provider(Arc::clone(&numbered) as Arc<dyn ToolProvider>);
    let synced = syncs(&knowing, &numbered).await;

    let (events, mut peer) = link::memory::pair();
    let cancel = CancellationToken::new();
    let server = tokio::spawn(link::serve(
        hub.clone(),
        Arc::new(events),
        LinkOptions::default(),
        cancel.clone(),
    ));
    peer.ready();
    peer.receive().await.expect("the first tool:sync");
    let mut responses = Vec::new();
    for id in 0..5 {
        let started = Instant::now();
        peer.send("mcp:listTools", json!({"requestId": id}));
        peer.receive().await.expect("the list");
        responses.push(millis(started.elapsed()));
    }
    cancel.cancel();
    server.await.expect("the server ends");
    let catalog = hub.catalog();
    assert!(
        !catalog.search("number", 1).is_empty(),
        "the first search makes the index"
    );
    let mut searched: Vec<f64> = (0..1_000)
        .map(|n| {
            let started = Instant::now();
            let found = catalog.search(&format!("skill {} tool {} number says", n % SKILLS, n % 97), 20);
            assert_eq!(found.len(), 20);
            millis(started.elapsed())
        })
        .collect();
    searched.sort_by(f64::total_cmp);
    json!({
        "tool_search_p95_ms": searched[950],
        "hub_dispatch_us": dispatch,
        "catalog_10k_list_ms": median(listed),
        "change_to_sync_ms": synced,
        "relist_to_sync_ms": relisted,
        "provider_10k_list_ms": provider,
        "listtools_10k_response_ms": median(responses),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["hub"] => Ok(Some(figures().await)),
        ["stdio"] => serve_stdio().await,
        ["http"] => serve_http().await,
        ["drive-stdio", tool, _, ..] => drive::stdio(tool, &arguments[2..]).await.map(Some),
        ["drive-http", tool, mode, _, ..] => drive::http(tool, *mode == "modern", TOKEN, &arguments[3..])
            .await
            .map(Some),
        _ => Err("see the first lines of this example".into()),
    };
    let outcome = outcome.map(|figures| figures.into_iter().for_each(|figures| println!("{figures}")));
    if let Err(error) = outcome {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
