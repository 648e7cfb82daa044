//! Sealed record files: append-only, one authenticated chain.
//!
//! ```
//! use openhuman_vault::{Key, records::RecordFile};
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("session.ohr");
//!
//! let key = Key::generate()?;
//! let mut file = RecordFile::open(&path, &key)?;
//! file.append(b"first")?;
//! file.append(b"second")?;
//! assert_eq!(file.read_all()?, [b"first".to_vec(), b"second".to_vec()]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each record is bound to its file, its position and the record before it, so a changed, removed, repeated or
//! moved record is an error. Two anchors near the start of the file count the records, so records missing at
//! the end are an error too. Only what a crash can leave behind - one unfinished record at the end that
//! [`RecordFile::append`] never confirmed - is dropped without one. What a file cannot show by itself is that it
//! was replaced as a whole by an older copy of itself.
//!
//! Several handles, also of several processes, may be open on one file: every operation takes the file's lock
//! and first reads what others appended.

mod error;

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

pub use self::error::RecordError;
use self::error::at;
use crate::files;
use crate::key::{Key, random};
use crate::seal::{Backend, NONCE_LEN, OVERHEAD, SealError, Sealer, TAG_LEN};

/// The longest record in bytes: 16 MiB.
pub const MAX_RECORD: usize = 16 * 1024 * 1024;

const VERSION: u8 = 1;
const MAGIC: &[u8; 7] = b"OHRECRD";
const ID: std::ops::Range<usize> = 8..24;
const HEADER: u64 = 24;
const ANCHOR: usize = 8 + TAG_LEN + OVERHEAD;
const ANCHORS: [u64; 2] = [HEADER, HEADER + ANCHOR as u64];
const START: u64 = HEADER + 2 * ANCHOR as u64;
const LENGTH: u64 = 4;

const DOMAIN_RECORD: u8 = 1;
const DOMAIN_ANCHOR: u8 = 2;

/// An open record file. See the [module documentation](self).
pub struct RecordFile {
    path: PathBuf,
    file: File,
    sealer: Sealer,
    id: [u8; 16],
    /// Authenticated records before `end`.
    count: u64,
    end: u64,
    last_tag: [u8; TAG_LEN],
    /// The disk refuses to confirm anything.
    #[cfg(test)]
    sync_fails: bool,
}

impl RecordFile {
    /// Opens the file, or creates it when nothing is there, and authenticates every record in it. Costs one
    /// pass over the file.
    ///
    /// # Errors
    /// [`RecordError::WrongKeyOrTampered`] when nothing in the file authenticates under `key`,
    /// [`RecordError::Tampered`] when a record does not, [`RecordError::NotARecordFile`],
    /// [`RecordError::UnknownVersion`], [`RecordError::Random`] and [`RecordError::Io`].
    pub fn open(path: impl AsRef<Path>, key: &Key) -> Result<RecordFile, RecordError> {
        let path = path.as_ref();
        let mut file = match open_existing(path) {
            Err(RecordError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(path, key)?;
                open_existing(path)?
            }
            other => other?,
        };
        file.lock().map_err(at(path))?;
        let mut header = [0; HEADER as usize];
        let opened = read_exact_at(&mut file, 0, &mut header)
            .map_err(at(path))
            .and_then(|complete| {
                if !complete || header[1..8] != *MAGIC {
                    return Err(RecordError::NotARecordFile {
                        path: path.to_owned(),
                    });
                }
                if header[0] != VERSION {
                    return Err(RecordError::UnknownVersion {
                        path: path.to_owned(),
                        version: header[0],
                    });
                }
                Ok(())
            });
        let mut id = [0; 16];
        id.copy_from_slice(&header[ID]);
        let sealer = sealer(key, &id);
        let mut records = RecordFile {
            path: path.to_owned(),
            file,
            sealer,
            id,
            count: 0,
            end: START,
            last_tag: [0; TAG_LEN],
            #[cfg(test)]
            sync_fails: false,
        };
        let scanned = opened.and_then(|()| records.advance(None));
        records.unlocked(scanned)?;
        Ok(records)
    }

    /// Appends one record and returns its index, counted from 0. When it returns `Ok`, the record is on disk
    /// (fsync). After an error the record may or may not be there, like after a crash; the file stays readable.
    ///
    /// # Errors
    /// [`RecordError::TooLong`] above [`MAX_RECORD`]; otherwise as [`RecordFile::open`].
    pub fn append(&mut self, record: &[u8]) -> Result<u64, RecordError> {
        if record.len() > MAX_RECORD {
            return Err(RecordError::TooLong { len: record.len() });
        }
        self.file.lock().map_err(at(&self.path))?;
        let appended = self.append_locked(record);
        self.unlocked(appended)
    }

