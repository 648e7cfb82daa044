//! What came from outside, and what it changes.

use super::*;

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
    assert_eq!(turn.tainted_by().as_deref(), Some("memory (`t`)"));
    assert!(turn.context()[0].text.len() < 9_000);
    reply(&mut turn, vec![call("1", "read", json!({}))]);
    // Of `read` nothing is known, so it might carry something out.
    assert!(matches!(
        turn.poll(0),
        Some(Action::AskApproval { repeat: false, .. })
    ));
    let (id, approval) = ("1".to_owned(), Approval::Allow);
    turn.apply(Input::Approval { id, approval }, 0);
    assert_eq!(started(turn.poll(0)), ["1"]);
    result(&mut turn, "1", &"z".repeat(5_000));
    assert!(turn.take_results()[0].text.contains("of 5000 bytes are left out"));
    let origins: Vec<(usize, bool)> = turn.provenance().iter().map(|p| (p.bytes, p.shortened)).collect();
    assert_eq!(origins, [(100_000, true), (5_000, true)]);
}

#[test]
fn reads_that_were_approved_run_next_to_each_other() {
    let mut turn = turn_with(Budget::default());
    turn.policy = Policy::default();
    reply(&mut turn, vec![call("0", "read", json!({"n": 0}))]);
    turn.poll(0);
    result(&mut turn, "0", "from somewhere");
    let calls = (1..4).map(|n| call(&n.to_string(), "read", json!({"n": n})));
    let write = call("w", "write", json!({}));
    reply(&mut turn, calls.chain([write]).collect());
    for n in 1..4 {
        let Some(Action::AskApproval { call, reason, .. }) = turn.poll(0) else {
            panic!("{turn:?}")
        };
        assert!(
            call.id == n.to_string() && reason.contains("reaches the outside world"),
            "{reason}"
        );
    }
    assert!(matches!(turn.poll(0), Some(Action::AskApproval { call, .. }) if call.id == "w"));
    for id in ["3", "w", "1"] {
        let (id, approval) = (id.to_owned(), Approval::Allow);
        turn.apply(Input::Approval { id, approval }, 0);
    }
    assert_eq!(started(turn.poll(0)), ["1", "3"]);
    let (id, approval) = ("2".to_owned(), Approval::Later);
    turn.apply(Input::Approval { id, approval }, 0);
    assert_eq!(turn.poll(0), None);
    result(&mut turn, "1", "x");
    result(&mut turn, "3", "x");
    assert!(turn.poll(0).is_none() && turn.is_paused());
    assert!(turn.answer("2", Approval::Allow) && !turn.is_paused());
    assert_eq!(started(turn.poll(0)), ["2"]);
    result(&mut turn, "2", "x");
    assert_eq!(started(turn.poll(0)), ["w"]);
}
