use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openhuman_vault::Key;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::database::{self, Damage, Database};
use crate::error::Error;
use crate::freshness::{Anchor, Freshness};
use crate::vfs;

/// How [`open`] behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Refuse to create the database: [`Error::Missing`] when it is not there. Default: `false`.
    pub must_exist: bool,
    /// Open without writing to the database. Implies `must_exist`. Default: `false`.
    pub read_only: bool,
    /// How long to wait for another connection's write, and for another process to close the database.
    /// Default: 5 seconds.
    pub busy_timeout: Duration,
    /// What a commit survives. Default: [`Durability::PowerLoss`].
    pub durability: Durability,
    /// Who may have the database open at the same time. Default: [`Processes::One`].
    pub processes: Processes,
    /// Keeps the seal by which an older copy of the database is noticed. The first connection of the process
    /// verifies the seal, which reads the whole file once. Default: none.
    pub anchor: Option<Arc<dyn Anchor>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            must_exist: false,
            read_only: false,
            busy_timeout: Duration::from_secs(5),
            durability: Durability::PowerLoss,
            processes: Processes::One,
            anchor: None,
        }
    }
}

/// Who may have a database open at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processes {
    /// Any number of connections of one process. The index of the log stays in memory.
    One,
    /// Connections of several processes, each of which asks for this. The index of the log is then the file
    /// `NAME-shm`, which shows page numbers and a checksum of the plaintext of the log. Damage in a log that a
    /// crash left is then taken for its end, and there is no freshness.
    Many,
}

/// What a committed transaction survives. The database is consistent in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power cut: every commit waits for the disk (`synchronous=FULL`, and `fullfsync` where there is one).
    PowerLoss,
    /// The end of the process, but after a power cut the last commits may be missing (`synchronous=NORMAL`).
    /// Much faster for many small commits.
    ProcessCrash,
}

impl Durability {
    pub(crate) fn synchronous(self) -> &'static str {
        match self {
            Durability::PowerLoss => "FULL",
            Durability::ProcessCrash => "NORMAL",
        }
    }
}

/// Opens or creates a sealed database and returns an ordinary connection to it.
///
/// Any number of connections of one process may be open on a file; a second process gets [`Error::InUse`] unless
/// both asked for [`Processes::Many`]. The database is in write-ahead-log mode and stays there. Temporary tables,
/// indices and sorter runs live in memory up to 1 MiB each, then in a file of the system's temporary directory
/// that is sealed under a key of its own and has no name.
///
/// # Errors
/// [`Error::WrongKey`], [`Error::NotSealed`], [`Error::Missing`], [`Error::Truncated`], [`Error::PageCorrupt`],
/// [`Error::LogCorrupt`], [`Error::RolledBack`], [`Error::Anchor`], [`Error::InUse`], [`Error::Unsupported`],
/// [`Error::DiskFull`], [`Error::ReadOnly`], [`Error::BadPath`], [`Error::Io`], [`Error::Random`] and
/// [`Error::Sqlite`]. An `open` that fails does not change what is in the database.
pub fn open(path: &Path, key: &Key, options: &Options) -> Result<Connection, Error> {
    vfs::register()?;
    let (database, path) = database::acquire(path, key, options)?;
    let mode = if options.read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    // Without a mutex: rusqlite sees to it that one thread at a time uses a connection.
    let flags = mode | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = {
        let ticket = vfs::Ticket::new(&database);
        let uri = uri(&path, &ticket.value())?;
        Connection::open_with_flags_and_vfs(uri, flags, vfs::NAME)
    };
    opened
        .and_then(|connection| configure(connection, options))
        .map_err(|error| translate(&path, &database, error))
}

/// What is known about the age of an open database. See [`Anchor`].
pub fn freshness(connection: &Connection) -> Freshness {
    let path = connection.path().map(PathBuf::from).unwrap_or_default();
    database::find(&path).map_or(Freshness::NotAnchored, |database| database.freshness())
}

