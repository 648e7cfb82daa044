//! What a server's tools said when the user accepted them.
//!
//! A server can change what its tools say at any time, and what they say is what a model acts on. So each definition
//! is pinned by the hash of all of it. One that changed or is new is withheld until it is accepted.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// The hash of each tool's definition, by name.
pub type Pins = BTreeMap<String, String>;

/// Where pins are kept.
pub trait PinStore: Send + Sync {
    /// The pins of a server. `None` when nothing of it was ever accepted.
    fn get(&self, server: &str) -> Option<Pins>;

    /// Replaces the pins of a server.
    ///
    /// # Errors
    /// When they cannot be stored.
    fn set(&self, server: &str, pins: Pins) -> Result<(), PinError>;

    /// Forgets a server.
    ///
    /// # Errors
    /// When that cannot be stored.
    fn remove(&self, server: &str) -> Result<(), PinError>;
}

/// Why pins are not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{path} does not hold pins ({reason}); accept the servers again after removing it", path = path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// What differs from the pins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Review {
    /// Tools that say something else than they did.
    pub changed: Vec<String>,
    /// Tools that were not there.
    pub new: Vec<String>,
    /// Tools that are not there any more.
    pub gone: Vec<String>,
}

impl Review {
    /// Compares what is listed with what is pinned.
    pub fn of(pinned: &Pins, listed: &Pins) -> Self {
        let mut review = Self::default();
        for (name, hash) in listed {
            match pinned.get(name) {
                None => review.new.push(name.clone()),
                Some(known) if known != hash => review.changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let gone = pinned.keys().filter(|name| !listed.contains_key(*name));
        review.gone = gone.cloned().collect();
        review
    }

    /// Whether nothing has to be accepted.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.new.is_empty()
    }

    /// Whether a tool may not be called until it is accepted.
    pub fn withholds(&self, tool: &str) -> bool {
        self.changed.iter().chain(&self.new).any(|name| name == tool)
    }
}

impl fmt::Display for Review {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("changed", &self.changed),
            ("new", &self.new),
            ("gone", &self.gone),
        ];
        let parts = parts.iter().filter(|(_, names)| !names.is_empty());
        let text: Vec<String> = parts
            .map(|(what, names)| format!("{what}: {}", names.join(", ")))
            .collect();
        f.write_str(&text.join("; "))
    }
}

/// Pins in memory, for tests and for servers that are asked about each time.
#[derive(Debug, Default)]
pub struct MemoryPins(Mutex<BTreeMap<String, Pins>>);

impl PinStore for MemoryPins {
    fn get(&self, server: &str) -> Option<Pins> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(server)
            .cloned()
    }

    fn set(&self, server: &str, pins: Pins) -> Result<(), PinError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(server.to_owned(), pins);
        Ok(())
    }

    fn remove(&self, server: &str) -> Result<(), PinError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(server);
        Ok(())
    }
}

/// Pins in a JSON file that is replaced as a whole.
#[derive(Debug)]
pub struct FilePins {
    path: PathBuf,
    pins: Mutex<BTreeMap<String, Pins>>,
}

impl FilePins {
    /// Reads a file; one that is not there holds no pins.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, PinError> {
        let path = path.into();
        let pins = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| PinError::Broken {
                path: path.clone(),
                reason: error.to_string(),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(PinError::Io { path, source }),
        };
        Ok(Self {
            path,
            pins: Mutex::new(pins),
        })
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Pins>)) -> Result<(), PinError> {
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = pins.clone();
        change(&mut next);
        let text = serde_json::to_vec_pretty(&next).unwrap_or_default();
        replace(&self.path, &text).map_err(|source| PinError::Io {
            path: self.path.clone(),
            source,
        })?;
        *pins = next;
        Ok(())
    }
}

impl PinStore for FilePins {
    fn get(&self, server: &str) -> Option<Pins> {
        self.pins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(server)
            .cloned()
    }

    fn set(&self, server: &str, pins: Pins) -> Result<(), PinError> {
        self.change(|all| {
            all.insert(server.to_owned(), pins);
        })
    }

    fn remove(&self, server: &str) -> Result<(), PinError> {
        self.change(|all| {
            all.remove(server);
        })
    }
}

/// Writes a file beside and puts it in the place: there is the old one or the new one, never half of one. Only this
/// user can read it.
pub(super) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(text)?;
        file.sync_all()
    });
    let done = written.and_then(|()| std::fs::rename(&beside, path));
    if done.is_err() {
        let _not_there = std::fs::remove_file(&beside);
    }
    done
}

/// JSON with the members of objects in order, whatever the order they are kept in.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            let members = keys
                .iter()
                .map(|key| format!("{}:{}", Value::from(key.as_str()), canonical(&map[key.as_str()])));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(pairs: &[(&str, &str)]) -> Pins {
        pairs
            .iter()
            .map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned()))
            .collect()
    }

    #[test]
    fn what_changed_and_what_is_new_is_withheld() {
        let review = Review::of(
            &pins(&[("a", "1"), ("b", "1"), ("d", "1")]),
            &pins(&[("a", "1"), ("b", "2"), ("c", "1")]),
        );
        assert_eq!(review.to_string(), "changed: b; new: c; gone: d");
        assert!(review.withholds("b") && review.withholds("c") && !review.withholds("a"));
        assert!(!review.is_empty());
        assert!(Review::of(&pins(&[("a", "1"), ("d", "1")]), &pins(&[("a", "1")])).is_empty());
    }

    #[test]
    fn pins_outlive_the_process_and_a_broken_file_is_said() {
        let path = std::env::temp_dir().join(format!("openhuman-mcp-pins-{}.json", std::process::id()));
        let store = FilePins::open(&path).unwrap();
        assert_eq!(store.get("x"), None);
        store.set("x", pins(&[("a", "1")])).unwrap();
        store.set("y", pins(&[])).unwrap();
        store.remove("y").unwrap();
        let again = FilePins::open(&path).unwrap();
        assert_eq!(again.get("x"), Some(pins(&[("a", "1")])));
        assert_eq!(again.get("y"), None);
        std::fs::write(&path, "[]").unwrap();
        assert!(matches!(FilePins::open(&path), Err(PinError::Broken { .. })));
        std::fs::remove_file(&path).unwrap();
    }
}
