//! Conversations, as sealed append-only lines.

mod compact;
mod compaction;
mod pins;
mod record;
mod summary;
mod view;

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use openhuman_vault::Key;
use openhuman_vault::records::{RecordError, RecordFile};

use crate::clock::Clock;
use crate::database::Database;
use crate::document::at_most;
use crate::error::MemoryError;
use crate::ingest::hex;
use crate::originals;

pub use compact::SESSIONS_NAMESPACE;
pub use compaction::{Budget, Compacted, CompactionPlan, Pressure, plan};
pub(crate) use pins::sentences;
pub use pins::{Pin, PinKind, pins};
pub use record::{SessionBlock, SessionMessage, SessionRecord, SessionRole, SessionUsage};
pub use summary::{ExtractiveSummarizer, Summarizer, SummaryError};
pub use view::{SessionView, message_tokens};

/// The longest session identifier, in bytes.
pub const MAX_SESSION_ID_BYTES: usize = 256;

/// The longest record, in bytes of JSON: 8 MiB.
pub const MAX_SESSION_RECORD_BYTES: usize = 8 * 1024 * 1024;

const VERSION: &str = "1.0";

/// One conversation. Clones write to the same file, one at a time.
#[derive(Clone)]
pub struct Session {
    file: Arc<SessionFile>,
}

impl Session {
    /// The session's identifier.
    pub fn id(&self) -> &str {
        &self.file.id
    }

    /// Adds a record and returns after it is on disk. The first record of a session is preceded by a `session`
    /// line with the current time, unless it is one.
    pub fn append(&self, record: &SessionRecord) -> Result<(), MemoryError> {
        let line = encode(record)?;
        let mut handle = self.file.lock();
        let records = self.file.opened(&mut handle)?;
        if records.is_empty() {
            self.file.enter_into_list()?;
        }
        if records.is_empty() && !matches!(record, SessionRecord::Session { .. }) {
            let first = SessionRecord::Session {
                version: VERSION.to_owned(),
                session_id: self.file.id.clone(),
                timestamp: self.file.clock.now_ms(),
            };
            records
                .append(&encode(&first)?)
                .map_err(|source| self.file.failed(source))?;
        }
        records.append(&line).map_err(|source| self.file.failed(source))?;
        Ok(())
    }

    /// All records in order; none when nothing was appended yet. What a crash left half-written at the end is
    /// dropped; anything else that is missing or changed is an error.
    pub fn read(&self) -> Result<Vec<SessionRecord>, MemoryError> {
        self.lines(&mut self.file.lock())
    }

    fn lines(&self, handle: &mut Option<RecordFile>) -> Result<Vec<SessionRecord>, MemoryError> {
        if handle.is_none() {
            let exists = self.file.path.try_exists();
            if !exists.map_err(|source| MemoryError::Io {
                path: self.file.path.clone(),
                source,
            })? {
                return Ok(Vec::new());
            }
        }
        let records = self.file.opened(handle)?;
        let lines = records.read_all().map_err(|source| self.file.failed(source))?;
        let decode = |(index, line): (usize, &Vec<u8>)| {
            SessionRecord::parse(line).map_err(|source| MemoryError::SessionRecord {
                session: self.file.id.clone(),
                index,
                source,
            })
        };
        lines.iter().enumerate().map(decode).collect()
    }

    /// Adds the record made from all that there are; nobody else writes in between.
    pub(crate) fn append_after(
        &self,
        make: impl FnOnce(Vec<SessionRecord>) -> SessionRecord,
    ) -> Result<(), MemoryError> {
        let mut handle = self.file.lock();
        let line = encode(&make(self.lines(&mut handle)?))?;
        let records = self.file.opened(&mut handle)?;
        records.append(&line).map_err(|source| self.file.failed(source))?;
        Ok(())
    }
}

impl Session {
    /// What the model is shown: the newest sum, and the messages since.
    ///
    /// # Errors
    ///
    /// As [`Session::read`].
    pub fn view(&self) -> Result<SessionView, MemoryError> {
        Ok(SessionView::of(self.read()?))
    }

    /// Writes every line as plain JSON, which anyone can read.
    ///
    /// # Errors
    ///
    /// As [`Session::read`], and [`MemoryError::Io`].
    pub fn export_plain(&self, out: &mut dyn io::Write) -> Result<(), MemoryError> {
        for record in self.read()? {
            let mut line = encode(&record)?;
            line.push(b'\n');
            out.write_all(&line).map_err(|source| MemoryError::Io {
                path: PathBuf::from("the export"),
                source,
            })?;
        }
        Ok(())
    }

    /// Replaces the file by one in which every line went through `change`; `None` leaves a line out. This is how
    /// forgetting reaches what is otherwise only appended to. Returns how many lines changed; none leaves the file
    /// alone.
    pub(crate) fn rewrite(
        &self,
        change: impl Fn(&SessionRecord) -> Option<SessionRecord>,
    ) -> Result<usize, MemoryError> {
        let mut handle = self.file.lock();
        let before = self.lines(&mut handle)?;
        let after: Vec<Option<SessionRecord>> = before.iter().map(change).collect();
        let changed = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| after.as_ref() != Some(before))
            .count();
        if changed == 0 {
            return Ok(0);
        }
        let beside = self.file.path.with_extension("forgetting");
        let io = |source| MemoryError::Io {
            path: beside.clone(),
            source,
        };
        // What a crash left of an earlier attempt.
        match fs::remove_file(&beside) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(io(source)),
            _ => {}
        }
        let mut records =
            RecordFile::open(&beside, &self.file.key).map_err(|source| self.file.failed(source))?;
        for record in after.iter().flatten() {
            records
                .append(&encode(record)?)
                .map_err(|source| self.file.failed(source))?;
        }
        // Windows does not replace an open file.
        drop(records);
        *handle = None;
        fs::rename(&beside, &self.file.path).map_err(io)?;
        if let Some(dir) = self.file.path.parent() {
            sync_dir(dir)?;
        }
        Ok(changed)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.file.id)
            .finish_non_exhaustive()
    }
}

