//! Where things are in this repository.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;

/// The repository's folders.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// The workspace around the current directory.
    pub(crate) fn find() -> Result<Workspace, Failure> {
        let here =
            env::current_dir().map_err(|error| Failure::new(format!("no current directory: {error}")))?;
        let root = here
            .ancestors()
            .find(|folder| folder.join("Cargo.lock").is_file() && folder.join("crates/xtask").is_dir())
            .ok_or_else(|| {
                Failure::new("not inside the workspace: change into the repository and try again")
            })?;
        // Cargo is started in the root, so a relative folder is meant from there.
        let target = root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
        Ok(Workspace {
            root: root.to_path_buf(),
            target,
        })
    }

    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Workspace {
        Workspace {
            root: root.to_path_buf(),
            target: root.join("target"),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The desktop's front end, relative to the root.
    pub(crate) fn front_end(&self) -> &'static Path {
        Path::new("apps/desktop")
    }

    /// Files that commands leave for people or for later commands.
    pub(crate) fn output(&self, name: &str) -> PathBuf {
        self.target.join(name)
    }

    /// A program that cargo has built for the given profile folder ("debug" or "release").
    pub(crate) fn program(&self, profile: &str, name: &str) -> PathBuf {
        self.target
            .join(profile)
            .join(format!("{name}{}", env::consts::EXE_SUFFIX))
    }

    /// Each folder of a package, relative to the root, with official JavaScript programs that Rust tests
    /// talk to.
    pub(crate) fn node_fixtures(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = ["crates", "apps"]
            .iter()
            .filter_map(|group| fs::read_dir(self.root.join(group)).ok())
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .flat_map(|package| {
                ["tests/node", "tests/conformance", "examples/node"].map(|folder| package.join(folder))
            })
            .filter(|folder| folder.join("package.json").is_file())
            .filter_map(|folder| Some(folder.strip_prefix(&self.root).ok()?.to_path_buf()))
            .collect();
        found.sort();
        found
    }

    /// All package-lock.json files: the front end's and the fixtures'.
    pub(crate) fn package_locks(&self) -> Vec<PathBuf> {
        let mut folders = self.node_fixtures();
        folders.push(self.front_end().to_path_buf());
        folders
            .iter()
            .map(|folder| self.root.join(folder).join("package-lock.json"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_found_from_a_package_folder() {
        let workspace = Workspace::find().unwrap();
        assert!(workspace.root().join("crates/xtask/src/workspace.rs").is_file());
        assert!(
            workspace
                .package_locks()
                .iter()
                .any(|lock| lock.ends_with("apps/desktop/package-lock.json") && lock.is_file())
        );
    }
}
