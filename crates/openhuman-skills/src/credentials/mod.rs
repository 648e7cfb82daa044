//! The credentials of skills: where they are kept, what a skill sees of them, and where they may go.

#[cfg(feature = "runtime")]
mod held;
mod import;
mod placeholders;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

#[cfg(feature = "runtime")]
pub(crate) use self::held::{Held, SkillSecrets};
#[cfg(feature = "runtime")]
pub(crate) use self::import::import_old_files;
use crate::SkillId;
#[cfg(feature = "runtime")]
pub(crate) use crate::grant::api_authorities;

/// Which credential of a skill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CredentialKind {
    /// A connection the backend holds, used with `oauth.fetch`.
    OAuth,
    /// What the user entered: `{mode, credentials}`.
    Auth,
}

impl CredentialKind {
    /// The word for keys and labels: `oauth` or `auth`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OAuth => "oauth",
            Self::Auth => "auth",
        }
    }
}

/// A credential as JSON. It does not print.
#[derive(Clone, PartialEq)]
pub struct Credential(Value);

impl Credential {
    /// Wraps the JSON of a credential.
    #[must_use]
    pub fn new(json: Value) -> Self {
        Self(json)
    }

    /// The raw value: only for a store that seals it.
    #[must_use]
    pub fn expose(&self) -> &Value {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(redacted)")
    }
}

/// A credential store that does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the credential store failed: {0}")]
pub struct CredentialError(
    /// What the store reports. Never the credential itself.
    pub String,
);

/// Where the credentials of skills are kept: the one place they are at rest.
///
/// The engine reads them when a skill starts, writes them when one is connected and deletes them when it is revoked.
/// They never enter a skill's state, database, snapshot or log; the skill sees placeholders. The functions may block:
/// the engine calls them on a thread for that.
pub trait Credentials: Send + Sync {
    /// The stored credential.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn load(&self, skill: &SkillId, kind: CredentialKind) -> Result<Option<Credential>, CredentialError>;

    /// Stores a credential and replaces an earlier one.
    ///
    /// # Errors
    /// When the store cannot be written; the earlier one stays.
    fn store(
        &self,
        skill: &SkillId,
        kind: CredentialKind,
        credential: &Credential,
    ) -> Result<(), CredentialError>;

    /// Deletes a credential; none there is fine.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn delete(&self, skill: &SkillId, kind: CredentialKind) -> Result<(), CredentialError>;
}

/// Credentials held in memory, for tests and for hosts that ask the user each time.
#[derive(Default)]
pub struct MemoryCredentials(Mutex<BTreeMap<(SkillId, CredentialKind), Credential>>);

impl fmt::Debug for MemoryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryCredentials(redacted)")
    }
}

impl Credentials for MemoryCredentials {
    fn load(&self, skill: &SkillId, kind: CredentialKind) -> Result<Option<Credential>, CredentialError> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.get(&(skill.clone(), kind)).cloned())
    }

    fn store(
        &self,
        skill: &SkillId,
        kind: CredentialKind,
        credential: &Credential,
    ) -> Result<(), CredentialError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((skill.clone(), kind), credential.clone());
        Ok(())
    }

    fn delete(&self, skill: &SkillId, kind: CredentialKind) -> Result<(), CredentialError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&(skill.clone(), kind));
        Ok(())
    }
}

/// Whether a text can be one segment of a path as it is.
pub(crate) fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
