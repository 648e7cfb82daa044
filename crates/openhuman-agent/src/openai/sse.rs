//! A parser for server-sent events, as the HTML standard defines them: pure, and indifferent to where the bytes are
//! split.

/// The longest event, in bytes of data.
pub const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event` field; empty for plain messages.
    pub name: String,
    /// The `data` lines, joined by line feeds.
    pub data: String,
}

/// An event is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {MAX_EVENT_BYTES} bytes")]
#[non_exhaustive]
pub struct TooLong;

/// Takes bytes as they arrive and gives whole events.
///
/// ```
/// use openhuman_agent::openai::sse::Parser;
///
/// let mut parser = Parser::new();
/// assert!(parser.push(b": ping\ndata: he").unwrap().is_empty());
/// assert_eq!(parser.push(b"llo\r\n\r\n").unwrap()[0].data, "hello");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed right after it belongs to it.
    after_return: bool,
    /// Past the place where a byte order mark may stand.
    started: bool,
    name: String,
    data: String,
    has_data: bool,
}

impl Parser {
    /// A parser at the beginning of a stream.
    pub fn new() -> Parser {
        Parser::default()
    }

    /// Takes the next bytes and returns the events they complete.
    ///
    /// # Errors
    /// When an event is longer than [`MAX_EVENT_BYTES`]; the stream cannot be read further then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_return)
                && let Some(after) = rest.strip_prefix(b"\n")
            {
                rest = after;
                continue;
            }
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
                self.line.extend_from_slice(rest);
                self.check()?;
                break;
            };
            let (line, tail) = rest.split_at(end);
            self.line.extend_from_slice(line);
            self.check()?;
            self.after_return = tail.first() == Some(&b'\r');
            rest = tail.get(1..).unwrap_or_default();
            events.extend(self.end_of_line());
        }
        self.check()?;
        Ok(events)
    }

    /// The end of the stream: an event without its closing blank line is given out too, since servers forget it.
    pub fn finish(mut self) -> Option<Event> {
        if !self.line.is_empty()
            && let Some(event) = self.end_of_line()
        {
            return Some(event);
        }
        self.dispatch()
    }

    fn check(&self) -> Result<(), TooLong> {
        if self.line.len() + self.data.len() > MAX_EVENT_BYTES {
            Err(TooLong)
        } else {
            Ok(())
        }
    }

    fn end_of_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let bytes = if std::mem::replace(&mut self.started, true) {
            line.as_slice()
        } else {
            line.strip_prefix(b"\xef\xbb\xbf".as_slice()).unwrap_or(&line)
        };
        if bytes.is_empty() {
            return self.dispatch();
        }
        let text = String::from_utf8_lossy(bytes);
        let (field, value) = match text.split_once(':') {
            Some((field, value)) => (field, value.strip_prefix(' ').unwrap_or(value)),
            None => (text.as_ref(), ""),
        };
        match field {
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            "event" => value.clone_into(&mut self.name),
            // Comments (empty field), `id`, `retry` and unknown fields mean nothing here.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        let event = Event {
            name: std::mem::take(&mut self.name),
            data: std::mem::take(&mut self.data),
        };
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        "\u{feff}: hello\r\ndata: {\"a\":\"é€😀\"}\r\n\r\nevent: x\rdata:one\rdata: two\r\r\
        id: 7\nretry: 5\ndata\n\ndata: [DONE]\n\n"
            .as_bytes();

    const CHAT: &[u8] = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hé\",\"tool_calls\":[{\"index\":0,\
        \"id\":\"c1\",\"function\":{\"name\":\"a__b\",\"arguments\":\"{\\\"x\\\":\"}}]},\"finish_reason\":null}]}\n\n\
        data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1}\"}}]},\
        \"finish_reason\":\"tool_calls\"}]}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n"
        .as_bytes();

    fn expected() -> Vec<Event> {
        let event = |name: &str, data: &str| Event {
            name: name.to_owned(),
            data: data.to_owned(),
        };
        vec![
            event("", "{\"a\":\"é€😀\"}"),
            event("x", "one\ntwo"),
            event("", ""),
            event("", "[DONE]"),
        ]
    }

    fn parse(pieces: &[&[u8]]) -> Vec<Event> {
        let mut parser = Parser::new();
        let mut events = Vec::new();
        for piece in pieces {
            events.extend(parser.push(piece).unwrap());
        }
        events.extend(parser.finish());
        events
    }

    #[test]
    fn a_stream_split_anywhere_gives_the_same_events() {
        assert_eq!(parse(&[STREAM]), expected());
        for first in 0..=STREAM.len() {
            let (a, rest) = STREAM.split_at(first);
            assert_eq!(parse(&[a, rest]), expected(), "split at {first}");
            for second in 0..=rest.len() {
                let (b, c) = rest.split_at(second);
                assert_eq!(parse(&[a, b, c]), expected(), "split at {first} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(parse(&bytes), expected());
    }

    #[test]
    fn a_missing_blank_line_at_the_end_is_forgiven() {
        assert_eq!(parse(&[b"data: a\n\ndata: b"]).len(), 2);
        assert_eq!(parse(&[b"data: b\n"])[0].data, "b");
        assert_eq!(parse(&[b"event: x\n"]), []);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = Parser::new();
        let chunk = vec![b'x'; 1024 * 1024];
        let results: Vec<bool> = (0..9).map(|_| parser.push(&chunk).is_ok()).collect();
        assert!(results[0] && !results[8]);

        let mut parser = Parser::new();
        let line = [b"data: ".as_slice(), &chunk, b"\n"].concat();
        assert!((0..9).any(|_| parser.push(&line).is_err()));
    }

    /// A small generator of pseudo-random numbers (SplitMix64), seeded, so that a failure can be repeated.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn below(&mut self, limit: usize) -> usize {
            usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
        }
    }

    #[test]
    fn mutated_streams_never_panic_and_never_depend_on_the_split() {
        for seed in 0..4000 {
            let mut random = Random(seed);
            let mut stream = if seed % 2 == 0 {
                STREAM.to_vec()
            } else {
                CHAT.to_vec()
            };
            for _ in 0..=random.below(12) {
                if stream.is_empty() {
                    break;
                }
                let at = random.below(stream.len());
                match random.below(5) {
                    0 => stream[at] = b"\r\n: \xef\xff{}[]dx0\",\\"[random.below(16)],
                    1 => stream.insert(at, b"\r\n:\xc3\x00"[random.below(5)]),
                    2 => {
                        stream.remove(at);
                    }
                    3 => stream.truncate(at.max(1)),
                    _ => {
                        let copy = stream[at..(at + 9).min(stream.len())].to_vec();
                        stream.splice(at..at, copy);
                    }
                }
            }
            let whole = parse(&[&stream]);
            let mut pieces: Vec<&[u8]> = Vec::new();
            let mut rest = stream.as_slice();
            while !rest.is_empty() {
                let (piece, tail) = rest.split_at(1 + random.below(rest.len()));
                pieces.push(piece);
                rest = tail;
            }
            assert_eq!(parse(&pieces), whole, "seed {seed}");
            let mut assembler = crate::openai::assemble::Assembler::new();
            // Whatever the events say, the assembler answers with events or a fault.
            let _ = whole
                .iter()
                .try_for_each(|event| assembler.event(&event.data).map(drop));
            let _ = assembler.finish();
        }
    }
}
