//! The graph: facts that texts teach, and facts that are told.

use openhuman_memory::graph::{
    Assertion, Change, Fact, FactId, FactQuery, GraphStore as _, Object, RuleExtractor, Speaker,
};
use openhuman_memory::{DEFAULT_NAMESPACE, Memory, MemoryError};
use serde::Serialize;

use crate::{Core, CoreError};

/// The most facts that one call returns.
const MOST_FACTS: usize = 1_000;

/// A fact to be told, as `openhuman.memory_graph_upsert` takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The part of the memory it belongs to; `default` without one.
    pub namespace: Option<String>,
    /// Whom or what it is about.
    pub subject: String,
    /// The relation, in any spelling.
    pub predicate: String,
    /// The other end.
    pub object: String,
}

/// Which facts to return. Empty fields do not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FactFilter {
    /// The namespace; all of them without one.
    pub namespace: Option<String>,
    /// The subject, by any of its names.
    pub subject: Option<String>,
    /// The relation, in any spelling.
    pub predicate: Option<String>,
    /// The other end.
    pub object: Option<String>,
    /// Only what holds at this time, in milliseconds since the Unix epoch; facts of all times without it.
    pub valid_at: Option<i64>,
}

/// A fact and the part of the memory it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KnownFact {
    /// The namespace.
    pub namespace: String,
    /// The fact.
    #[serde(flatten)]
    pub fact: Fact,
}

impl Core {
    /// States a fact that holds from now on. Stating it again changes nothing. Blocks.
    ///
    /// # Errors
    /// When a name is empty or too long, or the memory cannot be written.
    pub fn tell_fact(&self, told: &Told) -> Result<Option<FactId>, CoreError> {
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let namespace = told.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        let object = Object::entity(&*told.object);
        let fact = Assertion::many(&*told.subject, &*told.predicate, object, now_ms);
        let stated = self
            .memory()
            .graph()
            .apply(namespace, &[Change::Assert(fact)], now_ms);
        Ok(stated.map_err(MemoryError::from)?.first().copied().flatten())
    }

    /// Facts that are believed now, by namespace and the time they began; 1,000 at most. Blocks.
    ///
    /// # Errors
    /// When the memory cannot be read.
    pub fn facts(&self, filter: &FactFilter) -> Result<Vec<KnownFact>, CoreError> {
        Ok(facts(self.memory(), filter)?)
    }
}

pub(crate) fn facts(memory: &Memory, filter: &FactFilter) -> Result<Vec<KnownFact>, MemoryError> {
    let graph = memory.graph();
    let namespaces = match &filter.namespace {
        Some(namespace) => vec![namespace.clone()],
        None => graph.namespaces()?,
    };
    let mut known = Vec::new();
    for namespace in namespaces {
        let query = FactQuery {
            subject: filter.subject.clone(),
            predicate: filter.predicate.clone(),
            object: filter.object.clone(),
            valid_at: filter.valid_at,
            limit: MOST_FACTS.saturating_sub(known.len()),
            ..FactQuery::all(&*namespace)
        };
        if query.limit == 0 {
            break;
        }
        known.extend(graph.facts(&query)?.into_iter().map(|fact| KnownFact {
            namespace: namespace.clone(),
            fact,
        }));
    }
    Ok(known)
}

/// Reads a document that was just stored into the graph. What cannot be learned is no reason to lose the document: it
/// is logged, and learned when the document is stored again. Blocks.
pub(crate) fn learn(memory: &Memory, document_id: &str, speaker: Speaker<'_>) -> usize {
    match memory.learn(document_id, &RuleExtractor, speaker) {
        Ok(learned) => learned,
        Err(error) => {
            tracing::warn!(%error, document_id, "the graph did not learn from a document");
            0
        }
    }
}
