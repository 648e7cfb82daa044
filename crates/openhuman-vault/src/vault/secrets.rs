//! The byte format of `secrets.ohv`: one sealed record per name.
//!
//! `version(1) || "OHSECRT" || records || MAC(32)`; a record is `length(4, big-endian) || sealed value` behind
//! `length(2) || sealed name`. Names are sealed as well. The MAC covers the whole file, so a record cannot be
//! taken out or put back from an older copy of the file.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::{VaultError, io_at};
use crate::files;
use crate::key::Key;
use crate::seal::{Backend, OVERHEAD, Sealer};

/// Longest name of a secret, in bytes.
pub(super) const MAX_NAME: usize = 256;
const MAX_VALUE: usize = 1024 * 1024;
const MAX_SECRETS: usize = 4096;
const MAX_FILE: u64 = 64 * 1024 * 1024;
const VERSION: u8 = 1;
const MAGIC: &[u8; 7] = b"OHSECRT";
const MAC_LEN: usize = 32;

/// Name to sealed value; values are opened one at a time.
pub(super) type Records = BTreeMap<String, Vec<u8>>;

pub(super) struct SecretsFile<'a> {
    path: &'a Path,
    id: &'a [u8; 16],
    sealer: Sealer,
    mac_key: Key,
}

impl<'a> SecretsFile<'a> {
    pub(super) fn new(path: &'a Path, id: &'a [u8; 16], key: &Key) -> SecretsFile<'a> {
        let seal_key = key.derive(id, "openhuman-vault/v1/secrets");
        SecretsFile {
            path,
            id,
            sealer: Sealer::with_backend(&seal_key, Backend::AesGcm),
            mac_key: key.derive(id, "openhuman-vault/v1/secrets-mac"),
        }
    }

    /// A file that was never written holds no secrets.
    pub(super) fn load(&self) -> Result<Records, VaultError> {
        match files::read_limited(self.path, MAX_FILE) {
            Ok(Some(bytes)) => self.decode(&bytes),
            Ok(None) => Err(VaultError::TooLarge {
                what: "the secrets file",
                limit: MAX_FILE as usize,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Records::new()),
            Err(error) => Err(io_at(self.path)(error)),
        }
    }

    pub(super) fn store(&self, records: &Records) -> Result<(), VaultError> {
        let mut out = vec![VERSION];
        out.extend_from_slice(MAGIC);
        for (name, sealed) in records {
            let name = self.sealer.seal(&self.aad(b'n', ""), name.as_bytes())?;
            out.extend_from_slice(&(name.len() as u16).to_be_bytes());
            out.extend_from_slice(&name);
            out.extend_from_slice(&(sealed.len() as u32).to_be_bytes());
            out.extend_from_slice(sealed);
        }
        let mac = self.mac(&out).finalize().into_bytes();
        out.extend_from_slice(&mac);
        if out.len() as u64 > MAX_FILE {
            return Err(VaultError::TooLarge {
                what: "the secrets file",
                limit: MAX_FILE as usize,
            });
        }
        files::write_atomic(self.path, &out).map_err(io_at(self.path))
    }

    pub(super) fn insert(&self, records: &mut Records, name: &str, value: &[u8]) -> Result<(), VaultError> {
        if value.len() > MAX_VALUE {
            return Err(VaultError::TooLarge {
                what: "the value",
                limit: MAX_VALUE,
            });
        }
        if records.len() >= MAX_SECRETS && !records.contains_key(name) {
            return Err(VaultError::TooLarge {
                what: "the number of secrets",
                limit: MAX_SECRETS,
            });
        }
        records.insert(name.to_owned(), self.sealer.seal(&self.aad(b'v', name), value)?);
        Ok(())
    }

    pub(super) fn value(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let value = self
            .sealer
            .open(&self.aad(b'v', name), sealed)
            .map_err(|_| self.tampered())?;
        Ok(Zeroizing::new(value))
    }

    fn decode(&self, bytes: &[u8]) -> Result<Records, VaultError> {
        let damaged = |reason| VaultError::Damaged {
            path: self.path.to_owned(),
            reason,
        };
        let version = *bytes.first().ok_or(damaged("it is empty"))?;
        if bytes.get(1..8) != Some(MAGIC) {
            return Err(damaged("it does not begin like a secrets file"));
        }
        if version != VERSION {
            return Err(VaultError::UnknownVersion {
                path: self.path.to_owned(),
                version,
            });
        }
        let (body, mac) = bytes
            .split_last_chunk::<MAC_LEN>()
            .ok_or(damaged("it is cut off"))?;
        self.mac(body).verify_slice(mac).map_err(|_| self.tampered())?;
        let mut rest = body.get(8..).ok_or(damaged("it is cut off"))?;
        let mut records = Records::new();
        while !rest.is_empty() {
            let (name, value, after) = split_record(rest).ok_or(damaged("a record is cut off"))?;
            let name = self
                .sealer
                .open(&self.aad(b'n', ""), name)
                .map_err(|_| self.tampered())?;
            let name = String::from_utf8(name).map_err(|_| damaged("a name is not text"))?;
            records.insert(name, value.to_vec());
            rest = after;
        }
        Ok(records)
    }

    /// `version || role || vault id || name`.
    fn aad(&self, role: u8, name: &str) -> Vec<u8> {
        let mut aad = vec![VERSION, role];
        aad.extend_from_slice(self.id);
        aad.extend_from_slice(name.as_bytes());
        aad
    }

    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.mac_key.expose()).expect("HMAC takes keys of any length");
        mac.update(bytes);
        mac
    }

    fn tampered(&self) -> VaultError {
        VaultError::SecretsTampered {
            path: self.path.to_owned(),
        }
    }
}

fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    (name.len() >= OVERHEAD && value.len() >= OVERHEAD).then_some((name, value, rest))
}
