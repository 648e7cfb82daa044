//! The HTTP/1.1 that long-polling and proxies need: one request, one answer, over a stream that is there.
//!
//! Written by hand because it is little: no redirects, no compression, no pipelining.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::transport::Duplex;

/// Longest status line and headers of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Most headers of an answer.
const MAX_HEADERS: usize = 100;
/// Longest line that announces a chunk.
const MAX_CHUNK_LINE: usize = 1024;

/// A stream to a server, and what was read from it beyond the last answer.
pub(crate) struct Connection {
    stream: Box<dyn Duplex>,
    buffer: BytesMut,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// With their names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// Another request can follow on the same stream.
    pub(crate) reusable: bool,
}

impl Answer {
    pub(crate) fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.headers.iter().filter(move |(is, _)| is == name);
        named.map(|(_, value)| value.as_str())
    }
}

impl Connection {
    pub(crate) fn new(stream: Box<dyn Duplex>) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    /// The stream alone, when nothing was read beyond the last answer.
    pub(crate) fn into_stream(self) -> Option<Box<dyn Duplex>> {
        self.buffer.is_empty().then_some(self.stream)
    }

    /// Itself, if the server has said nothing since the last answer, not even good-bye.
    pub(crate) fn if_quiet(mut self) -> Option<Self> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let mut byte = [0; 1];
        let mut read = tokio::io::ReadBuf::new(&mut byte);
        let stream = std::pin::Pin::new(&mut self.stream);
        let quiet = self.buffer.is_empty() && AsyncRead::poll_read(stream, &mut cx, &mut read).is_pending();
        quiet.then_some(self)
    }

    /// Sends a request and reads the answer, whose body may have at most `max_body` bytes.
    pub(crate) async fn exchange(&mut self, head: &[u8], body: &[u8], max_body: usize) -> io::Result<Answer> {
        let mut request = Vec::with_capacity(head.len() + body.len());
        request.extend_from_slice(head);
        request.extend_from_slice(body);
        self.stream.write_all(&request).await?;
        self.stream.flush().await?;
        loop {
            let (status, headers) = self.head().await?;
            // What comes before the answer, "100 Continue" for example.
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let mut answer = Answer {
                status,
                headers,
                body: Bytes::new(),
                reusable: true,
            };
            self.body(&mut answer, head.starts_with(b"CONNECT "), max_body)
                .await?;
            return Ok(answer);
        }
    }

    async fn head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut response = httparse::Response::new(&mut headers);
            let parsed = response
                .parse(&self.buffer)
                .map_err(|error| invalid(&format!("the answer is not HTTP: {error}")))?;
            if let httparse::Status::Complete(length) = parsed {
                let status = response.code.unwrap_or_default();
                let headers = response
                    .headers
                    .iter()
                    .map(|header| {
                        let value = String::from_utf8_lossy(header.value).into_owned();
                        (header.name.to_ascii_lowercase(), value)
                    })
                    .collect();
                let _ = self.buffer.split_to(length);
                return Ok((status, headers));
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(invalid("the headers of the answer are too long"));
            }
            self.more().await?;
        }
    }

    async fn body(&mut self, answer: &mut Answer, tunnel: bool, max: usize) -> io::Result<()> {
        let close = answer
            .headers("connection")
            .any(|value| value.eq_ignore_ascii_case("close"));
        answer.reusable = !close;
        let success = (200..300).contains(&answer.status);
        if matches!(answer.status, 101 | 204 | 304) || (tunnel && success) {
            return Ok(());
        }
        let chunked = answer
            .headers("transfer-encoding")
            .any(|value| value.to_ascii_lowercase().ends_with("chunked"));
        if chunked {
            answer.body = self.chunks(max).await?;
            return Ok(());
        }
        let lengths: Vec<String> = answer
            .headers("content-length")
            .map(|it| it.trim().to_owned())
            .collect();
        let length = lengths.first();
        if lengths.iter().any(|other| Some(other) != length) {
            return Err(invalid("the answer has two lengths"));
        }
        answer.body = match length {
            Some(length) => {
                let length = length
                    .parse()
                    .map_err(|_| invalid("the length of the answer is no number"))?;
                self.exactly(length, max).await?
            }
            None => {
                answer.reusable = false;
                self.rest(max).await?
            }
        };
        Ok(())
    }

    async fn chunks(&mut self, max: usize) -> io::Result<Bytes> {
        let mut body = BytesMut::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| invalid("a chunk has no size"))?;
            if size == 0 {
                // Trailers, which nobody needs, up to an empty line.
                while !self.line().await?.is_empty() {}
                return Ok(body.freeze());
            }
            let left = max.saturating_sub(body.len());
            body.extend_from_slice(&self.exactly(size, left).await?);
            if !self.line().await?.is_empty() {
                return Err(invalid("a chunk is longer than announced"));
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let line = self.buffer.split_to(end + 1);
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                return Ok(String::from_utf8_lossy(line).into_owned());
            }
            if self.buffer.len() > MAX_CHUNK_LINE {
                return Err(invalid("a line between chunks is too long"));
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: usize, max: usize) -> io::Result<Bytes> {
        if length > max {
            return Err(too_long(length, max));
        }
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn rest(&mut self, max: usize) -> io::Result<Bytes> {
        loop {
            if self.buffer.len() > max {
                return Err(too_long(self.buffer.len(), max));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(self.buffer.split().freeze());
            }
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn too_long(size: usize, max: usize) -> io::Error {
    invalid(&format!(
        "the answer has {size} bytes or more; the limit is {max}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of this answer, delivered in pieces of `step` bytes and then ended.
    async fn answer(text: &'static str, step: usize) -> io::Result<(Answer, Vec<u8>)> {
        let (client, mut server) = tokio::io::duplex(step);
        let script = tokio::spawn(async move {
            let mut request = [0; 4];
            server.read_exact(&mut request).await.unwrap();
            // The client may refuse the answer before its end.
            let _ = server.write_all(text.as_bytes()).await;
        });
        let mut connection = Connection::new(Box::new(client));
        let answer = connection.exchange(b"GET ", b"", 100).await;
        script.abort();
        answer.map(|answer| (answer, connection.buffer.to_vec()))
    }

    #[tokio::test]
    async fn bodies_are_read_in_every_form_and_in_any_pieces() {
        for (text, body, reusable) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", true),
            (
                "HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 0\r\n\r\n",
                "",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: t\r\n\r\n",
                "abc0123456789",
                true,
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad\r\nContent-Length: 1\r\n\r\nx",
                "x",
                true,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", "", true),
            ("HTTP/1.0 200 OK\r\n\r\nuntil the end", "until the end", false),
        ] {
            for step in [1, 7, 1000] {
                let (answer, left) = answer(text, step).await.unwrap();
                assert_eq!(answer.body, body, "{text:?} by {step}");
                assert_eq!(answer.reusable, reusable, "{text:?}");
                assert!(left.is_empty());
            }
        }
    }

    #[tokio::test]
    async fn broken_and_endless_answers_are_errors() {
        for text in [
            "",
            "nonsense\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
        ] {
            assert!(answer(text, 1000).await.is_err(), "{text:?}");
        }
    }
}
