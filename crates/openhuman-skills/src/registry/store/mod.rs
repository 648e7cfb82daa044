//! The store of installed packages: a directory with one lockfile, and a directory for each version.
//!
//! Installing writes a new directory beside the old one and then replaces the lockfile, which is the one moment at
//! which anything changes. Whatever stops it before leaves the old version, whatever stops it after the new one.

mod disk;
mod plan;
#[cfg(test)]
mod tests;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use self::disk::Disk;
use self::disk::RealDisk;
pub use self::plan::{Plan, Staged};
use super::lockfile::MAX_LOCKFILE;
use super::{Installed, Lockfile, LockfileError, Offer, Refusal};
use crate::package::SIGNATURE;
use crate::{PackageError, SkillId, SkillPackage};

const LOCKFILE: &str = "skills.lock.json";
const LOCKFILE_NEW: &str = "skills.lock.json.new";
const GUARD: &str = ".guard";

/// Installed packages in a directory. Every call blocks on the disk; cheap to clone.
#[derive(Clone)]
pub struct PackageStore {
    root: PathBuf,
    disk: Arc<dyn Disk>,
}

/// Why the store refuses or cannot do something. What was installed before is untouched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk fails.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Disk {
        /// What was tried.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The lockfile is damaged.
    #[error("`{}`: {source}; restore it, or delete it and install the skills again", path.display())]
    Lockfile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: LockfileError,
    },
    /// Another process, or another plan of this one, is changing the store.
    #[error("the skills in `{}` are being changed by another program; try again when it is done", path.display())]
    Busy {
        /// The store's directory.
        path: PathBuf,
    },
    /// No such skill is installed.
    #[error("Skill '{skill}' is not installed")]
    NotInstalled {
        /// The skill.
        skill: SkillId,
    },
    /// There is no earlier version to go back to.
    #[error("there is no earlier version of '{skill}' to go back to")]
    NoPrevious {
        /// The skill.
        skill: SkillId,
    },
    /// An installed file is not what was installed.
    #[error("'{skill}' was tampered with: its file `{file}` {what}; install the skill again")]
    Tampered {
        /// The skill.
        skill: SkillId,
        /// The file.
        file: String,
        /// What happened to it.
        what: Tampering,
    },
    /// The package must not be installed.
    #[error("'{skill}' cannot be installed: {reason}")]
    Refused {
        /// The skill.
        skill: SkillId,
        /// Why.
        reason: Refusal,
    },
    /// The plan needs the user's consent and has none.
    #[error("'{skill}' is not installed without consent: {why}")]
    NeedsConsent {
        /// The skill.
        skill: SkillId,
        /// What the user has to decide.
        why: String,
    },
    /// What is installed changed since the plan was made.
    #[error("'{skill}' was changed since the plan was made; look at it again")]
    Outdated {
        /// The skill.
        skill: SkillId,
    },
    /// The package is not valid.
    #[error(transparent)]
    Package(#[from] PackageError),
}

/// What happened to an installed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Tampering {
    /// It has another content.
    #[error("was changed")]
    Changed,
    /// It is gone.
    #[error("is missing")]
    Missing,
    /// It was not there.
    #[error("does not belong to the package")]
    Added,
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Disk {
        what,
        path: path.to_owned(),
        source,
    }
}

