//! The index of a registry: what there is, as JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::version::update_available;
use super::{Lockfile, Offer};
use crate::SkillId;

/// The largest index that is read, in bytes.
pub(super) const MAX_INDEX: usize = 8 * 1024 * 1024;
/// How many entries an index may have.
const MAX_ENTRIES: usize = 10_000;
/// How long a text in an entry may be, in bytes.
const MAX_TEXT: usize = 4096;

/// A registry's index.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Index {
    /// When it was made, as the registry writes it.
    pub generated_at: Option<String>,
    /// The skills, the core ones first.
    pub entries: Vec<IndexEntry>,
    /// Entries that were left out, and why.
    pub problems: Vec<String>,
}

/// The part of a registry an entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Category {
    /// Made by the registry's owner.
    Core,
    /// Made by others.
    ThirdParty,
}

/// A skill in a registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexEntry {
    /// The skill.
    pub id: SkillId,
    /// The name shown to people.
    pub name: String,
    /// The version.
    #[serde(default)]
    pub version: Option<String>,
    /// What it does, in a sentence.
    #[serde(default)]
    pub description: Option<String>,
    /// The runtime it was made for.
    #[serde(default)]
    pub runtime: Option<String>,
    /// The script.
    #[serde(default)]
    pub entry: Option<String>,
    /// Whether it wants to be started by itself.
    #[serde(default)]
    pub auto_start: bool,
    /// The operating systems it supports; absent or empty means all.
    #[serde(default)]
    pub platforms: Option<Vec<String>>,
    /// Its `setup` block.
    #[serde(default)]
    pub setup: Option<Value>,
    /// Whether only developers should see it.
    #[serde(default)]
    pub ignore_in_production: bool,
    /// Where its script lies, or the whole package as an archive.
    pub download_url: String,
    /// Where its manifest lies; not needed when the download is an archive.
    #[serde(default)]
    pub manifest_url: Option<String>,
    /// The SHA-256 of the script, in hexadecimal.
    #[serde(default)]
    pub checksum_sha256: Option<String>,
    /// Who made it.
    #[serde(default)]
    pub author: Option<String>,
    /// Where its source lies.
    #[serde(default)]
    pub repository: Option<String>,
    /// The part of the registry it is in.
    #[serde(default = "core")]
    pub category: Category,
}

fn core() -> Category {
    Category::Core
}

/// An entry beside what is installed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Available {
    /// The entry.
    #[serde(flatten)]
    pub entry: IndexEntry,
    /// Whether the skill is installed.
    pub installed: bool,
    /// The version that is installed.
    pub installed_version: Option<String>,
    /// Whether the registry has a newer one.
    pub update_available: bool,
}

/// Why an index cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// It is too large.
    #[error("the index has {size} bytes; at most {limit} are read")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// It is not JSON, or not of the right shape.
    #[error("the index is not usable: {reason}")]
    Format {
        /// What is wrong with it.
        reason: String,
    },
    /// It is of a later form.
    #[error("the index has version {version}; only 1 is known: update this program")]
    Version {
        /// Its version.
        version: u64,
    },
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    version: Option<u64>,
    #[serde(default)]
    generated_at: Option<String>,
    skills: RawSkills,
}

#[derive(Deserialize)]
struct RawSkills {
    #[serde(default)]
    core: Option<Vec<Value>>,
    #[serde(default)]
    third_party: Option<Vec<Value>>,
}

impl Index {
    /// Reads an index: `{version: 1, generated_at, skills: {core: [..], third_party: [..]}}`. Unknown fields are
    /// tolerated, and an entry that is not usable is left out and told in [`Index::problems`].
    ///
    /// # Errors
    /// [`IndexError`] when the whole is not usable or larger than 8 MB.
    pub fn parse(bytes: &[u8]) -> Result<Self, IndexError> {
        if bytes.len() > MAX_INDEX {
            return Err(IndexError::TooLarge {
                size: bytes.len(),
                limit: MAX_INDEX,
            });
        }
        let format = |reason: String| IndexError::Format { reason };
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| format(error.to_string()))?;
        if let Some(version) = raw.version
            && version != 1
        {
            return Err(IndexError::Version { version });
        }
        let (core, third_party) = (
            raw.skills.core.unwrap_or_default(),
            raw.skills.third_party.unwrap_or_default(),
        );
        if core.len() + third_party.len() > MAX_ENTRIES {
            return Err(format(format!("it has more than {MAX_ENTRIES} entries")));
        }
        let mut index = Self {
            generated_at: raw.generated_at.filter(|text| text.len() <= 100),
            ..Self::default()
        };
        let lists = [(Category::Core, core), (Category::ThirdParty, third_party)];
        for (category, values) in lists {
            for (place, value) in values.into_iter().enumerate() {
                match entry(value, category) {
                    Ok(entry) if index.find(&entry.id).is_some() => {
                        index
                            .problems
                            .push(format!("`{}` is listed twice; the first counts", entry.id));
                    }
                    Ok(entry) => index.entries.push(entry),
                    Err(reason) => index
                        .problems
                        .push(format!("entry {place} of {category:?}: {reason}")),
                }
            }
        }
        Ok(index)
    }

    /// The entry of a skill.
    #[must_use]
    pub fn find(&self, skill: &SkillId) -> Option<&IndexEntry> {
        self.entries.iter().find(|entry| entry.id == *skill)
    }

    /// The entries whose id, name, description or author holds every word of the text, whatever its case; all of
    /// them for an empty text.
    pub fn search(&self, text: &str) -> impl Iterator<Item = &IndexEntry> {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        self.entries.iter().filter(move |entry| {
            let texts = [
                Some(entry.id.as_str()),
                Some(entry.name.as_str()),
                entry.description.as_deref(),
                entry.author.as_deref(),
            ];
            let all = texts
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join("\n")
                .to_lowercase();
            words.iter().all(|word| all.contains(word))
        })
    }
}

