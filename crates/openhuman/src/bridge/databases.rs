//! Skills keep their rows in sealed databases: one file and one key for each place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use openhuman_skills::rusqlite::{DbQuota, SqliteDatabase};
use openhuman_skills::{Database, DbError, DbOpener, DbOptions, SkillId};
use openhuman_vault::{Key, Vault};

use crate::CoreError;
use crate::home::create_private_dir;
use crate::owners::Places;

/// Opens `skills_data/<place>/skill.db`, sealed under a key of that place alone.
pub(crate) struct SealedDatabases {
    root: PathBuf,
    key: Key,
    places: Places,
}

impl SealedDatabases {
    pub(crate) fn new(root: PathBuf, vault: &Arc<Vault>, places: Places) -> Self {
        Self {
            root,
            places,
            key: vault.subkey("skill-databases"),
        }
    }

    /// Whether there is data under a skill's id itself, whoever left it.
    pub(crate) fn is_there(&self, skill: &SkillId) -> bool {
        self.root.join(skill.as_str()).exists()
    }

    /// The name under which a skill's data lies.
    pub(crate) fn place(&self, skill: &SkillId) -> String {
        self.places.of(skill)
    }

    /// Copies a skill's database as plain SQLite to `target`; `None` when the skill has none yet.
    pub(crate) fn export(&self, skill: &SkillId, target: &Path) -> Result<Option<PathBuf>, CoreError> {
        let (path, key) = self.rows(&self.place(skill));
        if !path.exists() {
            return Ok(None);
        }
        let connection = openhuman_sqlite::open(&path, &key, &openhuman_sqlite::Options::default())?;
        openhuman_sqlite::export_plain(&connection, target)?;
        Ok(Some(target.to_owned()))
    }

    /// Opens the database that holds the data files of a place. The skill's SQL never sees it.
    pub(crate) fn open_files(&self, place: &str) -> Result<Box<dyn Database>, DbError> {
        open_at(
            &self.files(place),
            &self.key.derive(place.as_bytes(), "skill-files"),
            &DbOptions::default(),
        )
    }

    /// Whether a data file was ever written at a place.
    pub(crate) fn has_files(&self, place: &str) -> bool {
        self.files(place).exists()
    }

    /// Opens the database of what left the machine for all skills. An id has no dot, so no skill can have this name.
    pub(crate) fn open_egress(&self) -> Result<Box<dyn Database>, DbError> {
        open_at(
            &self.root.join("egress.db"),
            &self.key.derive(b"", "skill-egress"),
            &DbOptions::default(),
        )
    }

    // A place is a checked skill id, or one with a number behind it, so the path cannot leave the root.
    fn files(&self, place: &str) -> PathBuf {
        self.root.join(place).join("files.db")
    }

    /// The database of a place and its key.
    fn rows(&self, place: &str) -> (PathBuf, Key) {
        let key = self.key.derive(place.as_bytes(), "skill-database");
        (self.root.join(place).join("skill.db"), key)
    }
}

fn open_at(path: &Path, key: &Key, options: &DbOptions) -> Result<Box<dyn Database>, DbError> {
    let failed = |error: &dyn std::fmt::Display| DbError::Open(error.to_string());
    if let Some(dir) = path.parent() {
        create_private_dir(dir).map_err(|error| failed(&error))?;
    }
    let connection = openhuman_sqlite::open(path, key, &openhuman_sqlite::Options::default())
        .map_err(|error| failed(&error))?;
    Ok(SqliteDatabase::new(
        connection,
        DbQuota::default().within(options),
    ))
}

impl DbOpener for SealedDatabases {
    fn exists(&self, skill: &SkillId) -> bool {
        self.rows(&self.place(skill)).0.exists()
    }

    fn open(&self, skill: &SkillId, options: &DbOptions) -> Result<Box<dyn Database>, DbError> {
        let (path, key) = self.rows(&self.place(skill));
        open_at(&path, &key, options)
    }
}
