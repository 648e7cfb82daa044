//! The data files of skills: a flat set of named texts for each, behind `data.read` and `data.write`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::SkillId;
use crate::package::path;
use crate::preferences::write_atomically;

/// The largest file, in bytes.
const MAX_FILE: u64 = 8 * 1024 * 1024;
/// The most files of one skill.
const MAX_FILES: usize = 1000;

/// Why a data file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The name is not a plain file name.
    #[error("`{name}` is not a file name: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is something of this name that is no regular file, such as a link.
    #[error("`{name}` is not a regular file")]
    NotAFile {
        /// The name.
        name: String,
    },
    /// The file is not UTF-8 text.
    #[error("`{name}` is not UTF-8 text")]
    NotText {
        /// The name.
        name: String,
    },
    /// The files would need more room than the skill may have.
    #[error("the data files would have {size} bytes; the skill may have {limit}: delete or shorten some")]
    Quota {
        /// What they would need in bytes.
        size: u64,
        /// What they may need in bytes.
        limit: u64,
    },
    /// The host keeps no data files.
    #[error("this host keeps no data files")]
    Absent,
    /// The operating system refuses.
    #[error("the data directory cannot be used: {0}")]
    Io(#[from] io::Error),
}

/// How much a skill stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct DataStats {
    /// The number of files.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
}

impl DataStats {
    /// So many files of so many bytes.
    #[must_use]
    pub fn new(files: usize, bytes: u64) -> Self {
        Self { files, bytes }
    }

    /// Whether a skill may store this much.
    ///
    /// # Errors
    /// [`DataError::Quota`] when there are more than 1000 files or more than `limit` bytes.
    pub fn check(&self, limit: u64) -> Result<(), DataError> {
        if self.files > MAX_FILES || self.bytes > limit {
            return Err(DataError::Quota {
                size: self.bytes,
                limit,
            });
        }
        Ok(())
    }
}

/// Where the data files of skills are. The functions may block: the engine calls them on a thread for that.
///
/// Names were checked before: they are plain file names on every system.
pub trait DataFiles: Send + Sync {
    /// The text of a file; `None` when there is no such file.
    ///
    /// # Errors
    /// [`DataError`] when it cannot be read.
    fn read(&self, skill: &SkillId, name: &str) -> Result<Option<String>, DataError>;

    /// Replaces a file as a whole: after a crash there is the old or the new text. `limit` is for all files of the
    /// skill together, in bytes.
    ///
    /// # Errors
    /// [`DataError::Quota`] when the files would be too large together, see [`DataStats::check`], and others when
    /// it cannot be written; the old text stays.
    fn write(&self, skill: &SkillId, name: &str, text: &str, limit: u64) -> Result<(), DataError>;

    /// How much a skill stores.
    ///
    /// # Errors
    /// [`DataError`] when that cannot be told.
    fn stats(&self, skill: &SkillId) -> Result<DataStats, DataError>;

    /// The folder in which an earlier host may have left files with credentials of this skill; they are moved into
    /// the credential store when the skill starts. Default: none.
    fn folder(&self, _skill: &SkillId) -> Option<PathBuf> {
        None
    }
}

/// Reads a file of a skill after checking its name.
pub(crate) fn read(files: &dyn DataFiles, skill: &SkillId, name: &str) -> Result<Option<String>, DataError> {
    check(name)?;
    files.read(skill, name)
}

/// Replaces a file of a skill after checking its name and size.
pub(crate) fn write(
    files: &dyn DataFiles,
    skill: &SkillId,
    name: &str,
    text: &str,
    limit: u64,
) -> Result<(), DataError> {
    check(name)?;
    DataStats::new(1, text.len() as u64).check(limit.min(MAX_FILE))?;
    files.write(skill, name, text, limit)
}

/// Data files in memory, gone with the engine.
#[derive(Debug, Default)]
pub struct MemoryDataFiles(Mutex<BTreeMap<SkillId, BTreeMap<String, String>>>);

impl DataFiles for MemoryDataFiles {
    fn read(&self, skill: &SkillId, name: &str) -> Result<Option<String>, DataError> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.get(skill).and_then(|files| files.get(name)).cloned())
    }

    fn write(&self, skill: &SkillId, name: &str, text: &str, limit: u64) -> Result<(), DataError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let files = all.entry(skill.clone()).or_default();
        let others = files.iter().filter(|(other, _)| *other != name);
        let (count, bytes) = others.fold((0, 0), |(count, bytes), (_, text)| {
            (count + 1, bytes + text.len())
        });
        DataStats::new(count + 1, (bytes + text.len()) as u64).check(limit)?;
        files.insert(name.to_owned(), text.to_owned());
        Ok(())
    }

    fn stats(&self, skill: &SkillId) -> Result<DataStats, DataError> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let files = all.get(skill).into_iter().flat_map(BTreeMap::values);
        Ok(files.fold(DataStats::default(), |stats, text| {
            DataStats::new(stats.files + 1, stats.bytes + text.len() as u64)
        }))
    }
}

/// Data files as readable files: one folder for each skill, below a root. Links are not followed.
#[derive(Clone, Debug)]
pub struct DataDirectory(PathBuf);

impl DataDirectory {
    /// Folders are made below `root` when they are needed.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// The folder of a skill. An id is a checked name, so it cannot lead elsewhere.
    fn of(&self, skill: &SkillId) -> PathBuf {
        self.0.join(skill.as_str())
    }
}

