//! The `mcpServers` files that other programs use too.
//!
//! ```json
//! {"mcpServers": {
//!   "files": {"command": "npx", "args": ["-y", "some-server"], "env": {"TOKEN": "${FILES_TOKEN}"}},
//!   "wiki": {"type": "http", "url": "https://wiki.example/mcp", "headers": {"Authorization": "Bearer ${WIKI_TOKEN}"}}
//! }}
//! ```
//!
//! `${NAME}` is replaced by the environment variable, so that the file needs no secrets. Members that are not known
//! are kept as they are.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::pin::replace;

/// The member that holds the servers.
const SERVERS: &str = "mcpServers";

/// A server as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// The id of its toolset: the name in `[a-z0-9-]`.
    pub id: String,
    /// Its name in the file.
    pub name: String,
    /// How to reach it.
    pub transport: Transport,
    /// Whether it is kept but not started.
    pub disabled: bool,
    /// Whether what it says its tools may do counts (`"trusted": true`). Otherwise each may do the worst.
    pub trusted: bool,
    /// Whether what it lists first is pinned without asking. Off for servers that come from a file.
    pub pin_at_first_sight: bool,
}

/// How to reach a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// It is a child process.
    Child(ChildStart),
    /// It has an address.
    Http(HttpAddress),
}

/// How to start a child process.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ChildStart {
    /// The program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// What it gets beside a minimal environment.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub cwd: Option<PathBuf>,
}

impl std::fmt::Debug for ChildStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChildStart")
            .field("command", &self.command)
            .field("args", &self.args)
            .field("env", &self.env.keys())
            .finish_non_exhaustive()
    }
}

/// The address of a server.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HttpAddress {
    /// Where it is.
    pub url: String,
    /// What is sent with each request.
    pub headers: BTreeMap<String, String>,
}

impl std::fmt::Debug for HttpAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpAddress")
            .field("url", &self.url)
            .field("headers", &self.headers.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "client-http")]
impl HttpAddress {
    pub(super) fn headers(
        &self,
    ) -> Result<std::collections::HashMap<http::HeaderName, http::HeaderValue>, String> {
        let headers = self.headers.iter().map(|(name, value)| {
            let parsed = http::HeaderName::try_from(name.as_str())
                .ok()
                .zip(http::HeaderValue::try_from(value.as_str()).ok());
            // The value may be a secret.
            let (name, mut value) = parsed.ok_or_else(|| format!("the header '{name}' cannot be sent"))?;
            value.set_sensitive(true);
            Ok((name, value))
        });
        headers.collect()
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not JSON, or not of the form.
    #[error("{path} is no file of MCP servers: {reason}", path = path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A server in it cannot be used.
    #[error("the MCP server '{name}' {reason}")]
    Server {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// A file of servers.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigFile {
    path: PathBuf,
    root: Map<String, Value>,
}

impl ConfigFile {
    /// Reads a file; one that is not there has no servers.
    ///
    /// # Errors
    /// When it cannot be read or is no JSON object with an object of servers.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let path = path.into();
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => b"{}".to_vec(),
            Err(source) => return Err(ConfigError::Io { path, source }),
        };
        let form = |reason: String| ConfigError::Form {
            path: path.clone(),
            reason,
        };
        let root: Map<String, Value> =
            serde_json::from_slice(&text).map_err(|error| form(error.to_string()))?;
        if root.get(SERVERS).is_some_and(|servers| !servers.is_object()) {
            return Err(form(format!("'{SERVERS}' is not an object")));
        }
        Ok(Self { path, root })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every server, in the order of their names, with what `${NAME}` means filled in by `env`. One that cannot be used
    /// does not keep the others from being used.
    pub fn servers(&self, env: &dyn Fn(&str) -> Option<String>) -> Vec<Result<ServerConfig, ConfigError>> {
        let servers = self.root.get(SERVERS).and_then(Value::as_object);
        let mut parsed: Vec<_> = servers
            .into_iter()
            .flatten()
            .map(|(name, server)| parse(name, server, env))
            .collect();
        let mut ids = std::collections::HashSet::new();
        for one in &mut parsed {
            if let Ok(server) = one
                && !ids.insert(server.id.clone())
            {
                *one = Err(ConfigError::Server {
                    name: server.name.clone(),
                    reason: format!("has the id '{}' of another one; rename it", server.id),
                });
            }
        }
        parsed
    }

    /// Adds a server or replaces the one of that name, and writes the file.
    ///
    /// # Errors
    /// When the server cannot be used or the file cannot be written.
    pub fn add(&mut self, name: &str, server: Value) -> Result<(), ConfigError> {
        parse(name, &server, &|name| Some(format!("${{{name}}}")))?;
        let servers = self.root.entry(SERVERS).or_insert_with(|| json!({}));
        servers[name] = server;
        self.write()
    }

    /// Removes a server and writes the file. Whether there was one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&mut self, name: &str) -> Result<bool, ConfigError> {
        let servers = self.root.get_mut(SERVERS).and_then(Value::as_object_mut);
        let removed = servers.is_some_and(|servers| servers.remove(name).is_some());
        if removed {
            self.write()?;
        }
        Ok(removed)
    }

