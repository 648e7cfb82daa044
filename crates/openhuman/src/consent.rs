//! The user's decisions about a skill that is loaded: they hold at once, also while it runs.

use openhuman_skills::{Grant, SkillId, SkillPackage};

use crate::grants::Grants;
use crate::{Core, CoreError};

impl Core {
    /// The package that a loaded skill came from.
    ///
    /// # Errors
    /// When the skill is gone.
    pub fn package(&self, skill: &SkillId) -> Result<SkillPackage, CoreError> {
        self.skills().package(skill).ok_or_else(|| CoreError::NotFound {
            what: "the package of the skill",
            name: skill.to_string(),
            hint: "it was removed in the meantime".to_owned(),
        })
    }

    /// Consents to what the package asks for, beside the hosts that the user added before. Holds at once, for exactly
    /// this package. Blocks on the disk.
    ///
    /// # Errors
    /// When the vault cannot be written or the skill is gone.
    pub fn consent_to(&self, skill: &SkillId, package: &SkillPackage) -> Result<(), CoreError> {
        let private = self.private_hosts(skill.as_str())?;
        let hosts = self.added_hosts(skill.as_str())?;
        self.allow_skill_with(package, private, hosts)?;
        self.apply_consent(skill)
    }

    /// Takes a consent back, at once. Blocks on the disk.
    ///
    /// # Errors
    /// When the vault cannot be written or the skill is gone.
    pub fn withdraw_consent(&self, skill: &SkillId) -> Result<(), CoreError> {
        self.revoke_skill(skill.as_str())?;
        self.apply_consent(skill)
    }

    /// Lets a skill reach one more host: a public one over https, or with a port exactly that address of this machine
    /// or network. Holds at once, for this version of the package. Blocks on the disk.
    ///
    /// # Errors
    /// When `host` is none, the user has not consented to what the skill asks for, or the vault cannot be written.
    pub fn allow_host(&self, skill: &SkillId, host: &str, port: Option<u16>) -> Result<(), CoreError> {
        let package = self.package(skill)?;
        let asks = !Grant::none()
            .difference(&Grant::from_manifest(package.manifest()))
            .is_empty();
        if asks && !self.is_allowed(&package)? {
            return Err(CoreError::Setting {
                setting: "the host",
                reason: format!("'{skill}' was not allowed what it asks for; decide that first"),
            });
        }
        let mut private = self.private_hosts(skill.as_str())?;
        let mut hosts = self.added_hosts(skill.as_str())?;
        match port {
            Some(port) => add(&mut private, (checked(host, false)?, port)),
            None => add(&mut hosts, checked(host, true)?),
        }
        self.allow_skill_with(&package, private, hosts)?;
        self.apply_consent(skill)
    }

    /// Takes a host back that the user added, at once. Blocks on the disk.
    ///
    /// # Errors
    /// When the user did not add it, or the vault cannot be written.
    pub fn forget_host(&self, skill: &SkillId, host: &str, port: Option<u16>) -> Result<(), CoreError> {
        let package = self.package(skill)?;
        let mut private = self.private_hosts(skill.as_str())?;
        let mut hosts = self.added_hosts(skill.as_str())?;
        let before = (private.len(), hosts.len());
        match port {
            Some(port) => private.retain(|known| *known != (host.to_owned(), port)),
            None => hosts.retain(|known| known != host),
        }
        if before == (private.len(), hosts.len()) {
            return Err(CoreError::NotFound {
                what: "the added host",
                name: host.to_owned(),
                hint: format!("what '{skill}' asks for itself is taken back as a whole"),
            });
        }
        if self.is_allowed(&package)? {
            self.allow_skill_with(&package, private, hosts)?;
        }
        self.apply_consent(skill)
    }

    /// Lets the engine decide by what is stored now.
    fn apply_consent(&self, skill: &SkillId) -> Result<(), CoreError> {
        let grant = Grants::load(self.vault())?.of(&self.package(skill)?);
        Ok(self.skills().set_grant(skill, grant)?)
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// A host name as it is kept. A public one is a name with letters, or a pattern `*.name`.
fn checked(host: &str, public: bool) -> Result<String, CoreError> {
    let host = host.trim().to_ascii_lowercase();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = bare.strip_prefix("*.").unwrap_or(bare);
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | ':');
    let fits = !name.is_empty() && name.len() <= 253 && name.chars().all(plain);
    let is_name = name.contains(|c: char| c.is_alphabetic()) && !name.contains(':') && name.contains('.');
    match public {
        true if fits && is_name => Ok(host),
        false if fits && bare == name => Ok(bare.to_owned()),
        true => Err(CoreError::Setting {
            setting: "the host",
            reason: format!(
                "'{host}' is no public host such as api.example.com; an address of your own network needs its port"
            ),
        }),
        false => Err(CoreError::Setting {
            setting: "the host",
            reason: format!("'{host}' is no host; write a name or an address, and the port beside it"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_and_an_address_of_the_own_network_has_a_port() {
        for good in ["api.example.com", "*.Example.com", "bücher.example"] {
            assert_eq!(checked(good, true).unwrap(), good.to_ascii_lowercase());
        }
        for bad in [
            "",
            "127.0.0.1",
            "::1",
            "https://a.org",
            "a.org/x",
            "localhost",
            "a b.org",
            "*",
            "*.",
        ] {
            assert!(checked(bad, true).is_err(), "{bad}");
        }
        for (given, kept) in [
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "::1"),
            ("nas.local", "nas.local"),
        ] {
            assert_eq!(checked(given, false).unwrap(), kept);
        }
        for bad in ["", "*.local", "http://nas", "nas/x"] {
            assert!(checked(bad, false).is_err(), "{bad}");
        }
    }
}
