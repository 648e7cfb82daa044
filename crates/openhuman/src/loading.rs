//! Finding the skills of a home, and starting those that are meant to run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use openhuman_skills::registry::{SkillDirs, discover};
use openhuman_skills::{Grant, SkillError, SkillId, SkillPackage};

use crate::grants::Grants;
use crate::home::Home;
use crate::owners::{Owner, Owners};
use crate::rpc::PackageProblem;
use crate::{Core, CoreError};

/// A skill that could not be loaded or started, and why.
#[derive(Debug)]
pub struct SkillProblem {
    /// The directory of the package.
    pub path: PathBuf,
    /// What failed.
    pub error: CoreError,
}

/// The directories in which an earlier installation keeps skills, for [`CoreBuilder::skills_dir`](crate::CoreBuilder::skills_dir):
/// `SKILLS_LOCAL_DIR`, and `skills` below `OPENHUMAN_WORKSPACE` or, with `default_workspace`, below
/// `~/.openhuman/workspace`. Those that do not exist are left out. Reads the environment and looks at the disk.
///
/// The current directory is not looked into, as earlier programs did: where somebody happens to stand must not decide
/// which code runs.
#[must_use]
pub fn earlier_skill_dirs(default_workspace: bool) -> Vec<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let usual = || {
        let home = variable("HOME").or_else(|| variable("USERPROFILE"));
        home.filter(|_| default_workspace)
            .map(|home| home.join(".openhuman/workspace"))
    };
    let dirs = SkillDirs {
        local: variable("SKILLS_LOCAL_DIR"),
        workspace: variable("OPENHUMAN_WORKSPACE").or_else(usual),
        ..SkillDirs::default()
    };
    dirs.resolve()
}

/// A package that was found, or why it cannot be used.
struct Candidate {
    path: PathBuf,
    owner: Owner,
    package: Result<SkillPackage, CoreError>,
}

