//! A graph in Neo4j, over HTTP: the Query API, or the transactional endpoint of older servers.
//!
//! Texts leave this machine here: whoever opens a [`Neo4jGraph`] decides to keep facts on that server, where they are
//! as safe as it is. Nothing opens one by itself.

mod cypher;
mod http;
mod reading;
#[doc(hidden)]
pub mod wire;
mod writing;

use std::fmt;

use serde_json::json;

pub use http::{Credentials, Neo4jOptions};
pub use wire::Api;

use self::http::Server;
use super::error::GraphError;
use super::model::{
    Change, ChunkMention, Entity, Fact, FactId, FactQuery, Forgotten, GraphStats, Oblivion, Subgraph, Walk,
};
use super::names::canonical;
use super::store::GraphStore;
use super::timeline::{check, check_name};

/// A graph on a Neo4j server, 4.4 or later. All calls block and must not be made on a thread of an async runtime.
///
/// After a transient error a transaction is made again. When the connection breaks while a transaction is committed,
/// [`GraphError::Unreachable`] leaves open whether it was.
pub struct Neo4jGraph {
    server: Server,
}

impl Neo4jGraph {
    /// Connects: asks what the server offers, and creates the constraints.
    ///
    /// # Errors
    ///
    /// [`GraphError::Config`], [`GraphError::Unreachable`], [`GraphError::Unauthorised`], and what the server refuses.
    pub fn connect(options: Neo4jOptions) -> Result<Self, GraphError> {
        let server = Server::connect(options)?;
        for constraint in cypher::CONSTRAINTS {
            server.run(constraint, &json!({}), false)?;
        }
        Ok(Self { server })
    }

    /// The interface in use.
    pub fn api(&self) -> Api {
        self.server.api
    }
}

impl fmt::Debug for Neo4jGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neo4jGraph")
            .field("api", &self.server.api)
            .finish_non_exhaustive()
    }
}

impl GraphStore for Neo4jGraph {
    fn apply(
        &self,
        namespace: &str,
        changes: &[Change],
        now_ms: i64,
    ) -> Result<Vec<Option<FactId>>, GraphError> {
        check_name("namespace", namespace)?;
        check(changes)?;
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        self.server.transaction(|transaction| {
            let mut writer = writing::Writer::begin(transaction, namespace, changes.len(), now_ms)?;
            changes.iter().map(|change| writer.apply(change)).collect()
        })
    }

    fn facts(&self, query: &FactQuery) -> Result<Vec<Fact>, GraphError> {
        reading::facts(&self.server, query)
    }

    fn entity(&self, namespace: &str, name: &str) -> Result<Option<Entity>, GraphError> {
        match reading::resolve(&self.server, namespace, name)? {
            Some(key) => Ok(reading::entities(&self.server, namespace, Some(&key), "", 1)?.pop()),
            None => Ok(None),
        }
    }

    fn entities(
        &self,
        namespace: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Entity>, GraphError> {
        let after = after.map(canonical).unwrap_or_default();
        reading::entities(&self.server, namespace, None, &after, limit)
    }

    fn add_alias(&self, namespace: &str, entity: &str, alias: &str) -> Result<(), GraphError> {
        check_name("entity", entity)?;
        check_name("alias", alias)?;
        self.server
            .transaction(|transaction| writing::add_alias(transaction, namespace, entity, alias))
    }

    fn mentions(&self, namespace: &str, entity: &str, limit: usize) -> Result<Vec<ChunkMention>, GraphError> {
        reading::mentions(&self.server, namespace, entity, limit)
    }

    fn walk(&self, walk: &Walk) -> Result<Subgraph, GraphError> {
        reading::walk(&self.server, walk)
    }

    fn forget(&self, namespace: &str, what: &Oblivion) -> Result<Forgotten, GraphError> {
        self.server
            .transaction(|transaction| writing::forget(transaction, namespace, what))
    }

    fn stats(&self, namespace: &str) -> Result<GraphStats, GraphError> {
        reading::stats(&self.server, namespace)
    }
}

/// The key of an entity (or of a value) in a namespace. The separator cannot be part of a canonical name.
fn key(namespace: &str, is_entity: bool, canonical: &str) -> String {
    let class = if is_entity { 'e' } else { 'v' };
    format!("{}:{namespace}\u{1f}{class}\u{1f}{canonical}", namespace.len())
}

/// Neo4j takes limits as whole numbers of 64 bits.
fn as_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
