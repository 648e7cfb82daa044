use std::collections::HashMap;

use serde_json::{Value, json};

use super::http::Server;
use super::wire::{Columns, malformed};
use super::{as_limit, cypher, key};
use crate::graph::error::GraphError;
use crate::graph::model::{
    ChunkMention, Entity, Fact, FactId, FactQuery, GraphStats, Object, Provenance, Subgraph, Walk,
};
use crate::graph::names::{canonical, predicate, words};
use crate::graph::rank::{Step, assemble};

/// The key of the entity with this name or alias.
pub(super) fn resolve(server: &Server, namespace: &str, name: &str) -> Result<Option<String>, GraphError> {
    Ok(resolve_all(server, namespace, std::slice::from_ref(&name))?
        .pop()
        .flatten())
}

fn resolve_all(server: &Server, namespace: &str, names: &[&str]) -> Result<Vec<Option<String>>, GraphError> {
    let keys: Vec<String> = names
        .iter()
        .map(|name| key(namespace, true, &canonical(name)))
        .collect();
    let rows = server.run(cypher::RESOLVE, &json!({"keys": keys}), true)?;
    let mut found: HashMap<String, Option<String>> = HashMap::new();
    for row in rows {
        let mut row = Columns::of(row);
        found.insert(row.text()?, row.maybe_text()?);
    }
    Ok(keys.iter().map(|key| found.get(key).cloned().flatten()).collect())
}

pub(super) fn facts(server: &Server, query: &FactQuery) -> Result<Vec<Fact>, GraphError> {
    let namespace = &query.namespace;
    let subject = match &query.subject {
        None => None,
        Some(subject) => match resolve(server, namespace, subject)? {
            None => return Ok(Vec::new()),
            found => found,
        },
    };
    let objects = match &query.object {
        None => None,
        Some(object) => {
            let entity = resolve(server, namespace, object)?;
            Some(
                entity
                    .into_iter()
                    .chain([key(namespace, false, &canonical(object))])
                    .collect::<Vec<_>>(),
            )
        }
    };
    let words = query.text.as_deref().map(words);
    if words.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let parameters = json!({
        "ns": namespace,
        "subject": subject,
        "predicate": query.predicate.as_deref().map(predicate),
        "objects": objects,
        "words": words.unwrap_or_default(),
        "valid": query.valid_at,
        "known": query.known_at,
        "limit": as_limit(query.limit),
    });
    let rows = server.run(cypher::FACTS, &parameters, true)?;
    let mut facts: Vec<Fact> = rows.into_iter().map(fact).collect::<Result<_, _>>()?;
    let mut sources = sources(server, namespace, &facts, query.known_at)?;
    for fact in &mut facts {
        fact.sources = sources.remove(&fact.id).unwrap_or_default();
    }
    Ok(facts)
}

fn fact(row: Vec<Value>) -> Result<Fact, GraphError> {
    let mut row = Columns::of(row);
    let (id, subject, predicate) = (FactId(row.int()?), row.text()?, row.text()?);
    let is_entity = row.flag()?;
    let name = row.text()?;
    Ok(Fact {
        id,
        subject,
        predicate,
        object: if is_entity {
            Object::Entity(name)
        } else {
            Object::Value(name)
        },
        single: row.flag()?,
        text: row.text()?,
        valid_from: row.int()?,
        valid_until: row.maybe_int()?,
        recorded_ms: row.int()?,
        retired_ms: row.maybe_int()?,
        confidence: row.real()? as f32,
        supersedes: row.maybe_int()?.map(FactId),
        sources: Vec::new(),
    })
}

fn sources(
    server: &Server,
    namespace: &str,
    facts: &[Fact],
    known_at: Option<i64>,
) -> Result<HashMap<FactId, Vec<Provenance>>, GraphError> {
    let mut sources: HashMap<FactId, Vec<Provenance>> = HashMap::new();
    if facts.is_empty() {
        return Ok(sources);
    }
    let ids: Vec<i64> = facts.iter().map(|fact| fact.id.0).collect();
    let parameters = json!({"ns": namespace, "facts": ids, "known": known_at});
    for row in server.run(cypher::SOURCES, &parameters, true)? {
        let mut row = Columns::of(row);
        let fact = FactId(row.int()?);
        sources.entry(fact).or_default().push(provenance(&mut row)?);
    }
    Ok(sources)
}

