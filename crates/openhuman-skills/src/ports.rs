//! What the host lends to skills beyond the network and storage. A port that is not there makes its globals absent.

use std::fmt;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::{SecretValue, SkillId};

/// The user's session at the backend that holds managed connections: where `oauth.fetch` goes.
pub trait Session: Send + Sync {
    /// The backend and the token of the session there, as one value: a token must never go to the backend of another
    /// session. `None` while there is no backend. Asked once for each request; the token goes to that backend only, and
    /// never enters JavaScript.
    fn login(&self) -> Option<Login>;
}

/// A backend, and who is logged in there.
pub struct Login {
    backend: String,
    token: Option<SecretValue>,
}

impl Login {
    /// At the backend with this base address, for example `https://api.example.com`; `token` is `None` while nobody is
    /// logged in.
    #[must_use]
    pub fn new(backend: impl Into<String>, token: Option<SecretValue>) -> Self {
        Self {
            backend: backend.into(),
            token,
        }
    }

    pub(crate) fn into_parts(self) -> (String, Option<SecretValue>) {
        (self.backend, self.token)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

/// A session whose backend and token do not change.
pub struct FixedSession {
    backend: String,
    token: SecretValue,
}

impl FixedSession {
    /// A session at this backend with this token.
    #[must_use]
    pub fn new(backend: impl Into<String>, token: impl Into<SecretValue>) -> Self {
        Self {
            backend: backend.into(),
            token: token.into(),
        }
    }
}

impl fmt::Debug for FixedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedSession")
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

impl Session for FixedSession {
    fn login(&self) -> Option<Login> {
        let token = SecretValue::from(self.token.expose());
        Some(Login::new(self.backend.clone(), Some(token)))
    }
}

/// A document a skill adds to the user's memory with `memory.insert`. Every field was checked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MemoryDocument {
    /// The title, which is also the key: a document with the same title replaces this one.
    pub title: String,
    /// The text.
    pub content: String,
    /// `doc`, `chat` or `email`.
    pub source_type: String,
    /// `high`, `medium` or `low`.
    pub priority: String,
    /// What the skill says about it: an object, or null.
    pub metadata: Value,
    /// When it was made, as the skill says: a number, a text, or null.
    pub created_at: Value,
    /// When it was changed, as the skill says: a number, a text, or null.
    pub updated_at: Value,
    /// The skill's own name for it.
    pub document_id: Option<String>,
}

/// Where documents of skills go.
pub trait MemorySink: Send + Sync {
    /// Queues a document so that a crash does not lose it, into the namespace `skill-<id>`. The future ends when it is
    /// queued; dropped when the skill is stopped.
    ///
    /// The text of an error becomes the message of the exception.
    fn insert(&self, skill: &SkillId, document: MemoryDocument) -> BoxFuture<'_, Result<(), String>>;
}

/// How a skill asks the language model.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ModelOptions {
    /// The largest answer in tokens.
    pub max_tokens: Option<u32>,
    /// 0 to 2; the model's default when absent.
    pub temperature: Option<f64>,
}

/// The language model, for skills with the permission `model`.
pub trait Models: Send + Sync {
    /// Answers a prompt. Dropped when the skill is stopped.
    fn generate(
        &self,
        skill: &SkillId,
        prompt: String,
        options: ModelOptions,
    ) -> BoxFuture<'_, Result<String, String>>;
    /// Shortens a text. Dropped when the skill is stopped.
    fn summarize(
        &self,
        skill: &SkillId,
        text: String,
        options: ModelOptions,
    ) -> BoxFuture<'_, Result<String, String>>;
}

/// Public addresses that lead to webhooks, kept by the backend.
pub trait Tunnels: Send + Sync {
    /// Creates a tunnel and returns what the backend says about it.
    fn create(
        &self,
        skill: &SkillId,
        name: String,
        description: Option<String>,
    ) -> BoxFuture<'_, Result<Value, String>>;
    /// The user's tunnels, as an array.
    fn list(&self, skill: &SkillId) -> BoxFuture<'_, Result<Value, String>>;
    /// Deletes a tunnel.
    fn delete(&self, skill: &SkillId, id: String) -> BoxFuture<'_, Result<(), String>>;
}
