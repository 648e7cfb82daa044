use super::*;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;
use std::time::Duration;

use crate::message::ToolOutcome;
use crate::model::{ModelEvent, StopReason};
use crate::policy::Policy;
use crate::ports::Approval;

fn tool(name: &str, read_only: bool) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: String::new(),
        parameters: json!({"type": "object"}),
        read_only,
    }
}

fn call(id: &str, name: &str, arguments: Value) -> ToolCall {
    ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments,
    }
}

fn turn_with(budget: Budget) -> Turn {
    Turn::new(
        TurnSetup {
            system: "s".to_owned(),
            prompt: "p".to_owned(),
            tools: vec![tool("read", true), tool("write", false)],
            budget,
            policy: Policy {
                taint: false,
                ..Policy::default()
            },
            ..TurnSetup::default()
        },
        0,
    )
}

/// Lets the model ask for these calls.
fn reply(turn: &mut Turn, calls: Vec<ToolCall>) -> ModelRequest {
    let Some(Action::RequestModel(request)) = turn.poll(0) else {
        panic!("{turn:?}")
    };
    assert_eq!(turn.poll(0), None);
    for call in calls {
        turn.apply(Input::Model(ModelEvent::ToolCall { call }), 0);
    }
    turn.apply(
        Input::Model(ModelEvent::Done {
            reason: StopReason::Stop,
        }),
        0,
    );
    request
}

fn result(turn: &mut Turn, id: &str, text: &str) -> Transition {
    turn.apply(
        Input::Tool {
            id: id.to_owned(),
            outcome: ToolOutcome::success(text),
            millis: 1,
        },
        0,
    )
}

fn started(action: Option<Action>) -> Vec<String> {
    match action {
        Some(Action::CallTools(calls)) => calls.into_iter().map(|call| call.id).collect(),
        other => panic!("{other:?}"),
    }
}

