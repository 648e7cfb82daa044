//! What the engine itself keeps in a skill's database: `_kv` (key-value pairs and published state) and `_cron`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Database, DbError, DbRows, DbValue};
use crate::SkillId;
use crate::schedule::{Entry, MAX_SCHEDULES, Plan};

/// Published state is kept in `_kv` under this prefix.
const STATE_PREFIX: &str = "_store_";
const UPSERT: &str = "ON CONFLICT(key) DO UPDATE SET value = excluded.value";
/// The most published keys that are loaded.
const MAX_STATE_KEYS: usize = 4096;

/// Runs the engine's own statements.
fn trusted<T>(db: &mut dyn Database, work: impl FnOnce(&mut dyn Database) -> T) -> T {
    db.set_trusted(true);
    let result = work(db);
    db.set_trusted(false);
    result
}

fn has_table(db: &mut dyn Database, name: &str) -> Result<bool, DbError> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    Ok(!db.query(sql, &[text(name)], 1)?.rows.is_empty())
}

pub(crate) fn load_state(db: &mut dyn Database) -> Result<Map<String, Value>, DbError> {
    trusted(db, |db| {
        if !has_table(db, "_kv")? {
            return Ok(Map::new());
        }
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
    })
}

/// A row of `_cron`.
#[derive(Clone, Debug)]
pub(crate) struct CronRow {
    id: String,
    expression: String,
    options: String,
    next_ms: Option<i64>,
    last_ms: Option<i64>,
    owed: u32,
}

impl CronRow {
    pub(crate) fn of(id: &str, entry: &Entry) -> Self {
        Self {
            id: id.to_owned(),
            expression: entry.plan.expression.clone(),
            options: serde_json::to_string(&entry.plan.options).unwrap_or_else(|_| "{}".to_owned()),
            next_ms: entry.next_ms,
            last_ms: entry.last_ms,
            owed: entry.owed,
        }
    }

    /// The schedule as it was left. What passed since is made up for as it declares.
    fn entry(&self, skill: &SkillId, seed: u64, now_ms: i64) -> Result<Entry, String> {
        let options = serde_json::from_str(&self.options).map_err(|error| error.to_string())?;
        let plan = Plan::new(&self.expression, options)?;
        let mut entry = Entry::new(plan, seed, [skill.as_str(), &self.id], now_ms);
        entry.next_ms = self.next_ms.or(entry.next_ms);
        entry.last_ms = self.last_ms;
        entry.owed = self.owed;
        Ok(entry)
    }
}

/// The stored schedules; none when there is no table for them yet.
pub(crate) fn load_cron(
    db: &mut dyn Database,
    skill: &SkillId,
    seed: u64,
    now_ms: i64,
) -> Result<BTreeMap<String, Entry>, DbError> {
    trusted(db, |db| {
        let mut entries = BTreeMap::new();
        if !has_table(db, "_cron")? {
            return Ok(entries);
        }
        add_columns(db)?;
        let rows = db.query(
            "SELECT id, expression, options, next_ms, last_ms, owed FROM _cron ORDER BY id",
            &[],
            MAX_SCHEDULES,
        )?;
        let number = |value: &DbValue| match value {
            DbValue::Integer(value) => Some(*value),
            _ => None,
        };
        for row in rows.rows {
            let [
                DbValue::Text(id),
                DbValue::Text(expression),
                options,
                next,
                last,
                owed,
            ] = row.as_slice()
            else {
                continue;
            };
            let row = CronRow {
                id: id.clone(),
                expression: expression.clone(),
                options: match options {
                    DbValue::Text(json) => json.clone(),
                    _ => "{}".to_owned(),
                },
                next_ms: number(next),
                last_ms: number(last),
                owed: number(owed)
                    .and_then(|owed| u32::try_from(owed).ok())
                    .unwrap_or(0)
                    .min(100),
            };
            match row.entry(skill, seed, now_ms) {
                Ok(entry) => {
                    entries.insert(row.id, entry);
                }
                Err(reason) => {
                    tracing::warn!(%skill, schedule = %row.id, %reason, "a stored schedule is ignored");
                }
            }
        }
        Ok(entries)
    })
}

