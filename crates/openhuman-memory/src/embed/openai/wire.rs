//! What is sent and what comes back, without a connection.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::super::EmbedError;

/// Quoted from a server at most.
const MAX_REASON: usize = 300;

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [&'a str],
    encoding_format: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

#[derive(Deserialize)]
struct Embeddings {
    data: Vec<Embedding>,
}

#[derive(Deserialize)]
struct Embedding {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize, Default)]
struct Failed {
    #[serde(default)]
    error: Failure,
}

/// OpenAI sends an object, some other servers a text.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Failure {
    Object {
        #[serde(default)]
        message: String,
        #[serde(default)]
        code: Option<serde_json::Value>,
    },
    Text(String),
    #[default]
    Nothing,
}

/// What an answer means.
#[derive(Debug)]
pub(super) enum Answer {
    Vectors(Vec<Vec<f32>>),
    /// Another attempt is worth while, perhaps after what the server said.
    Again {
        error: EmbedError,
        after: Option<Duration>,
    },
    Final(EmbedError),
}

pub(super) fn request(model: &str, input: &[&str], dimensions: Option<usize>) -> String {
    let request = Request {
        model,
        input,
        encoding_format: "float",
        dimensions,
    };
    // Strings and numbers can always be written.
    serde_json::to_string(&request).unwrap_or_default()
}

pub(super) fn answer(status: u16, after: Option<Duration>, body: &[u8], dimensions: usize) -> Answer {
    if (200..300).contains(&status) {
        return match vectors(body) {
            Ok(vectors) => Answer::Vectors(vectors),
            Err(got) => Answer::Final(EmbedError::Malformed {
                expected: format!("a list of vectors of {dimensions} numbers"),
                got,
            }),
        };
    }
    let failed: Failed = serde_json::from_slice(body).unwrap_or_default();
    let (message, code) = match failed.error {
        Failure::Object { message, code } => (
            message,
            code.as_ref().and_then(|code| code.as_str().map(str::to_owned)),
        ),
        Failure::Text(message) => (message, None),
        Failure::Nothing => (String::from_utf8_lossy(body).into_owned(), None),
    };
    let reason = format!("{status}: {}", shortened(&message));
    match (status, code.as_deref()) {
        (401 | 403, _) => Answer::Final(EmbedError::Unauthorized { reason }),
        (_, Some("insufficient_quota")) => Answer::Final(EmbedError::QuotaExhausted { reason }),
        (429, _) => Answer::Again {
            error: EmbedError::RateLimited {
                reason,
                retry_after: after,
            },
            after,
        },
        (408 | 500..=599, _) => Answer::Again {
            error: EmbedError::Unavailable { reason, source: None },
            after,
        },
        _ => Answer::Final(EmbedError::Refused { reason }),
    }
}

/// The vectors in the order of their indices. How many there are and how long is checked by whoever asked.
fn vectors(body: &[u8]) -> Result<Vec<Vec<f32>>, String> {
    let mut embeddings: Embeddings =
        serde_json::from_slice(body).map_err(|error| format!("other JSON ({error})"))?;
    embeddings.data.sort_by_key(|one| one.index);
    if embeddings
        .data
        .iter()
        .enumerate()
        .any(|(at, one)| one.index != at)
    {
        return Err("vectors whose indices are not 0, 1, 2 and so on".to_owned());
    }
    Ok(embeddings.data.into_iter().map(|one| one.embedding).collect())
}

/// What the headers of an answer say about time.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// `retry-after-ms`, as OpenAI sends it.
    pub(super) milliseconds: Option<String>,
    /// `Retry-After`: seconds, or the time when to come back.
    pub(super) after: Option<String>,
    /// `Date`: what the server's clock says.
    pub(super) date: Option<String>,
}

/// How long the server asks to wait. A time counts from the server's own clock, or from `now` when it does not tell; one
/// that has passed asks for no wait.
pub(super) fn retry_after(waits: &Waits, now: SystemTime) -> Option<Duration> {
    let number = |text: &String| {
        text.trim()
            .parse::<f64>()
            .ok()
            .filter(|number| (0.0..1e6).contains(number))
    };
    if let Some(milliseconds) = waits.milliseconds.as_ref().and_then(number) {
        return Some(Duration::from_secs_f64(milliseconds / 1e3));
    }
    let after = waits.after.as_ref()?;
    if let Some(seconds) = number(after) {
        return Some(Duration::from_secs_f64(seconds));
    }
    let time = httpdate::parse_http_date(after.trim()).ok()?;
    let date = waits.date.as_ref();
    let now = date
        .and_then(|date| httpdate::parse_http_date(date.trim()).ok())
        .unwrap_or(now);
    Some(time.duration_since(now).unwrap_or_default())
}

