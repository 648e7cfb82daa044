//! What the user allowed each skill, kept sealed in the vault and bound to the package's digest.

use std::collections::BTreeMap;

use openhuman_skills::{Grant, SkillPackage};
use openhuman_vault::Vault;
use serde::{Deserialize, Serialize};

use crate::{Core, CoreError};

/// The vault secret that holds the grants.
const SECRET: &str = "skill-grants";

/// The consent to a skill: to these very packages (two while an update is under way), with these private hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Consent {
    digest: String,
    /// The new version's, until it is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(default)]
    private: Vec<(String, u16)>,
    /// Public hosts the user added to what the manifest asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<String>,
}

impl Consent {
    fn covers(&self, digest: &str) -> bool {
        self.digest == digest || self.next.as_deref() == Some(digest)
    }
}

/// The user's consents. A skill without one runs with no permission at all.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grants(BTreeMap<String, Consent>);

impl Grants {
    pub(crate) fn load(vault: &Vault) -> Result<Self, CoreError> {
        match vault.secret(SECRET)? {
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| CoreError::Grants(error.to_string()))
            }
            None => Ok(Self::default()),
        }
    }

    fn store(&self, vault: &Vault) -> Result<(), CoreError> {
        let bytes = serde_json::to_vec(self).map_err(|error| CoreError::Grants(error.to_string()))?;
        Ok(vault.set_secret(SECRET, &bytes)?)
    }

    /// Consents to what the package asks for, and to the private or loopback hosts named.
    fn allow(&mut self, package: &SkillPackage, private: Vec<(String, u16)>, hosts: Vec<String>) {
        let consent = Consent {
            digest: package.digest().to_owned(),
            next: None,
            private,
            hosts,
        };
        self.0.insert(package.manifest().id.to_string(), consent);
    }

    /// Consents to a package that is about to be installed, beside `old`, the installed one if that has a consent,
    /// whose private hosts it takes over.
    pub(crate) fn add(&mut self, package: &SkillPackage, old: Option<&str>) {
        let consent = self.0.get_mut(package.manifest().id.as_str());
        match (consent, old) {
            (Some(consent), Some(old)) if consent.covers(old) => {
                old.clone_into(&mut consent.digest);
                consent.next = Some(package.digest().to_owned()).filter(|digest| digest != old);
            }
            _ => self.allow(package, Vec::new(), Vec::new()),
        }
    }

    /// The new version is installed: only its consent stays, unless it was taken back meanwhile.
    pub(crate) fn settle(&mut self, skill: &str, digest: &str) {
        if let Some(consent) = self.0.get_mut(skill)
            && consent.next.as_deref() == Some(digest)
        {
            digest.clone_into(&mut consent.digest);
            consent.next = None;
        }
    }

    /// The new version was not installed: only the consent to the one before stays.
    pub(crate) fn withdraw(&mut self, skill: &str, digest: &str) {
        match self.0.get_mut(skill) {
            Some(consent) if consent.next.as_deref() == Some(digest) => consent.next = None,
            Some(consent) if consent.digest == digest && consent.next.is_none() => drop(self.0.remove(skill)),
            _ => {}
        }
    }

    /// Takes the consent back; whether there was one.
    fn revoke(&mut self, skill: &str) -> bool {
        self.0.remove(skill).is_some()
    }

    /// Whether there is a consent to this very package.
    fn has(&self, package: &SkillPackage) -> bool {
        self.is_bound_to(package.manifest().id.as_str(), package.digest())
    }

    /// Whether the consent to a skill is bound to this digest.
    pub(crate) fn is_bound_to(&self, skill: &str, digest: &str) -> bool {
        self.0.get(skill).is_some_and(|consent| consent.covers(digest))
    }

    /// Whether there is a consent to any version of a skill.
    pub(crate) fn knows(&self, skill: &str) -> bool {
        self.0.contains_key(skill)
    }

    /// The private hosts granted to a skill.
    pub(crate) fn private_hosts(&self, skill: &str) -> Vec<(String, u16)> {
        self.0
            .get(skill)
            .map(|consent| consent.private.clone())
            .unwrap_or_default()
    }

    /// The public hosts the user added for a skill.
    pub(crate) fn hosts(&self, skill: &str) -> Vec<String> {
        self.0
            .get(skill)
            .map(|consent| consent.hosts.clone())
            .unwrap_or_default()
    }

    /// What the package may do now. A package that changed since the consent has nothing until it is asked again.
    pub(crate) fn of(&self, package: &SkillPackage) -> Grant {
        match self.0.get(package.manifest().id.as_str()) {
            Some(consent) if consent.covers(package.digest()) => {
                let mut grant = Grant::from_manifest(package.manifest());
                for (host, port) in &consent.private {
                    grant.allow_private(host, *port);
                }
                for host in &consent.hosts {
                    grant.allow_host(host.as_str());
                }
                grant
            }
            Some(_) => {
                tracing::warn!(skill = %package.manifest().id, "the package changed since it was allowed: allow it again");
                Grant::none()
            }
            None => Grant::none(),
        }
    }
}

