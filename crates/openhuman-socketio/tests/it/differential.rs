//! The decoder beside the official one of the JavaScript parser: the same frames, the same packets, but for a
//! short list of differences that are meant.

use std::process::Stdio;

use openhuman_socketio::fuzzing::{Frame, decode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::node::{SKIP, folder, installed};
use crate::scripted::soon;

/// How many sequences are compared; set this for another number.
const COUNT: &str = "OPENHUMAN_SOCKETIO_DIFFERENTIAL";
const DEFAULT_COUNT: usize = 20_000;
/// Sequences on their way at one time.
const BATCH: usize = 500;

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

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

const SEEDS: &[&str] = &[
    r#"0{"sid":"s"}"#,
    "0",
    r#"0/admin,{"token":"t"}"#,
    "1",
    "1/admin",
    "1/admin,",
    r#"2["e",{"a":[1,2.5,"x"]},null]"#,
    r#"2/admin,12["name\u0041\"",true]"#,
    r#"2/a?x=1,["e"]"#,
    r#"3/x,12["ok",{"b":1e3}]"#,
    "312[]",
    r#"4{"message":"m","data":{"c":1}}"#,
    r#"4"text""#,
    r#"52-/admin,7["e",{"_placeholder":true,"num":0},{"a":{"_placeholder":true,"num":1}}]"#,
    r#"61-3[{"_placeholder":true,"num":0}]"#,
    r#"50-["a"]"#,
    r#"51-["a"]"#,
    r#"511-["a"]"#,
    r#"2["connect"]"#,
    r#"2["newListener",1]"#,
    "2[1]",
    r#"212345678901234567890["a"]"#,
    r#"2/,["a"]"#,
    r#"2 ["a"]"#,
    "2",
    "3",
    "",
    "8",
];

fn text(random: &mut Random) -> String {
    const INTERESTING: &[&str] = &[
        "0",
        "1",
        "9",
        "-",
        ",",
        "/",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "\\",
        " ",
        "\u{1e}",
        "\u{e9}",
        "e",
        "null",
        "\"_placeholder\":true",
        "\"num\":1",
        ":",
    ];
    let mut text: Vec<char> = random.one(SEEDS).chars().collect();
    for _ in 0..random.below(4) {
        let at = random.below(text.len() + 1);
        match random.below(4) {
            0 if at < text.len() => drop(text.remove(at)),
            1 => text.truncate(at),
            2 if at < text.len() => {
                let other = random.below(text.len());
                text.swap(at, other);
            }
            _ => drop(text.splice(at..at, random.one(INTERESTING).chars())),
        }
    }
    text.into_iter().collect()
}

fn sequence(random: &mut Random) -> Vec<Frame> {
    let mut frames = Vec::new();
    for _ in 0..=random.below(2) {
        let text = text(random);
        let announced = text
            .as_bytes()
            .get(1)
            .filter(|_| text.starts_with(['5', '6']))
            .copied();
        frames.push(Frame::Text(text));
        let announced = usize::from(announced.filter(u8::is_ascii_digit).unwrap_or(b'0') - b'0');
        let count = if random.below(8) == 0 {
            random.below(3)
        } else {
            announced
        };
        frames.extend((0..count).map(|n| Frame::Binary(vec![u8::try_from(n).unwrap_or(0), 0x1e])));
    }
    frames
}

/// True when our decoder is stricter on purpose: see "Differences from the JavaScript parser" in the README.
fn refused_on_purpose(frames: &[Frame]) -> bool {
    frames.iter().any(|frame| {
        let Frame::Text(text) = frame else { return false };
        let Some(kind) = text.chars().next() else {
            return true;
        };
        if kind.is_whitespace() {
            // Read as the number 0.
            return true;
        }
        let mut rest = &text[kind.len_utf8()..];
        if matches!(kind, '5' | '6') {
            let Some((count, behind)) = rest.split_once('-') else {
                return false;
            };
            // JavaScript takes whatever `Number()` takes: "1e1", "0x1", " 1", "".
            if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
                return true;
            }
            rest = behind;
        }
        if rest.starts_with('/') {
            rest = rest.split_once(',').map_or("", |(_, behind)| behind);
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (id, body) = rest.split_at(digits);
        // An event or acknowledgement without a payload, a blank that is read as the id 0, an id above 2^53 - 1,
        // and numbers and texts that JSON has and Rust has not.
        (matches!(kind, '2' | '3' | '5' | '6') && body.is_empty())
            || body.starts_with([' ', '\u{a0}', '\t'])
            || id.parse::<u64>().map_or(!id.is_empty(), |id| id > (1 << 53) - 1)
            || serde_json::from_str::<Value>(body).is_err_and(|error| {
                let error = error.to_string();
                error.contains("surrogate") || error.contains("out of range")
            })
            || body.split("\"num\":").skip(1).any(|number| {
                // The number of an attachment as -0, 0.0 or 0e1.
                let number = number.split([',', '}']).next().unwrap_or_default();
                number.contains(['-', '.', 'e', 'E'])
            })
    })
}

/// True when our decoder takes what the official one refuses: a packet that announces no attachments, on which
/// older versions of the official one got stuck.
fn accepted_on_purpose(frames: &[Frame]) -> bool {
    frames.iter().any(|frame| {
        let Frame::Text(text) = frame else { return false };
        let count = text
            .strip_prefix(['5', '6'])
            .and_then(|rest| rest.split_once('-'));
        count.is_some_and(|(count, _)| !count.is_empty() && count.bytes().all(|byte| byte == b'0'))
    })
}

/// Numbers are 64-bit floating point in JavaScript.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

#[tokio::test]
async fn the_decoder_agrees_with_the_official_one() {
    if std::env::var_os(SKIP).is_some() {
        return;
    }
    installed().await;
    let mut parser = Command::new("node")
        .arg("parser.mjs")
        .current_dir(folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = parser.stdin.take().unwrap();
    let mut output = BufReader::new(parser.stdout.take().unwrap()).lines();
    let count = std::env::var(COUNT)
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(DEFAULT_COUNT);
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut accepted, mut refused, mut stricter) = (0, 0, 0);
    let mut compared = 0;
    let mut first: Vec<Vec<Frame>> = SEEDS
        .iter()
        .map(|seed| vec![Frame::Text((*seed).to_owned())])
        .collect();
    first.push(vec![
        Frame::Text(r#"50-["a"]"#.into()),
        Frame::Text(r#"2["b"]"#.into()),
    ]);
    while compared < count {
        let mut batch = std::mem::take(&mut first);
        batch.resize_with(BATCH, || sequence(&mut random));
        let mut lines = String::new();
        for frames in &batch {
            let frames: Vec<Value> = frames
                .iter()
                .map(|frame| match frame {
                    Frame::Text(text) => json!(text),
                    Frame::Binary(bytes) => json!({"binary": data_encoding::BASE64.encode(bytes)}),
                })
                .collect();
            lines.push_str(&json!(frames).to_string());
            lines.push('\n');
        }
        let write = async { input.write_all(lines.as_bytes()).await.unwrap() };
        let read = async {
            for frames in &batch {
                let line = soon(output.next_line()).await.unwrap().expect("the parser ended");
                let theirs: Value = serde_json::from_str(&line).unwrap();
                let ours = decode(frames).map_or(Value::Null, Value::from);
                match (ours.is_null(), theirs.is_null()) {
                    (true, true) => refused += 1,
                    (true, false) if refused_on_purpose(frames) => stricter += 1,
                    (false, true) if accepted_on_purpose(frames) => accepted += 1,
                    _ => {
                        assert!(
                            same(&ours, &theirs),
                            "{frames:?}\nours:   {ours}\ntheirs: {theirs}"
                        );
                        accepted += 1;
                    }
                }
            }
        };
        tokio::join!(write, read);
        compared += BATCH;
    }
    println!("{accepted} accepted alike, {refused} refused alike, {stricter} refused on purpose");
    assert!(
        accepted > count / 20 && refused > count / 20,
        "{accepted} accepted, {refused} refused"
    );
    // The seeds have some of the differences in them, so this share says nothing about real servers.
    assert!(stricter < count / 5, "{stricter}");
}
