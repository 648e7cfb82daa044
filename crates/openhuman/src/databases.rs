//! The sealed databases of a home: their names, files, keys and seals, and the care of them while no core runs.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use openhuman_memory::Memory;
use openhuman_sqlite::rusqlite::Connection;
use openhuman_sqlite::{Anchor, Freshness, Options};
use openhuman_vault::{Key, Vault};

use crate::core::MEMORY;
use crate::ledger::{Ledger, State};
use crate::{CoreError, Home};

/// The vault's label for the keys of skill databases.
const SKILLS: &str = "skill-databases";

/// Generations of keys that are looked for when the ledger is lost. Each try reads 16 bytes.
const GENERATIONS: u32 = 1000;

/// One sealed database of a home. Its text form is what commands take: `memory`, `egress`, `skill/ID`, `files/ID`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DatabaseName {
    /// What the assistant remembers.
    Memory,
    /// What left the machine for skills.
    Egress,
    /// The rows of a skill, by the name of its place: its id, or with a number behind it.
    Rows(String),
    /// The data files of a skill, by the name of its place.
    Files(String),
}

impl DatabaseName {
    fn path(&self, home: &Home) -> PathBuf {
        let data = home.skills_data_dir();
        match self {
            Self::Memory => home.memory_dir().join("memory.db"),
            // An id has no dot, so no skill can have this name.
            Self::Egress => data.join("egress.db"),
            // A place is a checked skill id, or one with a number behind it, so the path cannot leave the directory.
            Self::Rows(place) => data.join(place).join("skill.db"),
            Self::Files(place) => data.join(place).join("files.db"),
        }
    }

    /// The key of a generation. The first one has no number, as there was only one once.
    fn key(&self, vault: &Keys, generation: u32) -> Key {
        let keys = |base: &Key| match generation {
            0 => base.duplicate(),
            _ => base.derive(&generation.to_be_bytes(), "database-keys"),
        };
        match self {
            Self::Memory => Memory::database_key(&keys(&vault.memory)),
            Self::Egress => keys(&vault.skills).derive(b"", "skill-egress"),
            Self::Rows(place) => keys(&vault.skills).derive(place.as_bytes(), "skill-database"),
            Self::Files(place) => keys(&vault.skills).derive(place.as_bytes(), "skill-files"),
        }
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Egress => f.write_str("egress"),
            Self::Rows(place) => write!(f, "skill/{place}"),
            Self::Files(place) => write!(f, "files/{place}"),
        }
    }
}

impl FromStr for DatabaseName {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        let named = |place: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            let usable = place.chars().all(known) && place.starts_with(|c: char| c.is_ascii_alphanumeric());
            usable.then(|| place.to_owned())
        };
        let name = match text.split_once('/') {
            None if text == "memory" => Some(Self::Memory),
            None if text == "egress" => Some(Self::Egress),
            Some(("skill", place)) => named(place).map(Self::Rows),
            Some(("files", place)) => named(place).map(Self::Files),
            _ => None,
        };
        name.ok_or_else(|| CoreError::NotFound {
            what: "the database",
            name: text.to_owned(),
            hint: "the names are memory, egress, skill/ID and files/ID".to_owned(),
        })
    }
}

/// What the keys of all databases are derived from.
struct Keys {
    memory: Key,
    skills: Key,
}

/// Opens the sealed databases of a home with their keys and seals. Only while the home is held.
pub(crate) struct Databases {
    home: Home,
    keys: Keys,
    ledger: Arc<Ledger>,
}

impl Databases {
    pub(crate) fn open(home: Home, vault: &mut Vault) -> Result<Self, CoreError> {
        let ledger = Ledger::open(&home.vault_dir(), vault)?;
        Ok(Self::with(home, vault, ledger))
    }

    fn with(home: Home, vault: &Vault, ledger: Ledger) -> Self {
        Self {
            home,
            keys: Keys::of(vault),
            ledger: Arc::new(ledger),
        }
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn path(&self, name: &DatabaseName) -> PathBuf {
        name.path(&self.home)
    }

    /// The key that a database has now; of a new one, the key it is to have.
    pub(crate) fn key(&self, name: &DatabaseName) -> Key {
        let State { keys, next, .. } = self.ledger.state();
        if let Some(next) = next {
            let key = name.key(&self.keys, next);
            if openhuman_sqlite::opens_with(&self.path(name), &key).unwrap_or(false) {
                return key;
            }
        }
        name.key(&self.keys, keys)
    }

    /// Where the seal of a database is kept.
    pub(crate) fn anchor(&self, name: &DatabaseName) -> Arc<dyn Anchor> {
        self.ledger.anchor(&name.to_string())
    }

    fn options(&self, name: &DatabaseName) -> Options {
        Options {
            anchor: Some(self.anchor(name)),
            ..Options::default()
        }
    }

    /// Opens or creates a database.
    pub(crate) fn open_database(&self, name: &DatabaseName) -> Result<Connection, CoreError> {
        let opened = openhuman_sqlite::open(&self.path(name), &self.key(name), &self.options(name));
        opened.map_err(|error| explained(name, error))
    }
}

impl Keys {
    fn of(vault: &Vault) -> Self {
        Self {
            memory: vault.subkey(MEMORY),
            skills: vault.subkey(SKILLS),
        }
    }
}

/// Says of an error what it means for the user.
pub(crate) fn explained(name: &DatabaseName, error: openhuman_sqlite::Error) -> CoreError {
    match error {
        openhuman_sqlite::Error::RolledBack { path, generation } => CoreError::RolledBack {
            name: name.to_string(),
            path,
            generation,
        },
        other => other.into(),
    }
}

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
    /// from a backup, or lost the vault's notes.
    ///
    /// # Errors
    /// When a core runs here, or the notes cannot be written.
    pub fn accept_databases(&self, vault: &mut Vault) -> Result<(), CoreError> {
        let _lock = self.lock()?;
        let state = match Ledger::open(&self.vault_dir(), vault) {
            Ok(ledger) => ledger.state(),
            Err(CoreError::Ledger { .. }) => self.generations(&Keys::of(vault))?,
            Err(error) => return Err(error),
        };
        let state = State {
            seals: Default::default(),
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

    /// The file of a database.
    #[must_use]
    pub fn path(&self, name: &DatabaseName) -> PathBuf {
        self.databases.path(name)
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

    /// Writes a plain, readable copy of a database.
    ///
    /// # Errors
    /// When there is none of that name, it does not open, or there is a file at `target`.
    pub fn export_plain(&self, name: &DatabaseName, target: &Path) -> Result<(), CoreError> {
        let connection = self.existing(name)?;
        Ok(openhuman_sqlite::export_plain(&connection, target)?)
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
