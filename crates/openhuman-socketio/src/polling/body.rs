//! The body of a long-polling answer.

use bytes::Bytes;
use data_encoding::BASE64;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::SEPARATOR;
use crate::transport::Frame;

/// The frames of a body, taken out one by one: together they could be many times as large as it, when a server sends
/// nothing but separators.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    rest: Option<Bytes>,
}

impl Frames {
    pub(crate) fn new(body: Bytes) -> Self {
        Self { rest: Some(body) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_none()
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        let body = self.rest.take()?;
        let part = match memchr::memchr(SEPARATOR, &body) {
            Some(end) => {
                self.rest = Some(body.slice(end + 1..));
                body.slice(..end)
            }
            None => body,
        };
        Some(match part.strip_prefix(b"b") {
            Some(encoded) => match BASE64.decode(encoded) {
                Ok(bytes) => Ok(Frame::Binary(bytes.into())),
                Err(_) => Err("malformed base64 in a long-polling answer"),
            },
            None => match Utf8Bytes::try_from(part) {
                Ok(text) => Ok(Frame::Text(text)),
                Err(_) => Err("a long-polling answer that is not UTF-8"),
            },
        })
    }
}
