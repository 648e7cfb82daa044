//! Any tape of events ends a turn within its budget.

use super::*;

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
