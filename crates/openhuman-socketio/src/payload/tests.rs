use serde_json::json;
use serde_json::value::RawValue;

use super::*;
use crate::binary::Binary;

fn payload(text: &str, attachments: &[&'static [u8]]) -> Payload {
    let mut payload = Payload::new(text.into(), 0);
    payload.attachments = attachments
        .iter()
        .map(|bytes| Bytes::from_static(bytes))
        .collect();
    payload
}

fn event<T: Serialize + ?Sized>(data: &T, shape: Shape) -> Result<String, EmitError> {
    encode_event("/", None, "e", (data, shape), &Limits::default()).map(|encoded| encoded.text.to_string())
}

#[test]
fn arguments_are_tuples_with_missing_ones_null_and_surplus_ones_ignored() {
    let text = payload(r#"["name","a",2,{"k":[true]}]"#, &[]);
    let (a, two, object): (&str, u8, Value) = text.args(1).unwrap();
    assert_eq!((a, two, object), ("a", 2, json!({"k": [true]})));
    assert_eq!(text.args::<(String,)>(1).unwrap().0, "a");
    let (_, _, _, missing): (Value, Value, Value, Option<u8>) = text.args(1).unwrap();
    assert_eq!(missing, None);
    assert!(text.args::<(Value, Value, Value, u8)>(1).is_err());
    assert!(text.args::<(u8,)>(1).is_err());
    assert_eq!(text.args::<Vec<Value>>(1).unwrap().len(), 3);
    assert_eq!(
        text.args::<Vec<&RawValue>>(1).unwrap()[2].get(),
        r#"{"k":[true]}"#
    );
    text.args::<()>(1).unwrap();
    assert_eq!(text.args::<Value>(1).unwrap(), json!(["a", 2, {"k": [true]}]));
}

#[test]
fn the_first_argument_is_null_when_there_is_none() {
    assert_eq!(payload(r#"["name"]"#, &[]).first(1), Value::Null);
    assert_eq!(payload(r#"["name",7,8]"#, &[]).first(1), json!(7));
    assert_eq!(payload("[]", &[]).first(0), Value::Null);
}

#[test]
fn deep_nesting_is_an_error_not_a_crash() {
    let deep = format!("[\"n\",{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    let payload = payload(&deep, &[]);
    assert!(payload.is_json());
    assert!(payload.args::<(Value,)>(1).is_err());
    assert_eq!(payload.first(1), Value::Null);
}

#[test]
fn attachments_appear_where_their_placeholders_are() {
    #[derive(Deserialize)]
    struct File {
        name: String,
        parts: Vec<Binary>,
    }
    let payload = payload(
        r#"["n",{"name":"f","parts":[{"_placeholder":true,"num":1},{"num":0,"_placeholder":true}]},{"_placeholder":true,"num":1}]"#,
        &[b"zero", b"one"],
    );
    // The same attachment may be used twice, as in JavaScript.
    let (file, again): (File, Binary) = payload.args(1).unwrap();
    assert_eq!(file.name, "f");
    assert_eq!(
        file.parts,
        [Binary::from(&b"one"[..]), Binary::from(&b"zero"[..])]
    );
    assert_eq!(&again[..], b"one");
    // Nothing was copied.
    assert_eq!(again.as_ptr(), payload.attachments[1].as_ptr());
}

#[test]
fn a_placeholder_without_its_attachment_is_an_error() {
    for text in [
        r#"["n",{"_placeholder":true,"num":1}]"#,
        r#"["n",{"_placeholder":true,"num":-1}]"#,
        r#"["n",{"_placeholder":true}]"#,
        r#"["n",{"_placeholder":false,"num":0}]"#,
        r#"["n",{}]"#,
        r#"["n","text"]"#,
    ] {
        assert!(payload(text, &[b"zero"]).args::<(Binary,)>(1).is_err(), "{text}");
    }
    assert!(
        payload(r#"["n",{"_placeholder":true,"num":0}]"#, &[])
            .args::<(Binary,)>(1)
            .is_err()
    );
}

#[test]
fn placeholders_are_found_behind_untagged_and_flattened_types() {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u8),
        Blob(Binary),
    }
    #[derive(Deserialize)]
    struct Outer {
        #[serde(flatten)]
        inner: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        blob: Binary,
    }
    let payload = payload(
        r#"["n",3,{"_placeholder":true,"num":0},{"blob":{"_placeholder":true,"num":0}}]"#,
        &[b"zero"],
    );
    let (number, blob, outer): (Either, Either, Outer) = payload.args(1).unwrap();
    assert!(matches!(number, Either::Number(3)));
    assert!(matches!(blob, Either::Blob(blob) if &blob[..] == b"zero"));
    assert_eq!(&outer.inner.blob[..], b"zero");
}

#[test]
fn a_binary_value_outside_a_payload_is_a_list_of_numbers() {
    assert_eq!(
        serde_json::to_value(Binary::from(vec![1, 2])).unwrap(),
        json!([1, 2])
    );
}

#[test]
fn events_are_written_as_the_protocol_says() {
    assert_eq!(event(&json!({"a": 1}), Shape::One).unwrap(), r#"42["e",{"a":1}]"#);
    assert_eq!(event(&[1, 2], Shape::One).unwrap(), r#"42["e",[1,2]]"#);
    assert_eq!(event(&(), Shape::One).unwrap(), r#"42["e",null]"#);
    assert_eq!(event(&[1, 2], Shape::Spread).unwrap(), r#"42["e",1,2]"#);
    assert_eq!(event(&("x", [0]), Shape::Spread).unwrap(), r#"42["e","x",[0]]"#);
    assert_eq!(event(&(), Shape::Spread).unwrap(), r#"42["e"]"#);
    assert_eq!(event(&[0u8; 0], Shape::Spread).unwrap(), r#"42["e"]"#);
    assert!(matches!(
        event("text", Shape::Spread),
        Err(EmitError::ArgsNotList)
    ));
    assert!(matches!(
        event(&json!({}), Shape::Spread),
        Err(EmitError::ArgsNotList)
    ));
    let limits = Limits::default();
    let with_id = encode_event("/a", Some(7), "e", (&1, Shape::One), &limits).unwrap();
    assert_eq!(with_id.text.as_str(), r#"42/a,7["e",1]"#);
    let quoted = encode_event("/", None, "q\"\n", (&1, Shape::One), &limits).unwrap();
    assert_eq!(quoted.text.as_str(), r#"42["q\"\n",1]"#);
}

#[test]
fn replies_are_written_as_the_protocol_says() {
    let reply = |data: &Value, shape| {
        encode_ack("/", 3, (data, shape), &Limits::default())
            .unwrap()
            .text
            .to_string()
    };
    assert_eq!(reply(&json!("ok"), Shape::One), r#"433["ok"]"#);
    assert_eq!(reply(&json!([1, 2]), Shape::One), "433[[1,2]]");
    assert_eq!(reply(&json!([1, 2]), Shape::Spread), "433[1,2]");
    assert_eq!(reply(&json!([]), Shape::Spread), "433[]");
}

#[test]
fn binary_events_keep_their_type_with_an_acknowledgement() {
    let limits = Limits::default();
    let data = json_with_blobs();
    let encoded = encode_event("/a", Some(9), "bin", (&data, Shape::Spread), &limits).unwrap();
    assert_eq!(
        encoded.text.as_str(),
        r#"452-/a,9["bin",{"a":{"_placeholder":true,"num":0},"b":7,"c":{"_placeholder":true,"num":1}},"tail"]"#
    );
    assert_eq!(encoded.attachments, [&b"\x01\x02"[..], b"\x1e\x04"]);
    let reply = encode_ack("/", 9, (&Binary::from(vec![5]), Shape::One), &limits).unwrap();
    assert_eq!(reply.text.as_str(), r#"461-9[{"_placeholder":true,"num":0}]"#);
}

#[derive(Serialize)]
struct Blobs {
    a: Binary,
    b: u8,
    c: Binary,
}

fn json_with_blobs() -> (Blobs, &'static str) {
    (
        Blobs {
            a: Binary::from(vec![1, 2]),
            b: 7,
            c: Binary::from(vec![0x1e, 4]),
        },
        "tail",
    )
}

#[test]
fn what_cannot_be_sent_is_refused_with_a_reason() {
    let limits = Limits {
        max_send_attachments: 2,
        max_event_name_bytes: 3,
        max_buffered_bytes: 40,
        ..Limits::default()
    };
    let send = |name: &str, data: &dyn Fn() -> Vec<Binary>| {
        encode_event("/", None, name, (&data(), Shape::One), &limits)
    };
    let blobs = |n: usize| move || vec![Binary::default(); n];
    assert!(matches!(
        send("connect", &blobs(0)),
        Err(EmitError::ReservedEvent { .. })
    ));
    assert!(send("abc", &blobs(0)).is_ok());
    assert!(matches!(
        send("abcd", &blobs(0)),
        Err(EmitError::EventNameTooLong { size: 4, max: 3 })
    ));
    assert!(matches!(
        send("e", &blobs(3)),
        Err(EmitError::TooManyAttachments { count: 3, max: 2 })
    ));
    assert!(matches!(
        send("e", &blobs(2)),
        Err(EmitError::TooLarge { max: 40, .. })
    ));
    let unwritable = std::collections::BTreeMap::from([(vec![1], 2)]);
    assert!(matches!(
        event(&unwritable, Shape::One),
        Err(EmitError::Serialize(_))
    ));
}

#[test]
fn the_last_string_is_found_from_the_end() {
    for (list, last) in [
        (r#"["e","offset"]"#, Some("offset")),
        (r#"["e",{"a":"x"},"o\"f\\"]"#, Some("o\"f\\")),
        (r#"["e","\\\\"]"#, Some("\\\\")),
        (r#"["e","\"" , "" ] "#, Some("")),
        (r#"["e","\u00e9"]"#, Some("\u{e9}")),
        (r#"["name"]"#, None),
        (r#"["e",1]"#, None),
        (r#"["e",["x"]]"#, None),
        (r#"["e","broken\"]"#, None),
        ("[]", None),
        (r#"""#, None),
    ] {
        assert_eq!(payload(list, &[]).last_string().as_deref(), last, "{list}");
    }
}