    /// Reads every record from the start, each authenticated again.
    ///
    /// # Errors
    /// As [`RecordFile::open`].
    pub fn read_all(&mut self) -> Result<Vec<Vec<u8>>, RecordError> {
        self.file.lock_shared().map_err(at(&self.path))?;
        let mut records = Vec::new();
        (self.count, self.end, self.last_tag) = (0, START, [0; TAG_LEN]);
        let read = self.advance(Some(&mut records));
        self.unlocked(read)?;
        Ok(records)
    }

    /// How many records this handle has read or written.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether [`RecordFile::len`] is zero.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn append_locked(&mut self, record: &[u8]) -> Result<u64, RecordError> {
        self.advance(None)?;
        let index = self.count;
        let sealed = self.sealer.seal(&self.record_aad(index, record.len()), record)?;
        let mut bytes = Vec::with_capacity(LENGTH as usize + sealed.len());
        bytes.extend_from_slice(&(record.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&sealed);
        let io = at(&self.path);
        // Drops what a crash left unfinished; nobody else writes while the lock is held.
        self.file.set_len(self.end).map_err(&io)?;
        if let Err(error) = self.write_at_end(&bytes) {
            // What is in the system's cache but perhaps not on the disk must not be taken for a record by the
            // next append. The first error is the one to report.
            let _ = self.file.set_len(self.end);
            return Err(io(error));
        }
        self.end += bytes.len() as u64;
        self.count += 1;
        self.last_tag.copy_from_slice(&sealed[sealed.len() - TAG_LEN..]);
        // Written after the record is durable and synced with the next one: the anchor never runs ahead.
        let slot = (self.count % 2) as usize;
        let anchor = seal_anchor(&self.sealer, &self.id, slot, self.count, &self.last_tag)?;
        self.file.seek(SeekFrom::Start(ANCHORS[slot])).map_err(&io)?;
        self.file.write_all(&anchor).map_err(&io)?;
        Ok(index)
    }

    fn write_at_end(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(bytes)?;
        #[cfg(test)]
        if self.sync_fails {
            return Err(io::ErrorKind::Other.into());
        }
        self.file.sync_data()
    }

    /// Authenticates from `self.end` on and moves it behind the last good record.
    fn advance(&mut self, mut out: Option<&mut Vec<Vec<u8>>>) -> Result<(), RecordError> {
        let (anchored, anchor_tag) = self.newest_anchor()?;
        let size = self.file.metadata().map_err(at(&self.path))?.len();
        if size < self.end {
            // Cut off while it was open, by something that does not take the lock.
            return Err(self.tampered(self.count.saturating_sub(1)));
        }
        while self.end < size {
            match self.next_record(size)? {
                Step::Record { record, tag, end } => {
                    if let Some(out) = &mut out {
                        out.push(record);
                    }
                    (self.count, self.last_tag, self.end) = (self.count + 1, tag, end);
                    if self.count == anchored && tag != anchor_tag {
                        return Err(self.tampered(self.count - 1));
                    }
                }
                // What a crash left: the sync that confirms a record brings the anchor of the one before along.
                Step::Bad if self.count >= anchored => {
                    tracing::warn!(path = %self.path.display(), "dropped an unfinished record at the end");
                    break;
                }
                Step::Bad => return Err(self.tampered(self.count)),
            }
        }
        if self.count < anchored {
            return Err(self.tampered(self.count));
        }
        Ok(())
    }

    fn next_record(&mut self, size: u64) -> Result<Step, RecordError> {
        let io = at(&self.path);
        let mut length = [0; LENGTH as usize];
        if !read_exact_at(&mut self.file, self.end, &mut length).map_err(&io)? {
            return Ok(Step::Bad);
        }
        let length = u32::from_be_bytes(length) as usize;
        let end = self.end + LENGTH + length as u64 + OVERHEAD as u64;
        if length > MAX_RECORD || end > size {
            return Ok(Step::Bad);
        }
        let mut sealed = vec![0; length + OVERHEAD];
        if !read_exact_at(&mut self.file, self.end + LENGTH, &mut sealed).map_err(&io)? {
            return Ok(Step::Bad);
        }
        match self.sealer.open(&self.record_aad(self.count, length), &sealed) {
            Ok(record) => {
                let mut tag = [0; TAG_LEN];
                tag.copy_from_slice(&sealed[length + NONCE_LEN..]);
                Ok(Step::Record { record, tag, end })
            }
            Err(_) => Ok(Step::Bad),
        }
    }