impl Core {
    /// Remembers the user's consent to what a package asks for, plus the `private` or loopback hosts named, sealed in
    /// the vault. It holds for exactly this package: a changed one asks again. Takes effect when the skill is loaded.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// When the vault cannot be written.
    pub fn allow_skill(&self, package: &SkillPackage, private: Vec<(String, u16)>) -> Result<(), CoreError> {
        self.allow_skill_with(package, private, Vec::new())
    }

    /// As [`Core::allow_skill`], plus public `hosts` that the manifest does not name, over https: a skill from before
    /// permissions existed may ask its user for an address.
    ///
    /// # Errors
    /// When the vault cannot be written.
    pub fn allow_skill_with(
        &self,
        package: &SkillPackage,
        private: Vec<(String, u16)>,
        hosts: Vec<String>,
    ) -> Result<(), CoreError> {
        self.change_grants(|grants| grants.allow(package, private, hosts))
    }

    /// The public hosts that the user added to what a skill asks for, with whatever version of its package. Blocks on
    /// the disk.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn added_hosts(&self, skill: &str) -> Result<Vec<String>, CoreError> {
        Ok(Grants::load(self.vault())?.hosts(skill))
    }

    /// Whether the user consented to this very package. Blocks on the disk.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn is_allowed(&self, package: &SkillPackage) -> Result<bool, CoreError> {
        Ok(Grants::load(self.vault())?.has(package))
    }

    /// The private and loopback addresses that the user granted a skill, with whatever version of its package. Blocks
    /// on the disk.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn private_hosts(&self, skill: &str) -> Result<Vec<(String, u16)>, CoreError> {
        Ok(Grants::load(self.vault())?.private_hosts(skill))
    }

    /// Takes a consent back; whether there was one. Blocks on the disk.
    ///
    /// # Errors
    /// When the vault cannot be read or written.
    pub fn revoke_skill(&self, skill: &str) -> Result<bool, CoreError> {
        self.change_grants(|grants| grants.revoke(skill))
    }

    /// Changes the consents, one change at a time. Blocks on the disk.
    pub(crate) fn change_grants<T>(&self, change: impl FnOnce(&mut Grants) -> T) -> Result<T, CoreError> {
        let _changing = self.changing();
        let before = Grants::load(self.vault())?;
        let mut grants = before.clone();
        let outcome = change(&mut grants);
        if grants != before {
            grants.store(self.vault())?;
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(version: &str) -> SkillPackage {
        let manifest = format!(
            r#"{{"id":"a","name":"A","version":"{version}","permissions":{{"net":[{{"host":"a.org"}}]}}}}"#
        );
        SkillPackage::from_parts(&manifest, "1".into()).unwrap()
    }

    #[test]
    fn an_update_has_its_consent_before_it_is_installed_and_the_old_version_until_it_is() {
        let (one, two) = (package("1"), package("2"));
        let mut grants = Grants::default();
        grants.allow(&one, vec![("127.0.0.1".to_owned(), 8080)], Vec::new());
        grants.add(&two, Some(one.digest()));
        // A crash here finds a consent with either version.
        assert!(grants.has(&one) && grants.has(&two));
        let mut failed = grants.clone();
        failed.withdraw("a", two.digest());
        assert!(failed.has(&one) && !failed.has(&two));
        grants.settle("a", two.digest());
        assert!(!grants.has(&one) && grants.has(&two));
        assert_eq!(grants.private_hosts("a").len(), 1);
    }

    #[test]
    fn a_host_the_user_added_is_granted_and_stays_over_an_update() {
        let (one, two) = (package("1"), package("2"));
        let mut grants = Grants::default();
        grants.allow(&one, Vec::new(), vec!["b.org".to_owned()]);
        let added = Grant::from_manifest(one.manifest()).difference(&grants.of(&one));
        assert_eq!(added.to_string(), "+ reach b.org");
        grants.add(&two, Some(one.digest()));
        grants.settle("a", two.digest());
        assert_eq!(grants.hosts("a"), ["b.org"]);
    }

    #[test]
    fn a_consent_that_is_taken_back_meanwhile_stays_away() {
        let (one, two) = (package("1"), package("2"));
        let mut grants = Grants::default();
        grants.allow(&one, Vec::new(), Vec::new());
        grants.add(&two, Some(one.digest()));
        grants.revoke("a");
        grants.settle("a", two.digest());
        assert!(!grants.has(&one) && !grants.has(&two));
    }

    #[test]
    fn a_skill_installed_anew_has_no_private_host_of_another() {
        let mut grants = Grants::default();
        grants.allow(&package("1"), vec![("127.0.0.1".to_owned(), 8080)], Vec::new());
        grants.add(&package("2"), None);
        assert!(grants.private_hosts("a").is_empty() && grants.hosts("a").is_empty());
        grants.withdraw("a", package("2").digest());
        assert!(!grants.has(&package("2")));
    }
}