impl DataFiles for DataDirectory {
    fn read(&self, skill: &SkillId, name: &str) -> Result<Option<String>, DataError> {
        let path = self.of(skill).join(name);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let limit = MAX_FILE;
        if !metadata.is_file() || !is_folder(&self.of(skill))? {
            return Err(DataError::NotAFile {
                name: name.to_owned(),
            });
        }
        let mut bytes = Vec::new();
        fs::File::open(&path)?.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(DataError::Quota {
                size: metadata.len(),
                limit,
            });
        }
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| DataError::NotText {
                name: name.to_owned(),
            })
    }

    fn write(&self, skill: &SkillId, name: &str, text: &str, limit: u64) -> Result<(), DataError> {
        let dir = self.of(skill);
        fs::create_dir_all(&dir)?;
        if !is_folder(&dir)? {
            return Err(DataError::NotAFile {
                name: skill.to_string(),
            });
        }
        let path = dir.join(name);
        let earlier = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => Some(metadata.len()),
            Ok(_) => {
                return Err(DataError::NotAFile {
                    name: name.to_owned(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let stats = self.stats(skill)?;
        let size = stats.bytes - earlier.unwrap_or(0).min(stats.bytes) + text.len() as u64;
        DataStats::new(stats.files + usize::from(earlier.is_none()), size).check(limit)?;
        Ok(write_atomically(&path, text.as_bytes())?)
    }

    /// Database files in the same folder do not count: they have a quota of their own.
    fn stats(&self, skill: &SkillId) -> Result<DataStats, DataError> {
        let mut stats = DataStats::default();
        let entries = match fs::read_dir(self.of(skill)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(stats),
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() && !is_reserved(&entry.file_name().to_string_lossy()) {
                stats.files += 1;
                stats.bytes += entry.metadata()?.len();
            }
        }
        Ok(stats)
    }

    fn folder(&self, skill: &SkillId) -> Option<PathBuf> {
        Some(self.of(skill))
    }
}

/// Files of the host in the same folder: the skill's database, and credentials of earlier hosts.
fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with('.')
        || name.starts_with("skill.db")
        || matches!(
            name.as_str(),
            "oauth_credential.json" | "client_key.json" | "auth_credential.json"
        )
}

fn check(name: &str) -> Result<(), DataError> {
    let refuse = |reason: String| {
        Err(DataError::Name {
            name: name.chars().take(100).collect(),
            reason,
        })
    };
    if name.contains('/') {
        return refuse("it leads to another directory; give a name only".to_owned());
    }
    if let Err(error) = path::check(name) {
        return refuse(error.to_string());
    }
    if is_reserved(name) {
        return refuse("it belongs to the host".to_owned());
    }
    Ok(())
}

fn is_folder(dir: &Path) -> io::Result<bool> {
    Ok(fs::symlink_metadata(dir)?.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skill() -> SkillId {
        SkillId::new("a").unwrap()
    }

    #[test]
    fn names_stay_in_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDirectory::new(root.path().join("skills_data"));
        fs::create_dir_all(root.path().join("skills_data/b")).unwrap();
        fs::write(root.path().join("skills_data/b/secret.txt"), "x").unwrap();
        for name in [
            "",
            ".",
            "..",
            "../b/secret.txt",
            "..\\b\\secret.txt",
            "/etc/passwd",
            "C:\\x",
            "c:x",
            "a/b",
            "nul",
            "COM1.txt",
            "a.",
            "a ",
            "a\0b",
            "x:stream",
            "\\\\host\\share",
            "skill.db",
            "SKILL.DB-wal",
            "oauth_credential.json",
            ".hidden",
        ] {
            assert!(
                matches!(read(&data, &skill(), name), Err(DataError::Name { .. })),
                "{name:?}"
            );
            assert!(
                matches!(
                    write(&data, &skill(), name, "x", 100),
                    Err(DataError::Name { .. })
                ),
                "{name:?}"
            );
        }
        assert_eq!(data.read(&skill(), "missing.json").unwrap(), None);
        data.write(&skill(), "ü.json", "€", 100).unwrap();
        assert_eq!(data.read(&skill(), "ü.json").unwrap().as_deref(), Some("€"));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let data = DataDirectory::new(root.path().join("data"));
        data.write(&skill(), "real.txt", "1", 100).unwrap();
        let outside = root.path().join("outside.txt");
        fs::write(&outside, "outside").unwrap();
        std::os::unix::fs::symlink(&outside, data.of(&skill()).join("link.txt")).unwrap();
        assert!(matches!(
            data.read(&skill(), "link.txt"),
            Err(DataError::NotAFile { .. })
        ));
        assert!(matches!(
            data.write(&skill(), "link.txt", "x", 100),
            Err(DataError::NotAFile { .. })
        ));
        let other = SkillId::new("b").unwrap();
        std::os::unix::fs::symlink(root.path(), data.of(&other)).unwrap();
        assert!(data.read(&other, "outside.txt").is_err());
        assert!(data.write(&other, "new.txt", "x", 100).is_err());
        assert_eq!(fs::read_to_string(&outside).unwrap(), "outside");
    }

    #[test]
    fn all_files_together_have_a_limit() {
        let root = tempfile::tempdir().unwrap();
        together(&DataDirectory::new(root.path()));
        together(&MemoryDataFiles::default());
    }

    fn together(data: &dyn DataFiles) {
        data.write(&skill(), "a", "12345", 8).unwrap();
        assert!(matches!(
            data.write(&skill(), "b", "1234", 8),
            Err(DataError::Quota { size: 9, limit: 8 })
        ));
        data.write(&skill(), "a", "12345678", 8).unwrap();
        assert_eq!(data.stats(&skill()).unwrap(), DataStats::new(1, 8));
        assert_eq!(data.read(&skill(), "a").unwrap().as_deref(), Some("12345678"));
        let long = "x".repeat(9 << 20);
        assert!(matches!(
            write(data, &skill(), "c", &long, u64::MAX),
            Err(DataError::Quota { .. })
        ));
    }
}
