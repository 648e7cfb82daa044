//! A response while it comes in: decoded, limited and scanned, piece by piece and only when somebody asks for more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::OwnedSemaphorePermit;

use super::decode::{Decoder, STEP};
use super::error::NetError;
use super::note::Note;
use super::scan::Redactor;
use super::transport::TransportError;

/// The largest response body, in bytes, before and after it is decoded.
pub(crate) const MAX_BODY: usize = 8 * 1024 * 1024;
/// The response bytes held for all skills together.
const MAX_IN_FLIGHT: usize = 64 * 1024 * 1024;

/// Counts response bytes while they are held.
pub(crate) struct Held {
    total: Arc<AtomicUsize>,
    mine: usize,
}

impl Held {
    pub(crate) fn new(total: &Arc<AtomicUsize>) -> Self {
        let total = Arc::clone(total);
        Self { total, mine: 0 }
    }

    fn add(&mut self, bytes: usize) -> Result<(), NetError> {
        self.mine += bytes;
        if self.total.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_IN_FLIGHT {
            return Err(NetError::failed(
                "too many large responses are being received; try again later",
            ));
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.total.fetch_sub(self.mine, Ordering::Relaxed);
    }
}

/// A body. Dropping it ends the transfer and writes the record.
pub(crate) struct Body {
    pub(super) wire: BoxStream<'static, Result<Bytes, TransportError>>,
    pub(super) decoder: Decoder,
    pub(super) redactor: Redactor,
    pub(super) held: Held,
    pub(super) note: Note,
    pub(super) decoded: usize,
    pub(super) ended: bool,
    /// What is ready but did not fit into the last piece.
    pub(super) ready: Vec<u8>,
    pub(super) failed: Option<NetError>,
    /// One of the skill's requests in flight.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl Body {
    /// Nothing, and no record of it.
    pub(super) fn empty(total: &Arc<AtomicUsize>) -> Self {
        Self {
            wire: Box::pin(futures_util::stream::empty()),
            decoder: Decoder::identity(),
            redactor: Redactor::new(None),
            held: Held::new(total),
            note: Note::none(),
            decoded: 0,
            ended: true,
            ready: Vec::new(),
            failed: None,
            permit: None,
        }
    }

    /// The next piece, of at most 64 KB; `None` at the end. Reads no further than it must.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, NetError> {
        while self.ready.is_empty() && !self.ended {
            self.step().await;
        }
        if !self.ready.is_empty() {
            let rest = self.ready.split_off(self.ready.len().min(STEP));
            return Ok(Some(std::mem::replace(&mut self.ready, rest)));
        }
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    /// Reads at most about one piece ahead. A short body is then complete: it holds no connection, and none of the
    /// skill's places, while the skill decides whether to read it.
    pub(crate) async fn read_ahead(&mut self) {
        while !self.ended && self.ready.len() < STEP {
            self.step().await;
        }
    }

    /// Gets a little further; at the end the connection, the place and the record are given up.
    async fn step(&mut self) {
        match self.more().await {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                self.note.fail(&error);
                self.failed = Some(error);
            }
        }
        self.ended = true;
        self.permit = None;
        self.wire = Box::pin(futures_util::stream::empty());
        self.note = Note::none();
    }

    /// Whether the end has come.
    async fn more(&mut self) -> Result<bool, NetError> {
        if let Some(decoded) = self.decoder.pull()? {
            self.decoded += decoded.len();
            if self.decoded > MAX_BODY {
                return Err(too_large());
            }
            let clean = self.redactor.push(decoded);
            if self.ready.is_empty() {
                self.ready = clean;
            } else {
                self.ready.extend_from_slice(&clean);
            }
            return Ok(false);
        }
        match self.wire.next().await {
            Some(Ok(bytes)) => {
                self.note.received(bytes.len());
                if self.note.bytes_in() > MAX_BODY as u64 {
                    return Err(too_large());
                }
                self.decoder.push(bytes);
                Ok(false)
            }
            Some(Err(error)) => Err(NetError::failed(error.to_string())),
            None => {
                self.decoder.finish()?;
                let rest = self.redactor.finish();
                self.ready.extend_from_slice(&rest);
                Ok(true)
            }
        }
    }

    /// The whole body.
    pub(crate) async fn collect(mut self) -> Result<Vec<u8>, NetError> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            self.held.add(piece.len())?;
            if all.is_empty() {
                all = piece;
            } else {
                all.extend_from_slice(&piece);
            }
        }
        Ok(all)
    }

    /// Counts the buffers of a body that is read piece by piece.
    pub(crate) fn hold_buffers(&mut self) -> Result<(), NetError> {
        self.held.add(2 * STEP)
    }
}

fn too_large() -> NetError {
    NetError::failed(format!("the response is larger than {MAX_BODY} bytes"))
}
