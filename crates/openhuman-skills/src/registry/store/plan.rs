//! What an installation means, before and while it is carried out.

use std::fmt;
use std::fs::File;

use super::super::lockfile::Entry;
use super::super::{Decision, Installed, Lockfile, Offer, VersionChange, decide};
use super::{PackageStore, StoreError};
use crate::grant::new_destinations;
use crate::{Grant, GrantDiff, SkillPackage};

/// What installing a package means: who made it, how its version and its permissions relate to what is installed.
#[derive(Clone, Debug)]
pub struct Plan {
    package: SkillPackage,
    offer: Offer,
    installed: Option<Installed>,
    decision: Decision,
    permissions: GrantDiff,
    version: VersionChange,
    approved: bool,
}

impl Plan {
    pub(super) fn new(
        package: SkillPackage,
        offer: Offer,
        installed: Option<Installed>,
        old: Option<&SkillPackage>,
    ) -> Self {
        let decision = decide(installed.as_ref(), &package, &offer);
        let before = old.map_or_else(Grant::none, |old| Grant::from_manifest(old.manifest()));
        let mut permissions = before.difference(&Grant::from_manifest(package.manifest()));
        // What is stored already follows the manifest, so a host that may be reached is not yet one it may go to.
        permissions.widened.extend(new_destinations(
            old.map(SkillPackage::manifest),
            package.manifest(),
        ));
        let version = match &installed {
            None => VersionChange::New,
            Some(installed) => VersionChange::of(
                installed.version.as_deref(),
                package.manifest().version.as_deref(),
            ),
        };
        Self {
            package,
            offer,
            installed,
            decision,
            permissions,
            version,
            approved: false,
        }
    }

    /// The package to install.
    #[must_use]
    pub fn package(&self) -> &SkillPackage {
        &self.package
    }

    /// What is installed now.
    #[must_use]
    pub fn installed(&self) -> Option<&Installed> {
        self.installed.as_ref()
    }

    /// Whether the package comes from where it should.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// What the new version asks for and the installed one did not, and the other way round.
    #[must_use]
    pub fn permissions(&self) -> &GrantDiff {
        &self.permissions
    }

    /// How the new version relates to the installed one.
    #[must_use]
    pub fn version(&self) -> VersionChange {
        self.version
    }

    /// Whether the user must be asked: the publisher is new, changed or unknown, the package asks for more than
    /// before or sends credentials elsewhere, or it is older than what is installed.
    #[must_use]
    pub fn needs_consent(&self) -> bool {
        self.decision != Decision::Install
            || self.permissions.is_wider()
            || self.version == VersionChange::Older
    }

    /// The user has seen the plan and wants it. Does not help a package that must not be installed.
    #[must_use]
    pub fn approve(mut self) -> Self {
        self.approved = true;
        self
    }

    /// Whether the package must not be installed, approved or not.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self.decision, Decision::Refuse { .. })
    }

    /// Whether it was approved.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        self.approved
    }

    pub(super) fn into_parts(self) -> (SkillPackage, Offer, Option<Installed>) {
        (self.package, self.offer, self.installed)
    }

    pub(super) fn may_proceed(&self) -> Result<(), StoreError> {
        let skill = self.package.manifest().id.clone();
        if let Decision::Refuse { reason } = &self.decision {
            return Err(StoreError::Refused {
                skill,
                reason: reason.clone(),
            });
        }
        if self.needs_consent() && !self.approved {
            let why = self.to_string();
            return Err(StoreError::NeedsConsent { skill, why });
        }
        Ok(())
    }
}

impl fmt::Display for Plan {
    /// Lines for people: the publisher, the version when it goes back, and each change of permissions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the package {}", self.decision)?;
        if self.version == VersionChange::Older {
            write!(f, "\nit is older than the installed version")?;
        }
        if self.permissions.is_empty() {
            return Ok(());
        }
        write!(f, "\n{}", self.permissions)
    }
}

/// A version that is written and checked, but not installed yet. Dropping it leaves everything as it was.
#[derive(Debug)]
#[must_use = "nothing is installed until it is committed"]
pub struct Staged {
    pub(super) store: PackageStore,
    pub(super) lockfile: Lockfile,
    pub(super) installed: Installed,
    pub(super) package: SkillPackage,
    pub(super) committed: bool,
    pub(super) _guard: File,
}

impl Staged {
    /// The package that was written.
    #[must_use]
    pub fn package(&self) -> &SkillPackage {
        &self.package
    }

    /// Makes it the installed version, in one step. The version before it is kept for
    /// [`PackageStore::rollback`]; older ones are removed.
    ///
    /// # Errors
    /// [`StoreError::Disk`] when the lockfile cannot be replaced. The old version is then still installed, unless
    /// only the last step failed, the one that makes the change survive a power cut.
    pub fn commit(mut self, now_ms: i64) -> Result<Installed, StoreError> {
        self.installed.installed_at_ms = now_ms;
        let installed = self.installed.clone();
        let id = self.package.manifest().id.clone();
        let previous = self.lockfile.skills.remove(&id).map(|entry| entry.current);
        let entry = Entry {
            current: installed.clone(),
            previous,
        };
        self.lockfile.skills.insert(id, entry);
        // From here on nobody knows which lockfile the disk has, so neither version may be removed.
        self.committed = true;
        self.store.replace_lockfile(&self.lockfile)?;
        self.store.tidy(&self.lockfile);
        Ok(installed)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.committed {
            let _ = self
                .store
                .disk
                .remove_dir(&self.store.root.join(&self.installed.directory));
        }
    }
}
