//! The byte format of `secrets.ohv`: one sealed record per name.
//!
//! `version(1) || "OHSECRT" || counter(8) || records || MAC(32)`; a record is `length(4, big-endian) || sealed value`
//! behind `length(2) || sealed name`. Names are sealed as well, together with the version and the times of the value.
//! The MAC covers the whole file, so a record cannot be taken out or put back from an older copy of the file.
//! Version 1 had neither counter nor versions nor times; it is read, and written as version 2.

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
const VERSION: u8 = 2;
/// Still read.
const WITHOUT_VERSIONS: u8 = 1;
const MAGIC: &[u8; 7] = b"OHSECRT";
const MAC_LEN: usize = 32;

/// Everything in the file; values stay sealed and are opened one at a time.
#[derive(Default)]
pub(super) struct Records {
    /// Counts every value ever written: no version is given twice, not even after a name was removed.
    counter: u64,
    by_name: BTreeMap<String, Record>,
}

#[derive(Clone)]
pub(super) struct Record {
    pub(super) about: About,
    sealed: Vec<u8>,
    /// The version of the file that the value was sealed for.
    format: u8,
}

/// What is known of a secret without opening it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    pub(super) version: u64,
    /// Zero: written before times were kept.
    pub(super) created_ms: i64,
    pub(super) changed_ms: i64,
}

impl Records {
    pub(super) fn get(&self, name: &str) -> Option<&Record> {
        self.by_name.get(name)
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Record> {
        self.by_name.remove(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Record)> {
        self.by_name.iter()
    }

    /// The version that the next value gets.
    pub(super) fn next_version(&self) -> u64 {
        self.counter.saturating_add(1)
    }
}

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
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Records::default()),
            Err(error) => Err(io_at(self.path)(error)),
        }
    }

    pub(super) fn store(&self, records: &Records) -> Result<(), VaultError> {
        let mut out = vec![VERSION];
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&records.counter.to_be_bytes());
        for (name, record) in records.iter() {
            let resealed;
            let sealed = if record.format == VERSION {
                &record.sealed
            } else {
                let aad = self.value_aad(VERSION, name, record.about.version);
                resealed = self.sealer.seal(&aad, &self.value(name, record)?)?;
                &resealed
            };
            let about = record.about;
            let mut plain = about.version.to_be_bytes().to_vec();
            plain.extend_from_slice(&about.created_ms.to_be_bytes());
            plain.extend_from_slice(&about.changed_ms.to_be_bytes());
            plain.extend_from_slice(name.as_bytes());
            let name = self.sealer.seal(&self.name_aad(VERSION), &plain)?;
            out.extend_from_slice(&(name.len() as u16).to_be_bytes());
            out.extend_from_slice(&name);
            out.extend_from_slice(&(sealed.len() as u32).to_be_bytes());
            out.extend_from_slice(sealed);
        }
        let out = self.authenticated(out);
        if out.len() as u64 > MAX_FILE {
            return Err(VaultError::TooLarge {
                what: "the secrets file",
                limit: MAX_FILE as usize,
            });
        }
        files::write_atomic(self.path, &out).map_err(io_at(self.path))
    }

    /// Puts a value in, in place of an earlier one, and returns its version.
    pub(super) fn insert(
        &self,
        records: &mut Records,
        name: &str,
        value: &[u8],
        now_ms: i64,
    ) -> Result<u64, VaultError> {
        if value.len() > MAX_VALUE {
            return Err(VaultError::TooLarge {
                what: "the value",
                limit: MAX_VALUE,
            });
        }
        let earlier = records.get(name);
        if records.by_name.len() >= MAX_SECRETS && earlier.is_none() {
            return Err(VaultError::TooLarge {
                what: "the number of secrets",
                limit: MAX_SECRETS,
            });
        }
        let version = records.next_version();
        let about = About {
            version,
            created_ms: earlier.map_or(now_ms, |earlier| earlier.about.created_ms),
            changed_ms: now_ms,
        };
        let record = Record {
            about,
            sealed: self.sealer.seal(&self.value_aad(VERSION, name, version), value)?,
            format: VERSION,
        };
        records.counter = version;
        records.by_name.insert(name.to_owned(), record);
        Ok(version)
    }

    pub(super) fn value(&self, name: &str, record: &Record) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let aad = self.value_aad(record.format, name, record.about.version);
        let value = self
            .sealer
            .open(&aad, &record.sealed)
            .map_err(|_| self.tampered())?;
        Ok(Zeroizing::new(value))
    }

    /// The content of a file with its MAC behind it.
    pub(super) fn authenticated(&self, mut content: Vec<u8>) -> Vec<u8> {
        let mac = self.mac(&content).finalize().into_bytes();
        content.extend_from_slice(&mac);
        content
    }

    pub(super) fn decode(&self, bytes: &[u8]) -> Result<Records, VaultError> {
        let damaged = |reason| VaultError::Damaged {
            path: self.path.to_owned(),
            reason,
        };
        let version = *bytes.first().ok_or(damaged("it is empty"))?;
        if bytes.get(1..8) != Some(MAGIC) {
            return Err(damaged("it does not begin like a secrets file"));
        }
        if version != VERSION && version != WITHOUT_VERSIONS {
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
        let mut records = Records::default();
        if version != WITHOUT_VERSIONS {
            let (counter, after) = rest
                .split_first_chunk::<8>()
                .ok_or(damaged("the counter is cut off"))?;
            records.counter = u64::from_be_bytes(*counter);
            rest = after;
        }
        while !rest.is_empty() {
            let (name, value, after) = split_record(rest).ok_or(damaged("a record is cut off"))?;
            let name = self
                .sealer
                .open(&self.name_aad(version), name)
                .map_err(|_| self.tampered())?;
            let (about, name) = if version == WITHOUT_VERSIONS {
                (About::default(), name)
            } else {
                split_about(&name).ok_or(damaged("a name is cut off"))?
            };
            let name = String::from_utf8(name).map_err(|_| damaged("a name is not text"))?;
            let record = Record {
                about,
                sealed: value.to_vec(),
                format: version,
            };
            records.by_name.insert(name, record);
            rest = after;
        }
        Ok(records)
    }

    /// `format || "n" || vault id`.
    fn name_aad(&self, format: u8) -> Vec<u8> {
        let mut aad = vec![format, b'n'];
        aad.extend_from_slice(self.id);
        aad
    }

    /// `format || "v" || vault id || version(8) || name`; the first format had no version.
    fn value_aad(&self, format: u8, name: &str, version: u64) -> Vec<u8> {
        let mut aad = vec![format, b'v'];
        aad.extend_from_slice(self.id);
        if format != WITHOUT_VERSIONS {
            aad.extend_from_slice(&version.to_be_bytes());
        }
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

fn split_about(plain: &[u8]) -> Option<(About, Vec<u8>)> {
    let (version, rest) = plain.split_first_chunk::<8>()?;
    let (created_ms, rest) = rest.split_first_chunk::<8>()?;
    let (changed_ms, name) = rest.split_first_chunk::<8>()?;
    let about = About {
        version: u64::from_be_bytes(*version),
        created_ms: i64::from_be_bytes(*created_ms),
        changed_ms: i64::from_be_bytes(*changed_ms),
    };
    Some((about, name.to_vec()))
}

fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    (name.len() >= OVERHEAD && value.len() >= OVERHEAD).then_some((name, value, rest))
}

#[cfg(test)]
mod tests;
