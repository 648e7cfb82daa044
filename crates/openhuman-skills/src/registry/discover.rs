//! Finding packages in directories.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{PackageError, SkillId, SkillPackage};

/// How many packages one directory may hold.
const MAX_PACKAGES: usize = 10_000;

/// Places where skills may lie, each known or not. Existing programs agree on their order.
#[derive(Clone, Debug, Default)]
pub struct SkillDirs {
    /// The value of `SKILLS_LOCAL_DIR`.
    pub local: Option<PathBuf>,
    /// A directory named in another way, for example on the command line.
    pub explicit: Option<PathBuf>,
    /// The directory relative places are looked up in, usually the current one.
    pub working_dir: Option<PathBuf>,
    /// The skills shipped with the program.
    pub bundled: Option<PathBuf>,
    /// The directory of the program's data.
    pub data: Option<PathBuf>,
    /// The user's workspace; skills lie in `skills` below it.
    pub workspace: Option<PathBuf>,
}

impl SkillDirs {
    /// The directories to look into, in their order: the first that exists of `local`, `explicit`,
    /// `openhuman-skills/skills` in and beside the working directory, `bundled` and `data`; then the workspace's.
    ///
    /// ```
    /// use openhuman_skills::registry::SkillDirs;
    /// let dir = tempfile::tempdir().unwrap();
    /// let dirs = SkillDirs {
    ///     local: Some(dir.path().join("missing")),
    ///     explicit: Some(dir.path().to_owned()),
    ///     ..SkillDirs::default()
    /// };
    /// assert_eq!(dirs.resolve(), [dir.path()]);
    /// ```
    #[must_use]
    pub fn resolve(&self) -> Vec<PathBuf> {
        let beside = |relative: &str| self.working_dir.as_ref().map(|dir| dir.join(relative));
        let sources = [
            self.local.clone(),
            self.explicit.clone(),
            beside("openhuman-skills/skills"),
            beside("../openhuman-skills/skills"),
            self.bundled.clone(),
            self.data.clone(),
        ];
        let workspace = self.workspace.as_ref().map(|dir| dir.join("skills"));
        let exists = |dir: &PathBuf| !dir.as_os_str().is_empty() && dir.is_dir();
        let source = sources.into_iter().flatten().find(exists);
        let mut dirs: Vec<_> = source
            .into_iter()
            .chain(workspace.filter(|dir| exists(dir)))
            .collect();
        dirs.dedup();
        dirs
    }
}

/// A package in a directory.
#[derive(Clone, Debug)]
pub struct Found {
    /// The directory of the package.
    pub path: PathBuf,
    /// The package.
    pub package: SkillPackage,
}

/// What was found in a list of directories.
#[derive(Debug, Default)]
pub struct Discovered {
    /// The packages that can run here, each id once: the first one wins.
    pub found: Vec<Found>,
    /// Packages for other operating systems.
    pub unsupported: Vec<(SkillId, PathBuf)>,
    /// Packages whose id an earlier one has.
    pub shadowed: Vec<(SkillId, PathBuf)>,
    /// Directories that hold a manifest and no usable package, or cannot be read, and why.
    pub problems: Vec<(PathBuf, PackageError)>,
}

/// Looks for packages: directories with a `manifest.json` directly inside the given ones, by name. Hidden ones are
/// left out; a directory that does not exist holds nothing. Blocks on the disk.
#[must_use]
pub fn discover(dirs: &[PathBuf]) -> Discovered {
    let mut all = Discovered::default();
    let mut seen = BTreeSet::new();
    for dir in dirs {
        for path in candidates(dir, &mut all.problems) {
            let package = match SkillPackage::load(&path) {
                Ok(package) => package,
                Err(error) => {
                    all.problems.push((path, error));
                    continue;
                }
            };
            let manifest = package.manifest();
            let id = manifest.id.clone();
            if !manifest.supports_this_platform() {
                all.unsupported.push((id, path));
            } else if !seen.insert(id.clone()) {
                all.shadowed.push((id, path));
            } else {
                all.found.push(Found { path, package });
            }
        }
    }
    all
}

fn candidates(dir: &Path, problems: &mut Vec<(PathBuf, PackageError)>) -> Vec<PathBuf> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(source) => {
            let path = dir.to_owned();
            problems.push((path.clone(), PackageError::Read { path, source }));
            return Vec::new();
        }
    };
    let names = entries.flatten().take(MAX_PACKAGES);
    let visible = names.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    let mut paths: Vec<_> = visible
        .map(|entry| entry.path())
        // A link to a package elsewhere is how authors work on one; it was put here by the user.
        .filter(|path| path.join("manifest.json").exists())
        .collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(dir: &Path, name: &str, manifest: &str) {
        let dir = dir.join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("manifest.json"), manifest).unwrap();
        fs::write(dir.join("index.js"), "1").unwrap();
    }

    #[test]
    fn the_first_package_with_an_id_wins_and_the_rest_is_told() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        put(one.path(), "b", r#"{"id":"b","name":"first"}"#);
        put(one.path(), "broken", r#"{"id":"Broken"}"#);
        put(one.path(), ".hidden", r#"{"id":"hidden","name":"x"}"#);
        put(
            one.path(),
            "phone",
            r#"{"id":"phone","name":"x","platforms":["android"]}"#,
        );
        fs::create_dir(one.path().join("empty")).unwrap();
        put(two.path(), "b", r#"{"id":"b","name":"second"}"#);
        put(two.path(), "c", r#"{"id":"c","name":"c"}"#);
        let dirs = [
            one.path().to_owned(),
            two.path().join("missing"),
            two.path().to_owned(),
        ];
        let all = discover(&dirs);
        let names: Vec<_> = all
            .found
            .iter()
            .map(|found| found.package.manifest().name.as_str())
            .collect();
        assert_eq!(names, ["first", "c"]);
        assert_eq!(all.shadowed[0].1, two.path().join("b"));
        assert_eq!(all.unsupported[0].0.as_str(), "phone");
        assert_eq!(all.problems.len(), 1);
        assert!(all.problems[0].0.ends_with("broken"));
    }

    #[test]
    fn the_environment_comes_first_and_the_workspace_is_added() {
        let dir = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let (local, explicit) = (make("local"), make("explicit"));
        let beside = make("openhuman-skills/skills");
        let workspace = make("ws/skills");
        let mut dirs = SkillDirs {
            local: Some(local.clone()),
            explicit: Some(explicit.clone()),
            working_dir: Some(make("here")),
            workspace: Some(dir.path().join("ws")),
            ..SkillDirs::default()
        };
        assert_eq!(dirs.resolve(), [local, workspace.clone()]);
        dirs.local = Some(PathBuf::new());
        assert_eq!(dirs.resolve(), [explicit, workspace.clone()]);
        dirs.explicit = None;
        let found = dirs.resolve();
        assert_eq!(found[0].canonicalize().unwrap(), beside.canonicalize().unwrap());
        assert_eq!(found[1], workspace);
    }
}
