//! Whether a package may be installed, as a pure decision.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Installed, VersionChange};
use crate::{PublicKey, SkillId, SkillPackage};

/// Whom the next version of an installed package is trusted to come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Trust {
    /// From the holder of this key, first seen when the skill was installed.
    Key {
        /// The key.
        key: PublicKey,
    },
    /// From nobody: the package is not signed, so each change is put before the user.
    Hash,
}

/// What a registry says about a package before it is downloaded. The default says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The skill it is.
    pub id: Option<SkillId>,
    /// Its version.
    pub version: Option<String>,
    /// The SHA-256 of its script, in hexadecimal.
    pub checksum_sha256: Option<String>,
    /// Where it comes from, for people.
    pub source: Option<String>,
}

/// What is to be done with a package.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// It comes from where the installed one came from, or is the installed one.
    Install,
    /// It is signed with a key not seen before for this skill; from now on the key is pinned.
    AskFirstUse {
        /// The key.
        key: PublicKey,
    },
    /// It is signed, but with another key than the installed one.
    AskKeyChange {
        /// The pinned key.
        old: PublicKey,
        /// The key of the offered package.
        new: PublicKey,
    },
    /// Nobody signed it; it is pinned by its hash.
    AskUnsigned {
        /// Its digest.
        digest: String,
        /// The digest of the installed package, if there is one.
        previous: Option<String>,
    },
    /// It must not be installed.
    Refuse {
        /// Why.
        reason: Refusal,
    },
}

/// Why a package must not be installed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The installed package is signed, this one is not.
    #[error(
        "the installed version is signed with the key {key}, this one is not signed; remove the skill first if that is meant"
    )]
    SignatureDropped {
        /// The fingerprint of the pinned key.
        key: String,
    },
    /// The script is not the one the registry describes.
    #[error(
        "the registry says its script has the SHA-256 {expected}, but it has {found}; the download is damaged or was changed"
    )]
    Checksum {
        /// What the registry says.
        expected: String,
        /// What was downloaded.
        found: String,
    },
    /// The package is another skill than asked for.
    #[error("`{expected}` was asked for, but the package is `{found}`")]
    OtherSkill {
        /// What was asked for.
        expected: SkillId,
        /// What the package says it is.
        found: SkillId,
    },
    /// The package has another version than the registry says.
    #[error("the registry offers version {expected}, but the package is version {found}; try again later")]
    OtherVersion {
        /// What the registry says.
        expected: String,
        /// What the package says.
        found: String,
    },
}

impl fmt::Display for Decision {
    /// A line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Install => f.write_str("comes from the publisher of the installed version"),
            Self::AskFirstUse { key } => write!(
                f,
                "is signed with the key {}, which was not seen before; from now on only this key is accepted",
                key.fingerprint()
            ),
            Self::AskKeyChange { old, new } => write!(
                f,
                "is signed with the key {} instead of {}; ask its publisher whether the key changed",
                new.fingerprint(),
                old.fingerprint()
            ),
            Self::AskUnsigned { previous: None, .. } => {
                f.write_str("is not signed; it is pinned by its hash, and every update asks again")
            }
            Self::AskUnsigned { .. } => f.write_str("is not signed, and it changed"),
            Self::Refuse { reason } => write!(f, "cannot be installed: {reason}"),
        }
    }
}

/// Decides about a package: pure, from what is installed, the package, and what the registry said about it.
#[must_use]
pub fn decide(installed: Option<&Installed>, package: &SkillPackage, offer: &Offer) -> Decision {
    if let Some(reason) = contradiction(package, offer) {
        return Decision::Refuse { reason };
    }
    let key = package.signature().map(crate::Signature::key);
    let unsigned = |previous: Option<&Installed>| Decision::AskUnsigned {
        digest: package.digest().to_owned(),
        previous: previous.map(|installed| installed.digest.clone()),
    };
    match (installed.map(|installed| (installed, &installed.trust)), key) {
        (Some((_, Trust::Key { key: pinned })), Some(key)) if *pinned == key => Decision::Install,
        (Some((_, Trust::Key { key: pinned })), Some(key)) => Decision::AskKeyChange {
            old: *pinned,
            new: key,
        },
        (Some((_, Trust::Key { key: pinned })), None) => Decision::Refuse {
            reason: Refusal::SignatureDropped {
                key: pinned.fingerprint(),
            },
        },
        (_, Some(key)) => Decision::AskFirstUse { key },
        (Some((installed, Trust::Hash)), None) if installed.digest == package.digest() => Decision::Install,
        (Some((installed, Trust::Hash)), None) => unsigned(Some(installed)),
        (None, None) => unsigned(None),
    }
}