fn encode(record: &SessionRecord) -> Result<Vec<u8>, MemoryError> {
    let line = serde_json::to_string(record).map_err(|error| MemoryError::Damaged {
        what: error.to_string(),
    })?;
    at_most("session record", &line, MAX_SESSION_RECORD_BYTES)?;
    Ok(line.into_bytes())
}

struct SessionFile {
    id: String,
    path: PathBuf,
    key: Key,
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
    /// Opened on first use, because opening reads and checks the whole file.
    records: Mutex<Option<RecordFile>>,
}

impl SessionFile {
    fn lock(&self) -> MutexGuard<'_, Option<RecordFile>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened<'a>(&self, handle: &'a mut Option<RecordFile>) -> Result<&'a mut RecordFile, MemoryError> {
        match handle {
            Some(records) => Ok(records),
            closed => {
                let records = RecordFile::open(&self.path, &self.key);
                Ok(closed.insert(records.map_err(|source| self.failed(source))?))
            }
        }
    }

    fn enter_into_list(&self) -> Result<(), MemoryError> {
        let sql = "INSERT INTO sessions (id, created_ms) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        let values = rusqlite::params![self.id, self.clock.now_ms()];
        self.database
            .write(|transaction| Ok(transaction.execute(sql, values)?), |_| ())?;
        Ok(())
    }

    fn failed(&self, source: RecordError) -> MemoryError {
        MemoryError::SessionFile {
            path: self.path.clone(),
            source,
        }
    }
}

/// The sessions of a memory. Their files have names made from the key, so that they do not tell the identifiers;
/// the database holds the list.
pub(crate) struct Sessions {
    dir: PathBuf,
    key: Key,
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
    open: Mutex<HashMap<String, Weak<SessionFile>>>,
}

impl Sessions {
    pub(crate) fn open(
        dir: PathBuf,
        key: Key,
        database: Arc<Database>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, MemoryError> {
        create_private_dir(&dir)?;
        Ok(Self {
            dir,
            key,
            database,
            clock,
            open: Mutex::default(),
        })
    }

    pub(crate) fn session(&self, id: &str) -> Result<Session, MemoryError> {
        if id.is_empty() {
            return Err(MemoryError::Empty { field: "session id" });
        }
        at_most("session id", id, MAX_SESSION_ID_BYTES)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, file| file.strong_count() > 0);
        if let Some(file) = open.get(id).and_then(Weak::upgrade) {
            return Ok(Session { file });
        }
        let file = Arc::new(SessionFile {
            id: id.to_owned(),
            path: self.path(id),
            key: self.key.derive(id.as_bytes(), "openhuman-memory session"),
            database: Arc::clone(&self.database),
            clock: Arc::clone(&self.clock),
            records: Mutex::default(),
        });
        open.insert(id.to_owned(), Arc::downgrade(&file));
        Ok(Session { file })
    }

    pub(crate) fn ids(&self) -> Result<Vec<String>, MemoryError> {
        self.database.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT id FROM sessions ORDER BY created_ms, id")?;
            let ids = statement
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            Ok(ids)
        })
    }

    pub(crate) fn forget(&self, id: &str) -> Result<bool, MemoryError> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let file = open.get(id).and_then(Weak::upgrade);
        // Held to the end: what is appended meanwhile would go into a file that has no name any more.
        let mut handle = file.as_ref().map(|file| file.lock());
        if let Some(handle) = &mut handle {
            **handle = None;
        }
        let path = self.path(id);
        match fs::remove_file(&path) {
            Ok(()) => sync_dir(&self.dir)?,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(MemoryError::Io { path, source }),
        }
        let sql = "DELETE FROM sessions WHERE id = ?1";
        let removed = self.database.write(
            |transaction| {
                originals::release(transaction, id)?;
                Ok(transaction.execute(sql, [id])?)
            },
            |_| (),
        )?;
        Ok(removed > 0)
    }

    fn path(&self, id: &str) -> PathBuf {
        let name = self
            .key
            .derive(id.as_bytes(), "openhuman-memory session file name");
        self.dir.join(format!("{}.records", hex(&name.expose()[..16])))
    }
}

/// Makes the removal of a file survive a power cut.
fn sync_dir(dir: &Path) -> Result<(), MemoryError> {
    #[cfg(unix)]
    fs::File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|source| MemoryError::Io {
            path: dir.to_owned(),
            source,
        })?;
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

/// Creates a directory, and its parents, that only this user may enter.
pub(crate) fn create_private_dir(dir: &Path) -> Result<(), MemoryError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|source| MemoryError::Io {
        path: dir.to_owned(),
        source,
    })
}
