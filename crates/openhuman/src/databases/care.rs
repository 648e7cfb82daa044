//! The care of the sealed databases while no core runs: their age, their keys, copies of them.

use std::fs::File;
use std::path::{Path, PathBuf};

use openhuman_sqlite::Freshness;
use openhuman_sqlite::rusqlite::{self, Connection};
use openhuman_vault::{KeyStore, Vault};

use super::name::Keys;
use super::{DatabaseName, Databases, explained};
use crate::knowledge::note_backup;
use crate::ledger::{Ledger, State};
use crate::{CoreError, Home};

/// Generations of keys that are looked for when the ledger is lost. Each try reads 16 bytes.
const GENERATIONS: u32 = 1000;

/// What [`HomeDatabases::rekey`] did.
#[derive(Debug, Default)]
pub struct Rekeyed {
    /// The databases that have the new key.
    pub done: Vec<DatabaseName>,
    /// Those that still have the old one, and why. Call it again when that is mended.
    pub failed: Vec<(DatabaseName, CoreError)>,
}

/// The sealed databases of a home while no core runs in it: the home is held until this is dropped. Every call blocks.
pub struct HomeDatabases {
    databases: Databases,
    _lock: File,
}

impl Home {
    /// Takes the home to care for its databases.
    ///
    /// # Errors
    /// When a core runs here, or the vault's notes about the databases are gone or were changed.
    pub fn databases(&self, vault: &mut Vault) -> Result<HomeDatabases, CoreError> {
        let lock = self.lock()?;
        let databases = Databases::open(self.clone(), vault)?;
        Ok(HomeDatabases {
            databases,
            _lock: lock,
        })
    }

    /// Takes every database as it is now, and forgets which state was the newest. For a user who put a whole home back
    /// from a backup, or lost the vault's notes. `store` is the one outside of the home that keeps its age, if any.
    ///
    /// # Errors
    /// When a core runs here, or the notes cannot be written.
    pub fn accept_databases(&self, vault: &mut Vault, store: Option<&dyn KeyStore>) -> Result<(), CoreError> {
        let _lock = self.lock()?;
        if let Some(store) = store {
            vault.accept_age(store)?;
        }
        let state = match Ledger::open(&self.vault_dir(), vault) {
            Ok(ledger) => ledger.state(),
            Err(CoreError::Ledger { .. }) => self.generations(&Keys::of(vault))?,
            Err(error) => return Err(error),
        };
        let state = State {
            seals: Default::default(),
            session: vault.session(),
            ..state
        };
        Ledger::replace(&self.vault_dir(), vault, state).map(drop)
    }

    /// The sealed databases that exist, sorted.
    fn database_names(&self) -> Result<Vec<DatabaseName>, CoreError> {
        let mut names = vec![DatabaseName::Memory, DatabaseName::Egress];
        let data = self.skills_data_dir();
        match std::fs::read_dir(&data) {
            Ok(entries) => {
                let places = entries
                    .flatten()
                    .filter_map(|entry| entry.file_name().into_string().ok());
                names.extend(
                    places.flat_map(|place| [DatabaseName::Rows(place.clone()), DatabaseName::Files(place)]),
                );
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(CoreError::io("read", data, error)),
        }
        names.retain(|name| name.path(self).is_file());
        names.sort();
        Ok(names)
    }

    /// Finds out which keys the databases have.
    fn generations(&self, keys: &Keys) -> Result<State, CoreError> {
        let mut found = Vec::new();
        for name in self.database_names()? {
            let path = name.path(self);
            let opens = |generation: &u32| {
                openhuman_sqlite::opens_with(&path, &name.key(keys, *generation)).unwrap_or(false)
            };
            found.extend((0..GENERATIONS).find(opens));
        }
        let (least, most) = (found.iter().min(), found.iter().max());
        Ok(State {
            keys: least.copied().unwrap_or_default(),
            next: most.filter(|most| Some(*most) != least).copied(),
            ..State::default()
        })
    }
}

impl HomeDatabases {
    /// The databases that exist, sorted.
    ///
    /// # Errors
    /// When the directory of skill databases cannot be read.
    pub fn names(&self) -> Result<Vec<DatabaseName>, CoreError> {
        self.databases.home.database_names()
    }

    /// Whether the keys are being replaced: [`HomeDatabases::rekey`] was begun and did not come to its end.
    #[must_use]
    pub fn is_rekeying(&self) -> bool {
        self.databases.ledger.state().next.is_some()
    }

    /// The file of a database.
    #[must_use]
    pub fn path(&self, name: &DatabaseName) -> PathBuf {
        self.databases.path(name)
    }

    pub(crate) fn home(&self) -> &Home {
        &self.databases.home
    }

    pub(crate) fn databases(&self) -> &Databases {
        &self.databases
    }

    /// Writes a compacted copy of a database, sealed under the key that it has.
    pub(crate) fn copy_database(&self, name: &DatabaseName, target: &Path) -> Result<(), CoreError> {
        let connection = self.existing(name)?;
        let copied = openhuman_sqlite::vacuum_into(&connection, target, &self.databases.key(name));
        copied.map_err(|error| explained(name, error))
    }

