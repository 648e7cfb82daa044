//! Skill packages from a registry: installed, updated and removed together with the user's consent.
//!
//! An installation changes four things: the engine, the lockfile, the consents and the owners of data. Only the
//! lockfile says what is installed. Consent and data are opened for the new version before it changes and closed for
//! the old one after, so a crash at any point leaves a home whose next start has one version with its consent and its
//! data; and when the lockfile does not change, the engine goes back.

use std::sync::Arc;

use openhuman_skills::registry::{HttpFetch, Offer, PackageStore, Plan, Registry, Source, Staged};
use openhuman_skills::{Clock as _, Grant, SkillError, SkillId, SkillPackage, SystemClock};

use crate::home::Home;
use crate::owners::{Owner, Owners};
use crate::{Core, CoreError};

impl Home {
    /// The installed packages. Blocks on the disk.
    ///
    /// # Errors
    /// When the directory cannot be made or its lockfile is damaged.
    pub fn package_store(&self) -> Result<PackageStore, CoreError> {
        Ok(PackageStore::open(self.skills_dir().join(".packages"))?)
    }

    /// The registry at a place (an https address, an absolute path or a `file://` address; the public one when there is
    /// none), with its index kept in the home for an hour.
    ///
    /// # Errors
    /// When the place is none, or TLS cannot be set up.
    pub fn registry(&self, place: Option<&str>) -> Result<Registry, CoreError> {
        let cache = self.skills_dir().join(".registry-cache.json");
        let fetch = Arc::new(HttpFetch::new()?);
        let source = Source::parse(place)?;
        Ok(Registry::new(source, Some(cache), fetch, Arc::new(SystemClock)))
    }
}

/// What an installation replaces.
struct Before {
    /// What the engine has loaded under the id.
    loaded: Option<(SkillPackage, Grant)>,
    /// Who made the installed version.
    owner: Option<Owner>,
}

impl Core {
    /// Says what installing a package would mean, against what is installed: to be shown to the user before
    /// [`Core::install_skill`].
    ///
    /// # Errors
    /// When the installed packages cannot be read.
    pub async fn plan_skill(&self, package: SkillPackage, offer: Offer) -> Result<Plan, CoreError> {
        self.blocking(move |core| Ok(core.home().package_store()?.plan(package, &offer)?))
            .await
    }

    /// Carries a plan out. An approved plan is also the user's consent to what the package asks for; one that needs no
    /// approval keeps the consent given to the version before. A running skill is replaced, and when the new version
    /// does not start, the old one runs again and stays installed. `start` starts a skill that was not there before.
    /// Goes on when the future is dropped.
    ///
    /// A skill of another publisher than the one that was removed under this id finds none of its data.
    ///
    /// # Errors
    /// When the plan needs consent and has none, the package must not be installed, the disk fails, the skill lies in
    /// another directory already, or the new version does not start. The version before is then installed and loaded,
    /// except when it is a new skill that does not start: that one is installed.
    pub async fn install_skill(&self, plan: Plan, start: bool) -> Result<SkillId, CoreError> {
        let core = self.clone();
        tokio::spawn(async move { core.install_now(plan, start).await }).await?
    }

    async fn install_now(&self, plan: Plan, start: bool) -> Result<SkillId, CoreError> {
        let _one_at_a_time = self.inner().installing.lock().await;
        let package = plan.package().clone();
        let id = package.manifest().id.clone();
        let loaded = self.skills().package(&id).zip(self.skills().grant(&id).ok());
        if loaded.is_some() && plan.installed().is_none() {
            return Err(SkillError::AlreadyInstalled { skill: id }.into());
        }
        let owner = plan.installed().map(Owner::of_installed);
        let before = Before { loaded, owner };
        let (staged, grant) = self.blocking(move |core| core.open_for(plan)).await?;
        if let Err(error) = self.enter(&before, package.clone(), grant).await {
            drop(staged);
            self.close_for(&before, &package).await?;
            return Err(error);
        }
        let (was, digest) = (id.clone(), package.digest().to_owned());
        let commit = self
            .blocking(move |core| core.commit(staged, &was, &digest))
            .await;
        if let Err(error) = commit {
            self.leave(&before, &id).await;
            self.close_for(&before, &package).await?;
            return Err(error);
        }
        let (kept, settled) = (package.clone(), Owner::of(&package));
        self.blocking(move |core| {
            let id = &kept.manifest().id;
            core.change_grants(|grants| grants.settle(id.as_str(), kept.digest()))?;
            core.change_owners(|owners| owners.settle(id, &settled))
        })
        .await?;
        if start && before.loaded.is_none() {
            self.skills().start(&id).await?;
        }
        Ok(id)
    }

