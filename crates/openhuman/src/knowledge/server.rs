//! A copy of the graph on a Neo4j server of the user's choice. Facts leave the machine only after a yes.

use openhuman_memory::forget::Forget;
use openhuman_vault::Vault;
use serde::{Deserialize, Serialize};

use crate::{Core, CoreError};

/// The vault's record of the server, with its password.
const SETTING: &str = "memory-graph-server";

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
            ServerGraph::connect(server)?;
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
            let server = ServerGraph::connect_if_chosen(core)?.ok_or_else(|| CoreError::NotFound {
                what: "the graph server",
                name: "none".to_owned(),
                hint: "connect one with `openhuman memory graph connect URL`".to_owned(),
            })?;
            server.push(core)
        })
        .await
    }
}

pub(super) use self::store::ServerGraph;

#[cfg(feature = "neo4j")]
mod store {
    use openhuman_memory::graph::neo4j::{Credentials, Neo4jGraph, Neo4jOptions};
    use openhuman_memory::graph::{Assertion, Change, Fact, FactQuery, GraphStore, Oblivion};

    use super::*;

    /// Facts told to the server in one transaction.
    const BATCH: usize = 200;

    /// The most facts of one part of the memory that are copied.
    const MOST: usize = 1_000_000;

    /// The connection to the server.
    pub(in crate::knowledge) struct ServerGraph(Neo4jGraph);

    fn failed(error: openhuman_memory::graph::GraphError) -> CoreError {
        openhuman_memory::MemoryError::from(error).into()
    }

    impl ServerGraph {
        pub(in crate::knowledge) fn connect(server: &GraphServer) -> Result<Self, CoreError> {
            let mut options = Neo4jOptions::new(&*server.url);
            options.database.clone_from(&server.database);
            // `Credentials` may get more ways; these are the ones a person types.
            if let Some(user) = &server.user {
                options.credentials = Credentials::Basic {
                    user: user.clone(),
                    password: server.password.clone().unwrap_or_default(),
                };
            }
            Ok(Self(Neo4jGraph::connect(options).map_err(failed)?))
        }

        pub(in crate::knowledge) fn connect_if_chosen(core: &Core) -> Result<Option<Self>, CoreError> {
            core.graph_server()?.as_ref().map(Self::connect).transpose()
        }

        pub(super) fn push(&self, core: &Core) -> Result<Pushed, CoreError> {
            let (graph, mut pushed) = (core.memory().graph(), Pushed::default());
            for namespace in graph.namespaces().map_err(failed)? {
                let query = FactQuery {
                    limit: MOST,
                    ..FactQuery::all(&*namespace)
                };
                let facts = graph.facts(&query).map_err(failed)?;
                for batch in facts.chunks(BATCH) {
                    let changes: Vec<Change> = batch.iter().map(told).collect();
                    let now_ms = jiff::Timestamp::now().as_millisecond();
                    self.0.apply(&namespace, &changes, now_ms).map_err(failed)?;
                }
                pushed.facts += facts.len();
                pushed.namespaces += usize::from(!facts.is_empty());
            }
            Ok(pushed)
        }

        /// What the server has to forget, in the words of the graph here, before they are gone from it.
        pub(in crate::knowledge) fn doomed(
            core: &Core,
            what: &Forget,
        ) -> Result<Vec<(String, Oblivion)>, CoreError> {
            let graph = core.memory().graph();
            let mut doomed = Vec::new();
            for namespace in graph.namespaces().map_err(failed)? {
                let mut add = |what: Oblivion| doomed.push((namespace.clone(), what));
                match what {
                    Forget::Person(name) => {
                        let known = graph.entity(&namespace, name).map_err(failed)?;
                        let other = known
                            .into_iter()
                            .flat_map(|entity| std::iter::once(entity.name).chain(entity.aliases));
                        for name in std::iter::once(name.clone()).chain(other) {
                            add(Oblivion::Entity(name.clone()));
                            add(Oblivion::Phrase(name));
                        }
                    }
                    Forget::Phrase(phrase) => add(Oblivion::Phrase(phrase.clone())),
                    Forget::Skill(skill) => {
                        add(Oblivion::Skill(skill.clone()));
                        for document in documents_of(core, &format!("skill-{skill}"))? {
                            add(Oblivion::Document(document));
                        }
                    }
                    Forget::Source(source) => {
                        add(Oblivion::Document(source.clone()));
                        add(Oblivion::Session(source.clone()));
                        for document in core.memory().documents(Some(&namespace))? {
                            if [&document.source, &document.key].contains(&source) {
                                add(Oblivion::Document(document.id));
                            }
                        }
                    }
                    _ => {}
                }
            }
            Ok(doomed)
        }

        pub(in crate::knowledge) fn forget(&self, doomed: &[(String, Oblivion)]) -> Result<u64, CoreError> {
            let mut facts = 0;
            for (namespace, what) in doomed {
                facts += self.0.forget(namespace, what).map_err(failed)?.facts;
            }
            Ok(facts)
        }
    }

    fn documents_of(core: &Core, namespace: &str) -> Result<Vec<String>, CoreError> {
        let documents = core.memory().documents(Some(namespace))?;
        Ok(documents.into_iter().map(|document| document.id).collect())
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
}

#[cfg(not(feature = "neo4j"))]
mod store {
    use super::*;

    /// This build knows no graph server.
    pub(in crate::knowledge) enum ServerGraph {}

    impl ServerGraph {
        pub(in crate::knowledge) fn connect(_: &GraphServer) -> Result<Self, CoreError> {
            Err(CoreError::Setting {
                setting: "the graph server",
                reason: "this build has no support for Neo4j; build it with the feature `neo4j`".to_owned(),
            })
        }

        pub(in crate::knowledge) fn connect_if_chosen(core: &Core) -> Result<Option<Self>, CoreError> {
            core.graph_server()?.as_ref().map(Self::connect).transpose()
        }

        pub(super) fn push(&self, _: &Core) -> Result<Pushed, CoreError> {
            match *self {}
        }

        pub(in crate::knowledge) fn doomed(_: &Core, _: &Forget) -> Result<Vec<()>, CoreError> {
            Ok(Vec::new())
        }

        pub(in crate::knowledge) fn forget(&self, _: &[()]) -> Result<u64, CoreError> {
            match *self {}
        }
    }
}
