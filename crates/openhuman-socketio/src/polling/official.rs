//! The cases of the official `engine.io-parser`, with our frames. `tests/SUITES.md` is their table.

use super::tests::{body, decode, polling, text};
use super::*;

fn read(body: &'static str) -> Result<Vec<Frame>, &'static str> {
    decode(body.as_bytes())
}

fn written(frames: &[Frame]) -> String {
    let mut polling = polling(1_000);
    for frame in frames {
        polling.start_send(frame.clone());
    }
    body(&mut polling)
}

fn bytes(bytes: &'static [u8]) -> Frame {
    Frame::Binary(Bytes::from_static(bytes))
}

#[test]
fn packets_and_payloads() {
    let _title = "single packet: should encode/decode a string";
    assert_eq!(written(&[text("4test")]), "4test");
    assert_eq!(read("4test").unwrap(), [text("4test")]);

    for _title in [
        "single packet: should encode/decode a Buffer as base64",
        "single packet: should encode/decode an ArrayBuffer as base64",
        "single packet: should encode a typed array",
        "single packet: should encode a typed array (with offset and length)",
    ] {
        let whole = Bytes::from_static(&[9, 1, 2, 3, 4, 9]);
        let part = Frame::Binary(whole.slice(1..5));
        assert_eq!(written(std::slice::from_ref(&part)), "bAQIDBA==");
        assert_eq!(read("bAQIDBA==").unwrap(), [part]);
    }

    let _title = "payload: should encode/decode all packet types";
    let all = [
        text("0"),
        text("1"),
        text("2probe"),
        text("3probe"),
        text("4test"),
    ];
    let body = "0\x1e1\x1e2probe\x1e3probe\x1e4test";
    assert_eq!(written(&all), body);
    assert_eq!(read(body).unwrap(), all);

    let _title = "payload: should encode/decode a string + Buffer payload";
    let both = [text("4test"), bytes(&[1, 2, 3, 4])];
    assert_eq!(written(&both), "4test\x1ebAQIDBA==");
    assert_eq!(read("4test\x1ebAQIDBA==").unwrap(), both);

    let _title = "payload: should encode/decode a string + a 0-length ArrayBuffer payload";
    assert_eq!(written(&[text("4test"), bytes(&[])]), "4test\x1eb");
    assert_eq!(read("4test\x1eb").unwrap(), [text("4test"), bytes(&[])]);
}

/// Splitting says nothing about the packets: the session does, and ends.
#[test]
fn malformed_packets() {
    use crate::limits::Limits;
    use crate::packet::Parser;
    use crate::session::{Output, Session, SessionConfig};

    for (title, body) in [
        ("single packet: should fail to decode a malformed packet", ""),
        ("single packet: should fail to decode a malformed packet", "a123"),
        ("payload: should fail to decode a malformed payload", "{"),
        ("payload: should fail to decode a malformed payload", "{}"),
        (
            "payload: should fail to decode a malformed payload",
            r#"["a123", "a456"]"#,
        ),
    ] {
        let now = Instant::now().into_std();
        let config = SessionConfig {
            limits: Limits::default(),
            heartbeat_slack: Duration::ZERO,
            parser: Parser::Json,
        };
        let mut session = Session::new(config, now);
        session.handle_text(now, &Utf8Bytes::from_static(r#"0{"sid":"e"}"#));
        assert!(matches!(session.poll_output(), Some(Output::Opened(_))));
        for frame in read(body).unwrap() {
            let Frame::Text(frame) = frame else {
                panic!("{title}")
            };
            session.handle_text(now, &frame);
        }
        assert!(
            matches!(session.poll_output(), Some(Output::Closed(_))),
            "{title}: {body:?}"
        );
    }
}
