use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use super::http::{Failed, Transaction};
use super::wire::{Columns, malformed};
use super::{cypher, key};
use crate::graph::error::GraphError;
use crate::graph::model::{Assertion, Change, FactId, Forgotten, Object, Oblivion, Provenance};
use crate::graph::names::{canonical, predicate, words};
use crate::graph::timeline::{self, Held, Outcome, Plan, doubt};

/// The most numbers one change uses: a fact, its evidence, and the versions that it ends.
const NUMBERS: i64 = 8;

pub(super) struct Writer<'a, 'b> {
    transaction: &'a mut Transaction<'b>,
    namespace: &'a str,
    now_ms: i64,
    /// The next number for a fact, a version or a source.
    next: i64,
}

impl<'a, 'b> Writer<'a, 'b> {
    /// Waits for other writers of the namespace, and reserves numbers.
    pub(super) fn begin(
        transaction: &'a mut Transaction<'b>,
        namespace: &'a str,
        changes: usize,
        now_ms: i64,
    ) -> Result<Self, Failed> {
        let count = NUMBERS.saturating_mul(i64::try_from(changes).unwrap_or(i64::MAX / NUMBERS));
        let rows = transaction.run(cypher::LOCK, &json!({"ns": namespace, "count": count}))?;
        let next = one(rows)?.int()?;
        Ok(Self {
            transaction,
            namespace,
            now_ms,
            next,
        })
    }

    pub(super) fn apply(&mut self, change: &Change) -> Result<Option<FactId>, Failed> {
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
                let mut set = self.source(source);
                set["key"] = json!(format!("{entity}\u{1f}{}", source_key(source)));
                self.transaction
                    .run(cypher::ADD_MENTION, &json!({"entity": entity, "set": set}))?;
                Ok(None)
            }
        }
    }

    fn assert(&mut self, assertion: &Assertion) -> Result<FactId, Failed> {
        let subject = self.node(&Object::Entity(assertion.subject.clone()))?;
        let object = self.node(&assertion.object)?;
        let predicate = predicate(&assertion.predicate);
        let held = self.held(&subject, &predicate, assertion.single, &object)?;
        let plan = timeline::state(
            &held,
            &(true, object.clone()),
            assertion.valid_from,
            assertion.valid_until,
            self.now_ms,
        );
        self.carry_out(&subject, &plan)?;
        let fact = match plan.outcome {
            Outcome::Confirmed(fact) | Outcome::Closed(fact) => fact,
            Outcome::Nothing => return Err(malformed("a fact without a place".to_owned()).into()),
            Outcome::Stated {
                valid_until,
                supersedes,
            } => {
                let number = self.number();
                let text = timeline::sentence(assertion);
                let set = json!({
                    "ns": self.namespace, "row": number, "fact": number, "predicate": predicate,
                    "single": assertion.single, "words": words(&text), "text": text,
                    "from": assertion.valid_from, "until": valid_until, "recorded": plan.recorded_ms,
                    "confidence": assertion.confidence, "doubt": doubt(assertion.confidence),
                    "supersedes": supersedes.map(|fact| fact.0),
                });
                let parameters = json!({"subject": subject, "object": object, "set": set});
                self.transaction.run(cypher::STATE, &parameters)?;
                FactId(number)
            }
        };
        if assertion.source != Provenance::default() {
            let mut set = self.source(&assertion.source);
            set["key"] = json!(format!(
                "{}\u{1f}{}\u{1f}{}",
                self.namespace,
                fact.0,
                source_key(&assertion.source)
            ));
            set["fact"] = json!(fact.0);
            set["recorded"] = json!(plan.recorded_ms);
            set["ordinal"] = json!(self.number());
            self.transaction.run(cypher::ADD_EVIDENCE, &json!({"set": set}))?;
        }
        Ok(fact)
    }

    fn close(
        &mut self,
        subject: &str,
        predicate: &str,
        object: &Object,
        until: i64,
    ) -> Result<Option<FactId>, Failed> {
        let subject = self.find(&Object::Entity(subject.to_owned()))?;
        let object = self.find(object)?;
        let (Some(subject), Some(object)) = (subject, object) else {
            return Ok(None);
        };
        for single in [true, false] {
            let held = self.held(&subject, predicate, single, &object)?;
            let plan = timeline::close(&held, &(true, object.clone()), until, self.now_ms);
            self.carry_out(&subject, &plan)?;
            if let Outcome::Closed(fact) = plan.outcome {
                return Ok(Some(fact));
            }
        }
        Ok(None)
    }

    fn held(
        &mut self,
        subject: &str,
        predicate: &str,
        single: bool,
        object: &str,
    ) -> Result<Vec<Held>, Failed> {
        let parameters =
            json!({"subject": subject, "predicate": predicate, "single": single, "object": object});
        let rows = self.transaction.run(cypher::HELD, &parameters)?;
        let held = |row: Vec<Value>| {
            let mut row = Columns::of(row);
            Ok(Held {
                row: row.int()?,
                fact: FactId(row.int()?),
                object: (true, row.text()?),
                valid_from: row.int()?,
                valid_until: row.maybe_int()?,
                recorded_ms: row.int()?,
            })
        };
        rows.into_iter()
            .map(held)
            .collect::<Result<_, GraphError>>()
            .map_err(Failed::from)
    }

    fn carry_out(&mut self, subject: &str, plan: &Plan) -> Result<(), Failed> {
        if plan.retired.is_empty() {
            return Ok(());
        }
        let parameters = json!({"rows": plan.retired, "subject": subject, "now": plan.recorded_ms});
        self.transaction.run(cypher::RETIRE, &parameters)?;
        let mut rows = Vec::new();
        for ended in &plan.ended {
            rows.push(json!({"row": ended.row, "next": self.number(), "until": ended.until}));
        }
        if !rows.is_empty() {
            let parameters = json!({"rows": rows, "subject": subject, "now": plan.recorded_ms});
            self.transaction.run(cypher::END, &parameters)?;
        }
        Ok(())
    }

    fn find(&mut self, object: &Object) -> Result<Option<String>, Failed> {
        let key = key(self.namespace, object.is_entity(), &canonical(object.name()));
        let rows = self.transaction.run(cypher::RESOLVE, &json!({"keys": [key]}))?;
        let mut row = one(rows)?;
        row.text()?;
        Ok(row.maybe_text()?)
    }

    fn node(&mut self, object: &Object) -> Result<String, Failed> {
        if let Some(key) = self.find(object)? {
            return Ok(key);
        }
        let canonical = canonical(object.name());
        let key = key(self.namespace, object.is_entity(), &canonical);
        let row = json!({
            "key": key, "ns": self.namespace, "is_entity": object.is_entity(), "canonical": canonical,
            "name": object.name().trim(), "created": self.now_ms,
        });
        self.transaction
            .run(cypher::ADD_ENTITIES, &json!({"rows": [row]}))?;
        Ok(key)
    }

    fn source(&self, source: &Provenance) -> Value {
        json!({
            "ns": self.namespace, "document": source.document, "chunk": source.chunk.unwrap_or(-1),
            "session": source.session, "skill": source.skill,
        })
    }

    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next - 1
    }
}

