mod as_of;
#[cfg(feature = "neo4j")]
mod neo4j;
mod related;

use openhuman_memory::graph::conformance;
use openhuman_memory::graph::{
    Assertion, Change, ChunkMention, Entity, Fact, FactId, FactQuery, Forgotten, GraphError, GraphStats,
    GraphStore, Object, Oblivion, Subgraph, Walk,
};

use crate::{Fixture, key, open};

#[test]
fn the_suite_has_at_least_sixty_cases_with_names_of_their_own() {
    let mut names: Vec<&str> = conformance::cases().iter().map(|case| case.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert!(count >= 60 && names.len() == count, "{count}");
}

#[test]
fn sqlite_conforms() {
    let fixture = Fixture::new();
    let report = conformance::run(&fixture.memory.graph(), "suite");
    assert!(report.failures.is_empty(), "{report}");
}

/// A store that does nothing must not pass.
#[test]
fn the_suite_notices_a_store_that_keeps_nothing() {
    let report = conformance::run(&Nothing, "suite");
    assert!(report.failures.len() > report.cases * 2 / 3, "{report}");
}

#[test]
fn facts_survive_a_restart() {
    let fixture = Fixture::new();
    let assertion = Assertion::one("Ada", "lives in", Object::entity("London"), 10);
    fixture
        .memory
        .graph()
        .apply("n", &[Change::Assert(assertion)], 1)
        .unwrap();
    let Fixture { dir, memory, .. } = fixture;
    drop(memory);
    let memory = open(dir.path(), &key()).unwrap();
    let facts = memory.graph().facts(&FactQuery::about("n", "ada")).unwrap();
    assert_eq!(facts[0].text, "Ada lives in London");
}

struct Nothing;

impl GraphStore for Nothing {
    fn apply(&self, _: &str, changes: &[Change], _: i64) -> Result<Vec<Option<FactId>>, GraphError> {
        Ok(vec![None; changes.len()])
    }

    fn facts(&self, _: &FactQuery) -> Result<Vec<Fact>, GraphError> {
        Ok(Vec::new())
    }

    fn entity(&self, _: &str, _: &str) -> Result<Option<Entity>, GraphError> {
        Ok(None)
    }

    fn entities(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<Entity>, GraphError> {
        Ok(Vec::new())
    }

    fn add_alias(&self, _: &str, _: &str, _: &str) -> Result<(), GraphError> {
        Ok(())
    }

    fn mentions(&self, _: &str, _: &str, _: usize) -> Result<Vec<ChunkMention>, GraphError> {
        Ok(Vec::new())
    }

    fn walk(&self, _: &Walk) -> Result<Subgraph, GraphError> {
        Ok(Subgraph::default())
    }

    fn forget(&self, _: &str, _: &Oblivion) -> Result<Forgotten, GraphError> {
        Ok(Forgotten::default())
    }

    fn stats(&self, _: &str) -> Result<GraphStats, GraphError> {
        Ok(GraphStats::default())
    }
}
