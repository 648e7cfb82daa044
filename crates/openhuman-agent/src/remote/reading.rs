//! An answer read piece by piece.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use reqwest::Response;
use tokio::time::{Instant, timeout_at};

use super::{Remote, cause};
use crate::model::{ModelError, ModelEvent};
use crate::openai::assemble::Fault;

/// How long a server may keep the connection open after it said that the answer is complete.
const GRACE: Duration = Duration::from_millis(500);

/// Makes model events of the bytes of one format.
pub(crate) trait ReadReply: Send + 'static {
    /// True once the server said that the answer is complete.
    fn is_complete(&self) -> bool;

    /// Takes the next bytes.
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<ModelEvent>, Fault>;

    /// The body has ended.
    fn finish(&mut self) -> Result<Vec<ModelEvent>, Fault>;
}

struct Reading<R> {
    remote: Arc<Remote>,
    body: BoxStream<'static, reqwest::Result<Bytes>>,
    reply: R,
    bytes: usize,
    ready: VecDeque<ModelEvent>,
    over: bool,
    grace: Option<Instant>,
}

/// Reads the body as it comes and yields the events in it.
pub(crate) fn read<R: ReadReply>(
    remote: Arc<Remote>,
    response: Response,
    reply: R,
) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
    let reading = Reading {
        reply,
        body: response.bytes_stream().boxed(),
        remote,
        bytes: 0,
        ready: VecDeque::new(),
        over: false,
        grace: None,
    };
    stream::unfold(reading, |mut reading| async move {
        loop {
            if let Some(event) = reading.ready.pop_front() {
                return Some((Ok(event), reading));
            }
            if reading.over {
                return None;
            }
            if reading.reply.is_complete() && reading.grace.is_none() {
                reading.grace = Some(Instant::now() + GRACE);
            }
            let step = reading.next_chunk().await;
            let events = match step {
                Ok(Some(chunk)) => reading
                    .reply
                    .push(&chunk)
                    .map_err(|fault| reading.remote.fault(fault)),
                Ok(None) => reading
                    .reply
                    .finish()
                    .map_err(|fault| reading.remote.fault(fault)),
                Err(error) => Err(error),
            };
            match events {
                Ok(events) => {
                    reading.over = events
                        .iter()
                        .any(|event| matches!(event, ModelEvent::Done { .. }));
                    reading.ready.extend(events);
                }
                Err(error) => {
                    reading.over = true;
                    return Some((Err(error), reading));
                }
            }
        }
    })
    .boxed()
}

impl<R: ReadReply> Reading<R> {
    /// The next piece of the body; `None` at its end. Once the answer is complete and its grace period runs, errors
    /// and the end of that period are an end too.
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, ModelError> {
        let remote = Arc::clone(&self.remote);
        let endpoint = || remote.endpoint.clone();
        // Some servers send the headers at once and read the prompt then.
        let (idle, phase) = if self.bytes == 0 {
            (
                remote.options.first_byte_timeout,
                "waiting for the answer to begin",
            )
        } else {
            (remote.options.idle_timeout, "in the middle of the answer")
        };
        let complete = self.grace.is_some();
        let until = self.grace.unwrap_or_else(|| Instant::now() + idle);
        match timeout_at(until, self.body.next()).await {
            Ok(Some(Ok(chunk))) => {
                self.bytes = self.bytes.saturating_add(chunk.len());
                let limit = remote.options.max_response_bytes;
                if self.bytes > limit {
                    return Err(ModelError::TooLarge {
                        endpoint: endpoint(),
                        limit,
                        what: "bytes",
                    });
                }
                Ok(Some(chunk))
            }
            Ok(None) => Ok(None),
            Ok(Some(Err(_))) | Err(_) if complete => Ok(None),
            Ok(Some(Err(error))) => Err(ModelError::Cut {
                endpoint: endpoint(),
                reason: cause(&error.without_url()),
            }),
            Err(_) => Err(ModelError::Timeout {
                endpoint: endpoint(),
                phase,
                after: idle,
            }),
        }
    }
}