fn source_key(source: &Provenance) -> String {
    json!([source.document, source.chunk, source.session, source.skill]).to_string()
}

fn one(rows: Vec<Vec<Value>>) -> Result<Columns, GraphError> {
    rows.into_iter()
        .next()
        .map(Columns::of)
        .ok_or_else(|| malformed("no row where there must be one".to_owned()))
}

pub(super) fn add_alias(
    transaction: &mut Transaction<'_>,
    namespace: &str,
    entity: &str,
    alias: &str,
) -> Result<(), Failed> {
    let keys = [entity, alias].map(|name| key(namespace, true, &canonical(name)));
    let mut found: HashMap<String, Option<String>> = HashMap::new();
    for row in transaction.run(cypher::RESOLVE, &json!({"keys": keys}))? {
        let mut row = Columns::of(row);
        found.insert(row.text()?, row.maybe_text()?);
    }
    let [of, new] = keys.map(|key| (found.get(&key).cloned().flatten(), key));
    let Some(owner) = of.0 else {
        return Err(GraphError::NoEntity {
            name: entity.to_owned(),
        }
        .into());
    };
    match new.0 {
        Some(other) if other == owner => return Ok(()),
        Some(other) => {
            let rows = transaction.run(cypher::NAMES, &json!({"keys": [other]}))?;
            let mut row = one(rows)?;
            row.text()?;
            return Err(GraphError::AliasTaken {
                alias: alias.to_owned(),
                owner: row.text()?,
            }
            .into());
        }
        None => {}
    }
    let set = json!({"key": new.1, "ns": namespace, "canonical": canonical(alias), "name": alias.trim()});
    transaction.run(cypher::ADD_ALIAS, &json!({"entity": owner, "set": set}))?;
    Ok(())
}

