//! Forgetting everywhere, and the copies that still hold what was forgotten.

use std::path::{Path, PathBuf};

use openhuman_memory::forget::{Forget, Report};
use serde::Serialize;

use super::server;
use crate::{Core, CoreError};

/// What was forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Forgotten {
    /// What the memory forgot, what is left (nothing, unless something wrote it again meanwhile), and copies of the
    /// user's own that still hold it.
    #[serde(flatten)]
    pub report: Report,
    /// How many facts the connected graph server forgot; `None` when none is connected, or it could not be told.
    pub on_server: Option<u64>,
    /// Why the graph server could not be told. Forget again when that is mended.
    pub server_problem: Option<String>,
}

impl Core {
    /// Forgets everywhere: documents, words, vectors, facts, conversations, originals, working memory, and the copy on
    /// a graph server when one is connected. Searches all of it for what is left. Takes as long as reading the whole
    /// memory. What skills keep in databases of their own is not touched.
    ///
    /// # Errors
    /// When the memory cannot be written.
    pub async fn forget(&self, what: Forget) -> Result<Forgotten, CoreError> {
        self.blocking(move |core| {
            let chosen = core.graph_server()?;
            // Before the facts are gone that say under which names somebody is known.
            let doomed = match &chosen {
                Some(_) => server::doomed(core.memory(), &what)?,
                None => Vec::new(),
            };
            let mut forgotten = Forgotten {
                report: core.memory().forget_everywhere(&what)?,
                ..Forgotten::default()
            };
            if let Some(chosen) = chosen {
                match server::connect(&chosen).and_then(|copy| server::forget(&*copy, &doomed)) {
                    Ok(facts) => forgotten.on_server = Some(facts),
                    Err(error) => forgotten.server_problem = Some(error.to_string()),
                }
            }
            Ok(forgotten)
        })
        .await
    }

    /// Copies of the user's own, made by an export or a backup, that hold something forgotten since, the oldest first.
    /// Those that are gone are not named any more. Blocks.
    ///
    /// # Errors
    /// When the memory cannot be written.
    pub fn outdated_backups(&self) -> Result<Vec<PathBuf>, CoreError> {
        Ok(self.memory().outdated_backups()?)
    }

    /// Deletes a copy that [`Core::outdated_backups`] names, a file or the whole directory of a backup. Blocks.
    ///
    /// # Errors
    /// When it is none of those, the directory does not look like a backup of a home, or it cannot be deleted.
    pub fn delete_backup(&self, path: &Path) -> Result<(), CoreError> {
        if !self.outdated_backups()?.iter().any(|known| known == path) {
            return Err(CoreError::NotFound {
                what: "the outdated copy",
                name: path.display().to_string(),
                hint: "`openhuman memory backups` lists them".to_owned(),
            });
        }
        let metadata = path
            .symlink_metadata()
            .map_err(|error| CoreError::io("delete", path, error))?;
        let deleted = if !metadata.is_dir() {
            std::fs::remove_file(path)
        } else if path.join("vault").join("vault.ohv").is_file() {
            std::fs::remove_dir_all(path)
        } else {
            return Err(CoreError::Setting {
                setting: "the outdated copy",
                reason: format!(
                    "{} is a directory and not the backup of a home any more; delete it yourself",
                    path.display()
                ),
            });
        };
        deleted.map_err(|error| CoreError::io("delete", path, error))
    }
}
