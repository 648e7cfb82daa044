//! Publishers' signatures: Ed25519 over the digest of a package.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, VerifyingKey};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::files::{hex_sha256, is_sha256};

/// What stands before the digest in the text that is signed, so that a signature means nothing elsewhere.
const CONTEXT: &str = "openhuman-skill-signature 1\n";
/// What a key file begins with.
const KEY_FILE: &str = "openhuman-skill-key-1:";

/// A publisher's public key. Displays as base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// A text that is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is not an Ed25519 key for signing skills")]
pub struct InvalidKey;

impl PublicKey {
    /// A short name of the key for people: the first 16 hexadecimal digits of its SHA-256, in groups of four.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = hex_sha256(&self.0);
        [&digest[..4], &digest[4..8], &digest[8..12], &digest[12..16]].join("-")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let bytes = BASE64.decode(text).map_err(|_| InvalidKey)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| InvalidKey)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| InvalidKey)?;
        // Keys of small order accept signatures nobody made.
        if key.is_weak() {
            Err(InvalidKey)
        } else {
            Ok(Self(bytes))
        }
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A publisher's private key. Wiped when it is dropped; does not print.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of a seed: 32 random bytes from a cryptographic source.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The public part.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The key as the text of a key file. Whoever has it can publish in its owner's name.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut seed = self.0.to_bytes();
        let encoded = Zeroizing::new(BASE64.encode(seed));
        seed.zeroize();
        Zeroizing::new(format!("{KEY_FILE}{}\n", encoded.as_str()))
    }

    /// Reads the text of a key file.
    ///
    /// # Errors
    /// [`InvalidKey`] when it is not one.
    pub fn from_text(text: &str) -> Result<Self, InvalidKey> {
        let encoded = text.trim().strip_prefix(KEY_FILE).ok_or(InvalidKey)?;
        let bytes = Zeroizing::new(BASE64.decode(encoded).map_err(|_| InvalidKey)?);
        let seed: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| InvalidKey)?;
        Ok(Self::from_seed(seed))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.public())
    }
}

/// A publisher's signature of a package: the content of `signature.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    key: PublicKey,
    digest: String,
    bytes: [u8; 64],
}

/// Why a signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The file is not a signature of a known form.
    #[error("signature.json cannot be read: {reason}")]
    Format {
        /// What is wrong with it.
        reason: String,
    },
    /// The signature is for other files.
    #[error(
        "it is for the package {signed}, but the files make {found}; they were changed after signing: sign again, or delete signature.json"
    )]
    OtherPackage {
        /// The digest in the signature.
        signed: String,
        /// The digest of the files.
        found: String,
    },
    /// The signature was not made with the key it names.
    #[error("it was not made with the key {key}")]
    Forged {
        /// The fingerprint of the key.
        key: String,
    },
}

/// `signature.json` as it is written.
#[derive(Serialize, Deserialize)]
struct Raw {
    version: u32,
    algorithm: String,
    key_id: String,
    key: String,
    digest: String,
    signature: String,
}

impl Signature {
    /// Signs the digest of a package.
    pub(crate) fn sign(key: &SigningKey, digest: &str) -> Self {
        Self {
            key: key.public(),
            digest: digest.to_owned(),
            bytes: key.0.sign(message(digest).as_bytes()).to_bytes(),
        }
    }

    /// The key that made it.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Reads a `signature.json`. Whether the signature holds is another question.
    ///
    /// # Errors
    /// [`SignatureError::Format`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, SignatureError> {
        let format = |reason: &str| SignatureError::Format {
            reason: reason.to_owned(),
        };
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| format(&error.to_string()))?;
        if raw.version != 1 || raw.algorithm != "ed25519" {
            return Err(format("only version 1 with the algorithm `ed25519` is known"));
        }
        let key: PublicKey = raw
            .key
            .parse()
            .map_err(|_| format("`key` is not an Ed25519 public key"))?;
        if raw.key_id != key.fingerprint() {
            return Err(format("`key_id` is not the fingerprint of `key`"));
        }
        if !is_sha256(&raw.digest) {
            return Err(format("`digest` is not a SHA-256 in lower-case hexadecimal"));
        }
        let signature = BASE64.decode(&raw.signature).ok();
        let bytes = signature
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| format("`signature` is not 64 bytes in base64"))?;
        Ok(Self {
            key,
            digest: raw.digest,
            bytes,
        })
    }

    /// The text of `signature.json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let raw = Raw {
            version: 1,
            algorithm: "ed25519".to_owned(),
            key_id: self.key.fingerprint(),
            key: self.key.to_string(),
            digest: self.digest.clone(),
            signature: BASE64.encode(self.bytes),
        };
        serde_json::to_string_pretty(&raw).unwrap_or_default() + "\n"
    }

    /// Checks that it was made with its key, for this digest.
    ///
    /// # Errors
    /// [`SignatureError::OtherPackage`] or [`SignatureError::Forged`].
    pub fn verify(&self, digest: &str) -> Result<(), SignatureError> {
        if self.digest != digest {
            return Err(SignatureError::OtherPackage {
                signed: self.digest.clone(),
                found: digest.to_owned(),
            });
        }
        let forged = || SignatureError::Forged {
            key: self.key.fingerprint(),
        };
        let key = VerifyingKey::from_bytes(&self.key.0).map_err(|_| forged())?;
        let signature = ed25519_dalek::Signature::from_bytes(&self.bytes);
        key.verify_strict(message(digest).as_bytes(), &signature)
            .map_err(|_| forged())
    }
}

fn message(digest: &str) -> String {
    format!("{CONTEXT}{digest}\n")
}
