use super::*;
use crate::state::DisconnectReason::{ParseError, PingTimeout, TransportClose};

const SECOND: Duration = Duration::from_secs(1);
const OPEN: &str =
    r#"0{"sid":"e","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

/// A session and its clock.
struct Run {
    session: Session,
    now: Instant,
}

/// The only namespace of most tests.
const SPACE: SpaceId = 7;

impl Run {
    fn with(namespace: &str, limits: Limits) -> Self {
        let config = SessionConfig {
            limits,
            heartbeat_slack: SECOND * 5,
            parser: Parser::Json,
        };
        let now = Instant::now();
        let mut session = Session::new(config, now);
        session.join(SPACE, namespace.into(), now + SECOND * 20);
        Self { session, now }
    }

    fn new() -> Self {
        Self::with("/", Limits::default())
    }

    /// As `new`, with the namespace connected.
    fn connected(limits: Limits) -> Self {
        let mut run = Self::with("/", limits);
        run.text(OPEN);
        run.session.authenticate(SPACE, None);
        run.text(r#"40{"sid":"s"}"#);
        run.outputs();
        run
    }

    fn text(&mut self, frame: &str) -> &mut Self {
        self.session.handle_text(self.now, &frame.into());
        self
    }

    fn binary(&mut self, frame: &'static [u8]) -> &mut Self {
        self.session.handle_binary(self.now, Bytes::from_static(frame));
        self
    }

    /// Lets time pass, firing every deadline on the way.
    fn pass(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        while let Some(deadline) = self.session.deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline;
            self.session.handle_timeout(deadline);
        }
        self.now = end;
        self
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.session.poll_output()).collect()
    }

    /// The outputs in short.
    fn seen(&mut self) -> Vec<String> {
        let short = |output| match output {
            Output::Opened(opened) => format!("opened {:?}", opened.max_payload),
            Output::Authenticate(space) => format!("authenticate{}", of(space)),
            Output::Send(frame) | Output::Control(frame) => format!("send {frame}"),
            Output::Connected { space, sid, .. } => format!("connected{} {sid}", of(space)),
            Output::Rejected(space, rejection) => format!("rejected{} {}", of(space), rejection.message),
            Output::Unsupported(_) => "unsupported".to_owned(),
            Output::TimedOut(space) => format!("timed out{}", of(space)),
            Output::Left(space) => format!("left{}", of(space)),
            Output::Event(space, event) => {
                format!(
                    "event{} {} {:?}",
                    of(space),
                    event.name.as_str(&event.payload.frame),
                    event.ack_id
                )
            }
            Output::Ack { space, id, .. } => format!("ack{} {id}", of(space)),
            Output::Closed(disconnect) => format!("closed {}", disconnect.reason),
        };
        self.outputs().into_iter().map(short).collect()
    }

    fn violation(&mut self) -> ProtocolError {
        match self.outputs().pop() {
            Some(Output::Closed(Disconnect {
                reason: ParseError,
                error: Some(error),
            })) => error,
            other => panic!("expected a parse error, got {other:?}"),
        }
    }
}

/// Which namespace, where it is not the usual one.
fn of(space: SpaceId) -> String {
    if space == SPACE {
        String::new()
    } else {
        format!(" [{space}]")
    }
}

fn closed(reason: DisconnectReason) -> [String; 1] {
    [format!("closed {reason}")]
}

