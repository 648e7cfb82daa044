use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::resolve;
use super::write::Link;
use crate::error::MemoryError;
use crate::graph::model::{Forgotten, Oblivion};
use crate::graph::names::canonical;

pub(super) fn forget(
    connection: &Connection,
    namespace: i64,
    what: &Oblivion,
) -> Result<Forgotten, MemoryError> {
    let mut forgotten = Forgotten::default();
    match what {
        Oblivion::Entity(name) => {
            if let Some(id) = resolve(connection, namespace, &canonical(name))? {
                forget_entity(connection, id, &mut forgotten)?;
            }
        }
        Oblivion::Document(id) => forget_source(connection, namespace, "document", id, &mut forgotten)?,
        Oblivion::Session(id) => forget_source(connection, namespace, "session", id, &mut forgotten)?,
        Oblivion::Skill(id) => forget_source(connection, namespace, "skill", id, &mut forgotten)?,
        Oblivion::Phrase(phrase) => forget_phrase(connection, namespace, phrase, &mut forgotten)?,
        Oblivion::Everything => {
            let entities = numbers(
                connection,
                "SELECT id FROM graph_entities WHERE namespace = ?1",
                namespace,
            )?;
            for id in entities {
                forget_entity(connection, id, &mut forgotten)?;
            }
        }
    }
    remove_orphans(connection, namespace, &mut forgotten)?;
    if *what == Oblivion::Everything {
        connection.execute("DELETE FROM graph_namespaces WHERE id = ?1", [namespace])?;
    }
    Ok(forgotten)
}

fn forget_entity(connection: &Connection, id: i64, forgotten: &mut Forgotten) -> Result<(), MemoryError> {
    let facts = numbers(
        connection,
        "SELECT DISTINCT fact FROM graph_facts WHERE ?1 IN (subject, object)",
        id,
    )?;
    forget_facts(connection, &facts, forgotten)?;
    let mentions = connection
        .prepare_cached("DELETE FROM graph_mentions WHERE entity = ?1")?
        .execute([id])?;
    forgotten.mentions += mentions as u64;
    connection
        .prepare_cached("DELETE FROM graph_aliases WHERE entity = ?1")?
        .execute([id])?;
    let removed = connection
        .prepare_cached("DELETE FROM graph_entities WHERE id = ?1")?
        .execute([id])?;
    forgotten.entities += removed as u64;
    Ok(())
}

fn forget_facts(
    connection: &Connection,
    facts: &[i64],
    forgotten: &mut Forgotten,
) -> Result<(), MemoryError> {
    let mut versions =
        connection.prepare_cached("SELECT row FROM graph_facts WHERE fact = ?1 AND retired_ms IS NULL")?;
    let mut evidence = connection.prepare_cached("DELETE FROM graph_evidence WHERE fact = ?1")?;
    let mut remove = connection.prepare_cached("DELETE FROM graph_facts WHERE fact = ?1")?;
    for fact in facts {
        let rows: Vec<i64> = versions
            .query_map([fact], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for row in rows {
            if let Some(link) = Link::of(connection, row)? {
                link.remove(connection)?;
            }
        }
        evidence.execute([fact])?;
        forgotten.facts += u64::from(remove.execute([fact])? > 0);
    }
    Ok(())
}

fn forget_source(
    connection: &Connection,
    namespace: i64,
    column: &str,
    source: &str,
    forgotten: &mut Forgotten,
) -> Result<(), MemoryError> {
    if source.is_empty() {
        // An empty field says that the source is not known, not that it is this one.
        return Ok(());
    }
    let told = format!(
        "SELECT DISTINCT v.fact FROM graph_evidence v JOIN graph_facts f ON f.fact = v.fact
         WHERE v.{column} = ?2 AND f.namespace = ?1"
    );
    let mut told = connection.prepare_cached(&told)?;
    let facts: Vec<i64> = told
        .query_map(params![namespace, source], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let remove = format!("DELETE FROM graph_evidence WHERE fact = ?1 AND {column} = ?2");
    let mut remove = connection.prepare_cached(&remove)?;
    let mut others =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM graph_evidence WHERE fact = ?1)")?;
    let mut baseless = Vec::new();
    for fact in facts {
        remove.execute(params![fact, source])?;
        if !others.query_row([fact], |row| row.get::<_, bool>(0))? {
            baseless.push(fact);
        }
    }
    forget_facts(connection, &baseless, forgotten)?;
    let mentions = format!(
        "DELETE FROM graph_mentions WHERE {column} = ?2
         AND entity IN (SELECT id FROM graph_entities WHERE namespace = ?1)"
    );
    forgotten.mentions += connection
        .prepare_cached(&mentions)?
        .execute(params![namespace, source])? as u64;
    Ok(())
}

/// SQLite lowers only ASCII letters, so the comparison is made here.
fn forget_phrase(
    connection: &Connection,
    namespace: i64,
    phrase: &str,
    forgotten: &mut Forgotten,
) -> Result<(), MemoryError> {
    let phrase = phrase.trim().to_lowercase();
    if phrase.is_empty() {
        return Ok(());
    }
    let matching = |sql: &str| -> Result<BTreeSet<i64>, MemoryError> {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([namespace])?;
        let mut found = BTreeSet::new();
        while let Some(row) = rows.next()? {
            if row.get::<_, String>(1)?.to_lowercase().contains(&phrase) {
                found.insert(row.get(0)?);
            }
        }
        Ok(found)
    };
    let mut entities = matching("SELECT id, name FROM graph_entities WHERE namespace = ?1")?;
    entities.extend(matching(
        "SELECT entity, name FROM graph_aliases WHERE namespace = ?1",
    )?);
    for id in entities {
        forget_entity(connection, id, forgotten)?;
    }
    let facts = matching("SELECT fact, text FROM graph_facts WHERE namespace = ?1")?;
    forget_facts(connection, &facts.into_iter().collect::<Vec<_>>(), forgotten)
}

/// Names that nothing speaks of any more.
fn remove_orphans(
    connection: &Connection,
    namespace: i64,
    forgotten: &mut Forgotten,
) -> Result<(), MemoryError> {
    let orphans = numbers(
        connection,
        "SELECT id FROM graph_entities e WHERE namespace = ?1
         AND NOT EXISTS (SELECT 1 FROM graph_facts WHERE subject = e.id)
         AND NOT EXISTS (SELECT 1 FROM graph_facts WHERE object = e.id)
         AND NOT EXISTS (SELECT 1 FROM graph_mentions WHERE entity = e.id)",
        namespace,
    )?;
    for id in orphans {
        forget_entity(connection, id, forgotten)?;
    }
    Ok(())
}

fn numbers(connection: &Connection, sql: &str, value: i64) -> Result<Vec<i64>, MemoryError> {
    let mut statement = connection.prepare_cached(sql)?;
    let numbers = statement.query_map([value], |row| row.get(0))?;
    Ok(numbers.collect::<Result<_, _>>()?)
}