impl Core {
    /// Skills that could not be loaded or started. Taken out: a second call returns what came since.
    #[must_use]
    pub fn problems(&self) -> Vec<SkillProblem> {
        std::mem::take(
            &mut *self
                .inner()
                .problems
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Packages that could not be loaded, with the reason. A skill that was loaded and did not start tells its own.
    pub(crate) fn unusable_packages(&self) -> Vec<PackageProblem> {
        let problems = self
            .inner()
            .problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        problems
            .iter()
            .filter(|problem| !matches!(problem.error, CoreError::Skill(_)))
            .map(|problem| PackageProblem {
                path: problem.path.display().to_string(),
                error: problem.error.to_string(),
            })
            .collect()
    }

    fn report(&self, path: PathBuf, error: CoreError) {
        tracing::warn!(path = %path.display(), %error, "a skill is not available");
        let problems = &self.inner().problems;
        let mut problems = problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.push(SkillProblem { path, error });
    }

    /// Loads every package of `dirs`, of the home and of its store; the first with an id wins. With `start`, those
    /// start that start by themselves.
    pub(crate) async fn load_skills(
        &self,
        mut dirs: Vec<PathBuf>,
        overrides: &BTreeMap<String, Grant>,
        start: bool,
    ) -> Result<(), CoreError> {
        let home = self.home().clone();
        dirs.push(home.skills_dir());
        let found = tokio::task::spawn_blocking(move || {
            let mut found = in_directories(&dirs);
            found.extend(in_store(&home));
            found
        });
        let mut loaded = Vec::new();
        let found = found.await?;
        let stored = self.blocking(|core| Grants::load(core.vault())).await?;
        let found = self.blocking(|core| core.give_places(found)).await?;
        for Candidate { path, package, .. } in found {
            match self.load_skill(package, &stored, overrides).await {
                Ok(Some(id)) => loaded.push((path, id)),
                Ok(None) => {}
                Err(error) => self.report(path, error),
            }
        }
        if !start {
            return Ok(());
        }
        let started = loaded.into_iter().map(|(path, id)| async move {
            let outcome = match self.starts_by_itself(&id).await {
                Ok(true) => self.skills().start(&id).await.map_err(CoreError::from),
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            (path, outcome)
        });
        for (path, outcome) in futures_util::future::join_all(started).await {
            if let Err(error) = outcome {
                self.report(path, error);
            }
        }
        Ok(())
    }

    /// Whether a skill starts with the core: never one the user switched off; else one that was set up or switched on,
    /// else as its manifest says with `auto_start`. An unreadable preference leaves it to the manifest.
    ///
    /// Earlier programs started a skill that was set up even when it had been switched off.
    ///
    /// # Errors
    /// When there is no such skill.
    pub async fn starts_by_itself(&self, skill: &SkillId) -> Result<bool, CoreError> {
        let (engine, id) = (self.skills().clone(), skill.clone());
        let manifest_says = engine
            .package(skill)
            .ok_or_else(|| SkillError::Unknown { skill: skill.clone() })?
            .manifest()
            .auto_start;
        let preference = tokio::task::spawn_blocking(move || engine.preference(&id)).await?;
        Ok(match preference {
            Ok(preference) if preference.enabled == Some(false) => false,
            Ok(preference) => preference.setup_complete || preference.enabled.unwrap_or(manifest_says),
            Err(error) => {
                tracing::warn!(%skill, %error, "its preference counts as unset");
                manifest_says
            }
        })
    }

    /// Notes whose data each skill finds under its id. Blocks.
    fn give_places(&self, found: Vec<Candidate>) -> Result<Vec<Candidate>, CoreError> {
        let _changing = self.changing();
        let before = Owners::load(self.vault())?;
        let mut owners = before.clone();
        let mut named = std::collections::BTreeSet::new();
        for Candidate { owner, package, .. } in &found {
            let Ok(package) = package else { continue };
            let skill = &package.manifest().id;
            // Only the first with an id is loaded. What is here already is its own, as nobody said otherwise.
            if named.insert(skill.clone()) {
                let place = owners.claim(skill, owner, false);
                self.inner().places.set(skill, place);
                self.inner().destinations.set(package.manifest());
            }
        }
        if owners != before {
            owners.store(self.vault())?;
        }
        Ok(found)
    }

    /// Installs one package; `None` when an earlier directory had the same skill.
    async fn load_skill(
        &self,
        package: Result<SkillPackage, CoreError>,
        stored: &Grants,
        overrides: &BTreeMap<String, Grant>,
    ) -> Result<Option<SkillId>, CoreError> {
        let package = package?;
        let id = package.manifest().id.clone();
        let grant = overrides
            .get(id.as_str())
            .cloned()
            .unwrap_or_else(|| stored.of(&package));
        match self.skills().install(package, grant).await {
            Ok(id) => Ok(Some(id)),
            Err(SkillError::AlreadyInstalled { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The packages in directories of the user's own.
fn in_directories(dirs: &[PathBuf]) -> Vec<Candidate> {
    let discovered = discover(dirs);
    let usable = discovered.found.into_iter().map(|found| Candidate {
        path: found.path,
        owner: Owner::local(),
        package: Ok(found.package),
    });
    let broken = discovered.problems.into_iter().map(|(path, error)| Candidate {
        path,
        owner: Owner::local(),
        package: Err(error.into()),
    });
    usable.chain(broken).collect()
}

/// The packages installed from a registry, each checked against its hashes, with the place its problems are told at.
fn in_store(home: &Home) -> Vec<Candidate> {
    let failed = |path: &Path, error| {
        let owner = Owner::local();
        vec![Candidate {
            path: path.to_owned(),
            owner,
            package: Err(error),
        }]
    };
    let root = home.skills_dir().join(".packages");
    let store = match home.package_store() {
        Ok(store) => store,
        Err(error) => return failed(&root, error),
    };
    let lockfile = match store.lockfile() {
        Ok(lockfile) => lockfile,
        Err(error) => return failed(&root, error.into()),
    };
    let skills = lockfile.installed().map(|(skill, _)| skill);
    skills
        .map(|skill| {
            let package = store.load(skill).map_err(CoreError::from);
            Candidate {
                path: root.join(skill.as_str()),
                owner: package.as_ref().map_or_else(|_| Owner::local(), Owner::of),
                package,
            }
        })
        .collect()
}
