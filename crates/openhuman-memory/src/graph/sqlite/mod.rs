//! The graph in the memory's own sealed database.

mod forget;
mod read;
mod walk;
mod write;

use std::fmt;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

pub(super) use self::write::Writer;
use super::error::GraphError;
use super::model::{
    Change, ChunkMention, Entity, Fact, FactId, FactQuery, Forgotten, GraphStats, Oblivion, Subgraph, Walk,
};
use super::names::canonical;
use super::store::GraphStore;
use super::timeline::{check, check_name};
use crate::database::Database;
use crate::error::MemoryError;

/// A graph in the database of a [`Memory`](crate::Memory); see [`Memory::graph`](crate::Memory::graph). Clones share
/// it. Reading does not wait for a writer.
#[derive(Clone)]
pub struct SqliteGraph {
    database: Arc<Database>,
}

impl SqliteGraph {
    pub(crate) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The namespaces that hold anything, in order.
    ///
    /// # Errors
    ///
    /// [`GraphError::Store`].
    pub fn namespaces(&self) -> Result<Vec<String>, GraphError> {
        let names = self.database.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT name FROM graph_namespaces ORDER BY name")?;
            let names = statement.query_map([], |row| row.get(0))?;
            Ok(names.collect::<Result<_, _>>()?)
        });
        Ok(names?)
    }

    /// What has to be forgotten so that no name and no sentence of a namespace matches.
    pub(crate) fn named_like(
        &self,
        namespace: &str,
        matches: impl Fn(&str) -> bool,
    ) -> Result<Vec<Oblivion>, GraphError> {
        self.read(namespace, |connection, namespace| {
            let mut found = Vec::new();
            for (sql, entity) in [
                (
                    "SELECT name FROM graph_entities WHERE namespace = ?1 AND is_entity",
                    true,
                ),
                (
                    "SELECT name FROM graph_entities WHERE namespace = ?1 AND NOT is_entity",
                    false,
                ),
                ("SELECT name FROM graph_aliases WHERE namespace = ?1", true),
                (
                    "SELECT DISTINCT text FROM graph_facts WHERE namespace = ?1",
                    false,
                ),
            ] {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query([namespace])?;
                while let Some(row) = rows.next()? {
                    let text: String = row.get(0)?;
                    if matches(&text) {
                        found.push(if entity {
                            Oblivion::Entity(text)
                        } else {
                            Oblivion::Phrase(text)
                        });
                    }
                }
            }
            Ok(found)
        })
    }

    /// Reads in one snapshot; `None` when there is no such namespace.
    fn read<T: Default>(
        &self,
        namespace: &str,
        read: impl FnOnce(&Connection, i64) -> Result<T, MemoryError>,
    ) -> Result<T, GraphError> {
        let found = self.database.read(|connection| {
            let transaction = connection.transaction()?;
            match namespace_id(&transaction, namespace)? {
                Some(id) => read(&transaction, id),
                None => Ok(T::default()),
            }
        });
        Ok(found?)
    }
}

impl fmt::Debug for SqliteGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteGraph").finish_non_exhaustive()
    }
}

impl GraphStore for SqliteGraph {
    fn apply(
        &self,
        namespace: &str,
        changes: &[Change],
        now_ms: i64,
    ) -> Result<Vec<Option<FactId>>, GraphError> {
        check_name("namespace", namespace)?;
        check(changes)?;
        let applied = self.database.write(
            |transaction| {
                let writer = write::Writer::new(transaction, namespace, now_ms)?;
                changes.iter().map(|change| writer.apply(change)).collect()
            },
            |_: &Vec<_>| (),
        );
        Ok(applied?)
    }

    fn facts(&self, query: &FactQuery) -> Result<Vec<Fact>, GraphError> {
        self.read(&query.namespace, |connection, namespace| {
            read::facts(connection, namespace, query)
        })
    }

    fn entity(&self, namespace: &str, name: &str) -> Result<Option<Entity>, GraphError> {
        self.read(namespace, |connection, namespace| {
            let Some(id) = resolve(connection, namespace, &canonical(name))? else {
                return Ok(None);
            };
            read::entity(connection, id).map(Some)
        })
    }

