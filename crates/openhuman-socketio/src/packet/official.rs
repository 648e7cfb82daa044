//! The cases of the official `socket.io-parser`, with our packets. `tests/SUITES.md` is their table.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::decode::invalid;
use super::*;
use crate::binary::Binary;
use crate::endpoint::split_namespace;
use crate::error::ProtocolError;
use crate::limits::Limits;
use crate::payload::{Shape, encode_ack, encode_event};

/// A packet as the client reads it when somebody wants it: all its JSON is checked.
fn read(frame: &str) -> Result<Packet, ProtocolError> {
    let packet = decode(&frame.into(), 0, &Limits::default())?;
    match &packet.body {
        Body::Event { payload, .. } | Body::Ack { payload } if !payload.is_json() => {
            Err(invalid("malformed JSON"))
        }
        _ => Ok(packet),
    }
}

/// An event or acknowledgement after both ways: its kind, namespace, id and list, with the attachments in it.
fn both_ways(encoded: &Encoded) -> (Kind, String, Option<u64>, Payload) {
    let packet = decode(&encoded.text, 1, &Limits::default()).unwrap();
    assert_eq!(packet.header.attachments, encoded.attachments.len());
    let namespace = packet.header.namespace(&encoded.text).to_owned();
    let (Body::Event { mut payload, .. } | Body::Ack { mut payload }) = packet.body else {
        panic!("{:?}", packet.body)
    };
    assert!(payload.is_json());
    encoded.attachments.clone_into(&mut payload.attachments);
    (packet.header.kind, namespace, packet.header.id, payload)
}

fn event<T: Serialize>(namespace: &str, id: Option<u64>, args: &T) -> (Kind, String, Option<u64>, Payload) {
    let limits = Limits::default();
    let encoded = encode_event(namespace, id, "a", (args, Shape::Spread), &limits).unwrap();
    both_ways(&encoded)
}

