//! Undoing the content coding of a response, in bounded steps.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::{Buf as _, Bytes, BytesMut};
use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::error::NetError;

/// What we say we understand.
pub(crate) const ACCEPTED: &str = "gzip, deflate, br";
/// The most decoded at once, in bytes.
pub(crate) const STEP: usize = 64 * 1024;
/// The longest header of a gzip member.
const MAX_GZIP_HEADER: usize = 64 * 1024;
/// Beyond this many decoded bytes, more than `RATIO` times the encoded ones are taken for an attack.
const FREE: u64 = 1024 * 1024;
const RATIO: u64 = 200;

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

enum Coding {
    Identity,
    /// `deflate` is zlib by the standard, but some servers send it bare; the first bytes tell.
    Deflate(Option<Decompress>),
    Gzip(Gzip),
    Brotli(Box<Brotli>),
}

enum Gzip {
    Header,
    Body(Decompress, Crc),
    Trailer(Crc),
    /// After at least one member.
    Between,
}

/// Decodes a body. Encoded bytes go in with [`Decoder::push`] and come out with [`Decoder::pull`], which never gives
/// more than 64 KB at once.
pub(crate) struct Decoder {
    coding: Coding,
    pending: Bytes,
    encoded: u64,
    decoded: u64,
    ended: bool,
}

impl Decoder {
    /// A decoder for this `Content-Encoding`.
    pub(crate) fn new(content_encoding: &str) -> Result<Self, NetError> {
        let names = content_encoding
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase());
        let names: Vec<_> = names
            .filter(|name| !name.is_empty() && name != "identity")
            .collect();
        let coding = match names.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [] => Coding::Identity,
            ["gzip" | "x-gzip"] => Coding::Gzip(Gzip::Header),
            ["deflate"] => Coding::Deflate(None),
            ["br"] => Coding::Brotli(Box::new(BrotliState::new_strict(
                StandardAlloc::default(),
                StandardAlloc::default(),
                StandardAlloc::default(),
            ))),
            _ => {
                let text = super::request::shorten(content_encoding);
                return Err(NetError::failed(format!(
                    "the response is encoded as `{text}`, which was not offered ({ACCEPTED})"
                )));
            }
        };
        Ok(Self::of(coding))
    }

    /// A decoder that changes nothing.
    pub(crate) fn identity() -> Self {
        Self::of(Coding::Identity)
    }

    fn of(coding: Coding) -> Self {
        Self {
            coding,
            pending: Bytes::new(),
            encoded: 0,
            decoded: 0,
            ended: false,
        }
    }

    /// Adds encoded bytes.
    pub(crate) fn push(&mut self, input: Bytes) {
        self.encoded += input.len() as u64;
        if self.pending.is_empty() {
            self.pending = input;
        } else if !input.is_empty() {
            let mut both = BytesMut::with_capacity(self.pending.len() + input.len());
            both.extend_from_slice(&self.pending);
            both.extend_from_slice(&input);
            self.pending = both.freeze();
        }
    }

    /// The next decoded bytes; `None` when it needs more input.
    pub(crate) fn pull(&mut self) -> Result<Option<Vec<u8>>, NetError> {
        let mut out = Vec::new();
        while out.is_empty() && !self.ended {
            let before = self.pending.len();
            let progressed = self.step(&mut out)?;
            if !progressed && out.is_empty() && self.pending.len() == before {
                break;
            }
        }
        self.decoded += out.len() as u64;
        if self.decoded > FREE && self.decoded / RATIO > self.encoded {
            return Err(NetError::failed(format!(
                "the response expands to more than {RATIO} times its size; it is refused as a decompression bomb"
            )));
        }
        Ok((!out.is_empty()).then_some(out))
    }

    /// Checks that the body was complete when its end has come.
    pub(crate) fn finish(&self) -> Result<(), NetError> {
        let complete = match &self.coding {
            Coding::Identity => true,
            Coding::Gzip(Gzip::Between) => true,
            _ => self.ended || self.encoded == 0,
        };
        if complete {
            Ok(())
        } else {
            Err(broken("it ends too early"))
        }
    }

    /// Does some work; whether the state moved on.
    fn step(&mut self, out: &mut Vec<u8>) -> Result<bool, NetError> {
        match &mut self.coding {
            Coding::Identity => {
                let size = self.pending.len().min(STEP);
                *out = self.pending.split_to(size).to_vec();
                Ok(false)
            }
            Coding::Deflate(state) => {
                let inflate = match state {
                    Some(inflate) => inflate,
                    None => {
                        let &[first, second, ..] = &*self.pending else {
                            return Ok(false);
                        };
                        let zlib = first & 0x0f == 8 && u16::from_be_bytes([first, second]) % 31 == 0;
                        state.insert(Decompress::new(zlib))
                    }
                };
                self.ended = run_inflate(inflate, &mut self.pending, out)?;
                Ok(self.ended)
            }
            Coding::Gzip(gzip) => step_gzip(gzip, &mut self.pending, out),
            Coding::Brotli(state) => {
                let (mut in_left, mut in_at) = (self.pending.len(), 0);
                let (mut out_left, mut out_at, mut total) = (STEP, 0, 0);
                out.resize(STEP, 0);
                let result = BrotliDecompressStream(
                    &mut in_left,
                    &mut in_at,
                    &self.pending,
                    &mut out_left,
                    &mut out_at,
                    out,
                    &mut total,
                    state,
                );
                out.truncate(out_at);
                self.pending.advance(in_at);
                match result {
                    BrotliResult::ResultSuccess => self.ended = true,
                    BrotliResult::ResultFailure => return Err(broken("it is not brotli")),
                    BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
                }
                Ok(self.ended)
            }
        }
    }
}

