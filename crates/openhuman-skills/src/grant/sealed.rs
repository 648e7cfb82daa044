//! Grants bound to the content they were given for.

use serde::{Deserialize, Serialize};

use super::{Grant, GrantDiff};

/// A grant together with the digest of the package the user gave it for. Any other content gets nothing from it.
///
/// A host stores this (it is serde data without secrets), opens it when it installs the package, and calls
/// [`SealedGrant::rebind`] when the package is updated.
///
/// ```
/// use openhuman_skills::{Grant, SealedGrant};
/// let mut grant = Grant::none();
/// grant.allow_host("api.example.com");
/// let sealed = SealedGrant::new("digest-1", grant.clone());
/// assert!(sealed.open("digest-1").is_some() && sealed.open("digest-2").is_none());
///
/// // An update that wants no more keeps what the user allowed; one that wants more must ask.
/// let sealed = sealed.rebind("digest-2", &grant).unwrap();
/// grant.allow_host("other.example.com");
/// let consent = sealed.rebind("digest-3", &grant).unwrap_err();
/// assert_eq!(consent.difference().to_string(), "+ reach other.example.com");
/// let sealed = consent.give();
/// assert!(sealed.open("digest-3").is_some());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedGrant {
    digest: String,
    grant: Grant,
}

impl SealedGrant {
    /// Binds a grant, which the user has seen and allowed, to the digest of the package
    /// ([`SkillPackage::digest`](crate::SkillPackage::digest)).
    #[must_use]
    pub fn new(digest: &str, grant: Grant) -> Self {
        let digest = digest.to_owned();
        Self { digest, grant }
    }

    /// The digest it is bound to.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The grant, for the content it was given for only; `None` for any other.
    #[must_use]
    pub fn open(&self, digest: &str) -> Option<&Grant> {
        (self.digest == digest).then_some(&self.grant)
    }

    /// Binds what `wanted` asks for to the content of an update. The private hosts the user granted stay: no
    /// manifest asks for them.
    ///
    /// # Errors
    /// A [`Consent`] to put before the user when `wanted` goes beyond what is granted.
    pub fn rebind(&self, digest: &str, wanted: &Grant) -> Result<Self, Box<Consent>> {
        let mut wanted = wanted.clone();
        wanted.private.extend(self.grant.private.iter().cloned());
        let difference = self.grant.difference(&wanted);
        let sealed = Self::new(digest, wanted);
        if difference.is_wider() {
            return Err(Box::new(Consent { difference, sealed }));
        }
        Ok(sealed)
    }
}

/// A wider grant that waits for the user's decision. Dropping it refuses.
#[derive(Clone, Debug)]
#[must_use = "nothing changes until the user has decided"]
pub struct Consent {
    difference: GrantDiff,
    sealed: SealedGrant,
}

impl Consent {
    /// What would change; its text is made for people.
    #[must_use]
    pub fn difference(&self) -> &GrantDiff {
        &self.difference
    }

    /// The user has seen the difference and allows it.
    #[must_use]
    pub fn give(self) -> SealedGrant {
        self.sealed
    }
}