#[test]
fn texts() {
    let _title = "exposes types";
    for (digit, kind) in [
        ("0", Kind::Connect),
        ("1", Kind::Disconnect),
        (r#"2["a"]"#, Kind::Event),
        ("3[]", Kind::Ack),
        ("4{}", Kind::ConnectError),
        (r#"50-["a"]"#, Kind::BinaryEvent),
        ("60-[]", Kind::BinaryAck),
    ] {
        assert_eq!(read(digit).unwrap().header.kind, kind);
    }

    let _title = "encodes connection";
    let connect = encode_connect("/woot", Some(&json!({"token": "123"})));
    assert_eq!(connect, r#"40/woot,{"token":"123"}"#);
    assert!(matches!(read(&connect[1..]).unwrap().body, Body::Connect { .. }));

    let _title = "encodes disconnection";
    let disconnect = encode_disconnect("/woot");
    assert_eq!(disconnect, "41/woot,");
    assert_eq!(read(&disconnect[1..]).unwrap().body, Body::Disconnect);

    let _title = "encodes an event";
    let (kind, namespace, id, payload) = event("/", None, &(1, json!({})));
    assert_eq!(
        (kind, namespace.as_str(), id, payload.text()),
        (Kind::Event, "/", None, r#"["a",1,{}]"#)
    );

    let _title = "encodes an event (with an integer as event name)";
    // A server may use a number as name; this client writes texts only.
    let packet = read(r#"2[1,"a",{}]"#).unwrap();
    assert!(matches!(&packet.body, Body::Event { name, payload } if name.as_str(&payload.frame) == "1"));

    let _title = "encodes an event (with ack)";
    let (kind, namespace, id, payload) = event("/test", Some(1), &(1, json!({})));
    let seen = (kind, namespace.as_str(), id, payload.text());
    assert_eq!(seen, (Kind::Event, "/test", Some(1), r#"["a",1,{}]"#));

    let _title = "encodes an ack";
    let encoded = encode_ack(
        "/",
        123,
        (&("a", 1, json!({})), Shape::Spread),
        &Limits::default(),
    )
    .unwrap();
    let (kind, namespace, id, payload) = both_ways(&encoded);
    let seen = (kind, namespace.as_str(), id, payload.text());
    assert_eq!(seen, (Kind::Ack, "/", Some(123), r#"["a",1,{}]"#));

    for (title, frame) in [
        ("encodes an connect error", r#"4"Unauthorized""#),
        (
            "encodes an connect error (with object)",
            r#"4{"message":"Unauthorized"}"#,
        ),
    ] {
        let Body::ConnectError(rejection) = read(frame).unwrap().body else {
            panic!("{title}")
        };
        assert_eq!(rejection.message, "Unauthorized");
    }
}

#[test]
fn what_cannot_be_written() {
    let limits = Limits::default();
    let _title = "throws an error when encoding circular objects";
    // A value of Rust is never circular; one that refuses to be written is an error as well.
    let unwritable = BTreeMap::from([((1, 2), 3)]);
    assert!(encode_event("/", Some(1), "a", (&unwritable, Shape::One), &limits).is_err());

    let _title = "throws an error when encoding a namespace containing a comma";
    assert!(split_namespace("/a,b", &limits).is_err());
}

#[test]
fn what_cannot_be_read() {
    let _title = "decodes a bad binary packet";
    assert!(read("5").is_err());

    let _title = "throws an error when receiving too many attachments";
    let two = Limits {
        max_attachments: 2,
        ..Limits::default()
    };
    let frame = r#"53-["hello",{"_placeholder":true,"num":0}]"#.into();
    let refused = decode(&frame, 0, &two).unwrap_err();
    assert_eq!(refused, ProtocolError::TooManyAttachments { count: 3, max: 2 });

    let _title = "throw an error upon parsing error";
    for frame in [
        r#"442["some","data""#,
        r#"0/admin,"invalid""#,
        "0[]",
        "1/admin,{}",
        r#"2/admin,"invalid"#,
        "2/admin,{}",
        r#"2[{"toString":"foo"}]"#,
        r#"2[true,"foo"]"#,
        r#"2[null,"bar"]"#,
        r#"2["connect"]"#,
        r#"2["disconnect","123"]"#,
        "5",
        "51",
        "50-",
        "5a-",
        "51.23-",
        "999",
    ] {
        assert!(read(frame).is_err(), "{frame}");
    }

    let _title = "should ensure that a packet is valid";
    for (frame, valid) in [
        ("0", true),
        (r#"0/admin,"invalid""#, false),
        ("0/a,b", false),
        ("0[]", false),
        ("1/admin,{}", false),
        (r#"2/admin,"invalid""#, false),
        ("2/admin,{}", false),
        (r#"2{"toString":"foo"}"#, false),
        (r#"2[true,"foo"]"#, false),
        (r#"2[null,"bar"]"#, false),
        (r#"2["connect"]"#, false),
        (r#"2["disconnect","123"]"#, false),
    ] {
        assert_eq!(read(frame).is_ok(), valid, "{frame}");
    }
}

/// A reviver changes values while they are read; here their type does.
#[test]
fn values_of_types_of_their_own() {
    #[derive(serde::Deserialize)]
    struct Loud {
        #[serde(deserialize_with = "loud")]
        a: String,
    }
    fn loud<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        let text: String = serde::Deserialize::deserialize(from)?;
        Ok(text.to_uppercase())
    }
    for _title in [
        "decodes with a custom reviver",
        "decodes with a custom reviver (options object)",
    ] {
        let Body::Event { payload, .. } = read(r#"2["b",{"a":"val"}]"#).unwrap().body else {
            panic!()
        };
        assert_eq!(payload.args::<(Loud,)>(1).unwrap().0.a, "VAL");
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
struct Deep {
    a: String,
    b: BTreeMap<String, Binary>,
    c: Option<Box<Deep>>,
}

#[test]
fn binary_values() {
    let bytes = |text: &str| Binary::from(text.as_bytes());
    for title in [
        "encodes a Buffer",
        "encodes an ArrayBuffer",
        "encodes a TypedArray",
    ] {
        let (kind, namespace, id, payload) = event("/cool", Some(23), &(bytes("abc"),));
        assert_eq!(
            (kind, namespace.as_str(), id),
            (Kind::BinaryEvent, "/cool", Some(23)),
            "{title}"
        );
        assert_eq!(payload.args::<(Binary,)>(1).unwrap().0, bytes("abc"), "{title}");
    }

    let _title = "encodes a nested Buffer";
    let nested = BTreeMap::from([("b", ("c", bytes("abc")))]);
    let (_, _, _, payload) = event("/cool", Some(23), &(nested,));
    let back: (BTreeMap<String, (String, Binary)>,) = payload.args(1).unwrap();
    assert_eq!(back.0["b"], ("c".to_owned(), bytes("abc")));

    let _title = "encodes a binary ack with Buffer";
    let args = ("a", bytes("xxx"), json!({}));
    let encoded = encode_ack("/back", 127, (&args, Shape::Spread), &Limits::default()).unwrap();
    let (kind, namespace, id, payload) = both_ways(&encoded);
    assert_eq!(
        (kind, namespace.as_str(), id),
        (Kind::BinaryAck, "/back", Some(127))
    );
    assert_eq!(payload.args::<(String, Binary)>(0).unwrap().1, bytes("xxx"));

    for title in [
        "encodes a Buffer nested in an object with a toJSON() method",
        "encodes an ArrayBuffer into an object with a null prototype",
        "encodes ArrayBuffers deep in JSON",
        "encodes deep binary JSON with null values",
    ] {
        let inner = Deep {
            a: "bye".into(),
            b: BTreeMap::from([("a".to_owned(), bytes("123456"))]),
            c: None,
        };
        let deep = Deep {
            a: "hi".into(),
            b: BTreeMap::from([("why".to_owned(), bytes("123"))]),
            c: Some(Box::new(inner)),
        };
        let (_, namespace, id, payload) = event("/deep", Some(999), &(&deep,));
        assert_eq!((namespace.as_str(), id), ("/deep", Some(999)), "{title}");
        assert_eq!(payload.args::<(Deep,)>(1).unwrap().0, deep, "{title}");

        let _title = "should not modify the input packet";
        assert_eq!(deep.b["why"], bytes("123"));
    }

    for (title, number) in [
        (
            "throws an error when adding an attachment with an invalid 'num' attribute (string)",
            "\"splice\"",
        ),
        (
            "throws an error when adding an attachment with an invalid 'num' attribute (out-of-bound)",
            "1",
        ),
    ] {
        let frame = format!(r#"51-["hello",{{"_placeholder":true,"num":{number}}}]"#);
        let Body::Event { mut payload, .. } = read(&frame).unwrap().body else {
            panic!("{title}")
        };
        payload.attachments = vec![Bytes::from_static(b"world")];
        // Read late, so that the error is the reader's.
        assert!(payload.args::<(Binary,)>(1).is_err(), "{title}");
    }
}