fn step_gzip(gzip: &mut Gzip, pending: &mut Bytes, out: &mut Vec<u8>) -> Result<bool, NetError> {
    let next = match gzip {
        Gzip::Header => match gzip_header(pending)? {
            Some(length) => {
                pending.advance(length);
                Gzip::Body(Decompress::new(false), Crc::new())
            }
            None if pending.len() > MAX_GZIP_HEADER => return Err(broken("its gzip header is too long")),
            None => return Ok(false),
        },
        Gzip::Body(inflate, crc) => {
            let ended = run_inflate(inflate, pending, out)?;
            crc.update(out);
            if !ended {
                return Ok(false);
            }
            Gzip::Trailer(std::mem::take(crc))
        }
        Gzip::Trailer(crc) => {
            let Some(&[a, b, c, d, e, f, g, h]) = pending.first_chunk::<8>() else {
                return Ok(false);
            };
            let sums = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
            if sums != (crc.sum(), crc.amount()) {
                return Err(broken("its checksum does not match"));
            }
            pending.advance(8);
            Gzip::Between
        }
        Gzip::Between => match pending.first() {
            Some(0x1f) => Gzip::Header,
            _ => {
                pending.clear(); // Padding after the last member.
                return Ok(false);
            }
        },
    };
    *gzip = next;
    Ok(true)
}

fn run_inflate(inflate: &mut Decompress, pending: &mut Bytes, out: &mut Vec<u8>) -> Result<bool, NetError> {
    if pending.is_empty() {
        return Ok(false);
    }
    out.reserve(STEP);
    let before = inflate.total_in();
    let status = inflate
        .decompress_vec(pending, out, FlushDecompress::None)
        .map_err(|_| broken("its compressed data is damaged"))?;
    let used = usize::try_from(inflate.total_in() - before).unwrap_or(usize::MAX);
    pending.advance(used.min(pending.len()));
    Ok(status == Status::StreamEnd)
}

/// The length of a gzip header at the start; `None` when it is not complete.
fn gzip_header(bytes: &[u8]) -> Result<Option<usize>, NetError> {
    for (at, expected) in [0x1f, 0x8b, 8].into_iter().enumerate() {
        match bytes.get(at) {
            None => return Ok(None),
            Some(&byte) if byte != expected => return Err(broken("it is not gzip")),
            Some(_) => {}
        }
    }
    let Some(&flags) = bytes.get(3) else {
        return Ok(None);
    };
    let mut length = 10;
    if flags & 4 != 0 {
        let Some(&[low, high]) = bytes.get(length..length + 2) else {
            return Ok(None);
        };
        length += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            let Some(end) = bytes
                .get(length..)
                .and_then(|rest| rest.iter().position(|&byte| byte == 0))
            else {
                return Ok(None);
            };
            length += end + 1;
        }
    }
    if flags & 2 != 0 {
        length += 2;
    }
    Ok((bytes.len() >= length).then_some(length))
}

