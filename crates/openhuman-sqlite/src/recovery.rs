//! What a log left behind by a crash holds, and whether somebody changed it. No I/O of its own.
//!
//! A crash may leave frames torn that had not been synced. Each frame says how many frames before it *had* been
//! committed and synced when it was written, so a bad frame below that mark is no torn tail.

use std::io;

use crate::format::{Codec, FRAME, FRAME_HEADER, LOG_HEADER, PAGE};

const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;

/// How far the log of one open database has come. Kept per generation of the log, which its salts name.
#[derive(Debug, Default)]
pub(crate) struct LogProgress {
    salts: [u8; 8],
    written: u64,
    committed: u64,
    synced: u64,
    /// Other processes write the log as well: nothing is known about their frames.
    shared: bool,
}

/// Frames written when a sync began, and of which generation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written([u8; 8], u64);

impl LogProgress {
    pub(crate) fn new(shared: bool) -> LogProgress {
        LogProgress {
            shared,
            ..LogProgress::default()
        }
    }

    pub(crate) fn begin_anew(&mut self) {
        *self = LogProgress::new(self.shared);
    }

    /// How many frames are known to be committed and synced, now that frame `index` is about to be written.
    pub(crate) fn before_frame(&mut self, index: u64, header: &[u8; FRAME_HEADER]) -> u32 {
        if header[8..16] != self.salts {
            self.begin_anew();
            self.salts.copy_from_slice(&header[8..16]);
        }
        // A frame written again belongs to a transaction that is not committed, whatever came after it.
        self.committed = self.committed.min(index);
        self.synced = self.synced.min(index);
        let durable = if self.shared {
            0
        } else {
            self.committed.min(self.synced)
        };
        u32::try_from(durable).unwrap_or(u32::MAX)
    }

    pub(crate) fn after_frame(&mut self, index: u64, header: &[u8; FRAME_HEADER]) {
        self.written = self.written.max(index + 1);
        if header[4..8] != [0; 4] {
            self.committed = self.committed.max(index + 1);
        }
    }

    pub(crate) fn snapshot(&self) -> Written {
        Written(self.salts, self.written)
    }

    pub(crate) fn synced(&mut self, written: Written) {
        if written.0 == self.salts {
            self.synced = self.synced.max(written.1);
        }
    }
}

/// What a log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Frames up to the last commit that SQLite will use.
    pub(crate) committed: u64,
    /// The first frame that was on the disk once, for certain, and is not there any more.
    pub(crate) damaged: Option<u64>,
}

/// Reads a whole log of `length` bytes. `read` fills its buffer from an offset.
///
/// # Errors
/// What `read` reports.
pub(crate) fn scan(
    codec: &Codec,
    length: u64,
    read: &mut dyn FnMut(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<Scan> {
    let frames = length.saturating_sub(LOG_HEADER as u64) / FRAME as u64;
    if length < LOG_HEADER as u64 {
        return Ok(Scan {
            committed: 0,
            damaged: None,
        });
    }
    let mut header = [0; LOG_HEADER];
    read(&mut header, 0)?;
    let mut chain = Chain::begin(&header);
    let (mut index, mut committed) = (0, 0);
    let mut frame = Box::new([0; FRAME]);
    if let Some(chain) = &mut chain {
        while index < frames {
            read(frame.as_mut_slice(), offset(index))?;
            if codec.open_frame(index, &mut frame).is_err() || !chain.accepts(&frame) {
                break;
            }
            index += 1;
            if frame[4..8] != [0; 4] {
                committed = index;
            }
        }
    }
    let mut damaged = None;
    for later in index..frames {
        read(frame.as_mut_slice(), offset(later))?;
        // The mark of this frame says that the frame at `index` was durable; if the mark is authentic, it was.
        if Codec::durable_before(&frame) > index
            && codec.open_frame(later, &mut frame).is_ok()
            && chain.as_ref().is_none_or(|chain| frame[8..16] == chain.salts)
        {
            damaged = Some(index);
            break;
        }
    }
    Ok(Scan { committed, damaged })
}

fn offset(index: u64) -> u64 {
    LOG_HEADER as u64 + index * FRAME as u64
}

/// SQLite's running checksum over the log.
struct Chain {
    salts: [u8; 8],
    big_endian: bool,
    state: (u32, u32),
}

impl Chain {
    /// `None` when the file header is not one of a log of this format.
    fn begin(header: &[u8; LOG_HEADER]) -> Option<Chain> {
        let word =
            |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let mut salts = [0; 8];
        salts.copy_from_slice(&header[16..24]);
        let mut chain = Chain {
            salts,
            big_endian: word(0) & 1 == 1,
            state: (0, 0),
        };
        chain.add(&header[..24]);
        let valid = word(0) & !1 == MAGIC
            && word(4) == VERSION
            && word(8) == PAGE as u32
            && chain.state == (word(24), word(28));
        valid.then_some(chain)
    }

    fn accepts(&mut self, frame: &[u8; FRAME]) -> bool {
        let word = |at: usize| u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
        if frame[8..16] != self.salts || word(0) == 0 {
            return false;
        }
        self.add(&frame[..8]);
        self.add(&frame[FRAME_HEADER..]);
        self.state == (word(16), word(20))
    }

    fn add(&mut self, data: &[u8]) {
        let (mut a, mut b) = self.state;
        for pair in data.chunks_exact(8) {
            let word = |at: usize| {
                let bytes = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
                if self.big_endian {
                    u32::from_be_bytes(bytes)
                } else {
                    u32::from_le_bytes(bytes)
                }
            };
            a = a.wrapping_add(word(0)).wrapping_add(b);
            b = b.wrapping_add(word(4)).wrapping_add(a);
        }
        self.state = (a, b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(salt: u8, commit: bool) -> [u8; FRAME_HEADER] {
        let mut header = [0; FRAME_HEADER];
        header[7] = u8::from(commit);
        header[8..16].fill(salt);
        header
    }

    #[test]
    fn a_frame_is_durable_when_it_is_committed_and_synced() {
        let mut progress = LogProgress::default();
        assert_eq!(progress.before_frame(0, &header(1, false)), 0);
        progress.after_frame(0, &header(1, false));
        progress.before_frame(1, &header(1, true));
        progress.after_frame(1, &header(1, true));
        assert_eq!(progress.before_frame(2, &header(1, false)), 0, "not synced");
        let written = progress.snapshot();
        progress.synced(written);
        assert_eq!(progress.before_frame(2, &header(1, false)), 2);
        progress.after_frame(2, &header(1, false));
        let written = progress.snapshot();
        progress.synced(written);
        assert_eq!(progress.before_frame(3, &header(1, false)), 2, "not committed");
        assert_eq!(progress.before_frame(1, &header(1, false)), 1, "written again");
        let of_the_old_log = progress.snapshot();
        assert_eq!(progress.before_frame(0, &header(2, true)), 0, "a new log");
        progress.after_frame(0, &header(2, true));
        progress.synced(of_the_old_log);
        assert_eq!(progress.before_frame(1, &header(2, true)), 0);
    }

    #[test]
    fn nothing_is_known_about_the_frames_of_other_processes() {
        let mut progress = LogProgress::new(true);
        progress.before_frame(0, &header(1, true));
        progress.after_frame(0, &header(1, true));
        let written = progress.snapshot();
        progress.synced(written);
        assert_eq!(progress.before_frame(1, &header(1, true)), 0);
    }
}
