//! The write-ahead log: a clear file header, then frames, each sealed as one unit with its header.
//!
//! SQLite writes a frame as 24 bytes of header and then 4096 bytes of page. The header waits here until its page
//! arrives, and both are written as one sealed unit of the same length, so offsets do not move.

use std::ffi::c_int;
use std::sync::Arc;

use libsqlite3_sys as ffi;
use zeroize::Zeroize;

use super::raw::{Code, RawFile};
use crate::database::{Damage, Database};
use crate::format::{self, FRAME, FRAME_HEADER, LOG_HEADER, PAGE};

pub(crate) struct LogFile<R> {
    raw: R,
    database: Arc<Database>,
    /// A frame header whose page has not come yet.
    pending: Option<(u64, [u8; FRAME_HEADER])>,
    /// The frame that is being opened or sealed: in one place that is wiped, and not all over the stack.
    frame: Box<[u8; FRAME]>,
    /// The frame SQLite read last as a whole, which is still in `frame`. When it rewrites checksums it reads a frame and
    /// then writes its header alone; that header goes to disk at once.
    read_whole: Option<u64>,
    /// A header could not be written at a point where SQLite takes no error; every later call reports it.
    failed: Option<Code>,
}

/// A range of the log file.
enum Place {
    FileHeader,
    Frame { index: u64, inside: usize },
}

fn place(offset: u64) -> Place {
    match offset.checked_sub(LOG_HEADER as u64) {
        None => Place::FileHeader,
        Some(at) => Place::Frame {
            index: at / FRAME as u64,
            inside: (at % FRAME as u64) as usize,
        },
    }
}

fn frame_offset(index: u64) -> u64 {
    LOG_HEADER as u64 + index * FRAME as u64
}

impl<R: RawFile> LogFile<R> {
    pub(crate) fn new(raw: R, database: Arc<Database>) -> LogFile<R> {
        LogFile {
            raw,
            database,
            pending: None,
            frame: Box::new([0; FRAME]),
            read_whole: None,
            failed: None,
        }
    }

    pub(crate) fn raw(&mut self) -> &mut R {
        &mut self.raw
    }

    /// Whole frames are what recovery reads: one that does not authenticate comes back as zeros, and SQLite ends
    /// the log there as it does for a bad checksum. Whether that is a torn tail or damage was decided before, by
    /// [`crate::recovery::scan`]. Anything else has to authenticate.
    pub(crate) fn read(&mut self, buf: &mut [u8], offset: u64) -> Result<(), Code> {
        self.flush()?;
        let (index, inside) = match place(offset) {
            Place::FileHeader if offset + buf.len() as u64 > LOG_HEADER as u64 => {
                return Err(ffi::SQLITE_IOERR_READ);
            }
            Place::FileHeader => {
                let present = self.raw.read(buf, offset)?;
                return if present < buf.len() {
                    Err(ffi::SQLITE_IOERR_SHORT_READ)
                } else {
                    Ok(())
                };
            }
            Place::Frame { index, inside } => (index, inside),
        };
        if inside + buf.len() > FRAME {
            return Err(ffi::SQLITE_IOERR_READ);
        }
        self.read_whole = None;
        let present = self.raw.read(&mut self.frame[..], frame_offset(index))?;
        if present < FRAME {
            buf.fill(0);
            return Err(ffi::SQLITE_IOERR_SHORT_READ);
        }
        let recovery = buf.len() == FRAME;
        match self.database.codec.open_frame(index, &mut self.frame) {
            Ok(()) => {
                buf.copy_from_slice(&self.frame[inside..inside + buf.len()]);
                self.read_whole = recovery.then_some(index);
                Ok(())
            }
            Err(_) if recovery => {
                buf.fill(0);
                Ok(())
            }
            Err(_) => {
                buf.fill(0);
                self.database.note_damage(Damage::Frame(index));
                Err(ffi::SQLITE_IOERR_DATA)
            }
        }
    }