fn provenance(row: &mut Columns) -> Result<Provenance, GraphError> {
    Ok(Provenance {
        document: row.text()?,
        chunk: Some(row.int()?).filter(|chunk| *chunk >= 0),
        session: row.text()?,
        skill: row.text()?,
    })
}

pub(super) fn entities(
    server: &Server,
    namespace: &str,
    only: Option<&str>,
    after: &str,
    limit: usize,
) -> Result<Vec<Entity>, GraphError> {
    let parameters = json!({"ns": namespace, "key": only, "after": after, "limit": as_limit(limit)});
    let rows = server.run(cypher::ENTITIES, &parameters, true)?;
    let entity = |row: Vec<Value>| {
        let mut row = Columns::of(row);
        let (name, created_ms) = (row.text()?, row.int()?);
        let mut aliases: Vec<(String, String)> = Vec::new();
        for pair in row.list()? {
            let Value::Array(pair) = pair else {
                return Err(malformed("an alias that is no pair".to_owned()));
            };
            let mut pair = Columns::of(pair);
            aliases.push((pair.text()?, pair.text()?));
        }
        aliases.sort();
        Ok(Entity {
            name,
            aliases: aliases.into_iter().map(|(_, name)| name).collect(),
            created_ms,
        })
    };
    rows.into_iter().map(entity).collect()
}

pub(super) fn mentions(
    server: &Server,
    namespace: &str,
    entity: &str,
    limit: usize,
) -> Result<Vec<ChunkMention>, GraphError> {
    let Some(entity) = resolve(server, namespace, entity)? else {
        return Ok(Vec::new());
    };
    let rows = server.run(
        cypher::MENTIONS,
        &json!({"entity": entity, "limit": as_limit(limit)}),
        true,
    )?;
    let mention = |row: Vec<Value>| {
        let mut row = Columns::of(row);
        Ok(ChunkMention {
            entity: row.text()?,
            source: provenance(&mut row)?,
        })
    };
    rows.into_iter().map(mention).collect()
}

/// One request for each step; the entities of a step together.
pub(super) fn walk(server: &Server, walk: &Walk) -> Result<Subgraph, GraphError> {
    let names: Vec<&str> = walk.start.iter().map(String::as_str).collect();
    let mut start: Vec<String> = Vec::new();
    for key in resolve_all(server, &walk.namespace, &names)?
        .into_iter()
        .flatten()
    {
        if !start.contains(&key) {
            start.push(key);
        }
    }
    if start.is_empty() {
        return Ok(Subgraph::default());
    }
    let mut names: HashMap<String, String> = HashMap::new();
    for row in server.run(cypher::NAMES, &json!({"keys": start}), true)? {
        let mut row = Columns::of(row);
        names.insert(row.text()?, row.text()?);
    }
    let mut steps: Vec<Step<String>> = Vec::new();
    let mut frontier = start.clone();
    for depth in 1..=walk.depth.min(3) {
        if frontier.is_empty() {
            break;
        }
        let parameters =
            json!({"nodes": frontier, "valid": walk.valid_at, "fan_out": as_limit(walk.fan_out)});
        frontier = Vec::new();
        for row in server.run(cypher::STEP, &parameters, true)? {
            if steps.len() >= walk.limit {
                break;
            }
            let mut row = Columns::of(row);
            let (from, to, name) = (row.text()?, row.text()?, row.text()?);
            let (doubt, fact, backwards) = (row.int()?, FactId(row.int()?), row.flag()?);
            if names.insert(to.clone(), name).is_none() {
                frontier.push(to.clone());
            }
            steps.push(Step {
                depth,
                from,
                to,
                doubt,
                fact,
                backwards,
            });
        }
    }
    Ok(assemble(&start, &steps, |key| {
        names.get(key).cloned().unwrap_or_default()
    }))
}

pub(super) fn stats(server: &Server, namespace: &str) -> Result<GraphStats, GraphError> {
    let rows = server.run(cypher::STATS, &json!({"ns": namespace}), true)?;
    let row = rows
        .into_iter()
        .next()
        .ok_or_else(|| malformed("no row of counts".to_owned()))?;
    let mut row = Columns::of(row);
    let mut count = || Ok::<u64, GraphError>(u64::try_from(row.int()?).unwrap_or(0));
    Ok(GraphStats {
        entities: count()?,
        facts: count()?,
        open_facts: count()?,
        mentions: count()?,
    })
}
