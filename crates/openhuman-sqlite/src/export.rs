use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use crate::error::{Error, io_at};

/// Writes a plain, unencrypted copy of the database that any SQLite program can open.
///
/// The copy is what `connection` sees now. Its owner alone may read it, but it *is* plaintext: keep it only as
/// long as it is needed. On an error nothing is left behind.
///
/// # Errors
/// [`Error::AlreadyExists`] when there is something at `path`; [`Error::Io`] and [`Error::Sqlite`].
pub fn export_plain(connection: &Connection, path: &Path) -> Result<(), Error> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::AlreadyExists {
                path: path.to_owned(),
            });
        }
        Err(error) => return Err(io_at(path)(error)),
    }
    let copied = copy(connection, path).and_then(|()| tidy(path));
    if copied.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(path);
    }
    Ok(copied?)
}

/// Copies the pages as they are: the copy is still marked for write-ahead-log mode.
fn copy(connection: &Connection, path: &Path) -> rusqlite::Result<()> {
    let mut plain = plain_connection(path)?;
    let backup = Backup::new(connection, &mut plain)?;
    backup.run_to_completion(c_int::MAX, std::time::Duration::from_millis(10), None)
}

/// Turns the copy into one file with a rollback journal. The reserve of the sealed format stays: SQLite never
/// makes it smaller, and every SQLite program reads such a file.
fn tidy(path: &Path) -> rusqlite::Result<()> {
    let plain = plain_connection(path)?;
    plain.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    plain.close().map_err(|(_, error)| error)
}

fn plain_connection(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE)
}
