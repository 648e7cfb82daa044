//! `skills.lock.json`: what is installed, file by file, and whom it is trusted to come from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Offer, Trust};
use crate::package::{is_sha256, path};
use crate::{FileHash, Signature, SkillId, SkillPackage};

/// The largest lockfile that is read, in bytes.
pub(super) const MAX_LOCKFILE: usize = 32 * 1024 * 1024;

/// A lockfile in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lockfile {
    pub(super) revision: u64,
    pub(super) skills: BTreeMap<SkillId, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) current: Installed,
    /// What was installed before; kept so that an update can be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<Installed>,
}

/// One installed version of a skill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Installed {
    /// The version, as the author writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The digest of the package.
    pub digest: String,
    /// Whom its next version is trusted to come from.
    pub trust: Trust,
    /// Where it came from, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When it was installed, in milliseconds since 1970-01-01 00:00 UTC.
    pub installed_at_ms: i64,
    /// Its directory below the store.
    pub(super) directory: String,
    /// The size and SHA-256 of every file.
    pub files: BTreeMap<String, FileHash>,
    /// The signature, as in `signature.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<String>,
}

/// Why a lockfile cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lockfile cannot be read: {reason}")]
pub struct LockfileError {
    reason: String,
}

/// The lockfile as it is written.
#[derive(Serialize, Deserialize)]
struct Raw {
    version: u32,
    revision: u64,
    skills: BTreeMap<SkillId, Entry>,
}

impl Installed {
    pub(super) fn of(package: &SkillPackage, offer: &Offer, directory: String, now_ms: i64) -> Self {
        let signature = package.signature();
        Self {
            version: package.manifest().version.clone(),
            digest: package.digest().to_owned(),
            trust: signature.map_or(Trust::Hash, |signature| Trust::Key { key: signature.key() }),
            source: offer.source.clone(),
            installed_at_ms: now_ms,
            directory,
            files: package
                .hashes()
                .map(|(path, hash)| (path.to_owned(), hash))
                .collect(),
            signature: signature.map(Signature::to_json),
        }
    }

    fn check(&self, skill: &SkillId) -> Result<(), String> {
        let parts: Vec<_> = self.directory.split('/').collect();
        let inside = matches!(parts[..], [id, name] if id == skill.as_str() && !name.is_empty())
            && path::check(&self.directory).is_ok();
        if !inside {
            return Err(format!(
                "the directory `{}` is not one of `{skill}`",
                self.directory
            ));
        }
        let hashes = self.files.values().map(|hash| &hash.sha256);
        if let Some(bad) = hashes.chain([&self.digest]).find(|hash| !is_sha256(hash)) {
            return Err(format!("`{bad}` of `{skill}` is not a SHA-256"));
        }
        if let Some(bad) = self.files.keys().find(|name| path::check(name).is_err()) {
            return Err(format!(
                "`{bad}` of `{skill}` is not the path of a file in a package"
            ));
        }
        Ok(())
    }
}

impl Lockfile {
    /// Reads the text of a lockfile.
    ///
    /// # Errors
    /// [`LockfileError`] when it is not one, has a later version, or holds paths, hashes or ids that are not.
    pub fn parse(text: &str) -> Result<Self, LockfileError> {
        let failed = |reason: String| LockfileError { reason };
        if text.len() > MAX_LOCKFILE {
            return Err(failed(format!(
                "it has {} bytes; at most {MAX_LOCKFILE} are read",
                text.len()
            )));
        }
        let raw: Raw = serde_json::from_str(text).map_err(|error| failed(error.to_string()))?;
        if raw.version != 1 {
            return Err(failed(format!("its version is {}; only 1 is known", raw.version)));
        }
        for (skill, entry) in &raw.skills {
            for installed in [Some(&entry.current), entry.previous.as_ref()]
                .into_iter()
                .flatten()
            {
                installed.check(skill).map_err(failed)?;
            }
        }
        Ok(Self {
            revision: raw.revision,
            skills: raw.skills,
        })
    }

    /// The text of the lockfile.
    #[must_use]
    pub fn to_json(&self) -> String {
        let raw = Raw {
            version: 1,
            revision: self.revision,
            skills: self.skills.clone(),
        };
        serde_json::to_string_pretty(&raw).unwrap_or_default() + "\n"
    }

    /// The installed skills, by id.
    pub fn installed(&self) -> impl Iterator<Item = (&SkillId, &Installed)> {
        self.skills.iter().map(|(id, entry)| (id, &entry.current))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lockfile_survives_its_text_and_paths_stay_below_their_skill() {
        let package = SkillPackage::from_parts(r#"{"id":"a","name":"A"}"#, "1".into()).unwrap();
        let current = Installed::of(&package, &Offer::default(), "a/x-1".to_owned(), 5);
        let id = SkillId::new("a").unwrap();
        let entry = Entry {
            current,
            previous: None,
        };
        let lockfile = Lockfile {
            revision: 3,
            skills: [(id, entry)].into(),
        };
        let text = lockfile.to_json();
        assert_eq!(Lockfile::parse(&text).as_ref(), Ok(&lockfile));
        for (from, to) in [
            ("\"a/x-1\"", "\"../x\""),
            ("\"a/x-1\"", "\"/etc\""),
            ("\"a/x-1\"", "\"b/x-1\""),
            ("\"a/x-1\"", "\"a\""),
            ("\"index.js\"", "\"../index.js\""),
            ("\"version\": 1,", "\"version\": 2,"),
            ("\"a\": {", "\"../a\": {"),
            (package.digest(), "xyz"),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(Lockfile::parse(&text.replace(from, to)).is_err(), "{to}");
        }
    }
}
