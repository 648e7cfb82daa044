use super::*;
use crate::state::DisconnectReason::{ParseError, PingTimeout, TransportClose};

mod attachments;
mod mutations;
mod namespaces;

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
