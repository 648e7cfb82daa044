//! Replacing a skill by another version of itself.

use std::sync::{Arc, PoisonError};

use super::Engine;
use crate::manifest::platform_name;
use crate::skill::Skill;
use crate::{Grant, SkillError, SkillId, SkillPackage, SkillStatus};

impl Engine {
    /// Replaces an installed skill by another version. A running skill is stopped, and the new version is started in
    /// its place, with the same database; if it does not start, the old version comes back and is started again. A
    /// skill that does not run is replaced without a start. Calls in between find the skill not running. Goes on when
    /// the future is dropped.
    ///
    /// # Errors
    /// [`SkillError::Unknown`] when no version is installed, [`SkillError::UnsupportedPlatform`] when the new one
    /// cannot run here, and [`SkillError::Update`] when it did not start.
    pub async fn replace(&self, package: SkillPackage, grant: Grant) -> Result<(), SkillError> {
        let manifest = package.manifest();
        let id = manifest.id.clone();
        if !manifest.supports_this_platform() {
            return Err(SkillError::UnsupportedPlatform {
                skill: id,
                platform: platform_name(),
            });
        }
        let new = Arc::new(Skill::new(package, grant));
        self.detached(
            &id,
            |engine, old| async move { engine.replace_now(&old, &new).await },
        )
        .await
    }

    /// The package of an installed skill.
    #[must_use]
    pub fn package(&self, skill: &SkillId) -> Option<SkillPackage> {
        self.find(skill).map(|found| found.package.clone())
    }

    async fn replace_now(&self, old: &Arc<Skill>, new: &Arc<Skill>) -> Result<(), SkillError> {
        // Nobody else may start or stop either of them.
        let _new = new.lifecycle.lock().await;
        let _old = old.lifecycle.lock().await;
        if !self.swap(old, new) {
            return Err(SkillError::Unknown {
                skill: old.id.clone(),
            });
        }
        let was_running = old.view().status == SkillStatus::Running;
        self.end(old).await?;
        if let Err(error) = self.restore_setup(&new.id).await {
            tracing::warn!(skill = %new.id, %error, "its preference counts as unset");
        }
        if !was_running {
            self.0.shared.changed();
            return Ok(());
        }
        let Err(error) = self.start_locked(new).await else {
            return Ok(());
        };
        tracing::warn!(skill = %new.id, %error, "the new version does not start: the old one comes back");
        if !self.swap(new, old) {
            // It was removed meanwhile.
            return Err(error);
        }
        let restart = self.start_locked(old).await.err().map(Box::new);
        Err(SkillError::Update {
            skill: new.id.clone(),
            new: Box::new(error),
            old: restart,
        })
    }

    /// Stops a skill; one that had to be stopped by force is stopped.
    async fn end(&self, skill: &Arc<Skill>) -> Result<(), SkillError> {
        match self.stop_locked(skill).await {
            Ok(()) | Err(SkillError::TimedOut { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Puts `new` where `old` is; whether it was there.
    fn swap(&self, old: &Arc<Skill>, new: &Arc<Skill>) -> bool {
        let mut skills = self.0.skills.write().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = skills.get_mut(&old.id) else {
            return false;
        };
        let held = Arc::ptr_eq(place, old);
        if held {
            *place = Arc::clone(new);
        }
        held
    }
}
