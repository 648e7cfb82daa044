use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};

use super::write::NO_CHUNK;
use super::{as_limit, resolve, value};
use crate::error::MemoryError;
use crate::graph::model::{ChunkMention, Entity, Fact, FactId, FactQuery, Object, Provenance};
use crate::graph::names::{canonical, predicate, words};

/// Which rows a query wants, as SQL and its values.
struct Filter {
    sql: String,
    values: Vec<Value>,
}

impl Filter {
    /// Adds a condition with one `?`.
    fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        self.sql.push_str(" AND ");
        self.sql
            .push_str(&condition.replace('?', &format!("?{}", self.values.len())));
    }
}

pub(super) fn facts(
    connection: &Connection,
    namespace: i64,
    query: &FactQuery,
) -> Result<Vec<Fact>, MemoryError> {
    // The plus keeps SQLite from walking through the whole namespace in the order of time when it need not.
    let narrow = query.subject.is_some() || query.object.is_some() || query.text.is_some();
    let mut filter = Filter {
        sql: if narrow {
            "+f.namespace = ?1"
        } else {
            "f.namespace = ?1"
        }
        .to_owned(),
        values: vec![namespace.into()],
    };
    if let Some(subject) = &query.subject {
        let Some(id) = resolve(connection, namespace, &canonical(subject))? else {
            return Ok(Vec::new());
        };
        filter.and("f.subject = ?", id);
    }
    if let Some(name) = &query.predicate {
        filter.and("f.predicate = ?", predicate(name));
    }
    if let Some(object) = &query.object {
        let canonical = canonical(object);
        let entity = resolve(connection, namespace, &canonical)?;
        let value = value(connection, namespace, &canonical)?;
        let ids: Vec<String> = entity.iter().chain(&value).map(i64::to_string).collect();
        filter
            .sql
            .push_str(&format!(" AND f.object IN ({})", ids.join(", ")));
    }
    if let Some(text) = &query.text {
        let words = words(text);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        filter.and(
            "f.row IN (SELECT rowid FROM graph_fts WHERE graph_fts MATCH ?)",
            quoted.join(" "),
        );
    }
    if let Some(time) = query.valid_at {
        filter.and("f.valid_from <= ?", time);
        filter.and("(f.valid_until IS NULL OR f.valid_until > ?)", time);
    }
    match query.known_at {
        None => filter.sql.push_str(" AND f.retired_ms IS NULL"),
        Some(time) => {
            filter.and("f.recorded_ms <= ?", time);
            filter.and("(f.retired_ms IS NULL OR f.retired_ms > ?)", time);
        }
    }
    filter.values.push(as_limit(query.limit).into());
    let sql = format!(
        "SELECT f.fact, s.name, f.predicate, o.is_entity, o.name, f.single, f.text, f.valid_from, f.valid_until,
                f.recorded_ms, f.retired_ms, f.confidence, f.supersedes
         FROM graph_facts f JOIN graph_entities s ON s.id = f.subject JOIN graph_entities o ON o.id = f.object
         WHERE {} ORDER BY f.valid_from, f.fact, f.row LIMIT ?{}",
        filter.sql,
        filter.values.len()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut facts: Vec<Fact> = statement
        .query_map(params_from_iter(&filter.values), fact)?
        .collect::<Result<_, _>>()?;
    let known_at = query.known_at.unwrap_or(i64::MAX);
    for fact in &mut facts {
        fact.sources = sources(connection, fact.id, known_at)?;
    }
    Ok(facts)
}

fn fact(row: &Row<'_>) -> rusqlite::Result<Fact> {
    let name: String = row.get(4)?;
    Ok(Fact {
        id: FactId(row.get(0)?),
        subject: row.get(1)?,
        predicate: row.get(2)?,
        object: if row.get(3)? {
            Object::Entity(name)
        } else {
            Object::Value(name)
        },
        single: row.get(5)?,
        text: row.get(6)?,
        valid_from: row.get(7)?,
        valid_until: row.get(8)?,
        recorded_ms: row.get(9)?,
        retired_ms: row.get(10)?,
        confidence: row.get::<_, f64>(11)? as f32,
        supersedes: row.get::<_, Option<i64>>(12)?.map(FactId),
        sources: Vec::new(),
    })
}

fn sources(connection: &Connection, fact: FactId, known_at: i64) -> Result<Vec<Provenance>, MemoryError> {
    let mut statement = connection.prepare_cached(
        "SELECT document, chunk, session, skill FROM graph_evidence
         WHERE fact = ?1 AND recorded_ms <= ?2 ORDER BY ordinal, document, chunk, session, skill",
    )?;
    let sources = statement.query_map(params![fact.0, known_at], |row| provenance(row, 0))?;
    Ok(sources.collect::<Result<_, _>>()?)
}

pub(super) fn provenance(row: &Row<'_>, first: usize) -> rusqlite::Result<Provenance> {
    let chunk: i64 = row.get(first + 1)?;
    Ok(Provenance {
        document: row.get(first)?,
        chunk: (chunk != NO_CHUNK).then_some(chunk),
        session: row.get(first + 2)?,
        skill: row.get(first + 3)?,
    })
}

pub(super) fn entity(connection: &Connection, id: i64) -> Result<Entity, MemoryError> {
    let mut statement =
        connection.prepare_cached("SELECT name, created_ms FROM graph_entities WHERE id = ?1")?;
    let mut aliases =
        connection.prepare_cached("SELECT name FROM graph_aliases WHERE entity = ?1 ORDER BY canonical")?;
    let aliases = aliases
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let entity = statement.query_row([id], |row| {
        Ok(Entity {
            name: row.get(0)?,
            aliases,
            created_ms: row.get(1)?,
        })
    })?;
    Ok(entity)
}

pub(super) fn mentions(
    connection: &Connection,
    id: i64,
    limit: usize,
) -> Result<Vec<ChunkMention>, MemoryError> {
    let mut statement = connection.prepare_cached(
        "SELECT e.name, m.document, m.chunk, m.session, m.skill
         FROM graph_mentions m JOIN graph_entities e ON e.id = m.entity
         WHERE m.entity = ?1 ORDER BY m.document, m.chunk, m.session, m.skill LIMIT ?2",
    )?;
    let mentions = statement.query_map(params![id, as_limit(limit)], |row| {
        Ok(ChunkMention {
            entity: row.get(0)?,
            source: provenance(row, 1)?,
        })
    })?;
    Ok(mentions.collect::<Result<_, _>>()?)
}
