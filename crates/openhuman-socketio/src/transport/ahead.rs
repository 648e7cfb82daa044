//! Reading much at once when much is there, so that a burst of small frames takes few calls of the operating system.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::Duplex;

/// Read at once while the server sends more than its reader asks for.
const MUCH: usize = 32 * 1024;

/// A stream whose reader asks for little at a time. What is read ahead is only kept until the reader has it: a connection
/// that waits has no buffer here.
pub(crate) struct ReadAhead {
    stream: Box<dyn Duplex>,
    ahead: BytesMut,
    /// The last read was filled, so that more is probably there.
    busy: bool,
}

impl ReadAhead {
    pub(crate) fn new(stream: Box<dyn Duplex>) -> Self {
        Self {
            stream,
            ahead: BytesMut::new(),
            busy: false,
        }
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            let wanted = out.remaining();
            if !this.busy {
                let before = out.filled().len();
                ready!(Pin::new(&mut this.stream).poll_read(cx, out))?;
                this.busy = wanted > 0 && out.filled().len() - before == wanted;
                return Poll::Ready(Ok(()));
            }
            this.ahead.reserve(MUCH);
            let read = pin!(this.stream.read_buf(&mut this.ahead)).poll(cx);
            // Less than would have fitted: the burst is over.
            this.busy = matches!(read, Poll::Ready(Ok(count)) if count >= wanted);
            if !matches!(read, Poll::Ready(Ok(count)) if count > 0) {
                this.ahead = BytesMut::new();
            }
            ready!(read)?;
        }
        let count = this.ahead.len().min(out.remaining());
        out.put_slice(this.ahead.get(..count).unwrap_or_default());
        this.ahead.advance(count);
        if this.ahead.is_empty() && !this.busy {
            this.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn everything_arrives_in_order_and_nothing_is_kept() {
        let (mut writer, reader) = tokio::io::duplex(100_000);
        let mut stream = ReadAhead::new(Box::new(reader));
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            for (at, part) in sent.chunks(77_777).enumerate() {
                writer.write_all(part).await.unwrap();
                if at % 3 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            writer
        });
        let mut received = Vec::new();
        let mut was_ahead = false;
        while received.len() < expected.len() {
            // As small as a WebSocket's, and sometimes smaller.
            let mut part = vec![0; if received.len() % 2 == 0 { 4096 } else { 13 }];
            let count = stream.read(&mut part).await.unwrap();
            received.extend_from_slice(&part[..count]);
            was_ahead |= !stream.ahead.is_empty();
        }
        assert!(was_ahead && received == expected);
        let mut writer = writing.await.unwrap();

        // The next frame is small: it is there at once, and no buffer is left.
        writer.write_all(b"small").await.unwrap();
        let mut part = [0; 64];
        assert_eq!(stream.read(&mut part).await.unwrap(), 5);
        assert_eq!((stream.ahead.capacity(), stream.busy), (0, false));

        drop(writer);
        assert_eq!(stream.read(&mut part).await.unwrap(), 0);
    }
}
