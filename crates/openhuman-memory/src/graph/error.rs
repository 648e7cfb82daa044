use crate::error::MemoryError;

/// Why a graph could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A name or a date cannot be stored.
    #[error("{field} cannot be stored: {reason}")]
    Invalid {
        /// Which part of the input.
        field: &'static str,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// The alias names another entity already.
    #[error("{alias:?} is a name of {owner:?} already; forget that entity or choose another name")]
    AliasTaken {
        /// The alias.
        alias: String,
        /// The entity it belongs to.
        owner: String,
    },
    /// There is no such entity.
    #[error("there is no entity named {name:?}; state a fact about it first")]
    NoEntity {
        /// The name.
        name: String,
    },
    /// The embedded database failed.
    #[error(transparent)]
    Store(Box<MemoryError>),
    /// The address or the credentials of a server cannot be used.
    #[error("the graph server is configured wrongly: {reason}")]
    Config {
        /// What is wrong.
        reason: String,
    },
    /// The server could not be reached, or did not finish its answer.
    #[error("the graph server at {server} cannot be reached: {reason}; check that it runs, and try again")]
    Unreachable {
        /// Scheme, host and port.
        server: String,
        /// What the connection said.
        reason: String,
    },
    /// The server does not accept the credentials.
    #[error("the graph server at {server} refused the credentials; check user name and password")]
    Unauthorised {
        /// Scheme, host and port.
        server: String,
    },
    /// The server reported an error. Codes that begin with `Neo.TransientError.` were retried before.
    #[error("the graph server refused a statement: {code}: {message}")]
    Refused {
        /// Neo4j's code, for example `Neo.ClientError.Statement.SyntaxError`.
        code: String,
        /// Neo4j's message.
        message: String,
    },
    /// The server answered something that is not in its documentation.
    #[error(
        "the graph server gave an answer that cannot be read: {reason}; check that it is Neo4j 4.4 or later"
    )]
    Malformed {
        /// What was expected.
        reason: String,
    },
}

impl GraphError {
    /// Whether the same call may succeed later without any change.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { code, .. } => code.starts_with("Neo.TransientError."),
            Self::Store(error) => error.is_transient(),
            _ => false,
        }
    }
}

impl From<MemoryError> for GraphError {
    fn from(error: MemoryError) -> Self {
        Self::Store(Box::new(error))
    }
}
