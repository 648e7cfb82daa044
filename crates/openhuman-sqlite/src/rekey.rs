use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use openhuman_vault::Key;
use zeroize::Zeroize;

use self::work::Work;
use crate::database::patiently;
use crate::error::{Error, io_at, write_at};
use crate::files::{self, full_path};
use crate::format::{self, Codec, ID, LOCK_PAGE, PAGE};
use crate::freshness::{Keeper, has_log};
use crate::{Options, Processes, open};

mod work;

/// Seals a closed database anew, under another key and a new file id.
///
/// At every moment the database opens with exactly one of the two keys ([`crate::opens_with`] says which): the
/// new file is written beside it as `NAME-rekey`, and takes its place in one step when it is complete and on the
/// disk. After a crash, a kill or an error call it again with the same two keys: pages that are already in
/// `NAME-rekey` are kept, and on a database that has the new key already it only tidies up. Needs room for a copy;
/// takes about a second for 300 MB.
///
/// `options` are those of [`open`]; with an anchor, freshness is verified before and sealed after.
///
/// # Errors
/// As [`open`]; [`Error::InUse`] also when this process has the database open, [`Error::WrongKey`] when neither
/// key opens it, and [`Error::PageCorrupt`] for a damaged page, with nothing changed.
pub fn rekey(path: &Path, old: &Key, new: &Key, options: &Options) -> Result<(), Error> {
    let path = full_path(path)?;
    if !path.try_exists().map_err(io_at(&path))? {
        return Err(Error::Missing { path });
    }
    if options.processes == Processes::Many {
        let what = "a change of its key needs it for one process alone";
        return Err(Error::Unsupported { path, what });
    }
    patiently(options.busy_timeout, || {
        if !crate::opens_with(&path, new)? {
            let had_log = has_log(&path);
            // Brings everything from the log into the file, and verifies freshness.
            let connection = open(
                &path,
                old,
                &Options {
                    must_exist: true,
                    ..options.clone()
                },
            )?;
            if had_log {
                // Closing would do this as well, but would not say why it failed.
                let checkpoint = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                checkpoint.map_err(|error| crate::diagnose(&connection, error))?;
            }
            let closed = connection.close().map_err(|(_, error)| error);
            closed.map_err(Error::Sqlite)?;
        }
        let _lock = files::lock(&path, Processes::One)?;
        if crate::opens_with(&path, new)? {
            let work = Work::name(&path);
            return match std::fs::remove_file(&work) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_at(&work)(error)),
                _ => Ok(()),
            };
        }
        if has_log(&path) {
            // Another program wrote in between.
            return Err(Error::InUse { path: path.clone() });
        }
        let id = files::read_file_id(&path, old)?;
        let keeper = match &options.anchor {
            Some(anchor) => Some(Keeper::verify(&path, old, id, Arc::clone(anchor))?),
            None => None,
        };
        let name = Work::name(&path);
        let mut work = Work::open(&path).map_err(write_at(&name))?;
        let new_id = copy(&path, &mut work, &Codec::new(old, id), new).inspect_err(|error| {
            if matches!(error, Error::DiskFull { .. }) {
                // What is there of the copy would only stand in the way of making room.
                let _ = std::fs::remove_file(&name);
            }
        })?;
        let moved = match keeper {
            Some(keeper) => Some(keeper.moved_to(new, new_id).map_err(|source| Error::Anchor {
                path: path.clone(),
                source,
            })?),
            None => None,
        };
        work.take_its_place().map_err(write_at(&path))?;
        if let Some(keeper) = moved {
            keeper.finish(&path);
        }
        Ok(())
    })
}

/// Writes the database to `work` under the new key and returns the new file id.
fn copy(path: &Path, work: &mut Work, old: &Codec, new: &Key) -> Result<[u8; ID], Error> {
    let read = io_at(path);
    let name = work.path().to_owned();
    let write = write_at(&name);
    let mut source = File::open(path).map_err(&read)?;
    let size = source.metadata().map_err(&read)?.len();
    let pages = size / PAGE as u64;
    if size != pages * PAGE as u64 {
        return Err(Error::Truncated {
            path: path.to_owned(),
            size,
        });
    }
    let mut id = [0; ID];
    let begun = work.read(&mut id, 0).is_ok() && format::id_matches(new, &id);
    let present = if begun {
        work.size().map_err(&write)? / PAGE as u64
    } else {
        work.set_size(0).map_err(&write)?;
        id = format::new_file_id(new)?;
        0
    };
    let codec = Codec::new(new, id);
    let mut page = [0; PAGE];
    let mut there = [0; PAGE];
    let copied = (1..=pages).try_for_each(|number| {
        source.read_exact(&mut page).map_err(&read)?;
        let opened = if number == LOCK_PAGE && page == [0; PAGE] {
            return Ok(());
        } else {
            old.open_page(number, &mut page)
        };
        opened.map_err(|_| Error::PageCorrupt {
            path: path.to_owned(),
            page: number,
        })?;
        let at = (number - 1) * PAGE as u64;
        if number <= present {
            work.read(&mut there, at).map_err(&write)?;
            if codec.open_page(number, &mut there).is_ok() && there == page {
                return Ok(());
            }
        }
        codec.seal_page(number, &mut page)?;
        work.write(&page, at).map_err(&write)
    });
    page.zeroize();
    there.zeroize();
    copied?;
    work.set_size(size).map_err(&write)?;
    work.sync().map_err(&write)?;
    Ok(id)
}
