//! Skills keep their rows in sealed databases: one file per skill, one key per skill.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use openhuman_skills::rusqlite::{DbQuota, SqliteDatabase};
use openhuman_skills::{Database, DbError, DbOpener, DbOptions, SkillId};
use openhuman_vault::{Key, Vault};

use crate::CoreError;
use crate::home::create_private_dir;

/// Opens `skills_data/<id>/skill.db`, sealed under a key of that skill alone.
pub(crate) struct SealedDatabases {
    root: PathBuf,
    key: Key,
}

impl SealedDatabases {
    pub(crate) fn new(root: PathBuf, vault: &Arc<Vault>) -> Self {
        Self {
            root,
            key: vault.subkey("skill-databases"),
        }
    }

    /// Copies a skill's database as plain SQLite to `target`; `None` when the skill has none yet.
    pub(crate) fn export(&self, skill: &SkillId, target: &Path) -> Result<Option<PathBuf>, CoreError> {
        if !self.path(skill).exists() {
            return Ok(None);
        }
        let connection = openhuman_sqlite::open(
            &self.path(skill),
            &self.key(skill),
            &openhuman_sqlite::Options::default(),
        )?;
        openhuman_sqlite::export_plain(&connection, target)?;
        Ok(Some(target.to_owned()))
    }

    /// Opens the database that holds a skill's data files. The skill's SQL never sees it.
    pub(crate) fn open_files(&self, skill: &SkillId) -> Result<Box<dyn Database>, DbError> {
        open_at(
            &self.files(skill),
            &self.key.derive(skill.as_str().as_bytes(), "skill-files"),
            &DbOptions::default(),
        )
    }

    /// Whether a skill has ever written a data file.
    pub(crate) fn has_files(&self, skill: &SkillId) -> bool {
        self.files(skill).exists()
    }

    /// Opens the database of what left the machine for all skills. An id has no dot, so no skill can have this name.
    pub(crate) fn open_egress(&self) -> Result<Box<dyn Database>, DbError> {
        open_at(
            &self.root.join("egress.db"),
            &self.key.derive(b"", "skill-egress"),
            &DbOptions::default(),
        )
    }

    // A skill id is a checked name without separators, so the path cannot leave the root.
    fn files(&self, skill: &SkillId) -> PathBuf {
        self.root.join(skill.as_str()).join("files.db")
    }

    fn path(&self, skill: &SkillId) -> PathBuf {
        self.root.join(skill.as_str()).join("skill.db")
    }

    fn key(&self, skill: &SkillId) -> Key {
        self.key.derive(skill.as_str().as_bytes(), "skill-database")
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
        self.path(skill).exists()
    }

    fn open(&self, skill: &SkillId, options: &DbOptions) -> Result<Box<dyn Database>, DbError> {
        open_at(&self.path(skill), &self.key(skill), options)
    }
}