pub(super) fn forget(
    transaction: &mut Transaction<'_>,
    namespace: &str,
    what: &Oblivion,
) -> Result<Forgotten, Failed> {
    // Waits for writers, as they do for each other.
    transaction.run(cypher::LOCK, &json!({"ns": namespace, "count": 0}))?;
    let mut forgetting = Forgetting {
        transaction,
        namespace,
        forgotten: Forgotten::default(),
    };
    match what {
        Oblivion::Entity(name) => {
            let key = key(namespace, true, &canonical(name));
            let rows = forgetting
                .transaction
                .run(cypher::RESOLVE, &json!({"keys": [key]}))?;
            let mut row = one(rows)?;
            row.text()?;
            let found: Vec<String> = row.maybe_text()?.into_iter().collect();
            forgetting.entities(&found)?;
        }
        Oblivion::Document(id) => forgetting.source("document", id)?,
        Oblivion::Session(id) => forgetting.source("session", id)?,
        Oblivion::Skill(id) => forgetting.source("skill", id)?,
        Oblivion::Phrase(phrase) => {
            let phrase = phrase.trim().to_lowercase();
            if !phrase.is_empty() {
                let parameters = json!({"ns": namespace, "phrase": phrase});
                let keys = forgetting.texts(cypher::ENTITIES_WITH, &parameters)?;
                forgetting.entities(&keys)?;
                let facts = forgetting.numbers(cypher::FACTS_WITH, &parameters)?;
                forgetting.facts(&facts)?;
            }
        }
        Oblivion::Everything => {
            let keys = forgetting.texts(cypher::ALL_ENTITIES, &json!({"ns": namespace}))?;
            forgetting.entities(&keys)?;
        }
    }
    let orphans = forgetting.texts(cypher::ORPHANS, &json!({"ns": namespace}))?;
    forgetting.entities(&orphans)?;
    forgetting
        .transaction
        .run(cypher::FORGET_EPISODES, &json!({"ns": namespace}))?;
    if *what == Oblivion::Everything {
        forgetting
            .transaction
            .run(cypher::FORGET_SPACE, &json!({"ns": namespace}))?;
    }
    Ok(forgetting.forgotten)
}

struct Forgetting<'a, 'b> {
    transaction: &'a mut Transaction<'b>,
    namespace: &'a str,
    forgotten: Forgotten,
}

impl Forgetting<'_, '_> {
    fn texts(&mut self, statement: &str, parameters: &Value) -> Result<Vec<String>, Failed> {
        let rows = self.transaction.run(statement, parameters)?;
        let texts = rows.into_iter().map(|row| Columns::of(row).text());
        texts.collect::<Result<_, _>>().map_err(Failed::from)
    }

    fn numbers(&mut self, statement: &str, parameters: &Value) -> Result<BTreeSet<i64>, Failed> {
        let rows = self.transaction.run(statement, parameters)?;
        let numbers = rows.into_iter().map(|row| Columns::of(row).int());
        numbers.collect::<Result<_, _>>().map_err(Failed::from)
    }

    fn count(&mut self, statement: &str, parameters: &Value) -> Result<u64, Failed> {
        let rows = self.transaction.run(statement, parameters)?;
        Ok(u64::try_from(one(rows)?.int()?).unwrap_or(0))
    }

    fn entities(&mut self, keys: &[String]) -> Result<(), Failed> {
        if keys.is_empty() {
            return Ok(());
        }
        let parameters = json!({"keys": keys});
        let facts = self.numbers(cypher::FACTS_OF, &parameters)?;
        self.facts(&facts)?;
        self.forgotten.mentions += self.count(cypher::FORGET_MENTIONS_OF, &parameters)?;
        self.transaction.run(cypher::FORGET_ENTITIES, &parameters)?;
        self.forgotten.entities += keys.len() as u64;
        Ok(())
    }

    fn facts(&mut self, facts: &BTreeSet<i64>) -> Result<(), Failed> {
        if !facts.is_empty() {
            let parameters = json!({"ns": self.namespace, "facts": facts});
            self.transaction.run(cypher::FORGET_FACTS, &parameters)?;
            self.transaction.run(cypher::FORGET_EVIDENCE, &parameters)?;
            self.forgotten.facts += facts.len() as u64;
        }
        Ok(())
    }

    fn source(&mut self, field: &str, value: &str) -> Result<(), Failed> {
        if value.is_empty() {
            // An empty field says that the source is not known, not that it is this one.
            return Ok(());
        }
        let parameters = json!({"ns": self.namespace, "field": field, "value": value});
        let told = self.numbers(cypher::FORGET_TOLD, &parameters)?;
        if !told.is_empty() {
            let still = self.numbers(cypher::STILL_TOLD, &json!({"ns": self.namespace, "facts": told}))?;
            self.facts(&told.difference(&still).copied().collect())?;
        }
        self.forgotten.mentions += self.count(cypher::FORGET_MENTIONS_IN, &parameters)?;
        Ok(())
    }
}
