//! One answer: who may ask, what is said, in which format, and what goes wrong with it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, StatusCode, header};
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::chunks::{self, Frames, Style};
use super::conversation::Conversation;
use super::script::{Fault, Quirk};
use super::server::{Answer, Shared};
use super::validate::{self, ApiError};
use super::{messages, strict_messages};

/// The two wire formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenAi,
    Anthropic,
}

impl Format {
    /// Clients of the Anthropic format name its version in every request.
    pub(super) fn of(headers: &HeaderMap) -> Format {
        if headers.contains_key("anthropic-version") {
            Format::Anthropic
        } else {
            Format::OpenAi
        }
    }
}

fn refused(status: u16, message: &str, code: Option<&'static str>) -> ApiError {
    ApiError {
        status,
        message: message.to_owned(),
        param: None,
        code,
    }
}

impl Shared {
    pub(super) fn authorize(&self, format: Format, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(key) = &self.script.api_key else {
            return Ok(());
        };
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let sent = match format {
            Format::OpenAi => text("authorization").and_then(|value| value.strip_prefix("Bearer ")),
            Format::Anthropic => text("x-api-key"),
        };
        if sent == Some(key.as_str()) {
            return Ok(());
        }
        Err(refused(
            401,
            "Incorrect API key provided.",
            Some("invalid_api_key"),
        ))
    }

    pub(super) fn answer(
        self: &Arc<Shared>,
        format: Format,
        headers: &HeaderMap,
        body: &Value,
        bytes: usize,
    ) -> Result<Answer, ApiError> {
        self.authorize(format, headers)?;
        let quirks = &self.script.quirks;
        if quirks.contains(&Quirk::RejectStreamOptions) && body.get("stream_options").is_some() {
            let message = "Unrecognized request argument supplied: stream_options";
            return Err(refused(400, message, None));
        }
        let conversation = match format {
            Format::OpenAi => {
                validate::request(body, &self.script.model)?;
                Conversation::read(body)
            }
            Format::Anthropic => {
                strict_messages::request(headers, body, &self.script.model)?;
                Conversation::read(&messages::as_chat(body))
            }
        };
        let (reply, fault) = self.reply(&conversation);
        let number = self.next_reply();
        let style = Style {
            id: format!("chatcmpl-{number}"),
            model: &self.script.model,
            created: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
            usage: body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)),
            quirks,
        };
        if let Some(answer) = fault.and_then(|fault| whole_fault(format, fault)) {
            return answer;
        }
        let streamed = body.get("stream").and_then(Value::as_bool).unwrap_or(false);
        let whole = !streamed || quirks.contains(&Quirk::Document);
        let thinks = body.pointer("/thinking/type") == Some(&json!("enabled"));
        let frames = match (format, whole) {
            (Format::OpenAi, true) => return Ok(json_answer(200, &chunks::document(&reply, &style, bytes))),
            (Format::Anthropic, true) => {
                let document = messages::document(&reply, &style, bytes, thinks);
                return Ok(json_answer(200, &document));
            }
            (Format::OpenAi, false) => chunks::stream(&reply, &style, bytes),
            (Format::Anthropic, false) => messages::stream(&reply, &style, bytes, thinks),
        };
        Ok(self.stream(format, frames, fault, quirks.contains(&Quirk::HoldOpen)))
    }

    fn stream(&self, format: Format, reply: Frames, fault: Option<Fault>, hold_open: bool) -> Answer {
        let mut frames: Vec<Result<Bytes, io::Error>> = reply
            .frames
            .into_iter()
            .map(|frame| Ok(Bytes::from(frame)))
            .collect();
        let mut pause = Duration::ZERO;
        let mut open = hold_open;
        match fault {
            Some(Fault::Cut) => {
                frames.truncate(reply.middle);
                frames.push(Err(io::Error::from(io::ErrorKind::ConnectionReset)));
            }
            Some(Fault::EndEarly) => frames.truncate(reply.middle),
            Some(Fault::Stall) => {
                frames.truncate(reply.middle);
                open = true;
            }
            Some(Fault::SlowDrip { millis }) => pause = Duration::from_millis(millis),
            Some(Fault::BrokenEvents) => {
                frames.truncate(1);
                frames.push(Ok(Bytes::from_static(
                    b"data: {\"choices\":[{\"delta\":{\"conte\n\n",
                )));
            }
            Some(Fault::ErrorEvent) => {
                // In the middle of a reply that has begun.
                frames.truncate(reply.middle.max(1));
                frames.push(Ok(error_event(format)));
            }
            Some(Fault::OverloadedEvent) => frames = vec![Ok(error_event(format))],
            _ => {}
        }
        let frames = stream::iter(frames).then(move |frame| async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            } else {
                // Lets the frame before reach the wire, so that clients see pieces.
                tokio::task::yield_now().await;
            }
            frame
        });
        let tail = stream::pending::<Result<Bytes, io::Error>>().take(usize::from(open));
        let body = frames.chain(tail).take_until(self.stop.clone().cancelled_owned());
        plain(200, "text/event-stream", Body::from_stream(body))
    }
}

