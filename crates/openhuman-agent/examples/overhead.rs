//! What a turn costs without its model, and how fast tools are found. Prints one JSON object.
//!
//! `cargo run --release -p openhuman-agent --example overhead`

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use openhuman_agent::search::ToolIndex;
use openhuman_agent::{
    Agent, MemoryJournal, Model, ModelError, ModelEvent, ModelRequest, Role, StopReason, ToolCall,
    ToolOutcome, ToolSpec, Tools, TurnEvent, TurnInput,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

const TURNS: usize = 500;
const TOOLS: usize = 10_000;
const SEARCHES: usize = 2_000;

/// Answers at once: first two calls, then twenty words.
struct Instantly;

impl Model for Instantly {
    fn name(&self) -> String {
        "instantly".to_owned()
    }

    fn stream(
        &self,
        request: ModelRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<ModelEvent, ModelError>>, ModelError>> {
        let done = ModelEvent::Done {
            reason: StopReason::Stop,
        };
        let call = |n: usize| ModelEvent::ToolCall {
            call: ToolCall {
                id: format!("c{n}"),
                name: format!("notes__tool_{n}"),
                arguments: json!({"query": "staking"}),
            },
        };
        let mut events = if request.messages.iter().any(|message| message.role == Role::Tool) {
            let word = |n: usize| ModelEvent::TextDelta {
                text: format!("word{n} "),
            };
            (0..20).map(word).collect()
        } else {
            vec![call(0), call(1)]
        };
        events.push(done);
        async move { Ok(stream::iter(events.into_iter().map(Ok)).boxed()) }.boxed()
    }
}

struct Twenty(Vec<ToolSpec>);

impl Tools for Twenty {
    fn list(&self) -> BoxFuture<'_, Vec<ToolSpec>> {
        async { self.0.clone() }.boxed()
    }

    fn call<'a>(&'a self, _: &'a ToolCall, _: CancellationToken) -> BoxFuture<'a, ToolOutcome> {
        async { ToolOutcome::success("{\"notes\":[{\"text\":\"17 ETH in May\"}]}") }.boxed()
    }
}

fn tool(n: usize) -> ToolSpec {
    const WHAT: [&str; 10] = [
        "mail message",
        "calendar event",
        "note",
        "file",
        "price",
        "wallet",
        "contact",
        "photo",
        "task",
        "weather report",
    ];
    const DOES: [&str; 8] = [
        "Lists", "Finds", "Creates", "Deletes", "Renames", "Shares", "Exports", "Counts",
    ];
    let (what, does) = (WHAT[n % WHAT.len()], DOES[n / WHAT.len() % DOES.len()]);
    ToolSpec {
        name: format!("notes__tool_{n}"),
        description: format!(
            "{does} one or more of the {what}s of workspace {n}, newest first, with their owners."
        ),
        parameters: json!({"type": "object", "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}}}),
        read_only: true,
    }
}

fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(at).copied().unwrap_or_default().as_secs_f64() * 1000.0
}

async fn turns(journal: bool) -> Vec<Duration> {
    let mut times = Vec::with_capacity(TURNS);
    for round in 0..TURNS + 50 {
        let builder =
            Agent::builder(Arc::new(Instantly)).tools(Arc::new(Twenty((0..20).map(tool).collect())));
        let agent = if journal {
            builder.journal(Arc::new(MemoryJournal::new())).build()
        } else {
            builder.build()
        };
        let input = TurnInput {
            prompt: "When does my staking plan start?".to_owned(),
            ..TurnInput::default()
        };
        let started = Instant::now();
        let events: Vec<TurnEvent> = agent.run(input, CancellationToken::new()).collect().await;
        let time = started.elapsed();
        assert!(
            matches!(events.last(), Some(TurnEvent::Done { .. })),
            "{:?}",
            events.last()
        );
        if round >= 50 {
            times.push(time);
        }
    }
    times
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (mut plain, mut kept) = (turns(false).await, turns(true).await);
    let tools: Vec<ToolSpec> = (0..TOOLS).map(tool).collect();
    let started = Instant::now();
    let index = ToolIndex::new(tools);
    let built = started.elapsed();
    let queries = [
        "send a mail message",
        "find the newest photo",
        "delete an event of my calendar",
        "weather",
        "export all contacts of workspace 4711",
    ];
    let mut searches = Vec::with_capacity(SEARCHES);
    for round in 0..SEARCHES {
        let started = Instant::now();
        let found = index.search(queries[round % queries.len()], 8).len();
        searches.push(started.elapsed());
        assert!(found > 0);
    }
    let report = json!({
        "agent_turn_p50_ms": percentile(&mut plain, 50),
        "agent_turn_p95_ms": percentile(&mut plain, 95),
        "agent_turn_journal_p50_ms": percentile(&mut kept, 50),
        "tool_search_p50_ms": percentile(&mut searches, 50),
        "tool_search_p95_ms": percentile(&mut searches, 95),
        "tool_index_10k_ms": built.as_secs_f64() * 1000.0,
    });
    println!("{report}");
}
