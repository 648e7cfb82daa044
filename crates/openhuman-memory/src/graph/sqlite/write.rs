use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{namespace_id, resolve, value};
use crate::error::MemoryError;
use crate::graph::error::GraphError;
use crate::graph::model::{Assertion, Change, FactId, Object, Provenance};
use crate::graph::names::{canonical, predicate};
use crate::graph::timeline::{self, Held, Outcome, Plan, doubt};

/// One transaction of changes in one namespace.
pub(in crate::graph) struct Writer<'a> {
    connection: &'a Connection,
    namespace: i64,
    now_ms: i64,
}

impl<'a> Writer<'a> {
    pub(in crate::graph) fn new(
        transaction: &'a Transaction<'_>,
        namespace: &str,
        now_ms: i64,
    ) -> Result<Self, MemoryError> {
        let connection: &Connection = transaction;
        let id = match namespace_id(connection, namespace)? {
            Some(id) => id,
            None => {
                connection.execute("INSERT INTO graph_namespaces (name) VALUES (?1)", [namespace])?;
                connection.last_insert_rowid()
            }
        };
        Ok(Self {
            connection,
            namespace: id,
            now_ms,
        })
    }

    pub(in crate::graph) fn apply(&self, change: &Change) -> Result<Option<FactId>, MemoryError> {
        match change {
            Change::Assert(assertion) => self.assert(assertion).map(Some),
            Change::Close {
                subject,
                predicate: name,
                object,
                until,
            } => self.close(subject, &predicate(name), object, *until),
            Change::Mention { entity, source } => {
                let entity = self.node(&Object::Entity(entity.clone()))?;
                self.connection
                    .prepare_cached(
                        "INSERT INTO graph_mentions (entity, document, chunk, session, skill)
                         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![
                        entity,
                        source.document,
                        source.chunk.unwrap_or(NO_CHUNK),
                        source.session,
                        source.skill
                    ])?;
                Ok(None)
            }
        }
    }

    fn assert(&self, assertion: &Assertion) -> Result<FactId, MemoryError> {
        let subject = self.node(&Object::Entity(assertion.subject.clone()))?;
        let object = self.node(&assertion.object)?;
        let predicate = predicate(&assertion.predicate);
        let key = key(object);
        let held = self.held(subject, &predicate, assertion.single, object)?;
        let plan = timeline::state(
            &held,
            &key,
            assertion.valid_from,
            assertion.valid_until,
            self.now_ms,
        );
        self.carry_out(&plan)?;
        let fact = match plan.outcome {
            Outcome::Confirmed(fact) | Outcome::Closed(fact) => fact,
            Outcome::Nothing => {
                return Err(MemoryError::Damaged {
                    what: "a fact without a place".to_owned(),
                });
            }
            Outcome::Stated {
                valid_until,
                supersedes,
            } => {
                let row = self.insert(
                    subject,
                    &predicate,
                    object,
                    assertion,
                    valid_until,
                    supersedes,
                    &plan,
                )?;
                FactId(row)
            }
        };
        self.add_evidence(fact, &assertion.source, plan.recorded_ms)?;
        Ok(fact)
    }

    fn close(
        &self,
        subject: &str,
        predicate: &str,
        object: &Object,
        until: i64,
    ) -> Result<Option<FactId>, MemoryError> {
        let subject = resolve(self.connection, self.namespace, &canonical(subject))?;
        let object = find(self.connection, self.namespace, object)?;
        let (Some(subject), Some(object)) = (subject, object) else {
            return Ok(None);
        };
        for single in [true, false] {
            let held = self.held(subject, predicate, single, object)?;
            let plan = timeline::close(&held, &key(object), until, self.now_ms);
            self.carry_out(&plan)?;
            if let Outcome::Closed(fact) = plan.outcome {
                return Ok(Some(fact));
            }
        }
        Ok(None)
    }

