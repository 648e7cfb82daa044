//! Secrets on their way from one vault to another.
//!
//! `version(1) || "OHEXPRT" || salt(16) || memory in KiB(4) || passes(4) || lanes(4) || sealed || MAC(32)`. The MAC is
//! HMAC-SHA256 over everything before it and commits to the key, which Argon2id makes of a password. Sealed is, for
//! each secret, `length(2) || name || version(8) || created(8) || changed(8) || length(4) || value`.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::VaultError;
use super::header::{PARAMS, decode_params, encode_params};
use super::password::{Argon2Params, Password, key_from_password};
use super::secrets::About;
use crate::key::{Key, random};
use crate::memory::scrub_stack;
use crate::seal::{Backend, Sealer};

const VERSION: u8 = 1;
const MAGIC: &[u8; 7] = b"OHEXPRT";
const HEAD: usize = 8 + 16 + PARAMS;
const MAC_LEN: usize = 32;

/// What an import does with a name that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The secret that is there stays.
    Keep,
    /// The imported one takes its place.
    Replace,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Secrets whose name was new.
    pub added: usize,
    /// Secrets that took the place of another one.
    pub replaced: usize,
    /// Secrets that were left out because their name was there.
    pub kept: usize,
}

/// One secret in the clear.
pub(super) struct Exported {
    pub(super) name: String,
    about: About,
    pub(super) value: Zeroizing<Vec<u8>>,
}

impl Exported {
    pub(super) fn new(name: &str, about: About, value: Zeroizing<Vec<u8>>) -> Exported {
        Exported {
            name: name.to_owned(),
            about,
            value,
        }
    }
}

pub(super) fn seal(
    secrets: &[Exported],
    password: &Password,
    params: Argon2Params,
) -> Result<Vec<u8>, VaultError> {
    let salt: [u8; 16] = random()?;
    let keys = Keys::new(password, &salt, params)?;
    // Sized first: a growing buffer would leave unwiped copies behind.
    let size = secrets
        .iter()
        .map(|secret| 2 + secret.name.len() + 24 + 4 + secret.value.len())
        .sum();
    let mut plain = Zeroizing::new(Vec::with_capacity(size));
    for secret in secrets {
        plain.extend_from_slice(&(secret.name.len() as u16).to_be_bytes());
        plain.extend_from_slice(secret.name.as_bytes());
        plain.extend_from_slice(&secret.about.version.to_be_bytes());
        plain.extend_from_slice(&secret.about.created_ms.to_be_bytes());
        plain.extend_from_slice(&secret.about.changed_ms.to_be_bytes());
        plain.extend_from_slice(&(secret.value.len() as u32).to_be_bytes());
        plain.extend_from_slice(&secret.value);
    }
    let mut out = vec![VERSION];
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&salt);
    out.extend_from_slice(&encode_params(params));
    let sealed = keys.sealer.seal(&out, &plain)?;
    out.extend_from_slice(&sealed);
    let mac = keys.mac(&out).finalize().into_bytes();
    out.extend_from_slice(&mac);
    scrub_stack();
    Ok(out)
}

pub(super) fn open(exported: &[u8], password: &Password) -> Result<Vec<Exported>, VaultError> {
    let broken = |reason| VaultError::NotAnExport { reason };
    let (head, rest) = exported
        .split_first_chunk::<HEAD>()
        .ok_or(broken("it is too short"))?;
    let (sealed, mac) = rest
        .split_last_chunk::<MAC_LEN>()
        .ok_or(broken("it is too short"))?;
    let (start, rest) = head.split_first_chunk::<8>().ok_or(broken("it is too short"))?;
    let (salt, params) = rest.split_first_chunk::<16>().ok_or(broken("it is too short"))?;
    if start[1..] != MAGIC[..] {
        return Err(broken("it does not begin like one"));
    }
    if start[0] != VERSION {
        return Err(broken("a newer version of this program wrote it"));
    }
    let params = decode_params(params.try_into().map_err(|_| broken("it is too short"))?);
    let keys = Keys::new(password, salt, params)?;
    // With the wrong key nothing fits; with the right one this finds every changed byte.
    keys.mac(&exported[..exported.len() - MAC_LEN])
        .verify_slice(mac)
        .map_err(|_| VaultError::WrongPassword)?;
    let plain = Zeroizing::new(keys.sealer.open(head, sealed)?);
    let mut secrets = Vec::new();
    let mut rest = plain.as_slice();
    while !rest.is_empty() {
        let (secret, after) = split(rest).ok_or(broken("a secret in it is cut off"))?;
        secrets.push(secret);
        rest = after;
    }
    scrub_stack();
    Ok(secrets)
}

fn split(bytes: &[u8]) -> Option<(Exported, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (version, rest) = rest.split_first_chunk::<8>()?;
    let (created_ms, rest) = rest.split_first_chunk::<8>()?;
    let (changed_ms, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let secret = Exported {
        name: String::from_utf8(name.to_vec()).ok()?,
        about: About {
            version: u64::from_be_bytes(*version),
            created_ms: i64::from_be_bytes(*created_ms),
            changed_ms: i64::from_be_bytes(*changed_ms),
        },
        value: Zeroizing::new(value.to_vec()),
    };
    Some((secret, rest))
}

struct Keys {
    sealer: Sealer,
    mac: Key,
}

impl Keys {
    fn new(password: &Password, salt: &[u8; 16], params: Argon2Params) -> Result<Keys, VaultError> {
        let key = key_from_password(password, salt, params)?;
        Ok(Keys {
            sealer: Sealer::with_backend(&key.derive(salt, "openhuman-vault/v1/export"), Backend::AesGcm),
            mac: key.derive(salt, "openhuman-vault/v1/export-mac"),
        })
    }

    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.mac.expose()).expect("HMAC takes keys of any length");
        mac.update(bytes);
        mac
    }
}
