//! The embedder over HTTP, against a server that refuses whatever OpenAI would refuse.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openhuman_memory::{
    Document, EmbedError, Embedder, Memory, MemoryError, MemoryOptions, OpenAiEmbedder, OpenAiOptions, Query,
};
use serde_json::{Value, json};

use crate::key;

const KEY: &str = "sk-secret-4711";

/// What the server does with the next request, instead of answering it.
#[derive(Clone)]
enum Trouble {
    Status(u16, &'static str, &'static str),
    HangUp,
    Body(&'static str),
}

#[derive(Default)]
struct Seen {
    troubles: VecDeque<Trouble>,
    /// The inputs of each request that was answered.
    answered: Vec<Vec<String>>,
    requests: usize,
    /// From then on nothing is answered.
    hangs_up_after: Option<usize>,
}

struct Mock {
    url: String,
    seen: Arc<Mutex<Seen>>,
}

impl Mock {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || while serve(stream.as_ref().unwrap(), &shared).is_some() {});
            }
        });
        Self { url, seen }
    }

    fn trouble(&self, troubles: &[Trouble]) {
        self.seen
            .lock()
            .unwrap()
            .troubles
            .extend(troubles.iter().cloned());
    }

    fn requests(&self) -> usize {
        self.seen.lock().unwrap().requests
    }

    fn inputs(&self) -> Vec<String> {
        self.seen.lock().unwrap().answered.concat()
    }
}