impl IndexEntry {
    /// What the entry says about the package it offers.
    #[must_use]
    pub fn offer(&self) -> Offer {
        Offer {
            id: Some(self.id.clone()),
            version: self.version.clone(),
            checksum_sha256: self.checksum_sha256.clone(),
            source: Some(self.download_url.clone()),
        }
    }

    /// The entry beside what is installed.
    #[must_use]
    pub fn beside(&self, installed: &Lockfile) -> Available {
        let installed = installed.skills.get(&self.id).map(|entry| &entry.current);
        let installed_version = installed.and_then(|installed| installed.version.clone());
        Available {
            update_available: installed.is_some()
                && update_available(installed_version.as_deref(), self.version.as_deref()),
            installed: installed.is_some(),
            installed_version,
            entry: self.clone(),
        }
    }
}

fn entry(value: Value, category: Category) -> Result<IndexEntry, String> {
    let Value::Object(mut fields) = value else {
        return Err("it is not an object".to_owned());
    };
    // The list an entry is in says more than the entry.
    fields.remove("category");
    let long = fields
        .iter()
        .find(|(_, value)| value.as_str().is_some_and(|text| text.len() > MAX_TEXT));
    if let Some((key, _)) = long {
        return Err(format!("`{key}` is longer than {MAX_TEXT} bytes"));
    }
    let entry: IndexEntry =
        serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
    Ok(IndexEntry { category, ..entry })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = r#"{"version":1,"generated_at":"2026-01-01T00:00:00Z","extra":1,"skills":{
        "core":[
            {"id":"gmail","name":"Gmail","version":"1.1.0","description":"Reads mail","runtime":"quickjs","entry":"index.js",
             "auto_start":false,"platforms":null,"setup":null,"ignore_in_production":false,
             "download_url":"https://example.com/gmail/index.js","manifest_url":"https://example.com/gmail/manifest.json",
             "checksum_sha256":"00","category":"third_party","new_field":{}},
            {"id":"../evil","name":"Evil","download_url":"x"},
            7],
        "third_party":[
            {"id":"notes","name":"Notes","download_url":"https://example.com/notes.tgz","author":"Ann"},
            {"id":"gmail","name":"Other","download_url":"x"}]}}"#;

    #[test]
    fn usable_entries_are_kept_and_the_others_told() {
        let index = Index::parse(INDEX.as_bytes()).unwrap();
        let ids: Vec<_> = index
            .entries
            .iter()
            .map(|entry| (entry.id.as_str(), entry.category))
            .collect();
        assert_eq!(ids, [("gmail", Category::Core), ("notes", Category::ThirdParty)]);
        assert_eq!(index.problems.len(), 3, "{:?}", index.problems);
        assert_eq!(index.search("MAIL reads").count(), 1);
        assert_eq!(index.search("ann").count(), 1);
        assert_eq!(
            (index.search("").count(), index.search("nothing").count()),
            (2, 0)
        );
    }

    #[test]
    fn an_entry_knows_what_is_installed() {
        let index = Index::parse(INDEX.as_bytes()).unwrap();
        let gmail = &index.entries[0];
        let available = gmail.beside(&Lockfile::default());
        assert!(!available.installed && !available.update_available);
        let json = serde_json::to_value(&available).unwrap();
        assert_eq!(
            (&json["id"], &json["installed"]),
            (&"gmail".into(), &false.into())
        );
    }

    #[test]
    fn an_index_that_is_none_is_refused() {
        for bad in [
            "",
            "[]",
            "{",
            "{}",
            r#"{"skills":7}"#,
            r#"{"version":2,"skills":{}}"#,
        ] {
            assert!(Index::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Index::parse(br#"{"skills":{}}"#).unwrap().entries.is_empty());
        assert!(Index::parse(&vec![b' '; MAX_INDEX + 1]).is_err());
    }
}