    /// The versions of one timeline that are believed now.
    fn held(
        &self,
        subject: i64,
        predicate: &str,
        single: bool,
        object: i64,
    ) -> Result<Vec<Held>, MemoryError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT row, fact, object, valid_from, valid_until, recorded_ms FROM graph_facts
             WHERE subject = ?1 AND predicate = ?2 AND single = ?3 AND (?3 OR object = ?4) AND retired_ms IS NULL",
        )?;
        let held = statement.query_map(params![subject, predicate, single, object], |row| {
            Ok(Held {
                row: row.get(0)?,
                fact: FactId(row.get(1)?),
                object: key(row.get(2)?),
                valid_from: row.get(3)?,
                valid_until: row.get(4)?,
                recorded_ms: row.get(5)?,
            })
        })?;
        Ok(held.collect::<Result<_, _>>()?)
    }

    fn carry_out(&self, plan: &Plan) -> Result<(), MemoryError> {
        let mut retire = self
            .connection
            .prepare_cached("UPDATE graph_facts SET retired_ms = ?2 WHERE row = ?1")?;
        let mut unlink = self
            .connection
            .prepare_cached("DELETE FROM graph_links WHERE id IN (?1 * 2, ?1 * 2 + 1)")?;
        for row in &plan.retired {
            retire.execute(params![row, plan.recorded_ms])?;
            unlink.execute([row])?;
        }
        let mut copy = self.connection.prepare_cached(
            "INSERT INTO graph_facts (namespace, fact, subject, predicate, object, single, text, valid_from,
                                      valid_until, recorded_ms, confidence, supersedes)
             SELECT namespace, fact, subject, predicate, object, single, text, valid_from, ?2, ?3, confidence,
                    supersedes FROM graph_facts WHERE row = ?1",
        )?;
        for ended in &plan.ended {
            copy.execute(params![ended.row, ended.until, plan.recorded_ms])?;
            self.link(self.connection.last_insert_rowid())?;
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    fn insert(
        &self,
        subject: i64,
        predicate: &str,
        object: i64,
        assertion: &Assertion,
        valid_until: Option<i64>,
        supersedes: Option<FactId>,
        plan: &Plan,
    ) -> Result<i64, MemoryError> {
        self.connection
            .prepare_cached(
                "INSERT INTO graph_facts (namespace, fact, subject, predicate, object, single, text, valid_from,
                                          valid_until, recorded_ms, confidence, supersedes)
                 VALUES (?1, (SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'graph_facts'),
                         ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                self.namespace,
                subject,
                predicate,
                object,
                assertion.single,
                timeline::sentence(assertion),
                assertion.valid_from,
                valid_until,
                plan.recorded_ms,
                f64::from(assertion.confidence),
                supersedes.map(|fact| fact.0)
            ])?;
        let row = self.connection.last_insert_rowid();
        self.link(row)?;
        Ok(row)
    }

    /// Enters a version that is believed now into the links, when it connects two entities.
    fn link(&self, row: i64) -> Result<(), MemoryError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT f.subject, f.object, f.confidence, f.valid_from, f.valid_until FROM graph_facts f
             JOIN graph_entities o ON o.id = f.object WHERE f.row = ?1 AND o.is_entity",
        )?;
        let ends = statement.query_row([row], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, f64>(2)?,
                row.get::<_, i64>(3)?,
                row.get(4)?,
            ))
        });
        let Some((subject, object, confidence, from, until)) = ends.optional()? else {
            return Ok(());
        };
        let until: Option<i64> = until;
        let doubt = doubt(confidence as f32);
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO graph_links (id, node, doubt, other, valid_from, valid_until) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        insert.execute(params![row * 2, subject, doubt, object, from, until])?;
        insert.execute(params![row * 2 + 1, object, doubt, subject, from, until])?;
        Ok(())
    }

    fn add_evidence(&self, fact: FactId, source: &Provenance, recorded_ms: i64) -> Result<(), MemoryError> {
        if *source == Provenance::default() {
            return Ok(());
        }
        self.connection
            .prepare_cached(
                "INSERT INTO graph_evidence (fact, document, chunk, session, skill, recorded_ms, ordinal)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6,
                         (SELECT count(*) FROM graph_evidence WHERE fact = ?1)) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                fact.0,
                source.document,
                source.chunk.unwrap_or(NO_CHUNK),
                source.session,
                source.skill,
                recorded_ms
            ])?;
        Ok(())
    }

    /// The entity or value with this name, which is created when it is new.
    fn node(&self, object: &Object) -> Result<i64, MemoryError> {
        if let Some(id) = find(self.connection, self.namespace, object)? {
            return Ok(id);
        }
        self.connection
            .prepare_cached(
                "INSERT INTO graph_entities (namespace, is_entity, canonical, name, created_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                self.namespace,
                object.is_entity(),
                canonical(object.name()),
                object.name().trim(),
                self.now_ms
            ])?;
        Ok(self.connection.last_insert_rowid())
    }
}

/// Stands for a source that is not a chunk.
pub(super) const NO_CHUNK: i64 = -1;

/// Row numbers are as good as names to tell objects apart.
fn key(object: i64) -> (bool, String) {
    (true, object.to_string())
}

fn find(connection: &Connection, namespace: i64, object: &Object) -> Result<Option<i64>, MemoryError> {
    let canonical = canonical(object.name());
    if object.is_entity() {
        resolve(connection, namespace, &canonical)
    } else {
        value(connection, namespace, &canonical)
    }
}

pub(super) fn add_alias(
    transaction: &Transaction<'_>,
    namespace: i64,
    entity: &str,
    alias: &str,
) -> Result<Result<(), GraphError>, MemoryError> {
    let Some(id) = resolve(transaction, namespace, &canonical(entity))? else {
        return Ok(Err(GraphError::NoEntity {
            name: entity.to_owned(),
        }));
    };
    match resolve(transaction, namespace, &canonical(alias))? {
        Some(owner) if owner == id => return Ok(Ok(())),
        Some(owner) => {
            let owner =
                transaction.query_row("SELECT name FROM graph_entities WHERE id = ?1", [owner], |row| {
                    row.get(0)
                })?;
            return Ok(Err(GraphError::AliasTaken {
                alias: alias.to_owned(),
                owner,
            }));
        }
        None => {}
    }
    transaction.execute(
        "INSERT INTO graph_aliases (namespace, canonical, name, entity) VALUES (?1, ?2, ?3, ?4)",
        params![namespace, canonical(alias), alias.trim(), id],
    )?;
    Ok(Ok(()))
}
