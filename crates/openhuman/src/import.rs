//! The user's own files, and copies of everything in plain form.

use std::path::{Path, PathBuf};

use openhuman_memory::{Document, MemoryError};

use crate::{Core, CoreError};

/// The largest file that is read, in bytes. Notes are smaller; what is larger is rarely prose.
const LARGEST_FILE: u64 = 8 * 1024 * 1024;

/// How deep folders are followed.
const DEEPEST: usize = 32;

/// What became of a folder.
#[derive(Debug, Default)]
pub struct ImportReport {
    /// Files that are in the memory now.
    pub files: usize,
    /// Chunks of those files.
    pub chunks: usize,
    /// Chunks that were embedded, because they are new or have changed.
    pub embedded: usize,
    /// Files that were left out, and why.
    pub skipped: Vec<(PathBuf, String)>,
}

impl Core {
    /// Puts a Markdown or text file, or every such file of a folder and its subfolders, into the memory. Running it
    /// again replaces what has changed and leaves the rest. Links are not followed, hidden folders not entered.
    ///
    /// # Errors
    /// When `path` cannot be read, or the memory cannot be written; then what was remembered so far stays. A file that
    /// cannot be used is reported as skipped.
    pub async fn import(&self, path: &Path) -> Result<ImportReport, CoreError> {
        let root = path
            .canonicalize()
            .map_err(|error| CoreError::io("read", path, error))?;
        let mut report = ImportReport::default();
        let files = if root.is_dir() {
            text_files(&root, &mut report.skipped)?
        } else {
            vec![root]
        };
        for file in files {
            let document = match read(&file) {
                Ok(document) => document,
                Err(reason) => {
                    report.skipped.push((file, reason));
                    continue;
                }
            };
            match self.with_memory(move |memory| memory.ingest(&document)).await {
                Ok(ingested) => {
                    report.files += 1;
                    report.chunks += ingested.chunks;
                    report.embedded += ingested.embedded;
                }
                Err(CoreError::Memory(error @ (MemoryError::TooLong { .. } | MemoryError::Empty { .. }))) => {
                    report.skipped.push((file, error.to_string()));
                }
                Err(error) => {
                    return Err(CoreError::ImportStopped {
                        file,
                        done: report.files,
                        source: Box::new(error),
                    });
                }
            }
        }
        Ok(report)
    }

    /// Writes everything that is sealed in the home as plain SQLite files into `dir`, readable by anyone who can read
    /// the directory: `memory.db` and one file per skill. It is for moving away and for inspection, on explicit wish.
    ///
    /// # Errors
    /// When `dir` cannot be created, holds such a file already, or a database cannot be read.
    pub async fn export_plain(&self, dir: &Path) -> Result<Vec<PathBuf>, CoreError> {
        crate::home::create_private_dir(dir)?;
        let memory = dir.join("memory.db");
        let target = memory.clone();
        self.with_memory(move |memory| memory.export_plain(&target))
            .await?;
        let mut written = vec![memory];
        for skill in self.skill_snapshots() {
            if let Some(path) = self.export_skill(&skill.skill_id, dir).await? {
                written.push(path);
            }
        }
        Ok(written)
    }
}

fn text_files(root: &Path, skipped: &mut Vec<(PathBuf, String)>) -> Result<Vec<PathBuf>, CoreError> {
    let mut found = Vec::new();
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if depth == 0 => return Err(CoreError::io("read", &folder, error)),
            Err(error) => {
                skipped.push((folder, error.to_string()));
                continue;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !hidden && depth < DEEPEST => folders.push((path, depth + 1)),
                Ok(kind) if kind.is_file() && is_text(&path) => found.push(path),
                Ok(kind) if kind.is_symlink() && is_text(&path) => {
                    skipped.push((path, "it is a link, and links are not followed".to_owned()));
                }
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_text(path: &Path) -> bool {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .map(str::to_ascii_lowercase);
    matches!(extension.as_deref(), Some("md" | "markdown" | "txt" | "text"))
}

fn read(path: &Path) -> Result<Document, String> {
    let metadata = path.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is neither a file nor a folder".to_owned());
    }
    let size = metadata.len();
    if size > LARGEST_FILE {
        return Err(format!(
            "it has {size} bytes; the limit is {LARGEST_FILE}: split it"
        ));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text: convert it first".to_owned())?;
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    // A mark that some editors put at the start of a file is no part of the text.
    let text = text
        .strip_prefix('\u{feff}')
        .map_or_else(|| text.clone(), str::to_owned);
    let shown = path.display().to_string();
    let title = text
        .lines()
        .find_map(|line| line.strip_prefix("# "))
        .map(str::trim)
        .filter(|title| !title.is_empty())
        .map_or_else(
            || {
                path.file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned()
            },
            str::to_owned,
        );
    Ok(Document {
        namespace: "files".into(),
        source: shown.clone(),
        ..Document::new(shown, title, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_files_outside_hidden_folders_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "# Title\n\ntext").unwrap();
        };
        for name in ["a.md", "sub/b.TXT", ".git/c.md", "d.png", "sub/deep/e.markdown"] {
            write(name);
        }
        let mut skipped = Vec::new();
        let found = text_files(dir.path(), &mut skipped).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|path| path.strip_prefix(dir.path()).unwrap().to_owned())
            .collect();
        assert_eq!(
            names,
            ["a.md", "sub/b.TXT", "sub/deep/e.markdown"].map(PathBuf::from)
        );
        assert!(skipped.is_empty());
    }

    #[test]
    fn a_file_is_titled_by_its_first_heading_or_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.md");
        std::fs::write(&path, "intro\n# The plan\n").unwrap();
        assert_eq!(read(&path).unwrap().title, "The plan");
        std::fs::write(&path, "no heading").unwrap();
        assert_eq!(read(&path).unwrap().title, "plan");
        std::fs::write(&path, "\u{feff}# Marked\n").unwrap();
        let marked = read(&path).unwrap();
        assert_eq!(
            (marked.title.as_str(), marked.text.as_str()),
            ("Marked", "# Marked\n")
        );
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(read(&path).unwrap_err().contains("UTF-8"));
    }
}
