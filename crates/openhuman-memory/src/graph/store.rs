use super::error::GraphError;
use super::model::{
    Change, ChunkMention, Entity, Fact, FactId, FactQuery, Forgotten, GraphStats, Oblivion, Subgraph, Walk,
};

/// The port to a database of facts. [`conformance`](super::conformance) tells what every store must do.
///
/// Calls block: an async program makes them on a thread for blocking work. Each call is one transaction; it either
/// returns or leaves the graph as it was. Namespaces do not see each other.
pub trait GraphStore: Send + Sync {
    /// Makes changes, in order, as one transaction, believed since `now_ms`. Returns for each change the fact that it
    /// stated or closed; `None` for a mention, and for a close that found nothing.
    ///
    /// Stating what holds already adds a source. Stating a `single` fact closes the one before with a date.
    ///
    /// # Errors
    ///
    /// [`GraphError::Invalid`] for a name without letters or digits or above
    /// [`MAX_NAME_BYTES`](super::MAX_NAME_BYTES), an end that is not after the beginning, a confidence outside of 0
    /// to 1.
    fn apply(
        &self,
        namespace: &str,
        changes: &[Change],
        now_ms: i64,
    ) -> Result<Vec<Option<FactId>>, GraphError>;

    /// Facts, by the time they began, then in the order in which they were told.
    fn facts(&self, query: &FactQuery) -> Result<Vec<Fact>, GraphError>;

    /// An entity by any of its names.
    fn entity(&self, namespace: &str, name: &str) -> Result<Option<Entity>, GraphError>;

    /// Entities in the order of their canonical names, at most `limit`, after the entity named `after`.
    fn entities(&self, namespace: &str, after: Option<&str>, limit: usize)
    -> Result<Vec<Entity>, GraphError>;

    /// Gives an entity another name. Doing it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`GraphError::NoEntity`], and [`GraphError::AliasTaken`] when it is a name of something else.
    fn add_alias(&self, namespace: &str, entity: &str, alias: &str) -> Result<(), GraphError>;

    /// The texts that speak of an entity, at most `limit`.
    fn mentions(&self, namespace: &str, entity: &str, limit: usize) -> Result<Vec<ChunkMention>, GraphError>;

    /// Walks along the facts believed now, in both directions, breadth first.
    fn walk(&self, walk: &Walk) -> Result<Subgraph, GraphError>;

    /// Removes for good. This is the only call that deletes anything.
    fn forget(&self, namespace: &str, what: &Oblivion) -> Result<Forgotten, GraphError>;

    /// Counts what a namespace holds.
    fn stats(&self, namespace: &str) -> Result<GraphStats, GraphError>;
}