/// Whether `key` is the one a database is sealed under. Reads 16 bytes and needs no lock.
///
/// # Errors
/// [`Error::NotSealed`], [`Error::Truncated`] and [`Error::Io`].
pub fn opens_with(path: &Path, key: &Key) -> Result<bool, Error> {
    match crate::files::read_file_id(path, key) {
        Ok(_) => Ok(true),
        Err(Error::WrongKey { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes SQLite overwrite memory when it frees it, in the whole process and for every database, so that nothing of what it
/// read is left in memory when all connections are closed. The first thing to do in `main`, before any other thread and
/// any other use of SQLite; calling it again changes nothing. Costs a few percent of processor time.
///
/// Strings that Rust code took out of a database are Rust's to free: see [`openhuman_vault::WipingAllocator`].
///
/// # Errors
/// [`Error::Sqlite`] (misuse) when SQLite is in use already; nothing is changed then.
pub fn wipe_freed_memory() -> Result<(), Error> {
    vfs::wipe_freed_memory().map_err(|code| {
        let what = "SQLite is in use already; make this the first call in main".to_owned();
        rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(what)).into()
    })
}

fn configure(connection: Connection, options: &Options) -> rusqlite::Result<Connection> {
    // SQLite counts milliseconds in 32 bits: more than 24 days are for ever.
    let longest = Duration::from_millis(i32::MAX as u64);
    connection.busy_timeout(options.busy_timeout.min(longest))?;
    connection.pragma_update(None, "synchronous", options.durability.synchronous())?;
    // On macOS a plain fsync leaves the data in the drive's own cache; elsewhere this changes nothing.
    connection.pragma_update(None, "fullfsync", true)?;
    // Files of ours, in memory while they are small; `MEMORY` would keep a whole copy during VACUUM.
    connection.pragma_update(None, "temp_store", "FILE")?;
    vfs::refuse_files(&connection)
        .map_err(|code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None))?;
    // Reads page 1 and, if there is a log, recovers it: errors belong to `open`, not to the first query.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// Says more about an error of a sealed connection: [`Error::PageCorrupt`] and its like instead of SQLite's
/// "disk I/O error" or "file is not a database", also for attached databases. Anything else becomes
/// [`Error::Sqlite`].
pub fn diagnose(connection: &Connection, error: rusqlite::Error) -> Error {
    let main = connection.path().map(PathBuf::from).unwrap_or_default();
    let mut error = match database::find(&main) {
        Some(database) => translate(&main, &database, error),
        None => Error::Sqlite(error),
    };
    for path in attached(connection) {
        let Error::Sqlite(unexplained) = error else {
            return error;
        };
        error = match database::find(&path) {
            Some(database) => translate(&path, &database, unexplained),
            None => Error::Sqlite(unexplained),
        };
    }
    error
}

fn attached(connection: &Connection) -> Vec<PathBuf> {
    let list = || -> rusqlite::Result<Vec<PathBuf>> {
        let mut statement = connection.prepare("SELECT file FROM pragma_database_list WHERE seq > 1")?;
        let files = statement.query_map([], |row| row.get::<_, String>(0))?;
        files.map(|file| file.map(PathBuf::from)).collect()
    };
    // The list helps to explain another error; without it that one is reported as it is.
    list().unwrap_or_default()
}

pub(crate) fn translate(path: &Path, database: &Database, error: rusqlite::Error) -> Error {
    let Some(code) = error.sqlite_error().copied() else {
        return Error::Sqlite(error);
    };
    let path = path.to_owned();
    if code.extended_code == rusqlite::ffi::SQLITE_IOERR_DATA || code.code == ErrorCode::NotADatabase {
        return match database.damage() {
            Some(Damage::Page(page)) => Error::PageCorrupt { path, page },
            Some(Damage::Frame(frame)) => Error::LogCorrupt { path, frame },
            Some(Damage::EndsBefore { size, .. }) => Error::Truncated { path, size },
            None => Error::Sqlite(error),
        };
    }
    match code.code {
        ErrorCode::DiskFull => Error::DiskFull { path },
        ErrorCode::ReadOnly => Error::ReadOnly { path },
        ErrorCode::SystemIoFailure => match database.take_anchor_failure() {
            Some(source) => Error::Anchor { path, source },
            None => Error::Sqlite(error),
        },
        _ => Error::Sqlite(error),
    }
}

/// The path as SQLite's URI, with the ticket by which the VFS finds the key. The key itself is never in it.
pub(crate) fn uri(path: &Path, ticket: &str) -> Result<String, Error> {
    let text = path.to_str().ok_or_else(|| Error::BadPath {
        path: path.to_owned(),
    })?;
    #[cfg(windows)]
    let text = &windows_path(text);
    let mut uri = String::from("file:");
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b':' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?openhuman=");
    uri.push_str(ticket);
    Ok(uri)
}

/// The path part of a URI for a full Windows path: `/C:/dir/file`, or `////server/share/file` with the empty
/// authority that SQLite wants in front of the name of a server.
#[cfg(any(windows, test))]
fn windows_path(full: &str) -> String {
    let path = full.strip_prefix(r"\\?\").unwrap_or(full);
    let server = path.strip_prefix(r"UNC\").or(path.strip_prefix(r"\\"));
    match server {
        Some(server) => format!("////{server}"),
        None => format!("/{path}"),
    }
    .replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_paths_with_a_drive_or_a_server_become_uris() {
        for (full, path) in [
            (r"\\?\C:\notes\a.db", "/C:/notes/a.db"),
            (r"C:\notes\a.db", "/C:/notes/a.db"),
            (r"\\?\UNC\server\share\a.db", "////server/share/a.db"),
            (r"\\server\share\a.db", "////server/share/a.db"),
        ] {
            assert_eq!(windows_path(full), path, "{full}");
        }
    }
}
