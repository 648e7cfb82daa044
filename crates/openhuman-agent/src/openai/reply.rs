//! A reply as it comes in: server-sent events, or one document.

use super::assemble::{self, Assembler, Fault};
use super::sse;
use crate::model::ModelEvent;
use crate::remote::ReadReply;

/// What some servers put in front of UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A reply being read: server-sent events, or one JSON document from a server that does not stream.
pub(super) enum Reply {
    Unknown(Vec<u8>),
    Events(sse::Parser, Assembler),
    Document(Vec<u8>),
    Over,
}

impl Reply {
    pub(super) fn new() -> Reply {
        Reply::Unknown(Vec::new())
    }
}

impl ReadReply for Reply {
    fn is_complete(&self) -> bool {
        matches!(self, Reply::Events(_, assembler) if assembler.is_complete())
    }

    /// Decides by the first byte that is no white space, since content types lie.
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<ModelEvent>, Fault> {
        match self {
            Reply::Unknown(start) => {
                start.extend_from_slice(bytes);
                let text = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start);
                let Some(first) = text.iter().find(|byte| !byte.is_ascii_whitespace()) else {
                    // Blank so far: keeping it would mean to search it again and again.
                    start.clear();
                    return Ok(Vec::new());
                };
                if BYTE_ORDER_MARK.starts_with(text) {
                    return Ok(Vec::new());
                }
                let document = *first == b'{';
                let start = text.to_vec();
                *self = if document {
                    Reply::Document(Vec::new())
                } else {
                    Reply::Events(sse::Parser::new(), Assembler::new())
                };
                self.push(&start)
            }
            Reply::Document(document) => {
                document.extend_from_slice(bytes);
                Ok(Vec::new())
            }
            Reply::Events(parser, assembler) => {
                let events = parser
                    .push(bytes)
                    .map_err(|error| Fault::Garbage(error.to_string()))?;
                let mut out = Vec::new();
                for event in events {
                    out.extend(assembler.event(&event.data)?);
                }
                if assembler.is_closed() {
                    out.extend(assembler.finish()?);
                    *self = Reply::Over;
                }
                Ok(out)
            }
            Reply::Over => Ok(Vec::new()),
        }
    }

    fn finish(&mut self) -> Result<Vec<ModelEvent>, Fault> {
        match std::mem::replace(self, Reply::Over) {
            Reply::Unknown(_) => Err(Fault::Garbage("an empty answer".to_owned())),
            Reply::Document(document) => assemble::document(&document),
            Reply::Events(parser, mut assembler) => {
                let mut out = Vec::new();
                if let Some(event) = parser.finish() {
                    out.extend(assembler.event(&event.data)?);
                }
                out.extend(assembler.finish()?);
                Ok(out)
            }
            Reply::Over => Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_garbage() {
        let mut reply = Reply::new();
        let mut events = Vec::new();
        let text = "\u{feff}\n{\"choices\":[{\"message\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}";
        for byte in text.as_bytes() {
            events.extend(reply.push(&[*byte]).unwrap());
        }
        events.extend(reply.finish().unwrap());
        assert!(
            events.contains(&ModelEvent::TextDelta {
                text: "hi".to_owned()
            }),
            "{events:?}"
        );
    }
}
