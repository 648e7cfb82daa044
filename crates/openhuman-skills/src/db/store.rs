//! What the engine itself keeps in a skill's database: `_kv` (key-value pairs and published state) and `_cron`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Database, DbError, DbRows, DbValue};
use crate::cron::{CronEntry, MAX_SCHEDULES};

/// Published state is kept in `_kv` under this prefix.
const STATE_PREFIX: &str = "_store_";
/// The most published keys that are loaded.
const MAX_STATE_KEYS: usize = 4096;

/// Creates the engine's tables if they are missing.
pub(crate) fn prepare(db: &mut dyn Database) -> Result<(), DbError> {
    db.execute(
        "CREATE TABLE IF NOT EXISTS _kv (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
        &[],
    )?;
    db.execute(
        "CREATE TABLE IF NOT EXISTS _cron (id TEXT PRIMARY KEY, expression TEXT NOT NULL, next_ms INTEGER)",
        &[],
    )?;
    Ok(())
}

pub(crate) fn load_state(db: &mut dyn Database) -> Result<Map<String, Value>, DbError> {
    let rows = db.query(
        "SELECT substr(key, 8), value FROM _kv WHERE substr(key, 1, 7) = '_store_'",
        &[],
        MAX_STATE_KEYS,
    )?;
    let mut state = Map::new();
    for row in rows.rows {
        // The skill can write to this table itself, so a row that is not ours is skipped.
        if let [DbValue::Text(key), DbValue::Text(json)] = row.as_slice()
            && let Ok(value) = serde_json::from_str(json)
        {
            state.insert(key.clone(), value);
        }
    }
    Ok(state)
}

pub(crate) fn load_cron(db: &mut dyn Database, now_ms: i64) -> Result<BTreeMap<String, CronEntry>, DbError> {
    let rows = db.query(
        "SELECT id, expression, next_ms FROM _cron ORDER BY id",
        &[],
        MAX_SCHEDULES,
    )?;
    let mut entries = BTreeMap::new();
    for row in rows.rows {
        let [DbValue::Text(id), DbValue::Text(expression), next] = row.as_slice() else {
            continue;
        };
        match CronEntry::parse(expression, now_ms) {
            Ok(mut entry) => {
                // A moment that passed while the skill was stopped is made up for once.
                if let DbValue::Integer(next) = next
                    && entry.next_ms.is_some_and(|computed| *next < computed)
                {
                    entry.next_ms = Some(*next);
                }
                entries.insert(id.clone(), entry);
            }
            Err(reason) => tracing::warn!(schedule = %id, %reason, "a stored schedule is ignored"),
        }
    }
    Ok(entries)
}

pub(crate) fn put_cron(
    db: &mut dyn Database,
    id: &str,
    expression: &str,
    next: Option<i64>,
) -> Result<(), DbError> {
    db.execute(
        "INSERT INTO _cron (id, expression, next_ms) VALUES (?1, ?2, ?3) \
         ON CONFLICT(id) DO UPDATE SET expression = excluded.expression, next_ms = excluded.next_ms",
        &[
            text(id),
            text(expression),
            next.map_or(DbValue::Null, DbValue::Integer),
        ],
    )?;
    Ok(())
}

pub(crate) fn delete_cron(db: &mut dyn Database, id: &str) -> Result<(), DbError> {
    db.execute("DELETE FROM _cron WHERE id = ?1", &[text(id)])?;
    Ok(())
}

pub(crate) fn put_state(db: &mut dyn Database, key: &str, json: &str) -> Result<(), DbError> {
    put_kv(db, &format!("{STATE_PREFIX}{key}"), json)
}

pub(crate) fn delete_state(db: &mut dyn Database, key: &str) -> Result<(), DbError> {
    db.execute(
        "DELETE FROM _kv WHERE key = ?1",
        &[text(&format!("{STATE_PREFIX}{key}"))],
    )?;
    Ok(())
}

pub(crate) fn put_kv(db: &mut dyn Database, key: &str, json: &str) -> Result<(), DbError> {
    db.execute(
        "INSERT INTO _kv (key, value) VALUES (?1, ?2) ON CONFLICT(key) DO UPDATE SET value = excluded.value",
        &[text(key), text(json)],
    )?;
    Ok(())
}

pub(crate) fn get_kv(db: &mut dyn Database, key: &str) -> Result<Option<String>, DbError> {
    let DbRows { rows, .. } = db.query("SELECT value FROM _kv WHERE key = ?1", &[text(key)], 1)?;
    Ok(
        match rows.into_iter().next().and_then(|row| row.into_iter().next()) {
            Some(DbValue::Text(json)) => Some(json),
            _ => None,
        },
    )
}

fn text(value: &str) -> DbValue {
    DbValue::Text(value.to_owned())
}
