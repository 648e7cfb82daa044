//! A copy of the graph on a Neo4j server of the user's choice. Facts leave the machine only after a yes.

use openhuman_memory::forget::Forget;
use openhuman_memory::graph::{Assertion, Change, Fact, FactQuery, GraphError, GraphStore, Oblivion};
use openhuman_memory::{Memory, MemoryError};
use openhuman_vault::Vault;
use serde::{Deserialize, Serialize};

use crate::{Core, CoreError};

/// The vault's record of the server, with its password.
const SETTING: &str = "memory-graph-server";

/// Facts told to the server in one transaction.
const BATCH: usize = 200;

/// The most facts of one part of the memory that are copied.
const MOST: usize = 1_000_000;

/// A Neo4j server, 4.4 or later, that holds a copy of the graph.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphServer {
    /// Scheme, host and port, for example `http://localhost:7474`.
    pub url: String,
    /// The database; `neo4j` usually.
    pub database: String,
    /// The user's name there; `None` where nobody is asked.
    pub user: Option<String>,
    /// The password of that user.
    pub password: Option<String>,
}

impl std::fmt::Debug for GraphServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GraphServer")
            .field("url", &self.url)
            .field("database", &self.database)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// What was copied to a graph server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// Facts that the server was told; those it knew are not stored twice.
    pub facts: usize,
    /// The parts of the memory they belong to.
    pub namespaces: usize,
}

fn load(vault: &Vault) -> Result<Option<GraphServer>, CoreError> {
    let stored = vault.secret(SETTING)?;
    let read = stored.map(|bytes| serde_json::from_slice(&bytes));
    read.transpose().map_err(|error| CoreError::Setting {
        setting: "the stored graph server",
        reason: format!("it cannot be read ({error}); connect again with `openhuman memory graph connect`"),
    })
}

impl Core {
    /// The graph server that is connected, if any. Blocks.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn graph_server(&self) -> Result<Option<GraphServer>, CoreError> {
        load(self.vault())
    }

    /// Connects a graph server, which has to answer, or disconnects it with `None`: what it holds stays there then.
    /// Nothing is copied yet. Only after the user's consent: facts leave the machine.
    ///
    /// # Errors
    /// When the server cannot be used, or the vault cannot be written.
    pub async fn connect_graph(&self, server: Option<GraphServer>) -> Result<(), CoreError> {
        self.blocking(move |core| {
            let Some(server) = &server else {
                core.vault().remove_secret(SETTING)?;
                return Ok(());
            };
            connect(server)?;
            let bytes = serde_json::to_vec(server).map_err(|error| CoreError::Task(error.to_string()))?;
            Ok(core.vault().set_secret(SETTING, &bytes)?)
        })
        .await
    }

    /// Copies every fact that is believed now to the connected graph server.
    ///
    /// # Errors
    /// When no server is connected, or it cannot be reached.
    pub async fn push_graph(&self) -> Result<Pushed, CoreError> {
        self.blocking(|core| {
            let server = core.graph_server()?.ok_or_else(|| CoreError::NotFound {
                what: "the graph server",
                name: "none".to_owned(),
                hint: "connect one with `openhuman memory graph connect URL`".to_owned(),
            })?;
            push(core.memory(), &*connect(&server)?)
        })
        .await
    }
}

fn failed(error: GraphError) -> CoreError {
    MemoryError::from(error).into()
}

/// Connects to a server, which has to answer.
#[cfg(feature = "neo4j")]
pub(super) fn connect(server: &GraphServer) -> Result<Box<dyn GraphStore>, CoreError> {
    use openhuman_memory::graph::neo4j::{Credentials, Neo4jGraph, Neo4jOptions};
    let mut options = Neo4jOptions::new(&*server.url);
    options.database.clone_from(&server.database);
    if let Some(user) = &server.user {
        options.credentials = Credentials::Basic {
            user: user.clone(),
            password: server.password.clone().unwrap_or_default(),
        };
    }
    Ok(Box::new(Neo4jGraph::connect(options).map_err(failed)?))
}

/// Says that this build knows no server.
#[cfg(not(feature = "neo4j"))]
pub(super) fn connect(_: &GraphServer) -> Result<Box<dyn GraphStore>, CoreError> {
    Err(CoreError::Setting {
        setting: "the graph server",
        reason: "this build has no support for Neo4j; build it with the feature `neo4j`".to_owned(),
    })
}

