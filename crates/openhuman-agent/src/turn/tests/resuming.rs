//! Turns that are taken up again.

use super::*;

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