#[test]
fn the_handshake_waits_for_credentials() {
    let mut run = Run::new();
    assert_eq!(run.text(OPEN).seen(), ["opened Some(1000000)", "authenticate"]);
    run.session
        .authenticate(SPACE, Some(&serde_json::json!({"token": "t"})));
    assert_eq!(run.seen(), [r#"send 40{"token":"t"}"#]);
    assert!(!run.session.is_connected(SPACE));
    assert_eq!(run.text(r#"40{"sid":"s"}"#).seen(), ["connected s"]);
    assert!(run.session.is_connected(SPACE));
    // Credentials that come twice are not sent twice.
    run.session.authenticate(SPACE, None);
    assert!(run.seen().is_empty());
}

#[test]
fn pings_are_answered_in_every_phase() {
    let mut run = Run::new();
    assert_eq!(run.text("2").seen(), ["send 3"]);
    run.text(OPEN).outputs();
    assert_eq!(run.text("2").seen(), ["send 3"]);
    run.session.authenticate(SPACE, None);
    run.outputs();
    assert_eq!(run.text("2probe").seen(), ["send 3probe"]);
    run.text(r#"40{"sid":"s"}"#).outputs();
    assert_eq!(run.text("2").seen(), ["send 3"]);
}

#[test]
fn nothing_is_sent_that_was_not_asked_for() {
    let mut run = Run::connected(Limits::default());
    assert!(run.text("3").text("6").pass(SECOND * 49).seen().is_empty());
}

#[test]
fn fifty_silent_seconds_end_the_link() {
    let mut run = Run::connected(Limits::default());
    assert!(run.pass(Duration::from_millis(49_999)).seen().is_empty());
    assert_eq!(run.pass(Duration::from_millis(1)).seen(), closed(PingTimeout));
    assert_eq!(run.session.deadline(), None);
}

#[test]
fn any_frame_is_a_sign_of_life() {
    let mut run = Run::connected(Limits::default());
    for frame in ["2", r#"42["e"]"#, "6", r#"42/other,["e"]"#] {
        run.pass(SECOND * 49).text(frame);
    }
    run.pass(SECOND * 20)
        .text(r#"451-["e",{"_placeholder":true,"num":0}]"#);
    run.pass(SECOND * 29).binary(b"x");
    assert!(
        !run.pass(SECOND * 49)
            .seen()
            .iter()
            .any(|seen| seen.starts_with("closed"))
    );
    assert_eq!(run.pass(SECOND).seen(), closed(PingTimeout));
}

#[test]
fn missing_intervals_have_defaults_and_absurd_ones_a_bound() {
    let mut run = Run::new();
    run.text(r#"0{"sid":"e"}"#);
    assert_eq!(run.session.idle_limit, Some(SECOND * 50));
    let mut run = Run::new();
    run.text(&format!(
        r#"0{{"sid":"e","pingInterval":{0},"pingTimeout":{0}}}"#,
        u64::MAX
    ));
    assert_eq!(run.session.idle_limit, Some(SECOND * (2 * 24 * 3600 + 5)));
    run.session.authenticate(SPACE, None);
    run.text(r#"40{"sid":"s"}"#).pass(SECOND * 3600 * 24);
    assert!(run.session.is_connected(SPACE));
}

#[test]
fn an_attempt_has_one_time_limit_over_all_its_phases() {
    let mut run = Run::new();
    assert_eq!(run.pass(SECOND * 20).seen(), ["timed out"]);

    let mut run = Run::new();
    run.pass(SECOND * 10).text(OPEN).outputs();
    assert!(run.pass(Duration::from_millis(9_999)).seen().is_empty());
    assert_eq!(run.pass(SECOND).seen(), ["timed out"]);

    let mut run = Run::new();
    run.text(OPEN);
    run.session.authenticate(SPACE, None);
    run.pass(SECOND * 10).text("2").outputs();
    assert_eq!(run.pass(SECOND * 10).seen(), ["timed out"]);
    // Too late: the server must not keep what nobody uses.
    assert_eq!(run.text(r#"40{"sid":"s"}"#).seen(), ["send 41"]);
    assert!(run.text(r#"40{"sid":"s"}"#).seen().is_empty());
}

#[test]
fn events_before_the_namespace_is_connected_follow_the_connection() {
    let mut run = Run::new();
    run.text(OPEN);
    run.session.authenticate(SPACE, None);
    run.outputs();
    assert!(
        run.text(r#"42["first"]"#)
            .text(r#"421["second"]"#)
            .seen()
            .is_empty()
    );
    assert_eq!(
        run.text(r#"40{"sid":"s"}"#).seen(),
        ["connected s", "event first None", "event second Some(1)"]
    );
    assert_eq!(run.text(r#"42["third"]"#).seen(), ["event third None"]);
}

#[test]
fn early_events_are_bounded() {
    let limits = Limits {
        max_early_events: 2,
        ..Limits::default()
    };
    let mut run = Run::with("/", limits);
    run.text(OPEN).outputs();
    run.text(r#"42["a"]"#).text(r#"42["a"]"#);
    assert!(run.seen().is_empty());
    run.text(r#"42["a"]"#);
    assert_eq!(run.violation(), ProtocolError::TooManyEarlyEvents { max: 2 });
}

#[test]
fn a_refusal_carries_message_and_data() {
    let mut run = Run::new();
    run.text(OPEN);
    run.session.authenticate(SPACE, None);
    run.outputs();
    run.text(r#"44{"message":"bad token","data":{"code":401}}"#);
    let rejection = Rejection {
        message: "bad token".into(),
        data: Some(serde_json::json!({"code": 401})),
    };
    assert_eq!(run.outputs(), [Output::Rejected(SPACE, rejection)]);
}

#[test]
fn servers_of_version_2_are_recognized() {
    let mut run = Run::new();
    run.text(OPEN);
    run.session.authenticate(SPACE, None);
    run.outputs();
    assert_eq!(run.text("40").seen(), ["unsupported"]);
    let mut run = Run::new();
    run.text(OPEN).outputs();
    assert_eq!(run.text("40").seen(), ["unsupported"]);
}

#[test]
fn only_the_chosen_namespace_counts() {
    let mut run = Run::with("/admin", Limits::default());
    run.text(OPEN);
    run.session.authenticate(SPACE, None);
    assert_eq!(
        run.seen(),
        ["opened Some(1000000)", "authenticate", "send 40/admin,"]
    );
    assert!(
        run.text(r#"40{"sid":"root"}"#)
            .text(r#"44{"message":"no"}"#)
            .seen()
            .is_empty()
    );
    assert_eq!(run.text(r#"40/admin,{"sid":"s"}"#).seen(), ["connected s"]);
    run.text(r#"42["e"]"#)
        .text("41")
        .text(r#"451-["b",{"_placeholder":true,"num":0}]"#)
        .binary(b"x");
    assert!(run.seen().is_empty());
    assert_eq!(run.text(r#"42/admin,["e"]"#).seen(), ["event e None"]);
    assert_eq!(run.text("41/admin").seen(), ["left"]);
}

#[test]
fn both_ways_of_a_server_to_leave_are_told_apart() {
    assert_eq!(Run::connected(Limits::default()).text("41").seen(), ["left"]);
    assert_eq!(
        Run::connected(Limits::default()).text("1").seen(),
        closed(TransportClose)
    );
}

#[test]
fn a_second_connect_ack_updates_the_session_id() {
    let mut run = Run::connected(Limits::default());
    assert_eq!(run.text(r#"40{"sid":"new"}"#).seen(), ["connected new"]);
}

#[test]
fn attachments_complete_their_packet_even_around_a_ping() {
    let mut run = Run::connected(Limits::default());
    run.text(r#"452-7["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#)
        .binary(b"\x01\x1e");
    assert_eq!(run.text("2").seen(), ["send 3"]);
    run.binary(b"");
    match run.outputs().as_slice() {
        [Output::Event(SPACE, event)] => {
            assert_eq!(event.ack_id, Some(7));
            assert_eq!(event.payload.attachments, [&b"\x01\x1e"[..], b""]);
        }
        other => panic!("{other:?}"),
    }
    run.text(r#"461-3[{"_placeholder":true,"num":0}]"#).binary(b"x");
    assert_eq!(run.seen(), ["ack 3"]);
}

#[test]
fn zero_attachments_do_not_leave_the_decoder_waiting() {
    let mut run = Run::connected(Limits::default());
    assert_eq!(
        run.text(r#"450-["a"]"#).text(r#"42["b"]"#).seen(),
        ["event a None", "event b None"]
    );
}

#[test]
fn a_packet_between_attachments_is_a_parse_error() {
    let mut run = Run::connected(Limits::default());
    run.text(r#"451-["e",{"_placeholder":true,"num":0}]"#)
        .text(r#"42["x"]"#);
    assert_eq!(run.violation(), ProtocolError::InterruptedPacket);
}

#[test]
fn a_binary_frame_that_nobody_announced_is_a_parse_error() {
    let mut run = Run::connected(Limits::default());
    run.binary(b"x");
    assert_eq!(run.violation(), ProtocolError::UnexpectedBinary);
}

#[test]
fn attachments_have_limits_in_size_and_time() {
    let limits = Limits {
        max_attachment_bytes: 4,
        ..Limits::default()
    };
    let announce = r#"452-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;

    let mut run = Run::connected(limits.clone());
    run.text(announce).binary(b"12").binary(b"34");
    assert_eq!(run.seen(), ["event e None"]);
    run.text(announce).binary(b"12").binary(b"345");
    assert_eq!(
        run.violation(),
        ProtocolError::AttachmentsTooLarge { size: 5, max: 4 }
    );

    let mut run = Run::connected(limits);
    run.text(announce)
        .binary(b"12")
        .pass(Duration::from_millis(29_999));
    assert!(run.seen().is_empty());
    run.pass(Duration::from_millis(1));
    assert_eq!(
        run.violation(),
        ProtocolError::IncompletePacket {
            received: 1,
            expected: 2,
            after: SECOND * 30
        }
    );
}

#[test]
fn broken_engine_frames_are_parse_errors() {
    for frame in ["", "7", "x", "0", OPEN, "é"] {
        let mut run = Run::connected(Limits::default());
        run.text(frame);
        assert!(
            matches!(run.violation(), ProtocolError::InvalidFrame { .. }),
            "{frame:?}"
        );
    }
    for frame in [
        "",
        "0",
        "0{}",
        r#"0{"sid":""}"#,
        r#"0{"sid":1}"#,
        "3",
        "40",
        r#"42["e"]"#,
        "5",
    ] {
        let mut run = Run::new();
        run.text(frame);
        assert!(
            matches!(run.violation(), ProtocolError::InvalidFrame { .. }),
            "{frame:?}"
        );
    }
}

#[test]
fn nothing_follows_the_end() {
    let mut run = Run::connected(Limits::default());
    run.text("1").outputs();
    run.text("2").text(r#"42["e"]"#).binary(b"x").pass(SECOND * 100);
    run.session.authenticate(SPACE, None);
    assert!(run.seen().is_empty());
}

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

/// The namespaces of a link, two of them connected.
fn three() -> Run {
    let mut run = Run::connected(Limits::default());
    for (id, name) in [(8, "/a"), (9, "/b")] {
        run.session.join(id, name.into(), run.now + SECOND * 20);
    }
    assert_eq!(run.seen(), ["authenticate [8]", "authenticate [9]"]);
    run.session.authenticate(8, None);
    run.session.authenticate(9, Some(&serde_json::json!({"b": 1})));
    assert_eq!(run.seen(), ["send 40/a,", r#"send 40/b,{"b":1}"#]);
    assert_eq!(run.text(r#"40/a,{"sid":"a"}"#).seen(), ["connected [8] a"]);
    run
}

#[test]
fn namespaces_live_and_end_apart() {
    let mut run = three();
    run.text(r#"42/a,["x"]"#).text(r#"42["x"]"#).text(r#"43/a,5[]"#);
    assert_eq!(run.seen(), ["event [8] x None", "event x None", "ack [8] 5"]);
    assert_eq!(run.text(r#"44/b,{"message":"no"}"#).seen(), ["rejected [9] no"]);
    assert_eq!(run.text("41/a,").seen(), ["left [8]"]);
    assert!(run.text(r#"42/a,["x"]"#).text(r#"42/b,["x"]"#).seen().is_empty());
    assert_eq!(run.text(r#"42["x"]"#).seen(), ["event x None"]);
    // It can come again.
    run.session.join(8, "/a".into(), run.now + SECOND);
    run.session.authenticate(8, None);
    assert_eq!(run.seen(), ["authenticate [8]", "send 40/a,"]);
}

#[test]
fn a_namespace_that_times_out_leaves_the_others_alone() {
    let mut run = three();
    for _ in 0..3 {
        run.pass(SECOND * 10).text("2");
    }
    assert_eq!(run.seen(), ["send 3", "timed out [9]", "send 3", "send 3"]);
    assert!(run.session.is_connected(SPACE) && run.session.is_connected(8));
    assert_eq!(run.text(r#"40/b,{"sid":"late"}"#).seen(), ["send 41/b,"]);
}

#[test]
fn leaving_tells_the_server_only_what_it_can_understand() {
    let mut run = three();
    run.session.leave(8);
    assert_eq!(run.seen(), ["send 41/a,"]);
    // DISCONNECT for a namespace that the server has not connected would end the link.
    run.session.leave(9);
    assert!(run.seen().is_empty());
    assert_eq!(run.text(r#"40/b,{"sid":"late"}"#).seen(), ["send 41/b,"]);
}

#[test]
fn events_before_the_connect_ack_wait_in_their_own_namespace() {
    let mut run = three();
    run.text(r#"42/b,["early"]"#).text(r#"42/a,["now"]"#);
    assert_eq!(run.seen(), ["event [8] now None"]);
    run.text(r#"40/b,{"sid":"b","pid":"p"}"#);
    assert_eq!(run.seen(), ["connected [9] b", "event [9] early None"]);
}
