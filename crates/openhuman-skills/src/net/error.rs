//! Why a request fails.

use crate::{Permission, PermissionKind};

/// Why a request fails, as the skill is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct NetError {
    pub(crate) kind: NetErrorKind,
    pub(crate) message: String,
}

/// The stage that failed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NetErrorKind {
    /// The request makes no sense.
    Invalid,
    /// It may not leave. With what a host could ask the user for, where a grant would help.
    Refused(Option<Permission>),
    /// It left, or tried to, and something went wrong.
    Failed,
    /// Its time ran out.
    TimedOut,
}

impl NetError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(NetErrorKind::Invalid, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(NetErrorKind::Refused(None), message)
    }

    /// Refused, but a grant would help.
    pub(crate) fn wanting(kind: PermissionKind, what: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(NetErrorKind::Refused(Some(Permission::new(kind, what))), message)
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(NetErrorKind::Failed, message)
    }

    fn new(kind: NetErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message }
    }
}
