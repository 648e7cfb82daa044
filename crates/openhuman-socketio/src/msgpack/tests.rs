use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::binary::Binary;
use crate::limits::Limits;
use crate::packet::{self, Body, Encoded};
use crate::payload::{Shape, encode_event};

fn event(namespace: &str, id: Option<u64>, args: &impl serde::Serialize) -> Encoded {
    encode_event(namespace, id, "e", (args, Shape::Spread), &Limits::default()).unwrap()
}

#[test]
fn packets_are_the_same_after_both_ways() {
    let limits = Limits::default();
    let text = "x".repeat(70_000);
    let list: Vec<u32> = (0..70_000).collect();
    let numbers = json!([0, 127, 128, 255, 256, 65_535, 65_536, u32::MAX, u64::MAX, -1, -32, -33, -128, -129, -32_769,
        i64::MIN, 1.5, -0.0, true, false, null, "", "ä\u{1e}\u{1F600}", {"a": {"b": []}}]);
    for (namespace, id) in [("/", None), ("/admin", Some(7)), ("/", Some((1 << 53) - 1))] {
        for args in [
            numbers.clone(),
            json!([text]),
            json!([list]),
            json!([{"_placeholder": true, "num": 5}]),
        ] {
            let sent = event(namespace, id, &args);
            let (frame, attachments) = decode(&encode(&sent), &limits).unwrap();
            assert!(attachments.is_empty());
            let (is, was) = (
                packet::decode(&frame, 1, &limits).unwrap(),
                packet::decode(&sent.text, 1, &limits).unwrap(),
            );
            assert_eq!(is.header.id, was.header.id);
            assert_eq!(is.header.namespace(&frame), namespace);
            let Body::Event { payload, .. } = is.body else {
                panic!("no event")
            };
            assert_eq!(payload.args::<Value>(1).unwrap(), args);
        }
    }
    let sent = event(
        "/x",
        Some(1),
        &(
            Binary::from(vec![1, 0x1e]),
            json!({"k": 1}),
            vec![Binary::default()],
        ),
    );
    let (frame, attachments) = decode(&encode(&sent), &limits).unwrap();
    assert_eq!(frame, sent.text);
    assert_eq!(attachments, [Bytes::from_static(&[1, 0x1e]), Bytes::new()]);
    for control in ["40", r#"40/a,{"token":"t"}"#, "41/a,", "41"] {
        let sent = Encoded {
            text: control.into(),
            attachments: Vec::new(),
        };
        assert_eq!(decode(&encode(&sent), &limits).unwrap().0, control);
    }
}

#[test]
fn what_the_javascript_library_writes_is_read() {
    let limits = Limits::default();
    let decoded = |tail: &[u8]| {
        let mut frame = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data".to_vec();
        frame.extend_from_slice(tail);
        decode(&frame, &limits).map(|(frame, _)| frame.to_string())
    };
    // undefined, a date, a float of 32 bits, what JSON does not have, and keys that are no text.
    assert_eq!(decoded(b"\x92\xa1e\xd4\x00\x00").unwrap(), r#"42["e",null]"#);
    assert_eq!(
        decoded(b"\x92\xa1e\xd7\xff\x00\x00\x00\x00\x00\x00\x00\x02").unwrap(),
        r#"42["e",2000]"#
    );
    assert_eq!(
        decoded(b"\x92\xa1e\xca\x3f\xc0\x00\x00").unwrap(),
        r#"42["e",1.5]"#
    );
    assert_eq!(
        decoded(b"\x92\xa1e\xca\x7f\xc0\x00\x00").unwrap(),
        r#"42["e",null]"#
    );
    assert_eq!(decoded(b"\x92\xa1e\x81\x01\x02").unwrap(), r#"42["e",{"1":2}]"#);
    for bad in [
        &b"\x92\xa1e"[..],
        b"\x92\xa1e\xc1",
        b"\x92\xa1e\x01\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\x92\xa1e\xc6\xff\xff\xff\xff",
        b"\x92\xa1e\xa2\xff\xff",
        b"\x92\xa1e\xd4\x63\x00",
        b"\x92\xa1e\x81\x90\x02",
    ] {
        assert!(decoded(bad).is_err(), "{bad:?}");
    }
    let deep = [b"\x92\xa1e".to_vec(), vec![0x91; 100_000], vec![0x01]].concat();
    assert!(decoded(&deep).is_err());
    for bad in [
        &b""[..],
        b"\x90",
        b"\x81\xa4type\x02",
        b"\x82\xa4type\x09\xa3nsp\xa1/",
        b"\x82\xa4type\x02\xa3nsp\xa1x",
    ] {
        assert!(decode(bad, &limits).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn no_frame_breaks_the_decoder(mut frame in proptest::collection::vec(any::<u8>(), 0..64), map: bool) {
        if map {
            frame.splice(0..0, b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e".iter().copied());
        }
        let limits = Limits::default();
        if let Ok((frame, attachments)) = decode(&frame, &limits)
            && let Ok(packet) = packet::decode(&frame, 1, &limits)
        {
            prop_assert_eq!(packet.header.attachments, attachments.len());
            if let Body::Event { payload, .. } | Body::Ack { payload } = packet.body {
                prop_assert!(payload.is_json(), "{}", payload.text());
            }
        }
    }
}
