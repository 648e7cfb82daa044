//! Other sealed files beside the one a connection was opened on: attached databases and compacted copies.

use std::path::Path;
use std::sync::Arc;

use openhuman_vault::Key;
use rusqlite::Connection;

use crate::database::{self, Database, Purpose};
use crate::error::{Error, io_at, write_at};
use crate::files::{full_path, owner_only, sync_parent, with_suffix};
use crate::format;
use crate::open::{translate, uri};
use crate::vfs::{Ticket, attaching};
use crate::{Options, Processes};

/// Attaches another sealed database, created if `options` allow it, under the name `schema`.
///
/// `connection` is one of ours. Plain SQL `ATTACH` and `VACUUM INTO` of a file are refused by an authorizer: they carry no
/// key, and a URI could name a place that is not sealed. A program that sets an authorizer of its own takes over. A transaction
/// over several files is atomic in each of them, but a crash during the commit can leave it in some and not in
/// others, as in any SQLite in write-ahead-log mode. `DETACH` ends it.
///
/// # Errors
/// As [`crate::open`].
pub fn attach(
    connection: &Connection,
    path: &Path,
    key: &Key,
    schema: &str,
    options: &Options,
) -> Result<(), Error> {
    let (database, path) = database::acquire(path, key, options)?;
    let attached = {
        let ticket = Ticket::new(&database);
        let mut uri = uri(&path, &ticket.value())?;
        if options.read_only {
            uri.push_str("&mode=ro");
        }
        attaching(|| connection.execute("ATTACH ?1 AS ?2", [uri.as_str(), schema]))
    };
    attached
        .and_then(|_| connection.pragma_update(Some(schema), "synchronous", options.durability.synchronous()))
        .map_err(|error| translate(&path, &database, error))
}

/// Writes a compacted copy of the main database to a new file, sealed under `key`: SQLite's `VACUUM INTO`.
///
/// The copy is what `connection` sees now; others may go on writing. It has its own file id, so no page of one
/// file opens in the other, also under the same key. It appears under its name only when it is complete and
/// on the disk.
///
/// # Errors
/// [`Error::AlreadyExists`] when there is something at `path`; [`Error::DiskFull`], [`Error::Io`],
/// [`Error::Random`], [`Error::Sqlite`], and what a damaged source reports.
pub fn vacuum_into(connection: &Connection, path: &Path, key: &Key) -> Result<(), Error> {
    let path = full_path(path)?;
    if path.try_exists().map_err(io_at(&path))? {
        return Err(Error::AlreadyExists { path });
    }
    let temporary = with_suffix(&path, "-new");
    let mut options = std::fs::File::options();
    options.write(true).create(true).truncate(true);
    owner_only(&mut options);
    options.open(&temporary).map_err(write_at(&temporary))?;
    let copied = fill(connection, &temporary, key).and_then(|()| {
        let moved = std::fs::File::options()
            .write(true)
            .open(&temporary)
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&temporary, &path))
            .and_then(|()| sync_parent(&path));
        moved.map_err(write_at(&path))
    });
    if copied.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(&temporary);
    }
    copied
}

fn fill(connection: &Connection, temporary: &Path, key: &Key) -> Result<(), Error> {
    let id = format::new_file_id(key)?;
    let target = Database::new(key, id, Processes::One, Purpose::Fill, None, None);
    let target = Arc::new(target);
    let ticket = Ticket::new(&target);
    let uri = uri(temporary, &ticket.value())?;
    match attaching(|| connection.execute("VACUUM INTO ?1", [uri])) {
        Ok(_) => Ok(()),
        Err(error) => Err(crate::diagnose(connection, error)),
    }
}
