//! The data files of skills, sealed: one database for each skill that has any.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use openhuman_skills::{DataError, DataFiles, DataStats, Database, DbError, DbValue, SkillId};

use super::SealedDatabases;

/// Databases that stay open.
const OPEN: usize = 16;

/// Files as rows of `skills_data/<place>/files.db`.
pub(crate) struct SealedDataFiles {
    databases: Arc<SealedDatabases>,
    /// By the name of the place.
    open: Mutex<HashMap<String, Box<dyn Database>>>,
}

impl SealedDataFiles {
    pub(crate) fn new(databases: Arc<SealedDatabases>) -> Self {
        Self {
            databases,
            open: Mutex::default(),
        }
    }

    /// Closes the database of a place, so that it can be deleted.
    pub(crate) fn close(&self, place: &str) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(place);
    }

    fn with<T>(
        &self,
        skill: &SkillId,
        act: impl FnOnce(&mut dyn Database) -> Result<T, DbError>,
    ) -> Result<T, DataError> {
        let place = self.databases.place(skill);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.contains_key(&place) {
            if open.len() >= OPEN {
                open.clear();
            }
            let mut database = self.databases.open_files(&place).map_err(failed)?;
            let table =
                "CREATE TABLE IF NOT EXISTS files (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID";
            database.execute(table, &[]).map_err(failed)?;
            open.insert(place.clone(), database);
        }
        let database = open
            .get_mut(&place)
            .ok_or_else(|| failed("the database of the files is gone"))?;
        act(database.as_mut()).map_err(failed)
    }
}

fn failed(error: impl std::fmt::Display) -> DataError {
    DataError::Io(std::io::Error::other(error.to_string()))
}

fn text(value: &str) -> DbValue {
    DbValue::Text(value.to_owned())
}

fn stats(database: &mut dyn Database, except: &str) -> Result<DataStats, DbError> {
    let sql = "SELECT count(*), coalesce(sum(length(CAST(text AS BLOB))), 0) FROM files WHERE name <> ?";
    let rows = database.query(sql, &[text(except)], 1)?;
    let number = |column: usize| match rows.rows.first().and_then(|row| row.get(column)) {
        Some(DbValue::Integer(number)) => u64::try_from(*number).unwrap_or(0),
        _ => 0,
    };
    Ok(DataStats::new(
        usize::try_from(number(0)).unwrap_or(usize::MAX),
        number(1),
    ))
}

impl DataFiles for SealedDataFiles {
    fn read(&self, skill: &SkillId, name: &str) -> Result<Option<String>, DataError> {
        if !self.databases.has_files(&self.databases.place(skill)) {
            return Ok(None);
        }
        let sql = "SELECT text FROM files WHERE name = ?";
        let rows = self.with(skill, |database| database.query(sql, &[text(name)], 1))?;
        Ok(
            match rows
                .rows
                .into_iter()
                .next()
                .and_then(|row| row.into_iter().next())
            {
                Some(DbValue::Text(text)) => Some(text),
                _ => None,
            },
        )
    }

    fn write(&self, skill: &SkillId, name: &str, content: &str, limit: u64) -> Result<(), DataError> {
        let others = self.with(skill, |database| stats(database, name))?;
        DataStats::new(others.files + 1, others.bytes + content.len() as u64).check(limit)?;
        let sql = "INSERT INTO files (name, text) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET text = excluded.text";
        self.with(skill, |database| {
            database.execute(sql, &[text(name), text(content)])
        })
        .map(drop)
    }

    fn stats(&self, skill: &SkillId) -> Result<DataStats, DataError> {
        if !self.databases.has_files(&self.databases.place(skill)) {
            return Ok(DataStats::default());
        }
        self.with(skill, |database| stats(database, ""))
    }

    fn folder(&self, skill: &SkillId) -> Option<PathBuf> {
        Some(self.databases.directory(&self.databases.place(skill)))
    }
}