impl std::fmt::Debug for PackageStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackageStore")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl PackageStore {
    /// Opens the store in a directory, which is created if it is missing, and removes what an interrupted
    /// installation left behind.
    ///
    /// # Errors
    /// [`StoreError::Disk`] when the directory cannot be made, [`StoreError::Lockfile`] when the lockfile is damaged.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::with_disk(root.into(), Arc::new(RealDisk))
    }

    pub(crate) fn with_disk(root: PathBuf, disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        disk.create_dir(&root).map_err(failed("create", &root))?;
        let store = Self { root, disk };
        let lockfile = store.lockfile()?;
        // Another process may be in the middle of an installation; then it tidies up.
        if let Ok(_guard) = store.guard() {
            store.tidy(&lockfile);
        }
        Ok(store)
    }

    /// What is installed.
    ///
    /// # Errors
    /// [`StoreError::Lockfile`] when the lockfile is damaged, [`StoreError::Disk`] when it cannot be read.
    pub fn lockfile(&self) -> Result<Lockfile, StoreError> {
        let path = self.root.join(LOCKFILE);
        let size = match fs::symlink_metadata(&path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lockfile::default()),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let text = if size <= MAX_LOCKFILE as u64 {
            fs::read_to_string(&path).map_err(failed("read", &path))?
        } else {
            String::new()
        };
        Lockfile::parse(&text).map_err(|source| StoreError::Lockfile { path, source })
    }

    /// One installed skill.
    ///
    /// # Errors
    /// As [`PackageStore::lockfile`].
    pub fn get(&self, skill: &SkillId) -> Result<Option<Installed>, StoreError> {
        let mut lockfile = self.lockfile()?;
        Ok(lockfile.skills.remove(skill).map(|entry| entry.current))
    }

    /// Reads an installed package and checks every file of it.
    ///
    /// # Errors
    /// [`StoreError::NotInstalled`]; [`StoreError::Tampered`] when a file was changed, removed or added.
    pub fn load(&self, skill: &SkillId) -> Result<SkillPackage, StoreError> {
        let installed = self
            .get(skill)?
            .ok_or_else(|| StoreError::NotInstalled { skill: skill.clone() })?;
        self.read(skill, &installed)
    }

    fn read(&self, skill: &SkillId, installed: &Installed) -> Result<SkillPackage, StoreError> {
        let dir = self.root.join(&installed.directory);
        let tampered = |file: &str, what| StoreError::Tampered {
            skill: skill.clone(),
            file: file.to_owned(),
            what,
        };
        let files = match crate::package::read_exactly(&dir) {
            Ok(files) => files,
            Err(PackageError::Read { path, source }) if source.kind() == io::ErrorKind::NotFound => {
                let file = path.strip_prefix(&dir).unwrap_or(&path).display().to_string();
                let file = if file.is_empty() {
                    "manifest.json".to_owned()
                } else {
                    file
                };
                return Err(tampered(&file, Tampering::Missing));
            }
            Err(error) => return Err(error.into()),
        };
        for (path, hash) in files.hashes() {
            match installed.files.get(path) {
                Some(expected) if *expected == hash => {}
                Some(_) => return Err(tampered(path, Tampering::Changed)),
                None if path == SIGNATURE => {}
                None => return Err(tampered(path, Tampering::Added)),
            }
        }
        if let Some(missing) = installed.files.keys().find(|path| files.bytes(path).is_none()) {
            return Err(tampered(missing, Tampering::Missing));
        }
        let package = crate::package::from_verified(files, installed.signature.as_deref())?;
        if package.digest() != installed.digest {
            return Err(tampered(LOCKFILE, Tampering::Changed));
        }
        Ok(package)
    }

    /// Says what installing this package would mean, against what is installed now.
    ///
    /// # Errors
    /// [`StoreError::Lockfile`] or [`StoreError::Disk`]. A package that must not be installed is no error here: the
    /// plan says so.
    pub fn plan(&self, package: SkillPackage, offer: &Offer) -> Result<Plan, StoreError> {
        let installed = self.get(&package.manifest().id)?;
        // An installed package that cannot be read any more has no permissions to compare with: everything is new.
        let old = installed
            .as_ref()
            .and_then(|installed| self.read(&package.manifest().id, installed).ok());
        Ok(Plan::new(package, offer.clone(), installed, old.as_ref()))
    }

    /// Writes the new version beside the installed one and checks it, without installing it. Nothing else can
    /// change the store until the result is committed or dropped.
    ///
    /// # Errors
    /// [`StoreError`]; the store is then as it was.
    pub fn stage(&self, plan: Plan) -> Result<Staged, StoreError> {
        plan.may_proceed()?;
        let (package, offer, installed) = plan.into_parts();
        let skill = package.manifest().id.clone();
        let guard = self.guard()?;
        let lockfile = self.lockfile()?;
        let now = lockfile.skills.get(&skill).map(|entry| &entry.current);
        if now != installed.as_ref() {
            return Err(StoreError::Outdated { skill });
        }
        self.tidy(&lockfile);
        let revision = lockfile.revision + 1;
        let name = format!("{}-{revision}", package.digest().get(..16).unwrap_or_default());
        let directory = format!("{skill}/{name}");
        let home = self.root.join(skill.as_str());
        self.disk.create_dir(&home).map_err(failed("create", &home))?;
        let sync = |path: &Path| self.disk.sync_dir(path).map_err(failed("write", path));
        sync(&self.root)?;
        let new = home.join(format!(".{revision}.new"));
        let place = self.root.join(&directory);
        self.write_files(&package, &new)?;
        self.disk.rename(&new, &place).map_err(failed("rename", &new))?;
        sync(&home)?;
        let mut staged = Staged {
            store: self.clone(),
            lockfile,
            installed: Installed::of(&package, &offer, directory, 0),
            package,
            committed: false,
            _guard: guard,
        };
        staged.lockfile.revision = revision;
        // What the disk has now, not what was meant.
        self.read(&skill, &staged.installed)?;
        Ok(staged)
    }

    /// Carries a plan out: [`PackageStore::stage`] and [`Staged::commit`]. `now_ms` is the time, in milliseconds
    /// since 1970-01-01 00:00 UTC.
    ///
    /// # Errors
    /// As both.
    pub fn install(&self, plan: Plan, now_ms: i64) -> Result<Installed, StoreError> {
        self.stage(plan)?.commit(now_ms)
    }

    /// Removes an installed skill; whether there was one. Its key is forgotten with it.
    ///
    /// # Errors
    /// [`StoreError`] when the lockfile cannot be replaced; the skill is then still installed.
    pub fn uninstall(&self, skill: &SkillId) -> Result<bool, StoreError> {
        let _guard = self.guard()?;
        let mut lockfile = self.lockfile()?;
        if lockfile.skills.remove(skill).is_none() {
            return Ok(false);
        }
        lockfile.revision += 1;
        self.replace_lockfile(&lockfile)?;
        self.tidy(&lockfile);
        Ok(true)
    }

    /// Goes back to the version installed before, after checking every file of it. Going back twice comes forward
    /// again.
    ///
    /// # Errors
    /// [`StoreError::NoPrevious`]; [`StoreError::Tampered`] when that version is no longer whole.
    pub fn rollback(&self, skill: &SkillId) -> Result<Installed, StoreError> {
        let _guard = self.guard()?;
        let mut lockfile = self.lockfile()?;
        let missing = || StoreError::NoPrevious { skill: skill.clone() };
        let entry = lockfile
            .skills
            .get_mut(skill)
            .ok_or_else(|| StoreError::NotInstalled { skill: skill.clone() })?;
        let previous = entry.previous.take().ok_or_else(missing)?;
        self.read(skill, &previous)?;
        let replaced = std::mem::replace(&mut entry.current, previous.clone());
        entry.previous = Some(replaced);
        lockfile.revision += 1;
        self.replace_lockfile(&lockfile)?;
        Ok(previous)
    }

    fn write_files(&self, package: &SkillPackage, new: &Path) -> Result<(), StoreError> {
        let mut dirs = vec![new.to_owned()];
        self.disk.create_dir(new).map_err(failed("create", new))?;
        let signature = package.signature().map(crate::Signature::to_json);
        let signature = signature.iter().map(|json| (SIGNATURE, json.as_bytes()));
        for (path, content) in package.files().chain(signature) {
            let path = new.join(path);
            if let Some(dir) = path.parent()
                && !dirs.iter().any(|known| known == dir)
            {
                self.disk.create_dir(dir).map_err(failed("create", dir))?;
                // Those between were made too.
                let between = dir.ancestors().take_while(|above| *above != new);
                dirs.extend(between.map(Path::to_owned));
            }
            self.disk.write(&path, content).map_err(failed("write", &path))?;
            self.disk.sync_file(&path).map_err(failed("write", &path))?;
        }
        dirs.sort();
        dirs.dedup();
        for dir in dirs.iter().rev() {
            self.disk.sync_dir(dir).map_err(failed("write", dir))?;
        }
        Ok(())
    }

    fn replace_lockfile(&self, lockfile: &Lockfile) -> Result<(), StoreError> {
        let (new, place) = (self.root.join(LOCKFILE_NEW), self.root.join(LOCKFILE));
        let text = lockfile.to_json();
        self.disk
            .write(&new, text.as_bytes())
            .map_err(failed("write", &new))?;
        self.disk.sync_file(&new).map_err(failed("write", &new))?;
        self.disk
            .rename(&new, &place)
            .map_err(failed("replace", &place))?;
        self.disk
            .sync_dir(&self.root)
            .map_err(failed("write", &self.root))
    }

    /// Removes directories of versions that the lockfile does not name. Best effort: what stays is unused.
    fn tidy(&self, lockfile: &Lockfile) {
        let used = |directory: &str| {
            lockfile.skills.values().any(|entry| {
                entry.current.directory == directory
                    || entry
                        .previous
                        .as_ref()
                        .is_some_and(|old| old.directory == directory)
            })
        };
        for (skill, path) in dirs_in(&self.root) {
            if SkillId::new(&skill).is_err() {
                continue;
            }
            let versions = dirs_in(&path);
            let unused: Vec<_> = versions
                .iter()
                .filter(|(name, _)| !used(&format!("{skill}/{name}")))
                .collect();
            for (_, version) in &unused {
                if let Err(error) = self.disk.remove_dir(version) {
                    tracing::debug!(path = %version.display(), %error, "an unused version stays");
                }
            }
            if unused.len() == versions.len() {
                // Fails while something else is in it.
                let _ = fs::remove_dir(&path);
            }
        }
    }

    /// Held while the store is changed; the file stays.
    fn guard(&self) -> Result<File, StoreError> {
        let path = self.root.join(GUARD);
        let file = File::create(&path).map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy {
                path: self.root.clone(),
            }),
            Err(TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
        }
    }
}

/// The directories in a directory; links are not followed.
fn dirs_in(path: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect()
}