    pub(crate) fn write(&mut self, buf: &[u8], offset: u64) -> Result<(), Code> {
        let refused = Err(ffi::SQLITE_IOERR_WRITE);
        match place(offset) {
            Place::FileHeader if offset == 0 && buf.len() == LOG_HEADER => {
                // A new generation of the log: nothing of the old one is rewritten any more.
                self.forget();
                self.database.before_write()?;
                self.database.log_progress().begin_anew();
                self.raw.write(buf, offset)
            }
            Place::Frame { index, inside: 0 } if buf.len() == FRAME_HEADER => {
                self.flush()?;
                let mut header = [0; FRAME_HEADER];
                header.copy_from_slice(buf);
                match self.read_whole.take() {
                    // Only the checksums differ then. Another page, size or generation of the log is a new frame
                    // in the place of an old one, and its page follows.
                    Some(read) if read == index && self.frame[..16] == header[..16] => {
                        self.frame[..FRAME_HEADER].copy_from_slice(&header);
                        self.write_frame(index)
                    }
                    _ => {
                        self.pending = Some((index, header));
                        Ok(())
                    }
                }
            }
            Place::Frame {
                index,
                inside: FRAME_HEADER,
            } if buf.len() == PAGE => {
                self.check_failed()?;
                self.read_whole = None;
                match self.pending.take() {
                    Some((waiting, header)) if waiting == index => {
                        self.frame[..FRAME_HEADER].copy_from_slice(&header);
                    }
                    other => {
                        // A page written again inside its transaction: the frame keeps its header.
                        self.pending = other;
                        self.flush()?;
                        self.existing_frame(index)?;
                    }
                }
                self.frame[FRAME_HEADER..].copy_from_slice(buf);
                self.write_frame(index)
            }
            _ => refused,
        }
    }

    pub(crate) fn truncate(&mut self, size: u64) -> Result<(), Code> {
        self.forget();
        self.database.before_write()?;
        self.database.log_progress().begin_anew();
        self.raw.truncate(size)
    }

    pub(crate) fn sync(&mut self, flags: c_int) -> Result<(), Code> {
        self.flush()?;
        let written = self.database.log_progress().snapshot();
        self.raw.sync(flags)?;
        self.database.log_progress().synced(written);
        Ok(())
    }

    pub(crate) fn size(&mut self) -> Result<u64, Code> {
        self.flush()?;
        self.raw.size()
    }

    /// Writes a header that is still waiting into its frame.
    pub(crate) fn flush(&mut self) -> Result<(), Code> {
        self.check_failed()?;
        if let Some((index, header)) = self.pending.take() {
            if self.raw.size()? < frame_offset(index + 1) {
                // The page never came; for SQLite, too, such a frame is no frame.
                return Ok(());
            }
            self.existing_frame(index)?;
            self.frame[..FRAME_HEADER].copy_from_slice(&header);
            self.write_frame(index)?;
        }
        Ok(())
    }

    /// As [`LogFile::flush`], where SQLite takes no error: the next call reports it.
    pub(crate) fn flush_or_remember(&mut self) {
        if let Err(code) = self.flush() {
            self.failed = Some(code);
        }
    }

    fn check_failed(&self) -> Result<(), Code> {
        self.failed.map_or(Ok(()), Err)
    }

    fn forget(&mut self) {
        self.pending = None;
        self.read_whole = None;
    }

    /// Opens a frame that is there into `frame`.
    fn existing_frame(&mut self, index: u64) -> Result<(), Code> {
        self.read_whole = None;
        let present = self.raw.read(&mut self.frame[..], frame_offset(index))?;
        if present < FRAME || self.database.codec.open_frame(index, &mut self.frame).is_err() {
            self.database.note_damage(Damage::Frame(index));
            return Err(ffi::SQLITE_IOERR_DATA);
        }
        Ok(())
    }

    /// Seals what is in `frame` and writes it.
    fn write_frame(&mut self, index: u64) -> Result<(), Code> {
        let frame = &mut self.frame;
        let page_number = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
        // Refused here and not at the checkpoint: the transaction fails, and the database stays usable.
        if !format::acceptable(page_number.into(), &frame[FRAME_HEADER..]) {
            return Err(ffi::SQLITE_IOERR_WRITE);
        }
        self.database.before_write()?;
        let mut header = [0; FRAME_HEADER];
        header.copy_from_slice(&frame[..FRAME_HEADER]);
        let durable = self.database.log_progress().before_frame(index, &header);
        self.database
            .codec
            .seal_frame(index, durable, frame)
            .map_err(|_| ffi::SQLITE_IOERR_WRITE)?;
        self.raw.write(&frame[..], frame_offset(index))?;
        self.database.log_progress().after_frame(index, &header);
        Ok(())
    }
}

impl<R> Drop for LogFile<R> {
    fn drop(&mut self) {
        self.frame.zeroize();
    }
}

#[cfg(test)]
mod tests;
