//! The user's own files, and copies of everything in plain form.

use std::path::{Path, PathBuf};

use openhuman_memory::graph::Speaker;
use openhuman_memory::{Document, IngestReport, MAX_DOCUMENT_BYTES, Memory, MemoryError};

use crate::knowledge::learn;
use crate::{Core, CoreError};

/// Files that are stored in one transaction: so many, or so many bytes of text.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

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
    /// What the graph learned from them: mentions and facts.
    pub learned: usize,
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
        let mut batch = Batch::default();
        for file in files {
            match read(&file) {
                Ok(document) => batch.add(file, document),
                Err(reason) => report.skipped.push((file, reason)),
            }
            if batch.is_full() {
                self.store(std::mem::take(&mut batch), &mut report).await?;
            }
        }
        self.store(batch, &mut report).await?;
        Ok(report)
    }

    /// Stores a batch in one transaction; when a file of it cannot be used, each by itself.
    async fn store(&self, batch: Batch, report: &mut ImportReport) -> Result<(), CoreError> {
        let Some(first) = batch.files.first().cloned() else {
            return Ok(());
        };
        let files = batch.files.clone();
        let stored = self.with_memory(move |memory| Ok(stored(memory, &batch)));
        for (file, outcome) in files.into_iter().zip(stored.await?) {
            match outcome {
                Ok((ingested, learned)) => {
                    report.files += 1;
                    report.chunks += ingested.chunks;
                    report.embedded += ingested.embedded;
                    report.learned += learned;
                }
                Err(error) if is_about_the_file(&error) => report.skipped.push((file, error.to_string())),
                Err(error) => {
                    return Err(CoreError::ImportStopped {
                        file: first,
                        done: report.files,
                        source: Box::new(error.into()),
                    });
                }
            }
        }
        Ok(())
    }

    /// Writes everything that is sealed in the home as plain SQLite files into `dir`, readable by anyone who can read
    /// the directory: `memory.db`, one file per skill, and the conversations as `sessions.jsonl`, one line each. It is for moving away and for inspection, on explicit wish.
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
        let sessions = dir.join("sessions.jsonl");
        if self.export_threads(&sessions).await? {
            written.push(sessions);
        }
        // So that forgetting can name them.
        for path in written.clone() {
            let path = std::path::absolute(&path).unwrap_or(path);
            self.with_memory(move |memory| memory.note_backup(&path)).await?;
        }
        Ok(written)
    }

    /// Writes all threads into one new file; whether there are any.
    async fn export_threads(&self, target: &Path) -> Result<bool, CoreError> {
        let target = target.to_owned();
        self.blocking(move |core| {
            let threads = core.memory().session_ids()?;
            if threads.is_empty() {
                return Ok(false);
            }
            let failed = |error| CoreError::io("write", &target, error);
            let file = std::fs::File::create_new(&target).map_err(failed)?;
            let mut out = std::io::BufWriter::new(file);
            for thread in threads {
                core.export_thread(&thread, &mut out)?;
            }
            std::io::Write::flush(&mut out).map_err(failed)?;
            Ok(true)
        })
        .await
    }
}

/// Files on their way into the memory.
#[derive(Default)]
struct Batch {
    files: Vec<PathBuf>,
    documents: Vec<Document>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, file: PathBuf, document: Document) {
        self.bytes += document.text.len();
        self.files.push(file);
        self.documents.push(document);
    }

    fn is_full(&self) -> bool {
        self.files.len() >= BATCH || self.bytes >= BATCH_BYTES
    }
}

/// What became of each document of a batch. Blocks.
fn stored(memory: &Memory, batch: &Batch) -> Vec<Result<(IngestReport, usize), MemoryError>> {
    let learned = |report: IngestReport| match report.unchanged {
        true => (report, 0),
        // Who says `I` in a file is not known.
        false => {
            let learned = learn(memory, &report.document_id, Speaker::Nobody);
            (report, learned)
        }
    };
    match memory.ingest_all(&batch.documents) {
        Ok(reports) => reports.into_iter().map(|report| Ok(learned(report))).collect(),
        Err(error) if is_about_the_file(&error) => {
            let one = |document| memory.ingest(document).map(learned);
            batch.documents.iter().map(one).collect()
        }
        Err(error) => vec![Err(error)],
    }
}

fn is_about_the_file(error: &MemoryError) -> bool {
    matches!(
        error,
        MemoryError::TooLong { .. } | MemoryError::Empty { .. } | MemoryError::NotText { .. }
    )
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
    if size > MAX_DOCUMENT_BYTES as u64 {
        return Err(format!(
            "it has {size} bytes, and at most {MAX_DOCUMENT_BYTES} are taken; split it"
        ));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let shown = path.display().to_string();
    let document = Document::from_bytes(&*shown, "", &bytes).map_err(|error| match error {
        MemoryError::NotText { reason, .. } => format!("it is not a text: {reason}"),
        other => other.to_string(),
    })?;
    let text = &document.text;
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
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
        source: shown,
        title,
        ..document
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
        std::fs::write(&path, b"caf\xe9").unwrap();
        assert!(read(&path).unwrap_err().contains("byte 3 is not valid UTF-8"));
        std::fs::write(&path, b"GIF89a\0\0").unwrap();
        assert!(read(&path).unwrap_err().contains("binary"));
    }
}
