//! Skill packages from a registry: installed, updated and removed together with the user's consent.

use std::sync::Arc;

use openhuman_skills::registry::{HttpFetch, Offer, PackageStore, Plan, Registry, Source};
use openhuman_skills::{Clock as _, SkillError, SkillId, SkillPackage, SystemClock};

use crate::bridge::forget_credentials;
use crate::grants::Grants;
use crate::home::Home;
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

impl Core {
    /// Says what installing a package would mean, against what is installed: to be shown to the user before
    /// [`Core::install_skill`].
    ///
    /// # Errors
    /// When the installed packages cannot be read.
    pub async fn plan_skill(&self, package: SkillPackage, offer: Offer) -> Result<Plan, CoreError> {
        let store = self.home().package_store()?;
        Ok(tokio::task::spawn_blocking(move || store.plan(package, &offer)).await??)
    }

    /// Carries a plan out. An approved plan is also the user's consent to what the package asks for; one that needs no
    /// approval keeps the consent given to the version before. A running skill is replaced, and when the new version
    /// does not start, the old one runs again and stays installed. `start` starts a skill that was not there before.
    ///
    /// # Errors
    /// When the plan needs consent and has none, the package must not be installed, the disk fails, the skill lies in
    /// another directory already, or the new version does not start.
    pub async fn install_skill(&self, plan: Plan, start: bool) -> Result<SkillId, CoreError> {
        let store = self.home().package_store()?;
        let package = plan.package().clone();
        let id = package.manifest().id.clone();
        let installed = plan.installed().map(|installed| installed.digest.clone());
        let loaded = self
            .skill_snapshots()
            .iter()
            .any(|skill| skill.skill_id == id.as_str());
        if loaded && installed.is_none() {
            return Err(SkillError::AlreadyInstalled { skill: id }.into());
        }
        let mut grants = Grants::load(self.vault())?;
        if plan.is_approved() || installed.is_some_and(|digest| grants.is_bound_to(id.as_str(), &digest)) {
            let private = grants.private_hosts(id.as_str());
            grants.allow(&package, private);
        }
        let staged = tokio::task::spawn_blocking(move || store.stage(plan)).await??;
        let grant = grants.of(&package);
        if loaded {
            self.skills().replace(package, grant).await?;
        } else {
            self.skills().install(package, grant).await?;
        }
        let now = SystemClock.now_ms();
        tokio::task::spawn_blocking(move || staged.commit(now)).await??;
        // Read again: another consent may have been given or taken back meanwhile.
        let mut stored = Grants::load(self.vault())?;
        stored.adopt(id.as_str(), &grants);
        stored.store(self.vault())?;
        if start && !loaded {
            self.skills().start(&id).await?;
        }
        Ok(id)
    }

    /// Stops and removes an installed skill and takes its permissions back; whether there was one. Its database stays.
    ///
    /// # Errors
    /// When the disk fails or the vault cannot be written.
    pub async fn remove_skill(&self, skill: &SkillId) -> Result<bool, CoreError> {
        let store = self.home().package_store()?;
        let id = skill.clone();
        let removed = tokio::task::spawn_blocking(move || store.uninstall(&id)).await??;
        if removed {
            match self.skills().remove(skill).await {
                Ok(()) | Err(SkillError::Unknown { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            self.revoke_skill(skill.as_str())?;
            // Another publisher's skill of this name must not find them.
            forget_credentials(self.vault(), skill)?;
        }
        Ok(removed)
    }
}