/// What the registry said that is not so.
fn contradiction(package: &SkillPackage, offer: &Offer) -> Option<Refusal> {
    let manifest = package.manifest();
    if let Some(expected) = &offer.id
        && *expected != manifest.id
    {
        return Some(Refusal::OtherSkill {
            expected: expected.clone(),
            found: manifest.id.clone(),
        });
    }
    if let (Some(expected), Some(found)) = (&offer.version, &manifest.version)
        && VersionChange::of(Some(expected), Some(found)) != VersionChange::Same
    {
        return Some(Refusal::OtherVersion {
            expected: expected.clone(),
            found: found.clone(),
        });
    }
    let expected = offer.checksum_sha256.as_deref()?.trim().to_ascii_lowercase();
    let mut hashes = package.hashes();
    let (_, hash) = hashes.find(|(path, _)| *path == manifest.entry)?;
    (hash.sha256 != expected).then_some(Refusal::Checksum {
        expected,
        found: hash.sha256,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    fn package(version: &str) -> SkillPackage {
        let manifest = format!(r#"{{"id":"a","name":"A","version":"{version}"}}"#);
        SkillPackage::from_parts(&manifest, "1".into()).unwrap()
    }

    fn installed(package: &SkillPackage) -> Installed {
        Installed::of(package, &Offer::default(), "a/x".to_owned(), 0)
    }

    #[test]
    fn the_first_signed_package_pins_its_key() {
        let (one, two) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let offer = Offer::default();
        let first = package("1.0.0").signed(&one);
        assert_eq!(
            decide(None, &first, &offer),
            Decision::AskFirstUse { key: one.public() }
        );
        let pinned = installed(&first);
        let update = package("1.1.0");
        assert_eq!(
            decide(Some(&pinned), &update.signed(&one), &offer),
            Decision::Install
        );
        assert_eq!(
            decide(Some(&pinned), &update.signed(&two), &offer),
            Decision::AskKeyChange {
                old: one.public(),
                new: two.public()
            }
        );
        assert!(matches!(
            decide(Some(&pinned), &update, &offer),
            Decision::Refuse {
                reason: Refusal::SignatureDropped { .. }
            }
        ));
    }

    #[test]
    fn an_unsigned_package_is_pinned_by_its_hash() {
        let (first, offer) = (package("1.0.0"), Offer::default());
        assert!(matches!(
            decide(None, &first, &offer),
            Decision::AskUnsigned { previous: None, .. }
        ));
        let pinned = installed(&first);
        assert_eq!(decide(Some(&pinned), &first, &offer), Decision::Install);
        assert_eq!(
            decide(Some(&pinned), &package("1.1.0"), &offer),
            Decision::AskUnsigned {
                digest: package("1.1.0").digest().to_owned(),
                previous: Some(first.digest().to_owned())
            }
        );
        let key = SigningKey::from_seed(&[1; 32]);
        assert!(matches!(
            decide(Some(&pinned), &first.signed(&key), &offer),
            Decision::AskFirstUse { .. }
        ));
    }

    #[test]
    fn what_the_registry_said_must_be_so() {
        let package = package("1.0.0");
        let script = package
            .hashes()
            .find(|(path, _)| *path == "index.js")
            .unwrap()
            .1
            .sha256;
        let offer = |id: &str, version: &str, checksum: &str| Offer {
            id: Some(SkillId::new(id).unwrap()),
            version: Some(version.to_owned()),
            checksum_sha256: Some(checksum.to_owned()),
            source: None,
        };
        let good = offer("a", "1.0.0", &script.to_uppercase());
        assert!(matches!(
            decide(None, &package, &good),
            Decision::AskUnsigned { .. }
        ));
        for bad in [
            offer("b", "1.0.0", &script),
            offer("a", "1.0.1", &script),
            offer("a", "1.0.0", &"0".repeat(64)),
            offer("a", "1.0.0", ""),
        ] {
            assert!(
                matches!(decide(None, &package, &bad), Decision::Refuse { .. }),
                "{bad:?}"
            );
        }
    }
}
