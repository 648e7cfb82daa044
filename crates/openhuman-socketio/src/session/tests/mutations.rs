//! Frames with changed bytes: the session ends or goes on, and never breaks.

use super::*;

/// A small generator, so that a failure can be repeated from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap()
    }
}

/// Changes, removes or inserts up to three bytes, or cuts the end off.
fn mutate(random: &mut Random, frame: &str) -> Vec<u8> {
    const INTERESTING: &[u8] = b"0123456789-,/[]{}\"\\ \x00\x1e\x7f\xc3\xa9\xff";
    let mut bytes = frame.as_bytes().to_vec();
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 if at < bytes.len() => bytes[at] = INTERESTING[random.below(INTERESTING.len())],
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => bytes.insert(at, INTERESTING[random.below(INTERESTING.len())]),
        }
    }
    bytes
}

#[test]
fn mutated_frames_never_break_the_session() {
    const SEEDS: &[&str] = &[
        OPEN,
        r#"40{"sid":"s"}"#,
        r#"40/admin,{"sid":"s"}"#,
        "41",
        r#"42["e",{"a":[1,2.5,"x"]}]"#,
        r#"42/admin,12["name\u0041\"",null]"#,
        r#"4312["ok",{"b":true}]"#,
        r#"44{"message":"m","data":{"c":1}}"#,
        r#"452-/admin,7["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#,
        r#"461-3[{"_placeholder":true,"num":0}]"#,
        "2",
        "2probe",
        "6",
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut accepted, mut refused) = (0u32, 0u32);
    for round in 0..20_000u32 {
        let mut run = if round % 4 == 0 {
            Run::new()
        } else {
            Run::connected(Limits::default())
        };
        for _ in 0..3 {
            let seed = SEEDS[random.below(SEEDS.len())];
            let bytes = mutate(&mut random, seed);
            match Utf8Bytes::try_from(bytes.clone()) {
                Ok(text) => run.session.handle_text(run.now, &text),
                Err(_) => run.session.handle_binary(run.now, bytes.into()),
            }
            run.session.authenticate(SPACE, None);
        }
        run.pass(SECOND * 60);
        for output in run.outputs() {
            match output {
                Output::Event(_, event) => {
                    accepted += 1;
                    let typed = event.payload.args::<(Value, Option<u8>)>(1);
                    let list = serde_json::from_str::<Vec<Value>>(event.payload.text());
                    assert_eq!(event.payload.is_json(), list.is_ok(), "{}", event.payload.text());
                    match list {
                        // The name that was found without reading the list is the one in the list.
                        Ok(list) => match &list[0] {
                            Value::String(name) => {
                                assert_eq!(event.name.as_str(&event.payload.frame), name);
                            }
                            name => assert!(name.is_number()),
                        },
                        Err(_) => assert!(typed.is_err()),
                    }
                }
                Output::Ack { payload, .. } => {
                    accepted += 1;
                    let _ = payload.args::<Vec<Value>>(0);
                }
                Output::Closed(Disconnect {
                    error: Some(error), ..
                }) => {
                    refused += 1;
                    assert!(!error.to_string().is_empty());
                }
                _ => {}
            }
        }
        assert!(
            run.session.deadline().is_none(),
            "every link ends when nothing more comes"
        );
    }
    // The mutations reach both sides of the decoder.
    assert!(
        accepted > 1_000 && refused > 1_000,
        "{accepted} accepted, {refused} refused"
    );
}
