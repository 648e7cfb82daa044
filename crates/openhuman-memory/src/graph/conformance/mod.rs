//! What every [`GraphStore`] must do, as cases that anyone can run against one.
//!
//! ```
//! use openhuman_memory::graph::conformance;
//! use openhuman_memory::{HashingEmbedder, Key, Memory, MemoryOptions};
//!
//! # let dir = tempfile::tempdir()?;
//! let memory = Memory::open(dir.path(), &Key::from_bytes([7; 32]), MemoryOptions::new(HashingEmbedder::default()))?;
//! let report = conformance::run(&memory.graph(), "suite");
//! assert!(report.failures.is_empty(), "{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each case works in a namespace of its own and removes it afterwards, so a store may hold other things.

mod asking;
mod forgetting;
mod naming;
mod refusing;
mod stating;
mod walking;

use std::fmt;

use super::error::GraphError;
use super::model::{Assertion, Change, Fact, FactId, FactQuery, Object, Oblivion, Provenance};
use super::store::GraphStore;

/// A case of the suite.
#[derive(Clone, Copy)]
pub struct Case {
    /// What must hold, as words with underscores.
    pub name: &'static str,
    body: fn(&Bench<'_>) -> Outcome,
}

impl Case {
    /// Runs the case in a namespace that nothing else uses, and empties it.
    ///
    /// # Errors
    ///
    /// What was not as it must be.
    pub fn run(&self, store: &dyn GraphStore, namespace: &str) -> Result<(), Failure> {
        let bench = Bench {
            store,
            namespace: namespace.to_owned(),
        };
        let outcome = (self.body)(&bench);
        let emptied = store.forget(namespace, &Oblivion::Everything);
        outcome?;
        emptied?;
        Ok(())
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

/// All cases.
pub fn cases() -> Vec<Case> {
    [
        stating::CASES,
        asking::CASES,
        naming::CASES,
        walking::CASES,
        forgetting::CASES,
        refusing::CASES,
    ]
    .concat()
}

/// Runs every case in namespaces that begin with `prefix`.
pub fn run(store: &dyn GraphStore, prefix: &str) -> Report {
    let cases = cases();
    let failures = cases.iter().filter_map(|case| {
        let failure = case.run(store, &format!("{prefix} {}", case.name)).err()?;
        Some((case.name, failure))
    });
    Report {
        failures: failures.collect(),
        cases: cases.len(),
    }
}

/// What came of a run.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// How many cases ran.
    pub cases: usize,
    /// The names of those that failed, and why.
    pub failures: Vec<(&'static str, Failure)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} cases failed", self.failures.len(), self.cases)?;
        for (name, failure) in &self.failures {
            writeln!(f, "  {name}: {failure}")?;
        }
        Ok(())
    }
}

/// Why a case failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl From<GraphError> for Failure {
    fn from(error: GraphError) -> Self {
        Self(format!("the store failed: {error}"))
    }
}

type Outcome = Result<(), Failure>;

#[expect(
    clippy::needless_pass_by_value,
    reason = "cases compare what they have just made"
)]
fn same<T: fmt::Debug + PartialEq>(found: T, expected: T) -> Outcome {
    if found == expected {
        return Ok(());
    }
    Err(Failure(format!("found {found:?}, expected {expected:?}")))
}

fn holds(condition: bool, what: &str) -> Outcome {
    if condition {
        Ok(())
    } else {
        Err(Failure(format!("{what} does not hold")))
    }
}

fn refused(result: Result<impl fmt::Debug, GraphError>, field: &str) -> Outcome {
    match result {
        Err(GraphError::Invalid { field: found, .. }) if found == field => Ok(()),
        other => Err(Failure(format!("{other:?} where {field} had to be refused"))),
    }
}

/// A store and the case's own namespace.
struct Bench<'a> {
    store: &'a dyn GraphStore,
    namespace: String,
}

impl Bench<'_> {
    fn apply(&self, changes: &[Change], now_ms: i64) -> Result<Vec<Option<FactId>>, GraphError> {
        self.store.apply(&self.namespace, changes, now_ms)
    }

    fn assert(&self, assertion: Assertion, now_ms: i64) -> Result<FactId, Failure> {
        let applied = self.apply(&[Change::Assert(assertion)], now_ms)?;
        let fact = applied.first().copied().flatten();
        fact.ok_or_else(|| Failure("a statement without a fact".to_owned()))
    }

    /// Ada lives in one place at a time.
    fn lives(&self, place: &str, from: i64, now_ms: i64) -> Result<FactId, Failure> {
        self.assert(
            Assertion::one("Ada", "lives in", Object::entity(place), from),
            now_ms,
        )
    }

    /// Somebody knows several people.
    fn knows(&self, who: &str, whom: &str) -> Result<FactId, Failure> {
        self.assert(Assertion::many(who, "knows", Object::entity(whom), 0), 1)
    }

    fn told(&self, who: &str, whom: &str, source: Provenance) -> Result<FactId, Failure> {
        self.assert(
            Assertion::many(who, "knows", Object::entity(whom), 0).from(source),
            1,
        )
    }

    fn close(&self, place: &str, until: i64, now_ms: i64) -> Result<Option<FactId>, Failure> {
        let change = Change::Close {
            subject: "ada".to_owned(),
            predicate: "lives in".to_owned(),
            object: Object::entity(place),
            until,
        };
        Ok(self.apply(&[change], now_ms)?.first().copied().flatten())
    }

    fn mention(&self, entity: &str, source: Provenance) -> Result<(), Failure> {
        self.apply(
            &[Change::Mention {
                entity: entity.to_owned(),
                source,
            }],
            1,
        )?;
        Ok(())
    }

    fn all(&self) -> Result<Vec<Fact>, Failure> {
        Ok(self.store.facts(&FactQuery::all(self.namespace.as_str()))?)
    }

    fn ask(&self, change: impl FnOnce(&mut FactQuery)) -> Result<Vec<Fact>, Failure> {
        let mut query = FactQuery::all(self.namespace.as_str());
        change(&mut query);
        Ok(self.store.facts(&query)?)
    }

    /// Objects of what holds at a time, as believed now or at another time.
    fn at(&self, valid_at: i64, known_at: Option<i64>) -> Result<Vec<String>, Failure> {
        let facts = self.ask(|query| {
            query.valid_at = Some(valid_at);
            query.known_at = known_at;
        })?;
        Ok(objects(&facts))
    }
}

fn objects(facts: &[Fact]) -> Vec<String> {
    facts.iter().map(|fact| fact.object.name().to_owned()).collect()
}

fn spans(facts: &[Fact]) -> Vec<(String, i64, Option<i64>)> {
    facts
        .iter()
        .map(|fact| (fact.object.name().to_owned(), fact.valid_from, fact.valid_until))
        .collect()
}

/// The fact at a place, or a failure.
fn nth(facts: &[Fact], place: usize) -> Result<&Fact, Failure> {
    facts
        .get(place)
        .ok_or_else(|| Failure(format!("only {} facts where one more belongs", facts.len())))
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
