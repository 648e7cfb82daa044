//! A server for embeddings that refuses whatever OpenAI would refuse. Also used by the tests of the command line.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

pub(crate) const KEY: &str = "sk-of-a-test";
pub(crate) const DIMENSIONS: usize = 24;

/// Takes what OpenAI would take, and refuses everything else.
pub(crate) struct Strict {
    pub(crate) url: String,
    inputs: Arc<Mutex<Vec<String>>>,
}

impl Strict {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let inputs = Arc::new(Mutex::new(Vec::new()));
        let seen = inputs.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = seen.clone();
                std::thread::spawn(move || while serve(stream.as_ref().unwrap(), &seen).is_some() {});
            }
        });
        Self { url, inputs }
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.inputs.lock().unwrap().clone()
    }
}

fn serve(mut stream: &TcpStream, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim() {
            "" => break,
            line => head.push(line.to_ascii_lowercase()),
        }
    }
    let header = |name: &str| {
        let found = head
            .iter()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")));
        found.unwrap_or_default().to_owned()
    };
    let mut body = vec![0; header("content-length").parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    let fields = body
        .as_object()?
        .keys()
        .all(|name| ["model", "input", "encoding_format"].contains(&name.as_str()));
    let (status, answer) = if header("authorization") != format!("bearer {KEY}") {
        (
            401,
            json!({ "error": { "message": "Incorrect API key provided", "code": "invalid_api_key" } }),
        )
    } else if !fields || body["model"] != "tiny-embed" || head[0] != "post /v1/embeddings http/1.1" {
        (
            400,
            json!({ "error": { "message": format!("not taken: {body}"), "code": null } }),
        )
    } else {
        let inputs: Vec<String> = serde_json::from_value(body["input"].clone()).ok()?;
        let data: Vec<Value> = inputs
            .iter()
            .enumerate()
            .map(
                |(index, input)| json!({ "object": "embedding", "index": index, "embedding": vector(input) }),
            )
            .collect();
        seen.lock().unwrap().extend(inputs);
        (
            200,
            json!({ "object": "list", "data": data, "model": "tiny-embed", "usage": {} }),
        )
    };
    let text = answer.to_string();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    )
    .ok()
}

fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.01; DIMENSIONS];
    for word in text.to_lowercase().split(|c: char| !c.is_alphanumeric()) {
        let slot = word.bytes().fold(7usize, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(byte.into())
        });
        vector[slot % DIMENSIONS] += 1.0;
    }
    vector
}
