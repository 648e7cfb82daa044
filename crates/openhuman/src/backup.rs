//! A copy of a whole home that opens like the home itself, sealed under the same keys.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use openhuman_vault::Vault;

use crate::home::create_private_dir;
use crate::knowledge::note_backup;
use crate::{CoreError, DatabaseName, Home, HomeDatabases};

/// Files that belong to the running home and not to its content: the lock, the notes about databases (a copy gets its
/// own), and the count of wrong passwords.
const LEFT_OUT: [&str; 3] = ["core.lock", "vault/databases.ohv", "vault/attempts.ohv"];

/// How deep the directories of a home go.
const DEEPEST: usize = 32;

/// What a backup holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// The databases, compacted.
    pub databases: Vec<DatabaseName>,
    /// How many other files there are: the vault, sessions, skill packages.
    pub files: usize,
    /// The size of everything, in bytes.
    pub bytes: u64,
}

impl HomeDatabases {
    /// Copies the home into `target`, a directory that is made: every database compacted and sealed under its key, and
    /// every other file as it is. The copy is a home: `--home TARGET` opens it with the same password, and it may be
    /// put in the place of the home. It appears under its name when it is complete and on the disk.
    ///
    /// Takes about as long as copying does. Each database is read as a whole, so a damaged page is found here.
    ///
    /// # Errors
    /// When there is something at `target`, it lies inside the home, a database is damaged or not the newest one, or
    /// the disk fails. Nothing is left then.
    pub fn backup(&self, vault: &mut Vault, target: &Path) -> Result<BackupReport, CoreError> {
        let home = self.home();
        let unusable = |reason: String| CoreError::Setting {
            setting: "the directory of the backup",
            reason,
        };
        let at = |path: &Path| std::path::absolute(path).map_err(|error| CoreError::io("use", path, error));
        let (target, root) = (at(target)?, at(home.path())?);
        if target.symlink_metadata().is_ok() {
            let reason = format!(
                "there is something at {} already; choose a new name",
                target.display()
            );
            return Err(unusable(reason));
        }
        if target.starts_with(&root) {
            let reason = format!(
                "{} lies inside the home; choose a place outside of it",
                target.display()
            );
            return Err(unusable(reason));
        }
        let partial = beside(&target, ".partial");
        let written = self.write_backup(vault, &Home::at(&partial)).and_then(|report| {
            // So that forgetting can name it. A note about a copy that never comes is dropped there.
            note_backup(self, &target)?;
            fs::rename(&partial, &target).map_err(|error| CoreError::io("create", &target, error))?;
            Ok(report)
        });
        if written.is_err() {
            // The first error is the one to report.
            let _ = fs::remove_dir_all(&partial);
        }
        written
    }

    fn write_backup(&self, vault: &mut Vault, copy: &Home) -> Result<BackupReport, CoreError> {
        match fs::remove_dir_all(copy.path()) {
            // What an interrupted backup left.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(CoreError::io("delete", copy.path(), error));
            }
            _ => {}
        }
        create_private_dir(copy.path())?;
        let mut report = BackupReport::default();
        let mut taken = BTreeSet::new();
        for name in self.names()? {
            let source = self.path(&name);
            let target = name.path(copy);
            if let Some(dir) = target.parent() {
                create_private_dir(dir)?;
            }
            self.copy_database(&name, &target)?;
            report.bytes += target.metadata().map_or(0, |file| file.len());
            taken.extend(["", "-wal", "-shm"].map(|suffix| beside(&source, suffix)));
            report.databases.push(name);
        }
        let root = self.home().path();
        taken.extend(LEFT_OUT.map(|name| root.join(name)));
        copy_files(root, copy.path(), &taken, &mut report)?;
        self.note_in(vault, copy)?;
        Ok(report)
    }
}

/// A path with something behind its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Copies what is in `from` and not in `taken`. Links are not followed and not copied: a home has none.
fn copy_files(
    from: &Path,
    to: &Path,
    taken: &BTreeSet<PathBuf>,
    report: &mut BackupReport,
) -> Result<(), CoreError> {
    let mut directories = vec![(from.to_owned(), to.to_owned(), 0)];
    while let Some((from, to, depth)) = directories.pop() {
        let read = |error| CoreError::io("read", &from, error);
        create_private_dir(&to)?;
        for entry in fs::read_dir(&from).map_err(read)? {
            let entry = entry.map_err(read)?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            let kind = entry.file_type().map_err(read)?;
            if kind.is_dir() && depth < DEEPEST {
                directories.push((source, target, depth + 1));
            } else if kind.is_file() && !taken.contains(&source) {
                report.bytes +=
                    copy_file(&source, &target).map_err(|error| CoreError::io("copy", &source, error))?;
                report.files += 1;
            }
        }
        #[cfg(unix)]
        File::open(&to)
            .and_then(|dir| dir.sync_all())
            .map_err(|error| CoreError::io("write", &to, error))?;
    }
    Ok(())
}

fn copy_file(source: &Path, target: &Path) -> io::Result<u64> {
    let bytes = fs::copy(source, target)?;
    File::options().write(true).open(target)?.sync_all()?;
    Ok(bytes)
}
