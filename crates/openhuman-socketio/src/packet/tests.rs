use proptest::prelude::*;

use super::decode::{MAX_ID, invalid};
use super::*;
use crate::binary::Binary;
use crate::error::ProtocolError;
use crate::limits::Limits;
use crate::payload::{Shape, encode_ack, encode_event};

/// What became of a packet, in a form that fits a table row.
#[derive(Debug, PartialEq)]
enum Seen {
    Connect(Option<&'static str>),
    Disconnect,
    Refused(&'static str),
    Event(&'static str),
    Ack,
    Error,
}
use Seen::{Ack, Connect, Disconnect, Error, Event, Refused};

/// As the client treats a packet that somebody subscribed to: header first, then the JSON.
fn read(text: &str, limits: &Limits) -> Result<Packet, ProtocolError> {
    let packet = decode(&text.into(), 0, limits)?;
    match &packet.body {
        Body::Event { payload, .. } | Body::Ack { payload } if !payload.is_json() => {
            Err(invalid("malformed JSON"))
        }
        _ => Ok(packet),
    }
}

fn check(text: &str, expected: &Seen) {
    let seen = read(text, &Limits::default());
    let matches = match (&seen, expected) {
        (Err(_), Error) => true,
        (Ok(packet), expected) => match (&packet.body, expected) {
            (Body::Connect { sid, .. }, Connect(expected)) => sid.as_deref() == *expected,
            (Body::Disconnect, Disconnect) | (Body::Ack { .. }, Ack) => true,
            (Body::ConnectError(rejection), Refused(message)) => rejection.message == *message,
            (Body::Event { name, .. }, Event(expected)) => name.as_str(text) == *expected,
            _ => false,
        },
        _ => false,
    };
    assert!(matches, "{text:?} gave {seen:?}, expected {expected:?}");
}

fn header(text: &str) -> Header {
    read(text, &Limits::default()).unwrap().header
}

#[test]
fn javascript_quirks_are_decided_row_by_row() {
    for (text, expected) in [
        // Accepted by the JavaScript decoder by accident; refused here.
        ("", Error),
        (r#"2 ["a"]"#, Error),
        (r#"51e1-["a"]"#, Error),
        (r#"50x1-["a"]"#, Error),
        ("2", Error),
        ("3", Error),
        (r#"29007199254740992["a"]"#, Error),
        (r#"212345678901234567890["a"]"#, Error),
        // Refused by both.
        (r#"5-["a"]"#, Error),
        (r#"511-["a"]"#, Error),
        (r#"2["connect"]"#, Error),
        (r#"2["disconnecting",1]"#, Error),
        ("0[]", Error),
        ("1{}", Error),
        ("2{}", Error),
        ("2[]", Error),
        ("3/x,5{}", Error),
        (r#"2["a"]x"#, Error),
        (r#"2["a"]["b"]"#, Error),
        // Accepted by both.
        (r#"50-["a"]"#, Event("a")),
        ("0", Connect(None)),
        ("4", Refused("")),
        ("1/admin", Disconnect),
        ("1/admin,", Disconnect),
        ("2[1]", Event("1")),
        (r#"29007199254740991["a"]"#, Event("a")),
        (r#"2/a?x=1,["e"]"#, Event("e")),
    ] {
        check(text, &expected);
    }
    assert_eq!(header(r#"2/a?x=1,["e"]"#).namespace(r#"2/a?x=1,["e"]"#), "/a?x=1");
    assert_eq!(header("1/admin").namespace("1/admin"), "/admin");
}

#[test]
fn further_seeds_of_the_differential_fuzzer() {
    for (text, expected) in [
        (r#"4"x""#, Refused("x")),
        ("4{}", Refused("")),
        ("4[]", Error),
        ("4 {}", Error),
        (r#"4{"message":"no","data":{"code":1}}"#, Refused("no")),
        ("3[]", Ack),
        ("312[]", Ack),
        (r#"2-1["a"]"#, Error),
        ("8", Error),
        (r#"2"a""#, Error),
        ("2é", Error),
        (r#"2/,["a"]"#, Event("a")),
        (r#"2["a",]"#, Error),
        (r#"2["a" , 1 ] "#, Event("a")),
        (r#"2[ "a"]"#, Event("a")),
        (r#"2["a"#, Error),
        (r#"2["a\"]"#, Error),
        (r#"2["a\"b"]"#, Event("a\"b")),
        (r#"2["\u0061"]"#, Event("a")),
        (r#"2["\u0063onnect"]"#, Error),
        (r#"2["\ud800"]"#, Error),
        ("2[-1.5e3]", Event("-1.5e3")),
        ("2[1x]", Error),
        ("2[null]", Error),
        ("2[[1]]", Error),
        (r#"0{"sid":"abc"}"#, Connect(Some("abc"))),
        (r#"0{"sid":1}"#, Error),
        (r#"0{"sid":"abc"}x"#, Error),
        ("2[", Error),
        ("2]", Error),
        ("5", Error),
        ("5/", Error),
        ("2/", Error),
        ("2/,", Error),
    ] {
        check(text, &expected);
    }
}

#[test]
fn a_refusal_of_a_megabyte_is_shown_short() {
    let long = "é".repeat(500_000);
    for text in [format!(r#"4"{long}""#), format!(r#"4{{"message":"{long}"}}"#)] {
        let Body::ConnectError(rejection) = read(&text, &Limits::default()).unwrap().body else {
            panic!("another packet")
        };
        assert!(rejection.message.len() < 1100 && rejection.message.ends_with("é ..."));
    }
}

#[test]
fn headers_are_read_without_the_body() {
    let text = r#"51-/admin,456["project:delete",{"_placeholder":true,"num":0}]"#;
    let header = header(text);
    assert_eq!(header.kind, Kind::BinaryEvent);
    assert_eq!(header.attachments, 1);
    assert_eq!(header.namespace(text), "/admin");
    assert_eq!(header.id, Some(456));
    assert!(text[header.body..].starts_with("[\"project"));
}

#[test]
fn limits_hold_at_their_edge() {
    let limits = Limits {
        max_attachments: 3,
        max_namespace_bytes: 4,
        max_event_name_bytes: 4,
        ..Limits::default()
    };
    for (text, error) in [
        (r#"52-["a"]"#, None),
        (r#"53-["a"]"#, None),
        (
            r#"54-["a"]"#,
            Some(ProtocolError::TooManyAttachments { count: 4, max: 3 }),
        ),
        (
            r#"599999999999999999999999-["a"]"#,
            Some(ProtocolError::TooManyAttachments {
                count: usize::MAX,
                max: 3,
            }),
        ),
        (r#"2/ab,["a"]"#, None),
        (r#"2/abc,["a"]"#, None),
        (
            r#"2/abcd,["a"]"#,
            Some(ProtocolError::NamespaceTooLong { size: 5, max: 4 }),
        ),
        (r#"2["abc"]"#, None),
        (r#"2["abcd"]"#, None),
        (
            r#"2["abcde"]"#,
            Some(ProtocolError::EventNameTooLong { size: 5, max: 4 }),
        ),
        (
            r#"2["\u0061bcde"]"#,
            Some(ProtocolError::EventNameTooLong { size: 5, max: 4 }),
        ),
    ] {
        assert_eq!(read(text, &limits).err(), error, "{text}");
    }
}

#[test]
fn control_packets_are_written_as_the_protocol_says() {
    let token = serde_json::json!({"token": "t"});
    assert_eq!(encode_connect("/", Some(&token)).as_str(), r#"40{"token":"t"}"#);
    assert_eq!(encode_connect("/", None).as_str(), "40");
    assert_eq!(
        encode_connect("/admin", Some(&token)).as_str(),
        r#"40/admin,{"token":"t"}"#
    );
    assert_eq!(encode_disconnect("/").as_str(), "41");
    assert_eq!(encode_disconnect("/admin").as_str(), "41/admin,");
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map("[a-z]{1,8}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_can_be_read(
        name in "\\PC{1,40}",
        namespace in "/[a-z0-9]{0,20}",
        id in proptest::option::of(0..=MAX_ID),
        args in proptest::collection::vec(json(), 0..4),
        blobs in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..5),
    ) {
        prop_assume!(!is_reserved(&name));
        let limits = Limits::default();
        let blobs: Vec<Binary> = blobs.into_iter().map(Binary::from).collect();
        let data = (&args, &blobs);
        let encoded = encode_event(&namespace, id, &name, (&data, Shape::Spread), &limits).unwrap();
        let packet = decode(&encoded.text, 1, &limits).unwrap();
        prop_assert_eq!(packet.header.namespace(&encoded.text), &namespace);
        prop_assert_eq!(packet.header.id, id);
        prop_assert_eq!(packet.header.attachments, blobs.len());
        let Body::Event { name: read, mut payload } = packet.body else { panic!("not an event") };
        prop_assert!(payload.is_json());
        payload.attachments = encoded.attachments;
        prop_assert_eq!(read.as_str(&encoded.text), &name);
        let (read_args, read_blobs): (Vec<Value>, Vec<Binary>) = payload.args(1).unwrap();
        prop_assert_eq!(read_args, args);
        prop_assert_eq!(read_blobs, blobs);
    }

    #[test]
    fn replies_can_be_read(id in 0..=MAX_ID, value in json(), blob in any::<Option<u8>>()) {
        let limits = Limits::default();
        let data = (&value, blob.map(|byte| Binary::from(vec![byte])));
        let encoded = encode_ack("/x", id, (&data, Shape::Spread), &limits).unwrap();
        let packet = decode(&encoded.text, 1, &limits).unwrap();
        prop_assert_eq!(packet.header.id, Some(id));
        let Body::Ack { mut payload } = packet.body else { panic!("not an acknowledgement") };
        payload.attachments = encoded.attachments;
        let read: (Value, Option<Binary>) = payload.args(0).unwrap();
        prop_assert_eq!(read, data_owned(data));
    }

    #[test]
    fn no_text_makes_the_decoder_panic(text in "\\PC{0,60}") {
        let _ = read(&text, &Limits::default());
    }
}

fn data_owned((value, blob): (&Value, Option<Binary>)) -> (Value, Option<Binary>) {
    (value.clone(), blob)
}

/// Built as a tree, this data would be ten times as large as the frame.
#[test]
fn the_data_of_a_huge_refusal_is_dropped_and_its_message_kept() {
    let data = "[],".repeat(40_000);
    let text = format!(r#"4{{"message":"no","data":[{data}0]}}"#);
    let Body::ConnectError(rejection) = read(&text, &Limits::default()).unwrap().body else {
        panic!()
    };
    assert_eq!((rejection.message.as_str(), rejection.data), ("no", None));
    assert!(read(&text[..text.len() - 1], &Limits::default()).is_err());
}