    /// Writes the new version beside the old one, and opens consent and data for it. Blocks.
    fn open_for(&self, plan: Plan) -> Result<(Staged, Grant), CoreError> {
        let package = plan.package().clone();
        let id = package.manifest().id.clone();
        let (approved, installed) = (plan.is_approved(), plan.installed().cloned());
        let staged = self.home().package_store()?.stage(plan)?;
        let grant = self.change_grants(|grants| {
            let old = installed.as_ref().map(|installed| installed.digest.as_str());
            let consented = old.filter(|digest| grants.is_bound_to(id.as_str(), digest));
            if approved || consented.is_some() {
                grants.add(&package, consented);
            }
            grants.of(&package)
        })?;
        let owner = Owner::of(&package);
        let place = self.change_owners(|owners| {
            if let Some(installed) = &installed {
                owners.share(&id, &Owner::of_installed(installed), &owner);
            }
            owners.claim(&id, &owner, self.inner().databases.is_there(&id))
        })?;
        self.inner().places.set(&id, place);
        self.inner().destinations.set(package.manifest());
        Ok((staged, grant))
    }

    /// Takes back what [`Core::open_for`] opened, after the new version did not get in.
    async fn close_for(&self, before: &Before, package: &SkillPackage) -> Result<(), CoreError> {
        let (package, owner) = (package.clone(), before.owner.clone());
        self.blocking(move |core| {
            let id = &package.manifest().id;
            core.change_grants(|grants| grants.withdraw(id.as_str(), package.digest()))?;
            match owner {
                Some(owner) => core.change_owners(|owners| owners.settle(id, &owner)),
                None => Ok(()),
            }
        })
        .await
    }

    /// Puts the new version into the engine.
    async fn enter(&self, before: &Before, package: SkillPackage, grant: Grant) -> Result<(), CoreError> {
        if before.loaded.is_some() {
            self.skills().replace(package, grant).await?;
        } else {
            self.skills().install(package, grant).await?;
        }
        Ok(())
    }

    /// Makes the staged version the installed one. When that fails, what the disk has says what is installed. Blocks.
    fn commit(&self, staged: Staged, skill: &SkillId, digest: &str) -> Result<(), CoreError> {
        let Err(error) = staged.commit(SystemClock.now_ms()) else {
            return Ok(());
        };
        let installed = self
            .home()
            .package_store()
            .and_then(|store| Ok(store.get(skill)?));
        match installed {
            Ok(Some(installed)) if installed.digest == digest => {
                tracing::warn!(%skill, %error, "it is installed, but may be the old version after a power cut");
                Ok(())
            }
            _ => Err(error.into()),
        }
    }

    /// Puts the version before back into the engine.
    async fn leave(&self, before: &Before, skill: &SkillId) {
        let back = match &before.loaded {
            Some((package, grant)) => self.skills().replace(package.clone(), grant.clone()).await,
            None => self.skills().remove(skill).await,
        };
        if let Err(error) = back {
            tracing::warn!(%skill, %error, "the version before does not run again");
        }
    }

    /// Changes who owns which data. Blocks.
    fn change_owners<T>(&self, change: impl FnOnce(&mut Owners) -> T) -> Result<T, CoreError> {
        let _changing = self.changing();
        let before = Owners::load(self.vault())?;
        let mut owners = before.clone();
        let outcome = change(&mut owners);
        if owners != before {
            owners.store(self.vault())?;
        }
        Ok(outcome)
    }

    /// Runs a step on a thread that may block.
    pub(crate) async fn blocking<T, F>(&self, step: F) -> Result<T, CoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> Result<T, CoreError> + Send + 'static,
    {
        let core = self.clone();
        tokio::task::spawn_blocking(move || step(&core)).await?
    }
}
