//! The names of sealed databases, their files and their keys.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use openhuman_memory::Memory;
use openhuman_vault::{Key, Vault};

use crate::core::MEMORY;
use crate::{CoreError, Home};

/// The vault's label for the keys of skill databases.
const SKILLS: &str = "skill-databases";

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
    pub(crate) fn path(&self, home: &Home) -> PathBuf {
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
    pub(super) fn key(&self, vault: &Keys, generation: u32) -> Key {
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
pub(super) struct Keys {
    memory: Key,
    skills: Key,
}

impl Keys {
    pub(super) fn memory(&self) -> &Key {
        &self.memory
    }

    pub(super) fn of(vault: &Vault) -> Self {
        Self {
            memory: vault.subkey(MEMORY),
            skills: vault.subkey(SKILLS),
        }
    }
}
