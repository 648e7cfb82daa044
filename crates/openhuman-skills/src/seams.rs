use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use crate::{SkillId, SkillStatus};

/// The values behind the handles a skill sees as `{{secret:ID}}`.
///
/// A value is asked for only when a request is about to leave, after every check, and never enters JavaScript.
pub trait Secrets: Send + Sync {
    /// The value of `handle` for this skill if it may be sent to `host`; `None` refuses the request.
    fn reveal(&self, skill: &SkillId, handle: &str, host: &str) -> Option<String>;
}

/// Secrets held in memory, each bound to one skill and one host.
#[derive(Default)]
pub struct MemorySecrets(BTreeMap<(String, String, String), String>);

impl MemorySecrets {
    /// Adds a secret that `skill` may send to `host`.
    #[must_use]
    pub fn with(mut self, skill: &SkillId, handle: &str, host: &str, value: &str) -> Self {
        self.0.insert(
            (skill.to_string(), handle.to_owned(), host.to_owned()),
            value.to_owned(),
        );
        self
    }
}

impl fmt::Debug for MemorySecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemorySecrets({} redacted)", self.0.len())
    }
}

impl Secrets for MemorySecrets {
    fn reveal(&self, skill: &SkillId, handle: &str, host: &str) -> Option<String> {
        self.0
            .get(&(skill.to_string(), handle.to_owned(), host.to_owned()))
            .cloned()
    }
}

/// A global object the host adds to every skill, for example `memory`.
///
/// A call looks synchronous to the skill: its fiber is suspended while the future runs, and no thread waits.
pub trait HostModule: Send + Sync {
    /// The name of the global.
    fn name(&self) -> &str;
    /// The names of its functions.
    fn functions(&self) -> &[&str];
    /// Runs a function. `args` is the array of the JavaScript arguments as JSON. The value becomes the result;
    /// the text of an error becomes the message of the exception. Dropped when the skill is stopped or the
    /// call reaches its limit.
    fn call(&self, skill: &SkillId, function: &str, args: Value) -> BoxFuture<'_, Result<Value, String>>;
}

/// How host names become addresses. Every address it returns is checked before a connection is made to it.
pub trait NameResolver: Send + Sync {
    /// The addresses of a name.
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the operating system.
#[cfg(feature = "runtime")]
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[cfg(feature = "runtime")]
impl NameResolver for SystemResolver {
    fn resolve(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Something a skill did that its host may want to show.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkillEvent {
    /// A skill's life cycle moved.
    Status {
        /// The skill.
        skill_id: SkillId,
        /// Where it is now.
        status: SkillStatus,
        /// Why, in [`SkillStatus::Error`].
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A line a skill logged.
    Log {
        /// The skill.
        skill_id: SkillId,
        /// `debug`, `info`, `warn` or `error`.
        level: String,
        /// The text.
        message: String,
    },
    /// A notification a skill asked to show.
    Notification {
        /// The skill.
        skill_id: SkillId,
        /// The title.
        title: String,
        /// The text.
        body: String,
    },
}