fn error_event(format: Format) -> Bytes {
    Bytes::from_static(match format {
        Format::OpenAi => b"data: {\"error\":{\"message\":\"The engine is overloaded\"}}\n\n",
        Format::Anthropic => {
            b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"
        }
    })
}

/// The faults that replace the whole answer.
fn whole_fault(format: Format, fault: Fault) -> Option<Result<Answer, ApiError>> {
    let limited = |after: String| {
        let error = refused(
            429,
            "Rate limit reached for requests.",
            Some("rate_limit_exceeded"),
        );
        let mut answer = refusal(format, &error);
        if let Ok(after) = after.parse() {
            answer.headers_mut().insert(header::RETRY_AFTER, after);
        }
        Ok(answer)
    };
    Some(match fault {
        Fault::RateLimit { retry_after } => limited(retry_after.to_string()),
        Fault::RateLimitUntil { seconds } => {
            limited(http_date(SystemTime::now() + Duration::from_secs(seconds)))
        }
        Fault::NoCredit => Err(refused(
            429,
            "You exceeded your current quota.",
            Some("insufficient_quota"),
        )),
        Fault::ServerError => Err(refused(
            500,
            "The server had an error while processing your request.",
            None,
        )),
        Fault::Overloaded => {
            let status = if format == Format::Anthropic { 529 } else { 503 };
            Err(refused(status, "Overloaded", None))
        }
        Fault::Garbage => {
            let page = Body::from("<html><body>Welcome!</body></html>");
            Ok(plain(200, "text/html", page))
        }
        _ => return None,
    })
}

/// A time as HTTP writes it, like `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn http_date(time: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    // Civil date from days, counting years from March.
    let z = days + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = (shifted + 2) % 12;
    let year = year_of_era + era * 400 + u64::from(month < 2);
    let name = |names: &[&'static str], at: u64| {
        let at = usize::try_from(at).unwrap_or_default();
        names.get(at).copied().unwrap_or_default()
    };
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        name(&DAYS, days % 7),
        name(&MONTHS, month),
        clock / 3600,
        clock / 60 % 60,
        clock % 60
    )
}

pub(super) fn plain(status: u16, kind: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    answer
}

pub(super) fn json_answer(status: u16, value: &Value) -> Answer {
    plain(status, "application/json", Body::from(value.to_string()))
}

pub(super) fn refusal(format: Format, error: &ApiError) -> Answer {
    let (status, message) = (error.status, &error.message);
    let body = match format {
        Format::OpenAi => {
            let kind = match status {
                401 => "authentication_error",
                429 => "requests",
                500..=599 => "server_error",
                _ => "invalid_request_error",
            };
            json!({"error": {"message": message, "type": kind, "param": error.param, "code": error.code}})
        }
        Format::Anthropic => {
            let kind = match status {
                401 => "authentication_error",
                404 => "not_found_error",
                429 => "rate_limit_error",
                529 => "overloaded_error",
                500..=599 => "api_error",
                _ => "invalid_request_error",
            };
            json!({"type": "error", "error": {"type": kind, "message": message, "code": error.code}})
        }
    };
    json_answer(status, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_form_of_http() {
        let at = |seconds| http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(1_582_977_600), "Sat, 29 Feb 2020 12:00:00 GMT");
        assert_eq!(at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(at(1_704_067_199), "Sun, 31 Dec 2023 23:59:59 GMT");
    }
}
