//! The journal, and what is resumed from it; compaction.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use openhuman_agent::{
    Agent, Approval, Approver, Budget, Compactor as _, FailureKind, Journal, JournalError, KeepRecent,
    MemoryJournal, Message, ModelRequest, ToolCall, ToolSpec, Turn, TurnEvent, TurnInput,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::driver::{echo, two_tools};
use crate::support::{FakeModel, answer, failure, prompt, recalled, run, says};

/// Allows repeats too.
struct Again;

impl Approver for Again {
    fn approve<'a>(&'a self, _: &'a ToolCall, _: &'a ToolSpec) -> BoxFuture<'a, Approval> {
        async { Approval::Allow }.boxed()
    }

    fn approve_repeat<'a>(&'a self, _: &'a ToolCall, _: &'a ToolSpec) -> BoxFuture<'a, Approval> {
        async { Approval::Allow }.boxed()
    }
}

#[tokio::test]
async fn every_journal_entry_leads_to_the_same_end() {
    let journal = Arc::new(MemoryJournal::new());
    let agent = Agent::builder(two_tools())
        .tools(echo())
        .approver(Arc::new(Again))
        .journal(journal.clone())
        .build();
    let input = TurnInput {
        context: vec![recalled("a", "b")],
        ..prompt("go")
    };
    let whole = answer(&run(&agent, input).await);
    let entries = journal.entries();
    assert!(entries.len() >= 12, "{} entries", entries.len());
    for (at, entry) in entries.iter().enumerate() {
        let agent = Agent::builder(two_tools())
            .tools(echo())
            .approver(Arc::new(Again))
            .build();
        let turn = Turn::from_json(entry).unwrap();
        let events: Vec<TurnEvent> = agent.resume(turn, CancellationToken::new()).collect().await;
        assert_eq!(answer(&events), whole, "entry {at}: {entry}");
    }
}

#[tokio::test]
async fn an_interrupted_write_is_not_repeated_by_default() {
    let journal = Arc::new(MemoryJournal::new());
    let agent = Agent::builder(two_tools())
        .tools(echo())
        .journal(journal.clone())
        .build();
    run(&agent, prompt("go")).await;
    let running = |entry: &&String| {
        let value: serde_json::Value = serde_json::from_str(entry).unwrap();
        value["phase"]["calls"].as_array().is_some_and(|calls| {
            calls
                .iter()
                .any(|call| call["read_only"] == json!(false) && call["state"] == json!("running"))
        })
    };
    let entries = journal.entries();
    let entry = entries
        .iter()
        .find(running)
        .expect("an entry is written before the call starts");
    let tools = echo();
    let agent = Agent::builder(two_tools()).tools(tools.clone()).build();
    let turn = Turn::from_json(entry).unwrap();
    let events: Vec<TurnEvent> = agent.resume(turn, CancellationToken::new()).collect().await;
    assert!(
        answer(&events).0.contains("may already have taken effect"),
        "{events:?}"
    );
    assert_eq!(
        tools.count.load(Ordering::SeqCst),
        1,
        "only the read that had not been made"
    );
}

#[tokio::test]
async fn a_full_journal_stops_the_turn_before_the_next_step() {
    struct Full;
    impl Journal for Full {
        fn append<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), JournalError>> {
            async { Err(JournalError::new("disk full")) }.boxed()
        }
    }
    let tools = echo();
    let agent = Agent::builder(two_tools())
        .tools(tools.clone())
        .journal(Arc::new(Full))
        .build();
    let (kind, message) = failure(&run(&agent, prompt("p")).await);
    assert_eq!(kind, FailureKind::Journal);
    assert!(message.contains("disk full"), "{message}");
    assert_eq!(tools.count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_long_history_is_compacted() {
    let model = FakeModel(|request: &ModelRequest| says(&request.messages.len().to_string()));
    let budget = Budget {
        history_tokens: 1_000,
        ..Budget::default()
    };
    let agent = Agent::builder(Arc::new(model))
        .compactor(Arc::new(KeepRecent))
        .budget(budget)
        .build();
    let exchange = |n: usize| {
        [
            Message::user(format!("{n} {}", "x".repeat(400))),
            Message::assistant("ok"),
        ]
    };
    let history: Vec<Message> = (0..50).flat_map(exchange).collect();
    let input = TurnInput {
        history: history.clone(),
        ..prompt("p")
    };
    let (count, _) = answer(&run(&agent, input).await);
    assert!(count.parse::<usize>().unwrap() < 15, "{count}");
    assert!(
        KeepRecent.compact(history, 500).await.unwrap()[0]
            .content
            .contains("left out")
    );
}