/// Copies the facts of a memory. Those that are there already are not stored twice.
fn push(memory: &Memory, to: &dyn GraphStore) -> Result<Pushed, CoreError> {
    let (graph, mut pushed) = (memory.graph(), Pushed::default());
    for namespace in graph.namespaces().map_err(failed)? {
        let query = FactQuery {
            limit: MOST,
            ..FactQuery::all(&*namespace)
        };
        let facts = graph.facts(&query).map_err(failed)?;
        for batch in facts.chunks(BATCH) {
            let changes: Vec<Change> = batch.iter().map(told).collect();
            let now_ms = jiff::Timestamp::now().as_millisecond();
            to.apply(&namespace, &changes, now_ms).map_err(failed)?;
        }
        pushed.facts += facts.len();
        pushed.namespaces += usize::from(!facts.is_empty());
    }
    Ok(pushed)
}

fn told(fact: &Fact) -> Change {
    Change::Assert(Assertion {
        subject: fact.subject.clone(),
        predicate: fact.predicate.clone(),
        object: fact.object.clone(),
        single: fact.single,
        valid_from: fact.valid_from,
        valid_until: fact.valid_until,
        text: fact.text.clone(),
        confidence: fact.confidence,
        source: fact.sources.first().cloned().unwrap_or_default(),
    })
}

/// What a copy has to forget, by namespace, in the words of the graph here before they are gone from it.
pub(super) fn doomed(memory: &Memory, what: &Forget) -> Result<Vec<(String, Oblivion)>, CoreError> {
    let graph = memory.graph();
    let mut doomed = Vec::new();
    for namespace in graph.namespaces().map_err(failed)? {
        let mut add = |what: Oblivion| doomed.push((namespace.clone(), what));
        match what {
            Forget::Person(name) => {
                let known = graph.entity(&namespace, name).map_err(failed)?;
                let others = known
                    .into_iter()
                    .flat_map(|entity| std::iter::once(entity.name).chain(entity.aliases));
                for name in std::iter::once(name.clone()).chain(others) {
                    add(Oblivion::Entity(name.clone()));
                    add(Oblivion::Phrase(name));
                }
            }
            Forget::Phrase(phrase) => add(Oblivion::Phrase(phrase.clone())),
            Forget::Skill(skill) => {
                add(Oblivion::Skill(skill.clone()));
                let documents = memory.documents(Some(&format!("skill-{skill}")))?;
                documents
                    .into_iter()
                    .for_each(|document| add(Oblivion::Document(document.id)));
            }
            Forget::Source(source) => {
                add(Oblivion::Document(source.clone()));
                add(Oblivion::Session(source.clone()));
                let documents = memory.documents(Some(&namespace))?;
                let from = documents
                    .into_iter()
                    .filter(|document| [&document.source, &document.key].contains(&source));
                from.for_each(|document| add(Oblivion::Document(document.id)));
            }
            _ => {}
        }
    }
    Ok(doomed)
}

/// Forgets in a copy; how many facts.
pub(super) fn forget(from: &dyn GraphStore, doomed: &[(String, Oblivion)]) -> Result<u64, CoreError> {
    let mut facts = 0;
    for (namespace, what) in doomed {
        facts += from.forget(namespace, what).map_err(failed)?.facts;
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use openhuman_memory::graph::{RuleExtractor, Speaker};
    use openhuman_memory::{Document, HashingEmbedder, Key, MemoryOptions};

    use super::*;

    fn memory(dir: &std::path::Path) -> Memory {
        let options = MemoryOptions::new(HashingEmbedder::default());
        Memory::open(dir, &Key::from_bytes([7; 32]), options).unwrap()
    }

    #[test]
    fn a_copy_has_the_same_facts_once_and_forgets_with_the_memory() {
        let dir = tempfile::tempdir().unwrap();
        let memory_here = memory(&dir.path().join("here"));
        let copy = memory(&dir.path().join("copy")).graph();
        for (key, text) in [
            ("a", "Anna Berg works at Siemens. Anna Berg lives in Munich."),
            ("b", "Carl Otto lives in Bonn."),
        ] {
            let report = memory_here.ingest(&Document::new(key, "", text)).unwrap();
            memory_here
                .learn(&report.document_id, &RuleExtractor, Speaker::Nobody)
                .unwrap();
        }
        let facts = |graph: &dyn GraphStore| {
            let facts = graph.facts(&FactQuery::all("default")).unwrap();
            facts.into_iter().map(|fact| fact.text).collect::<Vec<_>>()
        };
        for _ in 0..2 {
            assert!(push(&memory_here, &copy).unwrap().facts >= 3);
            assert_eq!(facts(&copy), facts(&memory_here.graph()));
        }
        let person = Forget::Person("Anna Berg".into());
        let doomed_there = doomed(&memory_here, &person).unwrap();
        memory_here.forget_everywhere(&person).unwrap();
        assert!(forget(&copy, &doomed_there).unwrap() >= 2);
        assert_eq!(facts(&copy), facts(&memory_here.graph()));
        assert_eq!(facts(&copy).len(), 1);
    }
}
