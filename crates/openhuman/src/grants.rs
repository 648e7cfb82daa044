//! What the user allowed each skill, kept sealed in the vault and bound to the package's digest.

use std::collections::BTreeMap;

use openhuman_skills::{Grant, SkillPackage};
use openhuman_vault::Vault;
use serde::{Deserialize, Serialize};

use crate::CoreError;

/// The vault secret that holds the grants.
const SECRET: &str = "skill-grants";

/// One consent: to this very package, with these private hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Consent {
    digest: String,
    #[serde(default)]
    private: Vec<(String, u16)>,
}

/// The user's consents. A skill without one runs with no permission at all.
#[derive(Debug, Default, Serialize, Deserialize)]
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

    pub(crate) fn store(&self, vault: &Vault) -> Result<(), CoreError> {
        let bytes = serde_json::to_vec(self).map_err(|error| CoreError::Grants(error.to_string()))?;
        Ok(vault.set_secret(SECRET, &bytes)?)
    }

    /// Consents to what the package asks for, and to the private or loopback hosts named.
    pub(crate) fn allow(&mut self, package: &SkillPackage, private: Vec<(String, u16)>) {
        let consent = Consent {
            digest: package.digest().to_owned(),
            private,
        };
        self.0.insert(package.manifest().id.to_string(), consent);
    }

    /// Takes over what `other` says about one skill.
    pub(crate) fn adopt(&mut self, skill: &str, other: &Self) {
        match other.0.get(skill) {
            Some(consent) => drop(self.0.insert(skill.to_owned(), consent.clone())),
            None => drop(self.0.remove(skill)),
        }
    }

    /// Takes the consent back; whether there was one.
    pub(crate) fn revoke(&mut self, skill: &str) -> bool {
        self.0.remove(skill).is_some()
    }

    /// Whether there is a consent to this very package.
    pub(crate) fn covers(&self, package: &SkillPackage) -> bool {
        let consent = self.0.get(package.manifest().id.as_str());
        consent.is_some_and(|consent| consent.digest == package.digest())
    }

    /// Whether the consent to a skill is bound to this digest.
    pub(crate) fn is_bound_to(&self, skill: &str, digest: &str) -> bool {
        self.0.get(skill).is_some_and(|consent| consent.digest == digest)
    }

    /// The private hosts granted to a skill.
    pub(crate) fn private_hosts(&self, skill: &str) -> Vec<(String, u16)> {
        self.0
            .get(skill)
            .map(|consent| consent.private.clone())
            .unwrap_or_default()
    }

    /// What the package may do now. A package that changed since the consent has nothing until it is asked again.
    pub(crate) fn of(&self, package: &SkillPackage) -> Grant {
        match self.0.get(package.manifest().id.as_str()) {
            Some(consent) if consent.digest == package.digest() => {
                let mut grant = Grant::from_manifest(package.manifest());
                for (host, port) in &consent.private {
                    grant.allow_private(host, *port);
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
