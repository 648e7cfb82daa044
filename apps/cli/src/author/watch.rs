//! Noticing that a file of a directory changed. It looks a few times a second: that works on every file system.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const EVERY: Duration = Duration::from_millis(200);
/// More files than a package may hold.
const MAX_FILES: usize = 4096;

/// What a directory looked like.
pub(super) struct Watch {
    dir: PathBuf,
    seen: Seen,
}

type Seen = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

impl Watch {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            seen: look(dir),
        }
    }

    /// Waits until something is different, and no longer changes; returns one path that did.
    pub(super) async fn changed(&mut self) -> PathBuf {
        loop {
            tokio::time::sleep(EVERY).await;
            let mut now = look(&self.dir);
            if now == self.seen {
                continue;
            }
            // An editor may write in several steps.
            loop {
                tokio::time::sleep(EVERY / 2).await;
                let later = look(&self.dir);
                if later == now {
                    break;
                }
                now = later;
            }
            let path = difference(&self.seen, &now);
            self.seen = now;
            if let Some(path) = path {
                return path.strip_prefix(&self.dir).map(Path::to_owned).unwrap_or(path);
            }
        }
    }
}

fn difference(old: &Seen, new: &Seen) -> Option<PathBuf> {
    let changed = new.iter().find(|(path, stamp)| old.get(*path) != Some(stamp));
    let gone = || old.keys().find(|path| !new.contains_key(*path));
    changed.map(|(path, _)| path).or_else(gone).cloned()
}

fn look(dir: &Path) -> Seen {
    let mut seen = Seen::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with('.') || name == "node_modules" || seen.len() >= MAX_FILES {
                continue;
            }
            match entry.metadata() {
                Ok(data) if data.is_dir() => open.push(entry.path()),
                Ok(data) => {
                    seen.insert(entry.path(), (data.modified().ok(), data.len()));
                }
                Err(_) => {}
            }
        }
    }
    seen
}
