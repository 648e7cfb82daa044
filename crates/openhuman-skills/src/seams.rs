use std::io;
use std::net::IpAddr;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use crate::{PermissionKind, SkillId, SkillStatus};

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

/// Why a skill's published state is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SnapshotTrigger {
    /// A sync that was asked for succeeded: what working memory is built from.
    Sync,
    /// A tick.
    Tick,
    /// A schedule fired.
    Cron,
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
    /// A running skill was refused something the user has not allowed; a host may ask, and then call
    /// [`Engine::set_grant`](crate::Engine::set_grant). Sent at most once a minute for each skill and thing,
    /// and at most ten times a minute for each skill.
    PermissionWanted {
        /// The skill.
        skill_id: SkillId,
        /// The kind of permission.
        kind: PermissionKind,
        /// What it is about, for example `api.example.com` or `127.0.0.1:8080`.
        what: String,
    },
    /// What a skill publishes after a sync, a tick or a schedule: for the memory. Redacting and writing it is the
    /// host's work.
    Snapshot {
        /// The skill.
        skill_id: SkillId,
        /// What happened.
        trigger: SnapshotTrigger,
        /// Its published state: an object.
        state: Value,
    },
    /// A skill's `onHookTriggered` answered with actions. What they mean is between the skill and the host; the engine
    /// carries none out.
    HookActions {
        /// The skill.
        skill_id: SkillId,
        /// The hook.
        hook_id: String,
        /// Each an object with a `type`; 64 at most.
        actions: Vec<Value>,
    },
    /// A skill reported that its authentication failed, and is being stopped.
    AuthFailed {
        /// The skill.
        skill_id: SkillId,
        /// What it reported.
        message: String,
    },
    /// A credential of a skill is gone: the user or the skill disconnected it, or the other side refused it.
    Revoked {
        /// The skill.
        skill_id: SkillId,
        /// `oauth` or `auth`.
        kind: String,
    },
}
