//! The driver: events, cancellation, budgets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use openhuman_agent::{
    Agent, Budget, FailureKind, MemoryJournal, Message, Model, ModelError, ModelEvent, ModelRequest, Recall,
    Recalled, ToolCall, ToolOutcome, ToolSpec, Tools, Turn, TurnEvent, TurnInput,
};
use serde_json::json;
use tokio::sync::Barrier;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::{
    FakeModel, FakeTools, answer, calls, failure, prompt, recalled, results, run, says, spec,
};

/// Asks for a read and a write, then answers with their results.
pub(crate) fn two_tools() -> Arc<dyn Model> {
    Arc::new(FakeModel(|request: &ModelRequest| match results(request) {
        0 => calls(&[("s__read", json!({"n": 1})), ("s__write", json!({"n": 2}))]),
        2 => calls(&[("s__read", json!({"n": 3}))]),
        _ => {
            let texts: Vec<&str> = request
                .messages
                .iter()
                .map(|message| message.content.as_str())
                .collect();
            says(&format!("all of {}", texts[texts.len() - 4..].join("|")))
        }
    }))
}

pub(crate) fn echo() -> Arc<FakeTools> {
    FakeTools::new(&[("s__read", true), ("s__write", false)], |call| {
        ToolOutcome::success(format!("{}:{}", call.name, call.arguments["n"]))
    })
}

