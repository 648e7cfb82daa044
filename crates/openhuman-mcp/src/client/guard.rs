//! A reader that lets a child send only so many messages.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How many seconds' worth of messages may come at once.
const BURST: f64 = 10.0;

/// How much is read at once: so much may be over the limit before it is noticed.
const CHUNK: usize = 16 * 1024;

/// Counts lines, and pauses when there are too many: the child then waits for its pipe.
pub(super) struct Guarded<R> {
    reader: R,
    per_second: f64,
    /// How many lines may come now. Below zero the reader pauses.
    left: f64,
    refilled: Instant,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<R> Guarded<R> {
    pub(super) fn new(reader: R, per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self {
            reader,
            per_second,
            left: per_second * BURST,
            refilled: Instant::now(),
            pause: None,
        }
    }

    fn count(&mut self, lines: usize) {
        let now = Instant::now();
        let refill = now.duration_since(self.refilled).as_secs_f64() * self.per_second;
        self.refilled = now;
        self.left = (self.left + refill).min(self.per_second * BURST) - lines as f64;
        if self.left < 0.0 {
            let wait = Duration::from_secs_f64(-self.left / self.per_second);
            self.pause = Some(Box::pin(tokio::time::sleep(wait)));
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Guarded<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let this = &mut *self;
        let room = buf.remaining().min(CHUNK);
        let mut chunk = ReadBuf::new(buf.initialize_unfilled_to(room));
        ready!(Pin::new(&mut this.reader).poll_read(cx, &mut chunk))?;
        let read = chunk.filled();
        let lines = read.iter().filter(|byte| **byte == b'\n').count();
        let length = read.len();
        buf.advance(length);
        this.count(lines);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_read_no_faster_than_allowed_and_nothing_is_lost() {
        let flood = "x\n".repeat(100_000);
        let started = Instant::now();
        let mut read = String::new();
        let mut guarded = Guarded::new(flood.as_bytes(), 1_000);
        guarded.read_to_string(&mut read).await.unwrap();
        assert_eq!(read.len(), flood.len());
        let took = started.elapsed().as_secs_f64();
        assert!(
            (80.0..=91.0).contains(&took),
            "90,000 lines over the burst take 90 s, not {took}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_little_never_waits() {
        let started = Instant::now();
        let mut read = String::new();
        let few = "x\n".repeat(9_000);
        Guarded::new(few.as_bytes(), 1_000)
            .read_to_string(&mut read)
            .await
            .unwrap();
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
