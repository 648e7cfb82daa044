use super::*;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;
use std::time::Duration;

use crate::model::StopReason;

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
fn time_between_crash_and_resumption_does_not_count() {
    let mut turn = turn_with(Budget {
        wall: Duration::from_secs(50),
        ..Budget::default()
    });
    turn.poll(20_000);
    let mut turn = Turn::from_json(&turn.to_json().unwrap()).unwrap();
    turn.resume(9_000_000);
    assert_eq!(turn.deadline_ms(), 9_030_000);
    assert!(matches!(turn.poll(9_000_000), Some(Action::RequestModel(_))));
    assert_eq!(turn.spent().model_calls, 1, "the repeated request counts once");
}

#[test]
fn a_hundred_thousand_empty_snippets_do_not_fill_the_prompt() {
    let snippet = Recalled {
        title: "t".to_owned(),
        source: String::new(),
        text: String::new(),
        score: 1.0,
    };
    let setup = TurnSetup {
        prompt: "p".to_owned(),
        context: vec![snippet; 100_000],
        ..TurnSetup::default()
    };
    assert_eq!(Turn::new(setup, 0).context().len(), 64);
}

#[test]
fn results_are_capped_and_their_origin_is_kept() {
    let recalled = Recalled {
        title: "t".to_owned(),
        source: "s".to_owned(),
        text: "y".repeat(100_000),
        score: 1.0,
    };
    let setup = TurnSetup {
        prompt: "p".to_owned(),
        tools: vec![tool("read", true)],
        context: vec![recalled],
        budget: Budget {
            result_bytes: 100,
            ..Budget::default()
        },
        ..TurnSetup::default()
    };
    let mut turn = Turn::new(setup, 0);
    assert!(turn.has_outside_text());
    assert!(turn.context()[0].text.len() < 9_000);
    reply(&mut turn, vec![call("1", "read", json!({}))]);
    turn.poll(0);
    result(&mut turn, "1", &"z".repeat(5_000));
    assert!(turn.take_results()[0].text.contains("of 5000 bytes are left out"));
    let origins: Vec<(usize, bool)> = turn.provenance().iter().map(|p| (p.bytes, p.shortened)).collect();
    assert_eq!(origins, [(100_000, true), (5_000, true)]);
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

#[test]
fn an_interrupted_write_is_asked_about_again_even_after_two_crashes() {
    let mut turn = turn_with(Budget::default());
    reply(
        &mut turn,
        vec![call("r", "read", json!({})), call("w", "write", json!({}))],
    );
    turn.poll(0);
    result(&mut turn, "r", "x");
    turn.poll(0);
    turn.apply(
        Input::Approval {
            id: "w".to_owned(),
            approval: Approval::Allow,
        },
        0,
    );
    assert_eq!(started(turn.poll(0)), ["w"]);
    for _ in 0..2 {
        turn = Turn::from_json(&turn.to_json().unwrap()).unwrap();
        turn.resume(0);
        assert!(
            matches!(turn.poll(0), Some(Action::AskApproval { repeat: true, .. })),
            "{turn:?}"
        );
    }
}

#[test]
fn journal_entries_of_other_kinds_are_refused() {
    assert!(matches!(Turn::from_json("{}"), Err(TurnError::Malformed(_))));
    let mut value: Value = serde_json::from_str(&turn_with(Budget::default()).to_json().unwrap()).unwrap();
    value["format"] = json!(9);
    let error = Turn::from_json(&value.to_string()).unwrap_err();
    assert!(matches!(error, TurnError::Format { found: 9 }) && error.to_string().contains("format 9"));
}

/// Plays the outside world from a tape of numbers and returns the number of model requests.
fn play(turn: &mut Turn, tape: &[u8]) -> usize {
    let mut tape = tape.iter().copied().chain(std::iter::repeat(0));
    let mut next = || tape.next().unwrap_or(0);
    let (mut now, mut requests) = (0i64, 0);
    let mut asking = false;
    let mut running: Vec<String> = Vec::new();
    let mut asked: Option<String> = None;
    for _ in 0..10_000 {
        while let Some(action) = turn.poll(now) {
            match action {
                Action::Finish(_) => return requests,
                Action::RequestModel(request) => {
                    assert_eq!(
                        repair(request.messages.clone()),
                        request.messages,
                        "pairs are whole"
                    );
                    requests += 1;
                    asking = true;
                }
                Action::CallTools(calls) => running.extend(calls.into_iter().map(|call| call.id)),
                Action::AskApproval { call, .. } => assert_eq!(asked.replace(call.id), None),
            }
            assert!(running.len() <= 8);
        }
        let again = Turn::from_json(&turn.to_json().unwrap()).unwrap();
        assert_eq!(again, *turn, "the serialised form is the whole state");
        now += i64::from(next());
        let choice = next();
        let input = if asking {
            match choice % 8 {
                0 => {
                    asking = false;
                    Input::Model(ModelEvent::Done {
                        reason: StopReason::Stop,
                    })
                }
                1..=2 => Input::Model(ModelEvent::TextDelta {
                    text: "é".repeat(usize::from(next())),
                }),
                3 if next() > 250 => Input::ModelFailed {
                    message: "gone".to_owned(),
                },
                _ => {
                    let name = ["read", "write", "nothing"][usize::from(next() % 3)];
                    let arguments = [json!({}), json!({"n": next()}), json!("x"), Value::Null];
                    let arguments = arguments[usize::from(next() % 4)].clone();
                    Input::Model(ModelEvent::ToolCall {
                        call: call(["", "a", "b"][usize::from(next() % 3)], name, arguments),
                    })
                }
            }
        } else if let Some(id) = asked.take_if(|_| choice.is_multiple_of(2) || running.is_empty()) {
            let approval = if next() % 3 == 0 {
                Approval::Deny {
                    reason: "no".to_owned(),
                }
            } else {
                Approval::Allow
            };
            Input::Approval { id, approval }
        } else {
            let id = running.swap_remove(usize::from(choice) % running.len());
            let outcome = ToolOutcome {
                text: "r".repeat(usize::from(next()) * 100),
                is_error: next() % 4 == 0,
            };
            Input::Tool {
                id,
                outcome,
                millis: 0,
            }
        };
        assert_ne!(turn.apply(input, now), Transition::Ignored);
    }
    panic!("the turn does not end: {turn:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_turn_ends_within_its_budget(
        tape in prop::collection::vec(any::<u8>(), 0..600), model_calls in 0u32..6, tool_calls in 0u32..10,
    ) {
        let mut turn = turn_with(Budget { model_calls, tool_calls, ..Budget::default() });
        let requests = play(&mut turn, &tape);
        prop_assert!(requests <= usize::try_from(model_calls).unwrap());
        prop_assert!(turn.spent().tool_calls <= tool_calls);
        prop_assert_eq!(repair(turn.messages()), turn.messages());
        prop_assert!(turn.end().is_some());
    }
}
