//! Approvals that come from outside: while the turn waits, and after a restart.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use openhuman_agent::{
    Agent, Approval, Approvals, Approver, Effect, FileJournal, ModelRequest, PauseTurn, Policy, PolicyRule,
    ToolCall, ToolOutcome, ToolSpec, Turn, TurnEvent,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::driver::{echo, two_tools};
use crate::support::{FakeModel, FakeTools, answer, calls, prompt, results, run, says};

fn reads_then_writes()
-> Arc<FakeModel<impl Fn(&ModelRequest) -> Vec<openhuman_agent::ModelEvent> + Send + Sync>> {
    Arc::new(FakeModel(|request: &ModelRequest| match results(request) {
        0 => calls(&[
            ("s__write", json!({"n": 1})),
            ("s__read", json!({})),
            ("s__write", json!({"n": 2})),
        ]),
        _ => says(&format!("done: {}", request.messages.last().unwrap().content)),
    }))
}

fn tools() -> Arc<FakeTools> {
    FakeTools::new(&[("s__read", true), ("s__write", false)], |call| {
        ToolOutcome::success(call.arguments.to_string())
    })
}

#[tokio::test]
async fn a_request_is_announced_and_answered_from_outside_while_reads_go_on() {
    let desk = Approvals::new();
    let agent = Agent::builder(reads_then_writes())
        .tools(tools())
        .approver(Arc::new(desk.clone()))
        .build();
    let mut events = agent.run(prompt("go"), CancellationToken::new());
    let (mut asked, mut read_before_answer, mut last) = (Vec::new(), false, None);
    while let Some(event) = events.next().await {
        match &event {
            TurnEvent::ApprovalRequest { request } => {
                assert!(
                    request.reason.contains("may change something"),
                    "{}",
                    request.reason
                );
                asked.push(request.call.clone());
                if asked.len() == 1 {
                    continue;
                }
                assert!(desk.answer(&request.call.id, Approval::Allow));
            }
            TurnEvent::ToolResult { name, .. } if name == "s__read" => {
                read_before_answer = true;
                assert_eq!(desk.waiting(), [asked[0].id.clone()]);
                assert!(!desk.answer("unknown", Approval::Allow));
                let reason = "not the first".to_owned();
                assert!(desk.answer(&asked[0].id, Approval::Deny { reason }));
            }
            _ => {}
        }
        last = Some(event);
    }
    assert!(read_before_answer && asked.len() == 2);
    let Some(TurnEvent::Done { messages, .. }) = last else {
        panic!("{last:?}")
    };
    let texts: Vec<&str> = messages.iter().map(|message| message.content.as_str()).collect();
    assert!(
        texts.iter().any(|text| text.contains("not the first")),
        "{texts:?}"
    );
    assert!(desk.waiting().is_empty());
}

#[tokio::test]
async fn a_paused_turn_goes_on_in_another_process_after_its_answers() {
    let folder = std::env::temp_dir().join(format!("openhuman-agent-paused-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let journal = Arc::new(FileJournal::new(folder.join("turn.json")));
    assert!(journal.turn().unwrap().is_none());
    let first_tools = tools();
    let agent = Agent::builder(reads_then_writes())
        .tools(first_tools.clone())
        .approver(Arc::new(PauseTurn))
        .journal(journal.clone())
        .build();
    let events = run(&agent, prompt("go")).await;
    let Some(TurnEvent::Paused { requests }) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(requests.len(), 1, "writes are asked about one after the other");
    assert_eq!(
        first_tools.count.load(Ordering::SeqCst),
        1,
        "the read ran, no write did"
    );

    let mut writes = 0;
    let done = loop {
        // What another process does: it only has the file.
        let mut turn: Turn = FileJournal::new(folder.join("turn.json"))
            .turn()
            .unwrap()
            .unwrap();
        let waiting = turn.approvals();
        assert_eq!(waiting.len(), 1);
        assert!(!turn.answer("unknown", Approval::Allow));
        assert!(turn.answer(&waiting[0].call.id, Approval::Allow));
        let tools = tools();
        let agent = Agent::builder(reads_then_writes())
            .tools(tools.clone())
            .approver(Arc::new(PauseTurn))
            .journal(journal.clone())
            .build();
        let events: Vec<TurnEvent> = agent.resume(turn, CancellationToken::new()).collect().await;
        writes += tools.count.load(Ordering::SeqCst);
        match events.last() {
            Some(TurnEvent::Paused { .. }) => {}
            _ => break events,
        }
    };
    assert_eq!(writes, 2, "each write ran once");
    assert_eq!(answer(&done).0, "done: {\"n\":2}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.join("turn.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn rules_decide_without_asking() {
    let tools = tools();
    let policy = Policy::default()
        .rule(PolicyRule::tool(Effect::Allow, "s__*").origin("chat"))
        .rule(PolicyRule::tool(Effect::Deny, "s__write").argument("/n", "1"));
    let agent = Agent::builder(reads_then_writes())
        .tools(tools.clone())
        .approver(Arc::new(Approvals::new()))
        .policy(policy)
        .origin("chat")
        .build();
    let events = run(&agent, prompt("go")).await;
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, TurnEvent::ApprovalRequest { .. }))
    );
    let refused = |event: &TurnEvent| matches!(event, TurnEvent::ToolResult { text, is_error: true, .. } if text.contains("a rule forbids"));
    assert!(events.iter().any(refused), "{events:?}");
    assert_eq!(tools.count.load(Ordering::SeqCst), 2);
    assert_eq!(answer(&events).0, "done: {\"n\":2}");
}

struct Careful;

impl Approver for Careful {
    fn approve<'a>(&'a self, call: &'a ToolCall, tool: &'a ToolSpec) -> BoxFuture<'a, Approval> {
        assert!(!tool.read_only && call.name == tool.name);
        async {
            Approval::Deny {
                reason: "the user said no".to_owned(),
            }
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_denied_call_never_runs_and_the_model_hears_why() {
    let tools = echo();
    let agent = Agent::builder(two_tools())
        .tools(tools.clone())
        .approver(Arc::new(Careful))
        .policy(Policy {
            taint: false,
            ..Policy::default()
        })
        .build();
    let events = run(&agent, prompt("p")).await;
    let denied = |event: &TurnEvent| {
        matches!(event, TurnEvent::ToolResult { name, text, is_error: true, .. }
        if name == "s__write" && text.contains("the user said no"))
    };
    assert!(events.iter().any(denied), "{events:?}");
    assert!(answer(&events).0.contains("Error from s__write"));
    assert_eq!(tools.count.load(Ordering::SeqCst), 2, "only the reads");
}