/// Tables of earlier versions have the first three columns only.
fn add_columns(db: &mut dyn Database) -> Result<(), DbError> {
    let known = db.query("PRAGMA table_info(_cron)", &[], 64)?;
    let known: Vec<String> = known
        .rows
        .into_iter()
        .filter_map(|row| match row.into_iter().nth(1) {
            Some(DbValue::Text(name)) => Some(name),
            _ => None,
        })
        .collect();
    for (name, kind) in [("options", "TEXT"), ("last_ms", "INTEGER"), ("owed", "INTEGER")] {
        if !known.iter().any(|known| known == name) {
            db.execute(&format!("ALTER TABLE _cron ADD COLUMN {name} {kind}"), &[])?;
        }
    }
    Ok(())
}

pub(crate) fn put_cron(db: &mut dyn Database, row: &CronRow) -> Result<(), DbError> {
    trusted(db, |db| {
        let number = |value: Option<i64>| value.map_or(DbValue::Null, DbValue::Integer);
        db.execute(
            "CREATE TABLE IF NOT EXISTS _cron (id TEXT PRIMARY KEY, expression TEXT NOT NULL, options TEXT, \
         next_ms INTEGER, last_ms INTEGER, owed INTEGER)",
            &[],
        )?;
        db.execute(
        "INSERT INTO _cron (id, expression, options, next_ms, last_ms, owed) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT(id) DO UPDATE SET expression = excluded.expression, options = excluded.options, \
         next_ms = excluded.next_ms, last_ms = excluded.last_ms, owed = excluded.owed",
        &[
            text(&row.id),
            text(&row.expression),
            text(&row.options),
            number(row.next_ms),
            number(row.last_ms),
            DbValue::Integer(i64::from(row.owed)),
        ],
    )?;
        Ok(())
    })
}

pub(crate) fn delete_cron(db: &mut dyn Database, id: &str) -> Result<(), DbError> {
    trusted(db, |db| {
        db.execute("DELETE FROM _cron WHERE id = ?1", &[text(id)])?;
        Ok(())
    })
}

/// Writes published keys, as JSON, in one statement: all of them or none, also inside a transaction of the skill's.
pub(crate) fn put_state(db: &mut dyn Database, values: &[(String, String)]) -> Result<(), DbError> {
    trusted(db, |db| {
        create_kv(db)?;
        let rows = vec!["(?,?)"; values.len()].join(",");
        let named = values
            .iter()
            .flat_map(|(key, json)| [text(&format!("{STATE_PREFIX}{key}")), text(json)]);
        let sql = format!("INSERT INTO _kv (key, value) VALUES {rows} {UPSERT}");
        db.execute(&sql, &named.collect::<Vec<_>>())?;
        Ok(())
    })
}

pub(crate) fn delete_state(db: &mut dyn Database, key: &str) -> Result<(), DbError> {
    trusted(db, |db| {
        if has_table(db, "_kv")? {
            let key = text(&format!("{STATE_PREFIX}{key}"));
            db.execute("DELETE FROM _kv WHERE key = ?1", &[key])?;
        }
        Ok(())
    })
}

pub(crate) fn put_kv(db: &mut dyn Database, key: &str, json: &str) -> Result<(), DbError> {
    trusted(db, |db| {
        create_kv(db)?;
        let sql = format!("INSERT INTO _kv (key, value) VALUES (?1, ?2) {UPSERT}");
        db.execute(&sql, &[text(key), text(json)])?;
        Ok(())
    })
}

pub(crate) fn get_kv(db: &mut dyn Database, key: &str) -> Result<Option<String>, DbError> {
    trusted(db, |db| {
        if !has_table(db, "_kv")? {
            return Ok(None);
        }
        let DbRows { rows, .. } = db.query("SELECT value FROM _kv WHERE key = ?1", &[text(key)], 1)?;
        Ok(
            match rows.into_iter().next().and_then(|row| row.into_iter().next()) {
                Some(DbValue::Text(json)) => Some(json),
                _ => None,
            },
        )
    })
}

fn create_kv(db: &mut dyn Database) -> Result<(), DbError> {
    let sql = "CREATE TABLE IF NOT EXISTS _kv (key TEXT PRIMARY KEY, value TEXT NOT NULL)";
    db.execute(sql, &[]).map(drop)
}

fn text(value: &str) -> DbValue {
    DbValue::Text(value.to_owned())
}