    fn entities(
        &self,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entity>, GraphError> {
        let after = after.map(canonical).unwrap_or_default();
        self.read(namespace, |connection, namespace| {
            let mut statement = connection.prepare_cached(
                "SELECT id FROM graph_entities WHERE namespace = ?1 AND is_entity AND canonical > ?2
                 ORDER BY canonical LIMIT ?3",
            )?;
            let ids: Vec<i64> = statement
                .query_map(params![namespace, after, as_limit(limit)], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            ids.into_iter().map(|id| read::entity(connection, id)).collect()
        })
    }

    fn add_alias(&self, namespace: &str, entity: &str, alias: &str) -> Result<(), GraphError> {
        check_name("entity", entity)?;
        check_name("alias", alias)?;
        let written = self.database.write(
            |transaction| {
                let Some(namespace) = namespace_id(transaction, namespace)? else {
                    return Ok(Err(GraphError::NoEntity {
                        name: entity.to_owned(),
                    }));
                };
                write::add_alias(transaction, namespace, entity, alias)
            },
            |_| (),
        );
        written?
    }

    fn mentions(&self, namespace: &str, entity: &str, limit: usize) -> Result<Vec<ChunkMention>, GraphError> {
        self.read(namespace, |connection, namespace| {
            let Some(id) = resolve(connection, namespace, &canonical(entity))? else {
                return Ok(Vec::new());
            };
            read::mentions(connection, id, limit)
        })
    }

    fn walk(&self, walk: &Walk) -> Result<Subgraph, GraphError> {
        self.read(&walk.namespace, |connection, namespace| {
            walk::walk(connection, namespace, walk)
        })
    }

    fn forget(&self, namespace: &str, what: &Oblivion) -> Result<Forgotten, GraphError> {
        let forgotten = self.database.write(
            |transaction| match namespace_id(transaction, namespace)? {
                Some(id) => forget::forget(transaction, id, what),
                None => Ok(Forgotten::default()),
            },
            |_| (),
        );
        Ok(forgotten?)
    }

    fn stats(&self, namespace: &str) -> Result<GraphStats, GraphError> {
        self.read(namespace, |connection, namespace| {
            let mut statement = connection.prepare_cached(
                "SELECT (SELECT count(*) FROM graph_entities WHERE namespace = ?1 AND is_entity),
                        (SELECT count(*) FROM graph_facts WHERE namespace = ?1 AND retired_ms IS NULL),
                        (SELECT count(*) FROM graph_facts
                         WHERE namespace = ?1 AND retired_ms IS NULL AND valid_until IS NULL),
                        (SELECT count(*) FROM graph_mentions m JOIN graph_entities e ON e.id = m.entity
                         WHERE e.namespace = ?1)",
            )?;
            let stats = statement.query_row([namespace], |row| {
                Ok(GraphStats {
                    entities: row.get(0)?,
                    facts: row.get(1)?,
                    open_facts: row.get(2)?,
                    mentions: row.get(3)?,
                })
            })?;
            Ok(stats)
        })
    }
}

pub(crate) fn namespace_id(connection: &Connection, name: &str) -> Result<Option<i64>, MemoryError> {
    let mut statement = connection.prepare_cached("SELECT id FROM graph_namespaces WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

/// The entity with this canonical name, or with such an alias.
pub(crate) fn resolve(
    connection: &Connection,
    namespace: i64,
    canonical: &str,
) -> Result<Option<i64>, MemoryError> {
    let mut by_name = connection.prepare_cached(
        "SELECT id FROM graph_entities WHERE namespace = ?1 AND is_entity = 1 AND canonical = ?2",
    )?;
    if let Some(id) = by_name
        .query_row(params![namespace, canonical], |row| row.get(0))
        .optional()?
    {
        return Ok(Some(id));
    }
    let mut by_alias = connection
        .prepare_cached("SELECT entity FROM graph_aliases WHERE namespace = ?1 AND canonical = ?2")?;
    Ok(by_alias
        .query_row(params![namespace, canonical], |row| row.get(0))
        .optional()?)
}

/// The plain value with this canonical form.
fn value(connection: &Connection, namespace: i64, canonical: &str) -> Result<Option<i64>, MemoryError> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM graph_entities WHERE namespace = ?1 AND is_entity = 0 AND canonical = ?2",
    )?;
    Ok(statement
        .query_row(params![namespace, canonical], |row| row.get(0))
        .optional()?)
}

/// SQLite takes -1 for no limit.
fn as_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
