//! The parser of `socket.io-msgpack-parser`: each packet is one MessagePack map in one binary frame.
//!
//! Packets are rewritten to and from the frames of the JSON parser at the edge of the link, so that everything
//! inside knows one form only: binary values become attachments with placeholders, and back.

mod read;
mod write;

pub(crate) use read::decode;
pub(crate) use write::encode;

/// Nesting beyond this is refused, as in JSON.
const MAX_DEPTH: usize = 128;

#[cfg(test)]
mod tests;