fn broken(why: &str) -> NetError {
    NetError::failed(format!("the response cannot be decoded: {why}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    /// `hello hello hello hello\n`, as node writes it.
    const BROTLI: &[u8] = &[
        0x1b, 0x17, 0x00, 0xf8, 0x8d, 0x94, 0x6e, 0xde, 0x44, 0x55, 0x86, 0xd6, 0x0a, 0x20, 0x6c, 0x6f, 0x4a,
        0x11, 0x79, 0xe2, 0x80, 0xae, 0x16,
    ];
    /// 4 MB of zeros.
    const BROTLI_BOMB: &[u8] = &[
        0x9b, 0xff, 0xff, 0x3f, 0xf8, 0x27, 0x00, 0xe2, 0xb1, 0x40, 0x20, 0xf7, 0xfe, 0x07,
    ];

    fn decode(coding: &str, body: &[u8], piece: usize) -> Result<Vec<u8>, NetError> {
        let mut decoder = Decoder::new(coding)?;
        let mut out = Vec::new();
        for piece in body.chunks(piece) {
            decoder.push(Bytes::copy_from_slice(piece));
            while let Some(decoded) = decoder.pull()? {
                assert!(decoded.len() <= STEP);
                out.extend(decoded);
            }
        }
        decoder.finish()?;
        Ok(out)
    }

    #[test]
    fn every_coding_is_undone_in_pieces_of_any_size() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(|n| (n % 977).to_le_bytes()).collect();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(&text).unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(&text).unwrap();
        let mut named = flate2::GzBuilder::new()
            .filename("name")
            .comment("comment")
            .extra(vec![1, 2, 3])
            .write(Vec::new(), Compression::default());
        named.write_all(&text).unwrap();
        let mut two = gzip(&text[..1000]);
        two.extend(gzip(&text[1000..]));
        for (coding, body) in [
            ("", text.clone()),
            ("identity", text.clone()),
            ("deflate", zlib.finish().unwrap()),
            ("Deflate", bare.finish().unwrap()),
            ("gzip", gzip(&text)),
            ("x-gzip", named.finish().unwrap()),
            ("gzip", two),
        ] {
            for piece in [1, 7, 4096, usize::MAX] {
                assert!(
                    decode(coding, &body, piece).unwrap() == text,
                    "{coding} by {piece}"
                );
            }
        }
        for piece in [1, 5, 100] {
            assert_eq!(decode("br", BROTLI, piece).unwrap(), b"hello hello hello hello\n");
        }
        assert_eq!(decode("gzip", &[], 1).unwrap(), b"");
    }

    #[test]
    fn what_is_damaged_cut_or_unknown_is_an_error() {
        let whole = gzip(b"hello hello hello");
        assert!(decode("gzip", &whole[..whole.len() - 1], 5).is_err(), "cut");
        let mut wrong = whole.clone();
        let crc = wrong.len() - 6;
        wrong[crc] ^= 1;
        assert!(decode("gzip", &wrong, 5).is_err(), "checksum");
        assert!(decode("gzip", b"plain text", 5).is_err());
        assert!(decode("deflate", &[0xff; 20], 5).is_err());
        assert!(decode("br", &[0xff; 20], 5).is_err());
        assert!(decode("br", &BROTLI[..4], 5).is_err());
        for unknown in ["zstd", "gzip, br", "compress", "gzip gzip"] {
            assert!(Decoder::new(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn a_bomb_is_refused_early() {
        let bomb = gzip(&vec![0; 64 * 1024 * 1024]);
        let mut decoder = Decoder::new("gzip").unwrap();
        decoder.push(Bytes::from(bomb));
        let mut decoded = 0;
        let error = loop {
            match decoder.pull() {
                Ok(Some(bytes)) => decoded += bytes.len(),
                Ok(None) => panic!("it was not refused"),
                Err(error) => break error,
            }
        };
        assert!(error.message.contains("decompression bomb"), "{error}");
        assert!(decoded < 16 * 1024 * 1024, "{decoded}");
        let error = decode("br", BROTLI_BOMB, 100).unwrap_err();
        assert!(error.message.contains("decompression bomb"), "{error}");
    }
}