    fn write(&self) -> Result<(), ConfigError> {
        let mut text = serde_json::to_vec_pretty(&self.root).unwrap_or_default();
        text.push(b'\n');
        replace(&self.path, &text).map_err(|source| ConfigError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

/// Understands one server.
fn parse(
    name: &str,
    server: &Value,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<ServerConfig, ConfigError> {
    let wrong = |reason: String| ConfigError::Server {
        name: name.to_owned(),
        reason,
    };
    let filled = |text: &str| fill(text, env).map_err(&wrong);
    let text = |key: &str| server.get(key).and_then(Value::as_str);
    let table = |key: &str| -> Result<BTreeMap<String, String>, ConfigError> {
        let entries = server.get(key).and_then(Value::as_object).into_iter().flatten();
        entries
            .map(|(name, value)| {
                let value = value
                    .as_str()
                    .ok_or_else(|| wrong(format!("has a '{key}' that is no text")))?;
                Ok((name.clone(), filled(value)?))
            })
            .collect()
    };
    let id = id_of(name);
    if id.is_empty() {
        return Err(wrong("needs a name with letters or digits".into()));
    }
    let transport = match (text("command"), text("url")) {
        (Some(command), None) => {
            let args = server.get("args").and_then(Value::as_array).into_iter().flatten();
            let args = args.map(|arg| {
                let arg = arg
                    .as_str()
                    .ok_or_else(|| wrong("has an argument that is no text".into()))?;
                filled(arg)
            });
            Transport::Child(ChildStart {
                command: filled(command)?,
                args: args.collect::<Result<_, _>>()?,
                env: table("env")?,
                cwd: text("cwd").map(filled).transpose()?.map(PathBuf::from),
            })
        }
        (None, Some(url)) => {
            if text("type") == Some("sse") {
                return Err(wrong(
                    "uses the HTTP with SSE of 2024-11-05, which is not spoken here; use its Streamable HTTP address"
                        .into(),
                ));
            }
            let url = filled(url)?;
            if !url.starts_with("https://") && !url.starts_with("http://") {
                return Err(wrong("has an address that is neither http nor https".into()));
            }
            Transport::Http(HttpAddress {
                url,
                headers: table("headers")?,
            })
        }
        _ => return Err(wrong("needs either a 'command' or a 'url'".into())),
    };
    let flag = |key: &str| server.get(key).and_then(Value::as_bool) == Some(true);
    Ok(ServerConfig {
        id,
        name: name.to_owned(),
        transport,
        disabled: flag("disabled"),
        trusted: flag("trusted"),
        pin_at_first_sight: false,
    })
}

/// A toolset id out of a name: `[a-z0-9-]`, without `_`, which ends an id, and 24 characters at most.
fn id_of(name: &str) -> String {
    const LONGEST: usize = 24;
    let mut id = String::new();
    for c in name.chars() {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9') => id.push(c),
            _ if !id.is_empty() && !id.ends_with('-') => id.push('-'),
            _ => {}
        }
        if id.len() == LONGEST {
            break;
        }
    }
    id.trim_end_matches('-').to_owned()
}

fn fill(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            break;
        };
        out.push_str(before);
        out.push_str(
            &env(name).ok_or_else(|| format!("needs the environment variable {name}, which is not set"))?,
        );
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests;
