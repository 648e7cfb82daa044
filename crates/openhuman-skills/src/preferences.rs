//! Which skills start by themselves, and which are set up: `skill-preferences.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::{Manifest, SkillId};

/// The largest preference file that is read, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// What the user decided about one skill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SkillPreference {
    /// Whether the user switched the skill on or off; `None` leaves it to the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether its setup was completed.
    pub setup_complete: bool,
}

impl SkillPreference {
    /// Whether a host starts the skill by itself: a skill that was set up starts; else the user's switch counts; else
    /// the manifest's `auto_start`.
    #[must_use]
    pub fn should_start(&self, manifest: &Manifest) -> bool {
        self.setup_complete || self.enabled.unwrap_or(manifest.auto_start)
    }
}

/// Where preferences are kept. The functions may block: the engine calls them on a thread for that.
pub trait Preferences: Send + Sync {
    /// The preference for a skill; the default when there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn load(&self, skill: &SkillId) -> io::Result<SkillPreference>;

    /// Stores the preference for a skill.
    ///
    /// # Errors
    /// When the store cannot be written; the earlier one stays.
    fn store(&self, skill: &SkillId, preference: SkillPreference) -> io::Result<()>;
}

/// Preferences held in memory.
#[derive(Debug, Default)]
pub struct MemoryPreferences(Mutex<BTreeMap<SkillId, SkillPreference>>);

impl Preferences for MemoryPreferences {
    fn load(&self, skill: &SkillId) -> io::Result<SkillPreference> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.get(skill).copied().unwrap_or_default())
    }

    fn store(&self, skill: &SkillId, preference: SkillPreference) -> io::Result<()> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(skill.clone(), preference);
        Ok(())
    }
}

/// Preferences in one JSON file: `{"<id>": {"enabled": bool?, "setup_complete": bool}}`. Entries and fields of other
/// programs stay as they are. A change replaces the file as a whole.
pub struct FilePreferences {
    path: PathBuf,
    /// Held while the file is read and replaced.
    writing: Mutex<()>,
}

impl fmt::Debug for FilePreferences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FilePreferences").field(&self.path).finish()
    }
}

type File = serde_json::Map<String, serde_json::Value>;

impl FilePreferences {
    /// Preferences in the file `path`, which need not exist yet; its directory must.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            writing: Mutex::default(),
        }
    }

    fn read(&self) -> io::Result<File> {
        let text = match fs::metadata(&self.path) {
            Ok(metadata) if metadata.len() > MAX_FILE => {
                return Err(invalid(&self.path, "it is larger than 4 MB"));
            }
            Ok(_) => fs::read_to_string(&self.path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(File::new()),
            Err(error) => return Err(error),
        };
        serde_json::from_str(&text).map_err(|error| invalid(&self.path, &error.to_string()))
    }
}

fn invalid(path: &Path, reason: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "`{}` holds no preferences ({reason}); repair or remove it",
            path.display()
        ),
    )
}

impl Preferences for FilePreferences {
    fn load(&self, skill: &SkillId) -> io::Result<SkillPreference> {
        let _reading = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.read()?;
        match all.get(skill.as_str()) {
            None => Ok(SkillPreference::default()),
            Some(entry) => serde_json::from_value(entry.clone())
                .map_err(|error| invalid(&self.path, &format!("`{skill}`: {error}"))),
        }
    }

    fn store(&self, skill: &SkillId, preference: SkillPreference) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.read()?;
        let entry = all.entry(skill.as_str()).or_insert_with(|| File::new().into());
        let wanted = serde_json::to_value(preference).map_err(io::Error::other)?;
        match (entry.as_object_mut(), wanted) {
            (Some(fields), serde_json::Value::Object(wanted)) => {
                fields.remove("enabled");
                fields.extend(wanted);
            }
            (_, wanted) => *entry = wanted,
        }
        let text = serde_json::to_string_pretty(&all).map_err(io::Error::other)?;
        write_atomically(&self.path, text.as_bytes())
    }
}

/// Writes a file beside its place and moves it there, so that a reader sees the old or the new content.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let dir = path
        .parent()
        .ok_or_else(|| io::Error::other("the file has no directory"))?;
    let temporary = dir.join(format!(".{:016x}.tmp", u64::from_ne_bytes(random)));
    let written = (|| {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setup_then_the_switch_then_the_manifest_decide() {
        let manifest =
            |auto: bool| Manifest::parse(&format!(r#"{{"id":"a","name":"A","auto_start":{auto}}}"#)).unwrap();
        for (enabled, setup_complete, auto_start, starts) in [
            (None, false, false, false),
            (None, false, true, true),
            (Some(false), false, true, false),
            (Some(true), false, false, true),
            (Some(false), true, false, true),
            (None, true, false, true),
        ] {
            let preference = SkillPreference {
                enabled,
                setup_complete,
            };
            assert_eq!(
                preference.should_start(&manifest(auto_start)),
                starts,
                "{preference:?} {auto_start}"
            );
        }
    }

    #[test]
    fn the_file_keeps_what_it_does_not_know() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("skill-preferences.json");
        let (store, id) = (FilePreferences::new(&path), SkillId::new("a").unwrap());
        assert_eq!(store.load(&id).unwrap(), SkillPreference::default());
        fs::write(
            &path,
            r#"{"a":{"enabled":true,"color":"red"},"Other_One":{"enabled":false}}"#,
        )
        .unwrap();
        assert_eq!(store.load(&id).unwrap().enabled, Some(true));
        store
            .store(
                &id,
                SkillPreference {
                    enabled: None,
                    setup_complete: true,
                },
            )
            .unwrap();
        let text: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            text,
            serde_json::json!({"a": {"setup_complete": true, "color": "red"}, "Other_One": {"enabled": false}})
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::write(&path, "[]").unwrap();
        assert!(store.load(&id).is_err() && store.store(&id, SkillPreference::default()).is_err());
    }
}