    fn newest_anchor(&mut self) -> Result<(u64, [u8; TAG_LEN]), RecordError> {
        let mut newest = None;
        for (slot, offset) in ANCHORS.into_iter().enumerate() {
            let mut sealed = [0; ANCHOR];
            if !read_exact_at(&mut self.file, offset, &mut sealed).map_err(at(&self.path))? {
                return Err(RecordError::NotARecordFile {
                    path: self.path.clone(),
                });
            }
            let Ok(anchor) = self
                .sealer
                .open(&aad(DOMAIN_ANCHOR, &self.id, slot as u64), &sealed)
            else {
                continue;
            };
            let Some((count, tag)) = anchor.split_first_chunk::<8>() else {
                continue;
            };
            let count = u64::from_be_bytes(*count);
            let Ok(tag) = <[u8; TAG_LEN]>::try_from(tag) else {
                continue;
            };
            if newest.is_none_or(|(other, _)| other < count) {
                newest = Some((count, tag));
            }
        }
        newest.ok_or_else(|| RecordError::WrongKeyOrTampered {
            path: self.path.clone(),
        })
    }

    fn record_aad(&self, index: u64, length: usize) -> Vec<u8> {
        let mut out = aad(DOMAIN_RECORD, &self.id, index);
        out.extend_from_slice(&(length as u32).to_be_bytes());
        out.extend_from_slice(&self.last_tag);
        out
    }

    fn tampered(&self, index: u64) -> RecordError {
        RecordError::Tampered {
            path: self.path.clone(),
            index,
        }
    }

    /// Gives the lock back, whatever `result` is.
    fn unlocked<T>(&self, result: Result<T, RecordError>) -> Result<T, RecordError> {
        let unlocked = self.file.unlock().map_err(at(&self.path));
        let value = result?;
        unlocked?;
        Ok(value)
    }
}

impl fmt::Debug for RecordFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordFile")
            .field("path", &self.path)
            .field("records", &self.count)
            .finish_non_exhaustive()
    }
}

enum Step {
    Record {
        record: Vec<u8>,
        tag: [u8; TAG_LEN],
        end: u64,
    },
    /// Not authentic, or not whole.
    Bad,
}

fn sealer(key: &Key, id: &[u8; 16]) -> Sealer {
    Sealer::with_backend(&key.derive(id, "openhuman-vault/v1/records"), Backend::AesGcm)
}

fn aad(domain: u8, id: &[u8; 16], number: u64) -> Vec<u8> {
    let mut out = vec![VERSION, domain];
    out.extend_from_slice(id);
    out.extend_from_slice(&number.to_be_bytes());
    out
}

fn seal_anchor(
    sealer: &Sealer,
    id: &[u8; 16],
    slot: usize,
    count: u64,
    tag: &[u8; TAG_LEN],
) -> Result<Vec<u8>, SealError> {
    let mut plain = count.to_be_bytes().to_vec();
    plain.extend_from_slice(tag);
    sealer.seal(&aad(DOMAIN_ANCHOR, id, slot as u64), &plain)
}

fn create(path: &Path, key: &Key) -> Result<(), RecordError> {
    let id: [u8; 16] = random()?;
    let sealer = sealer(key, &id);
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&id);
    for slot in 0..ANCHORS.len() {
        bytes.extend_from_slice(&seal_anchor(&sealer, &id, slot, 0, &[0; TAG_LEN])?);
    }
    // A private temporary name, then a hard link: of two handles that create at once, one wins.
    let name: [u8; 8] = random()?;
    let temporary = files::with_suffix(path, &format!(".{:016x}.tmp", u64::from_be_bytes(name)));
    let io = at(path);
    files::write_atomic(&temporary, &bytes).map_err(&io)?;
    let linked = match std::fs::hard_link(&temporary, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Not every file system has hard links; a rename then is the next best thing.
        Err(_) if !path.exists() => std::fs::rename(&temporary, path),
        other => other,
    };
    if temporary.exists() {
        std::fs::remove_file(&temporary).map_err(&io)?;
    }
    linked.map_err(&io)?;
    files::sync_parent(path).map_err(&io)
}

fn open_existing(path: &Path) -> Result<File, RecordError> {
    File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(at(path))
}

/// Fills `buf` from `offset`; `false` when the file ends before.
fn read_exact_at(file: &mut File, offset: u64, buf: &mut [u8]) -> io::Result<bool> {
    file.seek(SeekFrom::Start(offset))?;
    match file.read_exact(buf) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
