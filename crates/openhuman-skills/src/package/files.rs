//! The files of a package in memory, and the rules all of them obey.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::path::{check, folded};
use super::{MANIFEST, MAX_CODE, MAX_MANIFEST, PackageError, SIGNATURE};

/// How many files a package may hold.
const MAX_FILES: usize = 512;
/// How many bytes all files together may have.
pub(super) const MAX_TOTAL: usize = 32 * 1024 * 1024;
/// The largest signature that is read, in bytes.
pub(super) const MAX_SIGNATURE: usize = 4 * 1024;
/// The first line of the list that is hashed.
const LISTING: &str = "openhuman-skill-package 1";

/// The size and SHA-256 of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHash {
    /// The size in bytes.
    pub size: u64,
    /// The SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl FileHash {
    pub(crate) fn of(content: &[u8]) -> Self {
        Self {
            size: content.len() as u64,
            sha256: hex_sha256(content),
        }
    }
}

/// Paths and contents. Paths are checked when they come in.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileSet {
    files: BTreeMap<String, Content>,
    total: usize,
}

#[derive(Clone, Debug)]
enum Content {
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// The most bytes a file of this path may have.
pub(super) fn limit_of(path: &str) -> usize {
    match path {
        MANIFEST => MAX_MANIFEST,
        SIGNATURE => MAX_SIGNATURE,
        _ => MAX_CODE,
    }
}

impl FileSet {
    /// Adds a file.
    pub(super) fn insert(&mut self, path: String, content: Vec<u8>) -> Result<(), PackageError> {
        if let Err(reason) = check(&path) {
            return Err(PackageError::Path { path, reason });
        }
        let limit = limit_of(&path);
        if content.len() > limit {
            return Err(PackageError::TooLarge {
                what: format!("`{path}`"),
                size: content.len(),
                limit,
            });
        }
        self.total = self.total.saturating_add(content.len());
        if self.total > MAX_TOTAL {
            return Err(PackageError::TooLarge {
                what: "the package".to_owned(),
                size: self.total,
                limit: MAX_TOTAL,
            });
        }
        if self.files.len() >= MAX_FILES {
            return Err(PackageError::TooMany { limit: MAX_FILES });
        }
        match self.files.entry(path) {
            Entry::Vacant(place) => {
                place.insert(match String::from_utf8(content) {
                    Ok(text) => Content::Text(text.into()),
                    Err(error) => Content::Bytes(error.into_bytes().into()),
                });
                Ok(())
            }
            Entry::Occupied(place) => Err(PackageError::Collision {
                one: place.key().clone(),
                two: place.key().clone(),
            }),
        }
    }

    /// Checks that no two paths, and no two of their directories, are the same on a system that folds names.
    pub(super) fn check(&self) -> Result<(), PackageError> {
        let mut seen: BTreeMap<String, (&str, bool)> = BTreeMap::new();
        let signature = (SIGNATURE, true);
        seen.insert(folded(SIGNATURE), signature);
        for path in self.files.keys() {
            let ends = path.match_indices('/').map(|(end, _)| (end, false));
            for (end, is_file) in ends.chain([(path.len(), true)]) {
                let name = &path[..end];
                match seen.entry(folded(name)) {
                    Entry::Vacant(place) => {
                        place.insert((name, is_file));
                    }
                    Entry::Occupied(place) => {
                        let (other, other_is_file) = *place.get();
                        if other != name || is_file || other_is_file {
                            return Err(PackageError::Collision {
                                one: other.to_owned(),
                                two: path.clone(),
                            });
                        }
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn take_signature(&mut self) -> Option<Vec<u8>> {
        let content = self.files.remove(SIGNATURE)?;
        Some(content.bytes().to_vec())
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        match self.files.get(path)? {
            Content::Text(text) => Some(text),
            Content::Bytes(_) => None,
        }
    }

    pub(crate) fn bytes(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Content::bytes)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files
            .iter()
            .map(|(path, content)| (path.as_str(), content.bytes()))
    }

    pub(crate) fn hashes(&self) -> impl Iterator<Item = (&str, FileHash)> {
        self.iter().map(|(path, content)| (path, FileHash::of(content)))
    }

    /// The list that is hashed: see [`SkillPackage::listing`](super::SkillPackage::listing).
    pub(super) fn listing(&self) -> String {
        let mut listing = format!("{LISTING}\n");
        for (path, FileHash { size, sha256 }) in self.hashes() {
            let _ = writeln!(listing, "{sha256} {size} {path}");
        }
        listing
    }
}

pub(crate) fn hex_sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Whether a text is a SHA-256 in lower-case hexadecimal.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
