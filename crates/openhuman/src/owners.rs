//! Whose data lies under a skill's id: another publisher's skill of the same id must not find it.
//!
//! The data of a skill (its database, files, published state, schedules and credentials) lies in a *place*, which is
//! named after the id. Whoever made the package owns the place: the holder of the signing key, exactly this package
//! when nobody signed it, or the user for packages in a directory of their own. A package of another owner gets a place
//! of its own, so nothing is inherited and nothing is lost: who comes back finds what was left.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use openhuman_skills::registry::{Installed, Trust};
use openhuman_skills::{PublicKey, SkillId, SkillPackage};
use openhuman_vault::Vault;
use serde::{Deserialize, Serialize};

use crate::CoreError;

/// The vault secret that holds the owners.
const SECRET: &str = "skill-owners";

/// Who made a package, as text: never another owner's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner(String);

impl Owner {
    /// The publisher of a package from a registry.
    pub(crate) fn of(package: &SkillPackage) -> Self {
        match package.signature() {
            Some(signature) => Self::signed(&signature.key()),
            None => Self::unsigned(package.digest()),
        }
    }

    /// The publisher of an installed version.
    pub(crate) fn of_installed(installed: &Installed) -> Self {
        match &installed.trust {
            Trust::Key { key } => Self::signed(key),
            _ => Self::unsigned(&installed.digest),
        }
    }

    /// The holder of a key.
    fn signed(key: &PublicKey) -> Self {
        Self(format!("key:{key}"))
    }

    /// Nobody but this very package.
    fn unsigned(digest: &str) -> Self {
        Self(format!("package:{digest}"))
    }

    /// The user, for a package that lies in a directory.
    pub(crate) fn local() -> Self {
        Self("local".to_owned())
    }

    /// Whoever left data behind before owners were noted.
    fn unknown() -> Self {
        Self("unknown".to_owned())
    }
}

/// One place and who may use it: more than one while an update is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    owners: Vec<Owner>,
    name: String,
}

/// The owners of every place, as the vault keeps them.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owners(BTreeMap<String, Vec<Place>>);

impl Owners {
    pub(crate) fn load(vault: &Vault) -> Result<Self, CoreError> {
        match vault.secret(SECRET)? {
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| CoreError::Owners(error.to_string()))
            }
            None => Ok(Self::default()),
        }
    }

    pub(crate) fn store(&self, vault: &Vault) -> Result<(), CoreError> {
        let bytes = serde_json::to_vec(self).map_err(|error| CoreError::Owners(error.to_string()))?;
        Ok(vault.set_secret(SECRET, &bytes)?)
    }

    /// The place of this owner's data, made if there is none. `left_behind` says that there is data under the id of
    /// which nobody knows whose it is.
    pub(crate) fn claim(&mut self, skill: &SkillId, owner: &Owner, left_behind: bool) -> String {
        let places = self.0.entry(skill.to_string()).or_default();
        if let Some(place) = places.iter().find(|place| place.owners.contains(owner)) {
            return place.name.clone();
        }
        if places.is_empty() && left_behind {
            places.push(Place {
                owners: vec![Owner::unknown()],
                name: skill.to_string(),
            });
        }
        let name = (1..)
            .map(|number| match number {
                1 => skill.to_string(),
                // An id has no dot, so no skill has this name.
                _ => format!("{skill}.{number}"),
            })
            .find(|name| places.iter().all(|place| place.name != *name))
            .unwrap_or_else(|| skill.to_string());
        places.push(Place {
            owners: vec![owner.clone()],
            name: name.clone(),
        });
        name
    }

    /// Lets a new owner, whom the user accepted, use the place of the old one too.
    pub(crate) fn share(&mut self, skill: &SkillId, from: &Owner, to: &Owner) {
        self.claim(skill, from, false);
        self.withdraw(skill, to, from);
        let places = self.0.entry(skill.to_string()).or_default();
        if let Some(place) = places.iter_mut().find(|place| place.owners.contains(from))
            && !place.owners.contains(to)
        {
            place.owners.push(to.clone());
        }
    }

    /// Takes the right to a place back from `owner`, where `keeps` has none.
    fn withdraw(&mut self, skill: &SkillId, owner: &Owner, keeps: &Owner) {
        let places = self.0.entry(skill.to_string()).or_default();
        for place in places.iter_mut().filter(|place| !place.owners.contains(keeps)) {
            place.owners.retain(|known| known != owner);
        }
    }

    /// Ends the sharing: only `owner` keeps its place.
    pub(crate) fn settle(&mut self, skill: &SkillId, owner: &Owner) {
        let places = self.0.entry(skill.to_string()).or_default();
        if let Some(place) = places.iter_mut().find(|place| place.owners.contains(owner)) {
            place.owners.retain(|known| known == owner);
        }
    }
}

/// The place of each loaded skill: the name of its directory below `skills_data`, and of its credentials.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(Arc<RwLock<HashMap<SkillId, String>>>);

impl Places {
    pub(crate) fn set(&self, skill: &SkillId, name: String) {
        let mut places = self.0.write().unwrap_or_else(PoisonError::into_inner);
        places.insert(skill.clone(), name);
    }

    /// The place of a skill: its id unless it was given another one.
    pub(crate) fn of(&self, skill: &SkillId) -> String {
        let places = self.0.read().unwrap_or_else(PoisonError::into_inner);
        places.get(skill).cloned().unwrap_or_else(|| skill.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> Owner {
        Owner(name.to_owned())
    }

    #[test]
    fn each_owner_has_a_place_and_finds_it_again() {
        let (id, mut owners) = ("notes".parse::<SkillId>().unwrap(), Owners::default());
        assert_eq!(
            owners.claim(&id, &owner("one"), true),
            "notes.2",
            "what lies there is nobody's"
        );
        assert_eq!(owners.claim(&id, &owner("two"), true), "notes.3");
        assert_eq!(owners.claim(&id, &owner("one"), true), "notes.2");
        let other = "mail".parse().unwrap();
        assert_eq!(owners.claim(&other, &owner("one"), false), "mail");
        assert_eq!(owners.claim(&other, &owner("two"), false), "mail.2");
    }

    #[test]
    fn an_update_the_user_accepted_keeps_the_data_and_ends_the_old_owners_right() {
        let (id, mut owners) = ("notes".parse::<SkillId>().unwrap(), Owners::default());
        owners.claim(&id, &owner("one"), false);
        owners.claim(&id, &owner("two"), false);
        owners.share(&id, &owner("one"), &owner("two"));
        // A crash here finds the data with either version.
        assert_eq!(owners.claim(&id, &owner("one"), true), "notes");
        assert_eq!(owners.claim(&id, &owner("two"), true), "notes");
        owners.settle(&id, &owner("two"));
        assert_eq!(owners.claim(&id, &owner("two"), true), "notes");
        assert_ne!(owners.claim(&id, &owner("one"), true), "notes");
    }
}