/// Answers one request; `None` when the connection is over.
fn serve(mut stream: &TcpStream, seen: &Mutex<Seen>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let request = line.trim().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        match line.trim().split_once(':') {
            Some((name, value)) => headers.push((name.to_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let header = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    let mut body = vec![0; header("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let trouble = {
        let mut seen = seen.lock().unwrap();
        seen.requests += 1;
        match seen.hangs_up_after {
            Some(last) if seen.requests > last => Some(Trouble::HangUp),
            _ => seen.troubles.pop_front(),
        }
    };
    let (status, more, body) = match trouble {
        Some(Trouble::HangUp) => return None,
        Some(Trouble::Status(status, more, body)) => (status, more, body.to_owned()),
        Some(Trouble::Body(body)) => (200, "", body.to_owned()),
        None => match answer(&request, &header, &body) {
            Ok((inputs, body)) => {
                seen.lock().unwrap().answered.push(inputs);
                (200, "", body)
            }
            Err(reason) => (
                400,
                "",
                json!({ "error": { "message": reason, "code": null } }).to_string(),
            ),
        },
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\n\r\n{body}"
    )
    .ok()
}

/// Checks a request as strictly as it can be checked, and answers with vectors of 1536 numbers, in reverse order.
fn answer<'a>(
    request: &str,
    header: &dyn Fn(&str) -> Option<&'a str>,
    body: &[u8],
) -> Result<(Vec<String>, String), String> {
    let check = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    check(request == "POST /v1/embeddings HTTP/1.1", request)?;
    check(
        header("authorization") == Some(&format!("Bearer {KEY}")),
        "authorization",
    )?;
    check(header("content-type") == Some("application/json"), "content-type")?;
    let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let fields = body.as_object().ok_or("no object")?;
    for name in fields.keys() {
        check(
            ["model", "input", "encoding_format", "dimensions", "user"].contains(&name.as_str()),
            name,
        )?;
    }
    check(body["model"] == "text-embedding-3-small", "model")?;
    check(body["encoding_format"] == "float", "encoding_format")?;
    let dimensions = body
        .get("dimensions")
        .map_or(Some(1536), Value::as_u64)
        .ok_or("dimensions")?;
    check((1..=1536).contains(&dimensions), "dimensions")?;
    let inputs: Vec<String> =
        serde_json::from_value(body["input"].clone()).map_err(|error| error.to_string())?;
    check((1..=2048).contains(&inputs.len()), "number of inputs")?;
    for input in &inputs {
        check(!input.is_empty(), "an empty input")?;
        check(
            openhuman_memory::chunk::count_tokens(input) <= 8191,
            "an input above 8191 tokens",
        )?;
    }
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .rev()
        .map(|(index, input)| json!({ "object": "embedding", "index": index, "embedding": vector(input, dimensions) }))
        .collect();
    let body = json!({ "object": "list", "data": data, "model": "text-embedding-3-small", "usage": {} });
    Ok((inputs, body.to_string()))
}

fn vector(text: &str, dimensions: u64) -> Vec<f32> {
    let mut vector = vec![0.0; dimensions as usize];
    for word in text
        .to_lowercase()
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        let slot = word.bytes().fold(7u64, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        vector[(slot % dimensions) as usize] += 1.0;
    }
    vector[0] += 0.1;
    vector
}

/// Options for the mock, and the waits that were asked for.
fn options(mock: &Mock) -> (OpenAiOptions, Arc<Mutex<Vec<Duration>>>) {
    let waits = Arc::new(Mutex::new(Vec::new()));
    let waited = Arc::clone(&waits);
    let options = OpenAiOptions {
        base_url: mock.url.clone(),
        wait: Arc::new(move |wait| waited.lock().unwrap().push(wait)),
        ..OpenAiOptions::new(KEY)
    };
    (options, waits)
}

#[test]
fn vectors_come_in_order_in_batches_and_blank_texts_are_not_sent() {
    let mock = Mock::start();
    let (options, _) = options(&mock);
    let embedder = OpenAiEmbedder::new(OpenAiOptions { batch: 3, ..options }).unwrap();
    let texts = ["one", "", "two", "three", " \n", "four"];
    let vectors = embedder.embed(&texts).unwrap();
    assert_eq!(mock.requests(), 2);
    for (text, found) in texts.iter().zip(&vectors) {
        let expected = if text.trim().is_empty() {
            vec![0.0; 1536]
        } else {
            vector(text, 1536)
        };
        assert_eq!(*found, expected, "{text:?}");
    }
    assert_eq!(
        embedder.space().to_string(),
        "127.0.0.1/text-embedding-3-small (1536 dimensions, version 1)"
    );
    assert!(embedder.embed(&[]).unwrap().is_empty());
}

#[test]
fn fewer_dimensions_are_asked_for_and_long_texts_are_cut() {
    let mock = Mock::start();
    let (options, _) = options(&mock);
    let embedder = OpenAiEmbedder::new(OpenAiOptions {
        dimensions: 256,
        ..options
    })
    .unwrap();
    let long = "river ".repeat(12_000);
    let vectors = embedder.embed(&[&long]).unwrap();
    assert_eq!(vectors[0].len(), 256);
    assert!(long.starts_with(&mock.inputs()[0]) && mock.inputs()[0].len() > 40_000);
}

#[test]
fn a_busy_server_is_asked_again_after_the_time_it_names() {
    let mock = Mock::start();
    mock.trouble(&[
        Trouble::Status(
            429,
            "retry-after: 2\r\n",
            r#"{"error":{"message":"slow down","code":null}}"#,
        ),
        Trouble::HangUp,
        Trouble::Status(503, "", "busy"),
    ]);
    let (options, waits) = options(&mock);
    let embedder = OpenAiEmbedder::new(options).unwrap();
    assert_eq!(embedder.embed(&["one"]).unwrap()[0], vector("one", 1536));
    let waits = waits.lock().unwrap();
    assert_eq!(waits[0], Duration::from_secs(2));
    assert!(
        waits.len() >= 2 && waits.windows(2).skip(1).all(|pair| pair[1] >= pair[0]),
        "{waits:?}"
    );
}

#[test]
fn a_server_may_name_the_moment_to_come_back() {
    let mock = Mock::start();
    mock.trouble(&[
        Trouble::Status(
            429,
            "date: Wed, 21 Oct 2026 07:28:00 GMT\r\nretry-after: Wed, 21 Oct 2026 07:28:07 GMT\r\n",
            "{}",
        ),
        Trouble::Status(
            503,
            "date: Wed, 21 Oct 2026 07:28:07 GMT\r\nretry-after: Wed, 21 Oct 2026 07:28:07 GMT\r\n",
            "{}",
        ),
    ]);
    let (options, waits) = options(&mock);
    let embedder = OpenAiEmbedder::new(options).unwrap();
    assert_eq!(embedder.embed(&["one"]).unwrap()[0], vector("one", 1536));
    assert_eq!(*waits.lock().unwrap(), [Duration::from_secs(7), Duration::ZERO]);
}

#[test]
fn failures_have_types_texts_and_no_key() {
    let mock = Mock::start();
    let (options, waits) = options(&mock);
    let embedder = OpenAiEmbedder::new(options).unwrap();
    let failed = |trouble: &[Trouble]| {
        mock.trouble(trouble);
        embedder.embed(&["one"]).unwrap_err()
    };
    let unauthorized = failed(&[Trouble::Status(
        401,
        "",
        r#"{"error":{"message":"Incorrect API key"}}"#,
    )]);
    assert!(matches!(unauthorized, EmbedError::Unauthorized { .. }) && !unauthorized.is_transient());
    let quota = Trouble::Status(
        429,
        "",
        r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#,
    );
    assert!(matches!(failed(&[quota]), EmbedError::QuotaExhausted { .. }));
    assert!(matches!(
        failed(&[Trouble::Body("[]")]),
        EmbedError::Malformed { .. }
    ));
    assert!(
        waits.lock().unwrap().is_empty(),
        "none of these is worth another attempt"
    );
    let later = failed(&[Trouble::Status(429, "retry-after: 3600\r\n", "{}")]);
    assert!(
        later.to_string().contains("in 3600 seconds") && later.is_transient(),
        "{later}"
    );
    let gone = failed(&[
        Trouble::Status(500, "", "x"),
        Trouble::Status(500, "", "x"),
        Trouble::Status(500, "", "x"),
        Trouble::Status(500, "", "x"),
    ]);
    assert!(gone.is_transient() && gone.to_string().contains("try again later"));
    for error in [unauthorized, later, gone] {
        assert!(!format!("{error:?} {error}").contains(KEY));
    }
    assert!(!format!("{:?}", OpenAiOptions::new(KEY)).contains(KEY));
}

#[test]
fn addresses_that_would_give_the_key_away_are_refused() {
    for url in ["http://example.com/v1", "ftp://localhost/v1", "nonsense"] {
        let error = OpenAiEmbedder::new(OpenAiOptions {
            base_url: url.into(),
            ..OpenAiOptions::new(KEY)
        })
        .unwrap_err();
        assert!(matches!(error, EmbedError::Config { .. }), "{url}");
    }
    assert!(
        OpenAiEmbedder::new(OpenAiOptions {
            batch: 4096,
            ..OpenAiOptions::new(KEY)
        })
        .is_err()
    );
    assert!(
        OpenAiEmbedder::new(OpenAiOptions {
            key: Some("a\nb".into()),
            ..OpenAiOptions::new(KEY)
        })
        .is_err()
    );
}

/// The server goes away in the middle of a document and comes back: every text is embedded once, and the document is
/// whole.
#[test]
fn a_server_that_goes_away_costs_no_vector_twice() {
    let mock = Mock::start();
    let (options, _) = options(&mock);
    let embedder = OpenAiEmbedder::new(OpenAiOptions {
        attempts: 1,
        batch: 64,
        ..options
    })
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::open(dir.path(), &key(), MemoryOptions::new(embedder)).unwrap();
    let text: String = (0..600)
        .map(|n| format!("# Part {n}\n\n{}\n\n", format!("Word{n} flows by. ").repeat(60)))
        .collect();
    let document = Document::new("long", "", text);
    memory
        .ingest(&Document::new("small", "", "The kettle is red."))
        .unwrap();
    // Each batch of 128 texts is two requests; the second of the third batch fails.
    mock.seen.lock().unwrap().hangs_up_after = Some(mock.requests() + 5);
    let error = memory.ingest(&document).unwrap_err();
    assert!(
        matches!(error, MemoryError::Embedding(_)) && error.is_transient(),
        "{error}"
    );
    assert_eq!(memory.stats().unwrap().documents, 1, "nothing is half stored");
    mock.seen.lock().unwrap().hangs_up_after = None;
    let half = mock.inputs().len();
    let report = memory.ingest(&document).unwrap();
    assert!(half > 100 && report.embedded < report.chunks, "{half} {report:?}");
    let inputs = mock.inputs();
    assert_eq!(
        report.chunks - report.embedded,
        256,
        "two whole batches were kept"
    );
    let mut distinct = inputs.clone();
    distinct.sort();
    distinct.dedup();
    // Only the request that was answered in the batch that failed is made again.
    assert_eq!(inputs.len() - distinct.len(), 64);
    assert_eq!(inputs.len(), half + report.embedded);
    assert_eq!(memory.search(&Query::new("word77 flows")).unwrap()[0].key, "long");
    assert_eq!(memory.check().unwrap(), report.chunks + 1);
}