fn failure(turn: &mut Turn) -> (FailureKind, String) {
    match turn.poll(0) {
        Some(Action::Finish(End::Failed { kind, message })) => (kind, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_run_together_and_writes_one_by_one_after_approval() {
    let mut turn = turn_with(Budget::default());
    let mut calls = vec![call("w1", "write", json!({"n": 1}))];
    calls.extend((0..10).map(|n| call(&format!("r{n}"), "read", json!({"n": n}))));
    calls.push(call("w2", "write", json!({"n": 2})));
    reply(&mut turn, calls);

    assert_eq!(
        started(turn.poll(0)),
        ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"]
    );
    let Some(Action::AskApproval {
        call: asked,
        repeat: false,
        ..
    }) = turn.poll(0)
    else {
        panic!()
    };
    assert_eq!(asked.id, "w1");
    assert_eq!(turn.poll(0), None);
    turn.apply(
        Input::Approval {
            id: "w1".to_owned(),
            approval: Approval::Allow,
        },
        0,
    );
    assert_eq!(turn.poll(0), None, "a write waits for the reads");
    result(&mut turn, "r3", "x");
    assert_eq!(started(turn.poll(0)), ["r8"]);
    result(&mut turn, "r0", "x");
    assert_eq!(started(turn.poll(0)), ["r9"]);
    for n in [1, 2, 4, 5, 6, 7, 8, 9] {
        result(&mut turn, &format!("r{n}"), "x");
    }
    assert_eq!(started(turn.poll(0)), ["w1"]);
    assert_eq!(turn.poll(0), None, "the second write waits for the first");
    result(&mut turn, "w1", "x");
    assert!(matches!(turn.poll(0), Some(Action::AskApproval { .. })));
    turn.apply(
        Input::Approval {
            id: "w2".to_owned(),
            approval: Approval::Deny {
                reason: "too risky".to_owned(),
            },
        },
        0,
    );

    let request = reply(&mut turn, Vec::new());
    let order: Vec<&str> = request
        .messages
        .iter()
        .filter_map(|message| message.tool_call_id.as_deref())
        .collect();
    assert_eq!(order.first(), Some(&"w1"), "results stand in the model's order");
    let last = request.messages.last().unwrap();
    assert_eq!(
        last.content,
        "Error from write: the call was not approved: too risky"
    );
}

#[test]
fn calls_that_cannot_run_are_answered_at_once() {
    let mut turn = turn_with(Budget::default());
    let calls = vec![
        call("1", "nothing", json!({})),
        call("2", "read", json!("{\"half")),
        call("3", "read", Value::Null),
    ];
    reply(&mut turn, calls);
    assert_eq!(started(turn.poll(0)), ["3"], "null means no arguments");
    result(&mut turn, "3", "ok");
    let results = turn.take_results();
    assert!(results[0].text.contains("no tool named `nothing`") && results[0].text.contains("read, write"));
    assert!(results[1].text.contains("not a JSON object") && results[1].is_error);
    assert!(!results[2].is_error);
    assert!(turn.take_results().is_empty());
    assert_eq!(turn.spent().tool_calls, 1);
}

#[test]
fn the_third_equal_call_is_refused_and_the_fourth_ends_the_turn() {
    let mut turn = turn_with(Budget::default());
    let same = |id: usize| {
        let arguments = if id.is_multiple_of(2) {
            json!({"a": 1, "b": [2]})
        } else {
            json!({"b": [2], "a": 1})
        };
        call(&id.to_string(), "read", arguments)
    };
    for id in 0..2 {
        reply(&mut turn, vec![same(id)]);
        assert_eq!(started(turn.poll(0)).len(), 1);
        result(&mut turn, &id.to_string(), "same");
    }
    reply(&mut turn, vec![same(2), call("other", "read", json!({"a": 2}))]);
    assert_eq!(started(turn.poll(0)), ["other"]);
    result(&mut turn, "other", "x");
    assert!(
        turn.take_results()
            .iter()
            .any(|result| result.text.contains("already called 2 time(s)"))
    );
    reply(&mut turn, vec![same(3)]);
    let (kind, message) = failure(&mut turn);
    assert_eq!(kind, FailureKind::Loop);
    assert!(
        message.contains("`read`") && message.contains("4 times"),
        "{message}"
    );
    assert_eq!(repair(turn.messages()), turn.messages());
}

#[test]
fn the_last_model_call_must_be_an_answer() {
    let mut turn = turn_with(Budget {
        model_calls: 2,
        ..Budget::default()
    });
    let first = reply(&mut turn, vec![call("1", "read", json!({}))]);
    assert_eq!(first.tool_choice, ToolChoice::Auto);
    turn.poll(0);
    result(&mut turn, "1", "x");
    let second = reply(&mut turn, vec![call("2", "read", json!({"n": 2}))]);
    assert_eq!(second.tool_choice, ToolChoice::None);
    let (kind, message) = failure(&mut turn);
    assert_eq!(kind, FailureKind::Budget);
    assert!(
        message.contains("budget of 2 model call(s)") && message.contains("raise"),
        "{message}"
    );
}

#[test]
fn tool_calls_beyond_the_budget_are_refused_then_the_model_must_answer() {
    let mut turn = turn_with(Budget {
        tool_calls: 1,
        ..Budget::default()
    });
    reply(
        &mut turn,
        vec![
            call("1", "read", json!({"n": 1})),
            call("2", "read", json!({"n": 2})),
        ],
    );
    assert_eq!(started(turn.poll(0)), ["1"]);
    assert!(turn.take_results()[0].text.contains("budget of 1 tool calls"));
    result(&mut turn, "1", "x");
    let request = reply(&mut turn, vec![call("3", "read", json!({"n": 3}))]);
    assert_eq!(request.tool_choice, ToolChoice::None);
    let (kind, message) = failure(&mut turn);
    assert_eq!(kind, FailureKind::Budget);
    assert!(message.contains("1 tool call(s)"), "{message}");
}

#[test]
fn tokens_are_counted_or_estimated() {
    let mut turn = turn_with(Budget {
        tokens: 100,
        ..Budget::default()
    });
    turn.poll(0);
    let usage = Usage {
        prompt_tokens: 90,
        completion_tokens: 10,
    };
    turn.apply(
        Input::Model(ModelEvent::ToolCall {
            call: call("1", "read", json!({})),
        }),
        0,
    );
    turn.apply(Input::Model(ModelEvent::Usage { usage }), 0);
    turn.apply(
        Input::Model(ModelEvent::Done {
            reason: StopReason::Stop,
        }),
        0,
    );
    turn.poll(0);
    result(&mut turn, "1", "x");
    let (kind, message) = failure(&mut turn);
    assert_eq!(kind, FailureKind::Budget);
    assert!(message.contains("100 tokens of its budget of 100"), "{message}");

    let mut turn = turn_with(Budget::default());
    reply(
        &mut turn,
        vec![call("1", "read", json!({"long": "x".repeat(400)}))],
    );
    assert!(turn.spent().tokens > 100, "{:?}", turn.spent());
}

#[test]
fn a_long_wait_ends_the_turn_without_waiting_for_it() {
    let mut turn = turn_with(Budget {
        wall: Duration::from_secs(50),
        ..Budget::default()
    });
    assert!(turn.poll(1_000).is_some());
    assert_eq!(turn.deadline_ms(), 50_000);
    assert_eq!(turn.poll(49_999), None);
    let Some(Action::Finish(End::Failed { kind, message })) = turn.poll(50_000) else {
        panic!()
    };
    assert_eq!(kind, FailureKind::Budget);
    assert!(message.contains("50 s"), "{message}");
    assert_eq!(turn.spent().elapsed_ms, 50_000);
}

#[test]
fn late_and_foreign_inputs_are_ignored() {
    let mut turn = turn_with(Budget::default());
    assert_eq!(result(&mut turn, "1", "x"), Transition::Ignored);
    reply(&mut turn, vec![call("1", "write", json!({}))]);
    assert_eq!(result(&mut turn, "1", "not started"), Transition::Ignored);
    let allow = |turn: &mut Turn| {
        turn.apply(
            Input::Approval {
                id: "1".to_owned(),
                approval: Approval::Allow,
            },
            0,
        )
    };
    assert_eq!(allow(&mut turn), Transition::Ignored, "nobody asked");
    turn.poll(0);
    assert_eq!(allow(&mut turn), Transition::Milestone);
    assert_eq!(
        turn.apply(
            Input::ModelFailed {
                message: String::new()
            },
            0
        ),
        Transition::Ignored
    );
    assert_eq!(turn.apply(Input::Cancel, 0), Transition::Milestone);
    assert_eq!(failure(&mut turn).0, FailureKind::Cancelled);
    assert_eq!(result(&mut turn, "1", "x"), Transition::Ignored);
    assert_eq!(
        turn.messages(),
        [Message::user("p")],
        "an unfinished step leaves no half pair behind"
    );
}

#[test]
fn ids_become_unique() {
    let mut turn = turn_with(Budget::default());
    let calls = ["", "a", "a"]
        .iter()
        .enumerate()
        .map(|(n, id)| call(id, "read", json!({"n": n})))
        .collect();
    reply(&mut turn, calls);
    let first = started(turn.poll(0));
    for id in &first {
        result(&mut turn, id, "x");
    }
    reply(&mut turn, vec![call("a", "read", json!({"n": 9}))]);
    let second = started(turn.poll(0));
    let all: BTreeSet<&String> = first.iter().chain(&second).collect();
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(all.contains(&"a".to_owned()));
}

#[test]
fn an_empty_answer_is_a_failure() {
    let mut turn = turn_with(Budget::default());
    reply(&mut turn, Vec::new());
    let (kind, message) = failure(&mut turn);
    assert_eq!(
        (kind, message.contains("empty answer")),
        (FailureKind::Model, true)
    );
}

mod property;
mod resuming;
mod trust;