fn shortened(message: &str) -> String {
    let line: String = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_REASON) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None if line.is_empty() => "no reason given".to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn vectors_are_put_in_order() {
        let body = br#"{"object":"list","data":[{"object":"embedding","index":1,"embedding":[2.0]},{"index":0,"embedding":[1]}]}"#;
        let Answer::Vectors(vectors) = answer(200, None, body, 1) else {
            panic!()
        };
        assert_eq!(vectors, [[1.0], [2.0]]);
        for wrong in [
            &br#"{"data":[{"index":1,"embedding":[2.0]}]}"#[..],
            br#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}"#,
            b"<html>",
            b"{}",
        ] {
            assert!(matches!(
                answer(200, None, wrong, 1),
                Answer::Final(EmbedError::Malformed { .. })
            ));
        }
    }

    #[test]
    fn failures_have_types() {
        let failed = |status, body: &str| match answer(status, None, body.as_bytes(), 3) {
            Answer::Again { error, .. } => (true, error),
            Answer::Final(error) => (false, error),
            Answer::Vectors(_) => panic!("{body}"),
        };
        let object = r#"{"error":{"message":"no","type":"x","code":null}}"#;
        assert!(matches!(
            failed(401, object),
            (false, EmbedError::Unauthorized { .. })
        ));
        assert!(matches!(failed(400, object), (false, EmbedError::Refused { .. })));
        assert!(matches!(
            failed(404, r#"{"error":"model not found"}"#),
            (false, EmbedError::Refused { .. })
        ));
        assert!(matches!(
            failed(429, object),
            (true, EmbedError::RateLimited { .. })
        ));
        assert!(matches!(
            failed(503, "busy"),
            (true, EmbedError::Unavailable { .. })
        ));
        let quota = r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#;
        assert!(matches!(
            failed(429, quota),
            (false, EmbedError::QuotaExhausted { .. })
        ));
        assert!(
            failed(404, r#"{"error":"model not found"}"#)
                .1
                .to_string()
                .contains("model not found")
        );
        assert!(failed(500, &"long ".repeat(500)).1.to_string().len() < 500);
    }

    #[test]
    fn waits_are_read() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let wait = |milliseconds: &str, after: &str, date: &str| {
            let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            let waits = Waits {
                milliseconds: given(milliseconds),
                after: given(after),
                date: given(date),
            };
            retry_after(&waits, now).map(|wait| wait.as_millis())
        };
        assert_eq!(wait("", "2", ""), Some(2000));
        assert_eq!(wait("250", "2", ""), Some(250));
        assert_eq!(wait("soon", "2", ""), Some(2000));
        // All three forms that RFC 9110 asks for; `now` is 08:49:37.
        for date in [
            "Sun, 06 Nov 1994 08:49:47 GMT",
            "Sunday, 06-Nov-94 08:49:47 GMT",
            "Sun Nov  6 08:49:47 1994",
        ] {
            assert_eq!(wait("", date, ""), Some(10_000), "{date}");
        }
        // The server's clock is four seconds ahead of this one.
        assert_eq!(
            wait(
                "",
                "Sun, 06 Nov 1994 08:49:47 GMT",
                "Sun, 06 Nov 1994 08:49:41 GMT"
            ),
            Some(6000)
        );
        assert_eq!(wait("", "Sun, 06 Nov 1994 08:00:00 GMT", ""), Some(0));
        assert_eq!(wait("", "-1", ""), None);
        assert_eq!(wait("", "tomorrow", ""), None);
        assert_eq!(wait("", "", "Sun, 06 Nov 1994 08:49:41 GMT"), None);
    }

    proptest! {
        #[test]
        fn no_answer_panics(status in any::<u16>(), body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = answer(status, None, &body, 3);
        }
    }
}
