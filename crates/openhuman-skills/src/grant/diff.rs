//! What changes between two grants.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Grant;

/// The kind of something a skill may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PermissionKind {
    /// Send requests to a public host.
    Host,
    /// Send requests to a private or loopback host and port.
    PrivateHost,
    /// Hold WebSocket connections to a host.
    Websocket,
    /// Send the account it is connected with, or a secret, to a host.
    Credentials,
    /// Call a tool of another skill.
    Tool,
    /// Read an environment value.
    Env,
    /// Receive a server event.
    Event,
    /// Show notifications.
    Notify,
    /// Add to the assistant's memory.
    MemoryInsert,
    /// Search the assistant's memory.
    MemoryRecall,
    /// Ask the language model.
    Model,
    /// Receive requests from outside.
    Webhooks,
    /// The size of the database.
    DbSize,
    /// The size of the data files.
    DataSize,
}

/// One permission, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// What kind it is.
    pub kind: PermissionKind,
    /// What it is about, for example a host; empty when the kind says it all.
    pub what: String,
}

impl Permission {
    pub(crate) fn new(kind: PermissionKind, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { kind, what }
    }
}

impl fmt::Display for Permission {
    /// A line for people, such as `reach api.example.com, only GET`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match self.kind {
            PermissionKind::Host => write!(f, "reach {what}"),
            PermissionKind::PrivateHost => write!(f, "reach {what} on this machine or network"),
            PermissionKind::Websocket => write!(f, "stay connected to {what}"),
            PermissionKind::Credentials => write!(f, "send its credentials to {what}"),
            PermissionKind::Tool => write!(f, "call the tool {what}"),
            PermissionKind::Env => write!(f, "read the setting {what}"),
            PermissionKind::Event if what == "*" => f.write_str("receive every server event"),
            PermissionKind::Event => write!(f, "receive the event {what}"),
            PermissionKind::Notify => f.write_str("show notifications"),
            PermissionKind::MemoryInsert => f.write_str("add to the memory"),
            PermissionKind::MemoryRecall => f.write_str("search the memory"),
            PermissionKind::Model => f.write_str("ask the language model"),
            PermissionKind::Webhooks => f.write_str("receive requests from outside"),
            PermissionKind::DbSize => write!(f, "keep a database of up to {what} MB"),
            PermissionKind::DataSize => write!(f, "keep files of up to {what} MB"),
        }
    }
}

/// What one grant allows and another does not. See [`Grant::difference`].
///
/// Its text has a line for each permission, `+` before what is added and `-` before what is taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrantDiff {
    /// What would be allowed in addition. Needs consent.
    pub widened: Vec<Permission>,
    /// What would no longer be allowed.
    pub narrowed: Vec<Permission>,
}

impl GrantDiff {
    /// Whether the change adds anything.
    #[must_use]
    pub fn is_wider(&self) -> bool {
        !self.widened.is_empty()
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.widened.is_empty() && self.narrowed.is_empty()
    }
}

impl fmt::Display for GrantDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let added = self.widened.iter().map(|permission| ('+', permission));
        let removed = self.narrowed.iter().map(|permission| ('-', permission));
        for (index, (sign, permission)) in added.chain(removed).enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{sign} {permission}")?;
        }
        Ok(())
    }
}

/// What `new` allows and `old` does not.
pub(super) fn beyond(old: &Grant, new: &Grant) -> Vec<Permission> {
    use PermissionKind as Kind;
    let mut found = Vec::new();
    let mut add = |kind, what: String| found.push(Permission::new(kind, what));
    for rule in new.hosts.iter().filter(|rule| !rule.covered_by(&old.hosts)) {
        add(Kind::Host, rule.describe());
    }
    for (host, port) in new.private.difference(&old.private) {
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        add(Kind::PrivateHost, format!("{host}:{port}"));
    }
    let sockets: Vec<_> = old.websocket.iter().map(super::SocketRule::as_host).collect();
    for rule in new
        .websocket
        .iter()
        .filter(|rule| !rule.as_host().covered_by(&sockets))
    {
        add(Kind::Websocket, rule.describe());
    }
    for tool in new.tools.iter().filter(|tool| !old.may_call(tool)) {
        add(Kind::Tool, tool.clone());
    }
    for name in new.env.iter().filter(|name| !old.may_read_env(name)) {
        add(Kind::Env, name.clone());
    }
    for event in new.events.iter().filter(|event| !old.receives(event)) {
        add(Kind::Event, event.clone());
    }
    for (kind, old, new) in [
        (Kind::Notify, old.notify, new.notify),
        (Kind::MemoryInsert, old.memory.insert, new.memory.insert),
        (Kind::MemoryRecall, old.memory.recall, new.memory.recall),
        (Kind::Model, old.model, new.model),
        (Kind::Webhooks, old.webhooks, new.webhooks),
    ] {
        if new && !old {
            add(kind, String::new());
        }
    }
    for (kind, old, new) in [
        (Kind::DbSize, old.db_mb(), new.db_mb()),
        (Kind::DataSize, old.data_mb(), new.data_mb()),
    ] {
        if new > old {
            add(kind, new.to_string());
        }
    }
    found
}