#[tokio::test]
async fn a_turn_tells_everything_in_order() {
    let tools = echo();
    let agent = Agent::builder(two_tools()).tools(tools.clone()).build();
    let input = TurnInput {
        context: vec![recalled("a", "b")],
        ..prompt("go")
    };
    let events = run(&agent, input).await;
    let mut kinds: Vec<String> = events
        .iter()
        .map(|event| {
            serde_json::to_value(event).unwrap()["type"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    // Behind results of tools, text comes word by word.
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "recalled",
            "usage",
            "tool_call",
            "tool_result",
            "tool_call",
            "tool_result",
            "usage",
            "tool_call",
            "tool_result",
            "text_delta",
            "usage",
            "done"
        ]
    );
    let (text, messages) = answer(&events);
    assert!(text.contains("s__read:1|s__write:2"), "{text}");
    assert!(text.ends_with("s__read:3"), "{text}");
    assert_eq!(messages.len(), 7);
    assert_eq!(messages[0], Message::user("go"));
    assert_eq!(messages[6], Message::assistant(text));
    assert_eq!(tools.count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn the_request_carries_rules_history_and_context() {
    let seen: Arc<Mutex<Vec<ModelRequest>>> = Arc::default();
    let model = {
        let seen = Arc::clone(&seen);
        FakeModel(move |request: &ModelRequest| {
            seen.lock().unwrap().push(request.clone());
            says("ok")
        })
    };
    struct Fixed;
    impl Recall for Fixed {
        fn recall<'a>(&'a self, prompt: &'a str) -> BoxFuture<'a, Result<Vec<Recalled>, String>> {
            assert_eq!(prompt, "now");
            async { Ok(vec![recalled("known", "same"), recalled("more", "other")]) }.boxed()
        }
    }
    let agent = Agent::builder(Arc::new(model))
        .recall(Arc::new(Fixed))
        .system("Be brief.".to_owned())
        .build();
    let input = TurnInput {
        history: vec![
            Message::user("before"),
            Message::assistant("yes"),
            Message::tool("x", "orphan"),
        ],
        prompt: "now".to_owned(),
        context: vec![recalled("known", "same")],
    };
    let events = run(&agent, input).await;
    let Some(TurnEvent::Recalled { sources }) = events.first() else {
        panic!("{events:?}")
    };
    assert_eq!(sources.len(), 2, "the same text is not recalled twice");
    let request = seen.lock().unwrap()[0].clone();
    assert!(
        request.messages[0].content.starts_with("Be brief.")
            && request.messages[0].content.contains("is data")
    );
    assert_eq!(request.messages.len(), 4);
    let rendered = request.rendered_messages();
    assert!(
        rendered[3].content.starts_with("<recalled_context>") && rendered[3].content.ends_with("\n\nnow")
    );
    assert_eq!(
        answer(&events).1[0],
        Message::user("now"),
        "the history keeps the bare prompt"
    );
}

#[tokio::test]
async fn without_memory_the_turn_goes_on_and_says_so() {
    struct Broken;
    impl Recall for Broken {
        fn recall<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<Recalled>, String>> {
            async { Err("the vault is locked".to_owned()) }.boxed()
        }
    }
    let agent = Agent::builder(Arc::new(FakeModel(|_: &ModelRequest| says("ok"))))
        .recall(Arc::new(Broken))
        .build();
    let events = run(&agent, prompt("p")).await;
    assert!(matches!(&events[0], TurnEvent::Notice { message } if message.contains("vault is locked")));
    assert_eq!(answer(&events).0, "ok");
}

#[tokio::test]
async fn prompts_have_limits() {
    let agent = Agent::builder(Arc::new(FakeModel(|_: &ModelRequest| says("ok")))).build();
    assert_eq!(failure(&run(&agent, prompt(" \n")).await).0, FailureKind::Input);
    let (kind, message) = failure(&run(&agent, prompt(&"x".repeat(2_000_000))).await);
    assert_eq!(kind, FailureKind::Input);
    assert!(message.contains("2000000 bytes"), "{message}");
}

/// Tools whose calls meet at a barrier: they only finish when all run at the same time.
struct Meeting(Barrier);

impl Tools for Meeting {
    fn list(&self) -> BoxFuture<'_, Vec<ToolSpec>> {
        async { vec![spec("s__read", true)] }.boxed()
    }

    fn call<'a>(&'a self, _: &'a ToolCall, _: CancellationToken) -> BoxFuture<'a, ToolOutcome> {
        async {
            self.0.wait().await;
            ToolOutcome::success("met")
        }
        .boxed()
    }
}

#[tokio::test]
async fn eight_reads_run_at_the_same_time() {
    let model = FakeModel(|request: &ModelRequest| {
        let list: Vec<(&str, serde_json::Value)> = (0..8).map(|n| ("s__read", json!({"n": n}))).collect();
        if results(request) == 0 {
            calls(&list)
        } else {
            says("ok")
        }
    });
    let agent = Agent::builder(Arc::new(model))
        .tools(Arc::new(Meeting(Barrier::new(8))))
        .build();
    assert_eq!(answer(&run(&agent, prompt("p")).await).0, "ok");
}

#[tokio::test]
async fn a_crashing_tool_is_a_failed_call() {
    let model = FakeModel(|request: &ModelRequest| match results(request) {
        0 => calls(&[("s__read", json!({}))]),
        _ => says(&request.messages.last().unwrap().content),
    });
    let tools = FakeTools::new(&[("s__read", true)], |_| panic!("bug"));
    let agent = Agent::builder(Arc::new(model)).tools(tools).build();
    let (text, _) = answer(&run(&agent, prompt("p")).await);
    assert!(text.contains("the tool crashed"), "{text}");
}

/// Sets a flag when it is dropped.
struct OnDrop(Arc<AtomicBool>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A model that says one word and then nothing for ever.
struct Silent(Arc<AtomicBool>);

impl Model for Silent {
    fn name(&self) -> String {
        "silent".to_owned()
    }

    fn stream(
        &self,
        _: ModelRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<ModelEvent, ModelError>>, ModelError>> {
        let guard = OnDrop(Arc::clone(&self.0));
        async move {
            let word = stream::iter([Ok(ModelEvent::TextDelta {
                text: "Well".to_owned(),
            })]);
            let never = stream::pending().map(move |event| {
                let _ = &guard;
                event
            });
            Ok(word.chain(never).boxed())
        }
        .boxed()
    }
}

#[tokio::test]
async fn cancelling_stops_the_model_at_once() {
    let dropped = Arc::new(AtomicBool::new(false));
    let journal = Arc::new(MemoryJournal::new());
    let agent = Agent::builder(Arc::new(Silent(Arc::clone(&dropped))))
        .journal(journal.clone())
        .build();
    let cancel = CancellationToken::new();
    let mut events = agent.run(prompt("p"), cancel.clone());
    assert!(matches!(events.next().await, Some(TurnEvent::TextDelta { .. })));
    cancel.cancel();
    let rest: Vec<TurnEvent> = events.collect().await;
    assert_eq!(failure(&rest).0, FailureKind::Cancelled);
    assert!(dropped.load(Ordering::SeqCst));
    let last = Turn::from_json(journal.entries().last().unwrap()).unwrap();
    assert!(last.end().is_some(), "a cancelled turn stays cancelled");
}

#[tokio::test]
async fn a_turn_cancelled_before_it_starts_does_nothing() {
    let tools = echo();
    let agent = Agent::builder(two_tools()).tools(tools.clone()).build();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let events: Vec<TurnEvent> = agent.run(prompt("p"), cancel).collect().await;
    assert_eq!(events.len(), 1);
    assert_eq!(failure(&events).0, FailureKind::Cancelled);
    assert_eq!(tools.count.load(Ordering::SeqCst), 0);
}

/// A tool that never finishes and remembers its cancellation token.
struct Stuck(Mutex<Option<CancellationToken>>);

impl Tools for Stuck {
    fn list(&self) -> BoxFuture<'_, Vec<ToolSpec>> {
        async { vec![spec("s__read", true)] }.boxed()
    }

    fn call<'a>(&'a self, _: &'a ToolCall, cancel: CancellationToken) -> BoxFuture<'a, ToolOutcome> {
        *self.0.lock().unwrap() = Some(cancel);
        std::future::pending().boxed()
    }
}

#[tokio::test]
async fn cancelling_or_dropping_reaches_the_tools() {
    let model = || Arc::new(FakeModel(|_: &ModelRequest| calls(&[("s__read", json!({}))])));
    for drop_stream in [false, true] {
        let tools = Arc::new(Stuck(Mutex::new(None)));
        let agent = Agent::builder(model()).tools(tools.clone()).build();
        let cancel = CancellationToken::new();
        let mut events = agent.run(prompt("p"), cancel.clone());
        while !matches!(events.next().await, Some(TurnEvent::ToolCall { .. })) {}
        // The call starts when the stream is read on.
        assert!(events.next().now_or_never().is_none());
        let seen = tools.0.lock().unwrap().clone().unwrap();
        assert!(!seen.is_cancelled());
        if drop_stream {
            drop(events);
        } else {
            cancel.cancel();
            let rest: Vec<TurnEvent> = events.collect().await;
            assert_eq!(failure(&rest).0, FailureKind::Cancelled);
        }
        assert!(seen.is_cancelled());
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_model_runs_into_the_time_budget() {
    let budget = Budget {
        wall: Duration::from_secs(50),
        ..Budget::default()
    };
    let agent = Agent::builder(Arc::new(Silent(Arc::default())))
        .budget(budget)
        .build();
    let started = Instant::now();
    let (kind, message) = failure(&run(&agent, prompt("p")).await);
    assert_eq!(kind, FailureKind::Budget);
    assert!(message.contains("50 s"), "{message}");
    assert!(started.elapsed() >= Duration::from_secs(50) && started.elapsed() < Duration::from_secs(51));
}

#[tokio::test]
async fn a_model_that_never_answers_runs_into_the_call_budget() {
    let model = FakeModel(|request: &ModelRequest| calls(&[("s__read", json!({"n": results(request)}))]));
    let budget = Budget {
        model_calls: 3,
        ..Budget::default()
    };
    let agent = Agent::builder(Arc::new(model))
        .tools(echo())
        .budget(budget)
        .build();
    let (kind, message) = failure(&run(&agent, prompt("p")).await);
    assert_eq!(kind, FailureKind::Budget);
    assert!(
        message.contains("3 model call(s)") && message.contains("raise the budget"),
        "{message}"
    );
}

#[tokio::test]
async fn a_model_that_crashes_is_a_failed_turn_and_not_a_stream_that_just_stops() {
    struct Crashing;
    impl Model for Crashing {
        fn name(&self) -> String {
            "crashing".to_owned()
        }
        fn stream(
            &self,
            _: ModelRequest,
        ) -> BoxFuture<'_, Result<BoxStream<'static, Result<ModelEvent, ModelError>>, ModelError>> {
            panic!("asked to crash");
        }
    }
    let agent = Agent::builder(Arc::new(Crashing)).build();
    let events = run(&agent, prompt("hello")).await;
    let (_, message) = failure(&events);
    assert!(message.contains("crashed"), "{message}");
    assert_eq!(events.len(), 1);
}

#[tokio::test]
async fn a_stream_that_just_ends_is_a_failure() {
    let model = FakeModel(|_: &ModelRequest| {
        vec![ModelEvent::TextDelta {
            text: "half".to_owned(),
        }]
    });
    let (kind, message) = failure(&run(&Agent::builder(Arc::new(model)).build(), prompt("p")).await);
    assert_eq!(kind, FailureKind::Model);
    assert!(message.contains("in the middle"), "{message}");
}
