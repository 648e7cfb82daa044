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
        for row in &plan.retired {
            retire.execute(params![row, plan.recorded_ms])?;
            if let Some(link) = Link::of(self.connection, *row)? {
                link.remove(self.connection)?;
            }
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
        match Link::of(self.connection, row)? {
            Some(link) => link.insert(self.connection),
            None => Ok(()),
        }
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

/// A version of a fact between two entities, as `graph_links` holds it once for each of them.
pub(super) struct Link {
    row: i64,
    fact: i64,
    /// Subject and object with their names.
    ends: [(i64, String); 2],
    doubt: i64,
    valid_from: i64,
    valid_until: Option<i64>,
}

impl Link {
    /// `None` for a fact whose object is a value.
    pub(super) fn of(connection: &Connection, row: i64) -> Result<Option<Self>, MemoryError> {
        let mut statement = connection.prepare_cached(
            "SELECT f.fact, f.subject, s.name, f.object, o.name, f.confidence, f.valid_from, f.valid_until
             FROM graph_facts f JOIN graph_entities s ON s.id = f.subject JOIN graph_entities o ON o.id = f.object
             WHERE f.row = ?1 AND o.is_entity",
        )?;
        let link = statement.query_row([row], |columns| {
            Ok(Self {
                row,
                fact: columns.get(0)?,
                ends: [
                    (columns.get(1)?, columns.get(2)?),
                    (columns.get(3)?, columns.get(4)?),
                ],
                doubt: doubt(columns.get::<_, f64>(5)? as f32),
                valid_from: columns.get(6)?,
                valid_until: columns.get(7)?,
            })
        });
        Ok(link.optional()?)
    }

    fn insert(&self, connection: &Connection) -> Result<(), MemoryError> {
        let mut insert = connection.prepare_cached(
            "INSERT INTO graph_links (node, rank, other, name, fact, valid_from, valid_until)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        for backwards in [false, true] {
            let (from, to) = (
                &self.ends[usize::from(backwards)],
                &self.ends[usize::from(!backwards)],
            );
            insert.execute(params![
                from.0,
                self.rank(backwards),
                to.0,
                to.1,
                self.fact,
                self.valid_from,
                self.valid_until
            ])?;
        }
        Ok(())
    }

    pub(super) fn remove(&self, connection: &Connection) -> Result<(), MemoryError> {
        let mut remove =
            connection.prepare_cached("DELETE FROM graph_links WHERE node = ?1 AND rank = ?2")?;
        for backwards in [false, true] {
            remove.execute([self.ends[usize::from(backwards)].0, self.rank(backwards)])?;
        }
        Ok(())
    }

    /// The place among the links of an entity: the surest first, then the oldest.
    fn rank(&self, backwards: bool) -> i64 {
        (self.doubt << DOUBT_SHIFT) | (self.row << 1) | i64::from(backwards)
    }
}

/// Where the doubt begins in the rank of a link. Below lies twice the number of a row; the doubt is at most 1,000.
pub(super) const DOUBT_SHIFT: i64 = 53;

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