    /// Notes in a copy of the home which keys its databases have. What state of each is the newest is not known there.
    pub(crate) fn note_in(&self, vault: &mut Vault, copy: &Home) -> Result<(), CoreError> {
        let state = State {
            seals: Default::default(),
            ..self.databases.ledger.state()
        };
        Ledger::replace(&copy.vault_dir(), vault, state).map(drop)
    }

    /// Gives up what the log of a database holds: what was written last and had not reached the database itself. For a
    /// log that is damaged. It stays beside the database as `NAME-wal.damaged`; `None` when there is no log.
    ///
    /// # Errors
    /// When the log cannot be renamed. Whether the database opens then is for [`HomeDatabases::check`].
    pub fn discard_log(&self, name: &DatabaseName) -> Result<Option<PathBuf>, CoreError> {
        let with = |suffix: &str| {
            let mut path = self.path(name).into_os_string();
            path.push(suffix);
            PathBuf::from(path)
        };
        let (log, kept) = (with("-wal"), with("-wal.damaged"));
        match std::fs::rename(&log, &kept) {
            Ok(()) => Ok(Some(kept)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CoreError::io("rename", log, error)),
        }
    }

    fn existing(&self, name: &DatabaseName) -> Result<Connection, CoreError> {
        if !self.path(name).is_file() {
            let known: Vec<String> = self.names()?.iter().map(ToString::to_string).collect();
            return Err(CoreError::NotFound {
                what: "the database",
                name: name.to_string(),
                hint: format!("there is: {}", known.join(", ")),
            });
        }
        self.databases.open_database(name)
    }

    /// Opens a database and says whether it is the one that was closed last. Reads the whole file.
    ///
    /// # Errors
    /// [`CoreError::RolledBack`] when it is not; and when it does not open.
    pub fn check(&self, name: &DatabaseName) -> Result<Freshness, CoreError> {
        Ok(openhuman_sqlite::freshness(&self.existing(name)?))
    }

    /// As [`HomeDatabases::check`], and reads every page, table and index: damage that no question has met yet is found.
    /// Takes as long as reading the file does, and mends nothing.
    ///
    /// # Errors
    /// As [`HomeDatabases::check`]; [`CoreError::PageDamaged`] and its like for what is damaged.
    pub fn examine(&self, name: &DatabaseName) -> Result<Freshness, CoreError> {
        let connection = self.existing(name)?;
        let freshness = openhuman_sqlite::freshness(&connection);
        let said = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
        let failed = match said {
            Ok(said) if said == "ok" => return Ok(freshness),
            Ok(said) => {
                let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
                rusqlite::Error::SqliteFailure(corrupt, Some(said))
            }
            Err(error) => error,
        };
        Err(explained(name, openhuman_sqlite::diagnose(&connection, failed)))
    }

    /// Takes a database as it is now, though it is not the one that was closed last.
    ///
    /// # Errors
    /// When there is none of that name, it does not open, or the vault's notes cannot be written.
    pub fn accept(&self, name: &DatabaseName) -> Result<(), CoreError> {
        let text = name.to_string();
        if self.path(name).is_file() {
            self.databases.ledger.change(|state| {
                state.seals.remove(&text);
            })?;
        }
        self.existing(name).map(drop)
    }

    /// Writes a plain, readable copy of a database, and notes in the memory that there is one.
    ///
    /// # Errors
    /// When there is none of that name, it does not open, or there is a file at `target`.
    pub fn export_plain(&self, name: &DatabaseName, target: &Path) -> Result<(), CoreError> {
        let connection = self.existing(name)?;
        openhuman_sqlite::export_plain(&connection, target)?;
        drop(connection);
        let target = std::path::absolute(target).map_err(|error| CoreError::io("use", target, error))?;
        note_backup(self, &target)
    }

    /// Seals every database anew under new keys; one that fails does not keep the others. After a crash, a kill or a
    /// failure a core works on with the keys as they are, and another call goes on. `begun` hears of each database.
    ///
    /// Takes about a second for 300 MB, and room for a copy of the largest.
    ///
    /// # Errors
    /// When the vault's notes cannot be written.
    pub fn rekey(&self, mut begun: impl FnMut(&DatabaseName)) -> Result<Rekeyed, CoreError> {
        let ledger = &self.databases.ledger;
        let before = ledger.state();
        let next = before.next.unwrap_or(before.keys.saturating_add(1));
        ledger.change(|state| state.next = Some(next))?;
        let mut rekeyed = Rekeyed::default();
        for name in self.names()? {
            begun(&name);
            let (old, new) = (
                name.key(&self.databases.keys, before.keys),
                name.key(&self.databases.keys, next),
            );
            let outcome =
                openhuman_sqlite::rekey(&self.path(&name), &old, &new, &self.databases.options(&name));
            match outcome {
                Ok(()) => rekeyed.done.push(name),
                Err(error) => rekeyed.failed.push((name.clone(), explained(&name, error))),
            }
        }
        if rekeyed.failed.is_empty() {
            ledger.change(|state| {
                state.keys = next;
                state.next = None;
            })?;
        }
        Ok(rekeyed)
    }
}
