//! Packets whose binary values follow them.

use super::*;

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

/// The cases of the official `socket.io-parser` about frames that follow each other.
#[test]
fn the_official_cases() {
    let _title = "throws an error when adding an attachment without header";
    let mut run = Run::connected(Limits::default());
    assert_eq!(run.binary(b"world").violation(), ProtocolError::UnexpectedBinary);

    let _title = "throws an error when decoding a binary event without attachments";
    let mut run = Run::connected(Limits::default());
    run.text(r#"451-["hello",{"_placeholder":true,"num":0}]"#);
    assert_eq!(
        run.text(r#"42["hello"]"#).violation(),
        ProtocolError::InterruptedPacket
    );

    let _title = "should resume decoding after calling destroy()";
    // What was begun ends with its link; the next link knows nothing of it.
    let mut next = Run::connected(Limits::default());
    assert_eq!(next.text(r#"42["hello"]"#).seen(), ["event hello None"]);
}
