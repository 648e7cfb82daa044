//! The byte format of `vault.ohv`.
//!
//! `version(1) || "OHVAULT" || fields || MAC(32)`; a field is `type(1) || length(2, big-endian) || value`.
//! The MAC is HMAC-SHA256 over everything before it under a key derived from the vault key: it authenticates
//! the password parameters and the slot list, and it commits to the key.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::path::Path;

use super::error::VaultError;
use super::password::{Argon2Params, Password, key_from_password};
use crate::key::{Key, random};
use crate::seal::{Backend, OVERHEAD, Sealer};

/// Twice what the longest names of all databases need; anything longer is not a header.
pub(super) const MAX_HEADER: u64 = 32 * 1024;
const MAX_SLOTS: usize = 16;
const MAX_PASSWORD_SLOTS: usize = 4;
const VERSION: u8 = 1;
const MAGIC: &[u8; 7] = b"OHVAULT";
const MAC_LEN: usize = 32;
const WRAPPED: usize = 32 + OVERHEAD;
pub(super) const PARAMS: usize = 12;

const FIELD_ID: u8 = 1;
const FIELD_GENERATION: u8 = 2;
const FIELD_DATABASE: u8 = 3;
const FIELD_LEAST: u8 = 4;
const FIELD_SESSION: u8 = 5;
const FIELD_SLOT: u8 = 16;

const SLOT_PASSWORD: u8 = 1;
const SLOT_KEY_STORE: u8 = 2;
const SLOT_RECOVERY: u8 = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: [u8; 16],
    /// Grows by one with every write.
    pub(super) generation: u64,
    /// Databases that were created under this vault, by name: they must exist from then on.
    pub(super) databases: Vec<String>,
    /// How many sessions were begun; a key store outside was told.
    pub(super) session: u64,
    /// The least password parameters, where somebody chose less than [`Argon2Params::DEFAULT`].
    pub(super) least: Option<Argon2Params>,
    pub(super) slots: Vec<Slot>,
}

/// One way to the vault key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Password {
        salt: [u8; 16],
        params: Argon2Params,
        wrapped: [u8; WRAPPED],
    },
    KeyStore {
        account: String,
        wrapped: [u8; WRAPPED],
    },
    Recovery {
        wrapped: [u8; WRAPPED],
    },
    /// Of a kind this program does not know: kept as it is.
    Other {
        kind: u8,
        body: Vec<u8>,
    },
}

impl Header {
    pub(super) fn encode(&self, key: &Key) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(MAGIC);
        let mut field = |kind: u8, value: &[u8]| {
            out.push(kind);
            out.extend_from_slice(&(value.len() as u16).to_be_bytes());
            out.extend_from_slice(value);
        };
        field(FIELD_ID, &self.id);
        field(FIELD_GENERATION, &self.generation.to_be_bytes());
        for name in &self.databases {
            field(FIELD_DATABASE, name.as_bytes());
        }
        if let Some(least) = self.least {
            field(FIELD_LEAST, &encode_params(least));
        }
        if self.session > 0 {
            field(FIELD_SESSION, &self.session.to_be_bytes());
        }
        for slot in &self.slots {
            field(FIELD_SLOT, &slot.encode());
        }
        let mac = header_mac(key, &self.id, &out).finalize().into_bytes();
        out.extend_from_slice(&mac);
        out
    }

    /// Reads the structure. Nothing in it is to be trusted before [`Header::verify`] has seen the key.
    pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Header, VaultError> {
        let damaged = |reason| VaultError::Damaged {
            path: path.to_owned(),
            reason,
        };
        let version = *bytes.first().ok_or(damaged("it is empty"))?;
        if bytes.get(1..8) != Some(MAGIC) {
            return Err(damaged("it does not begin like a vault header"));
        }
        if version != VERSION {
            return Err(VaultError::UnknownVersion {
                path: path.to_owned(),
                version,
            });
        }
        let body = bytes.len().checked_sub(MAC_LEN).and_then(|end| bytes.get(8..end));
        let mut rest = body.ok_or(damaged("it is cut off"))?;
        let (mut id, mut generation, mut databases) = (None, None, Vec::new());
        let (mut session, mut least, mut slots) = (0, None, Vec::new());
        while let Some((&kind, after)) = rest.split_first() {
            let (length, after) = after
                .split_first_chunk::<2>()
                .ok_or(damaged("a field is cut off"))?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (value, after) = after
                .split_at_checked(length)
                .ok_or(damaged("a field is cut off"))?;
            rest = after;
            match kind {
                FIELD_ID if id.is_none() => {
                    id = Some(
                        value
                            .try_into()
                            .map_err(|_| damaged("the id has a wrong length"))?,
                    );
                }
                FIELD_GENERATION if generation.is_none() => {
                    let value = value
                        .try_into()
                        .map_err(|_| damaged("the generation has a wrong length"))?;
                    generation = Some(u64::from_be_bytes(value));
                }
                FIELD_DATABASE => {
                    let name = std::str::from_utf8(value).map_err(|_| damaged("a name is not text"))?;
                    databases.push(name.to_owned());
                }
                FIELD_LEAST if least.is_none() => {
                    let params = value.try_into().ok().map(decode_params);
                    least = Some(params.ok_or(damaged("the least parameters have a wrong length"))?);
                }
                FIELD_SESSION if session == 0 => {
                    let value = value
                        .try_into()
                        .map_err(|_| damaged("the session has a wrong length"))?;
                    session = u64::from_be_bytes(value);
                    if session == 0 {
                        return Err(damaged("the session is zero"));
                    }
                }
                FIELD_SLOT => slots.push(Slot::decode(value).ok_or(damaged("a key slot is malformed"))?),
                _ => return Err(damaged("it has a field that does not belong there")),
            }
        }
        let passwords = slots
            .iter()
            .filter(|slot| matches!(slot, Slot::Password { .. }))
            .count();
        if slots.len() > MAX_SLOTS || passwords > MAX_PASSWORD_SLOTS {
            return Err(damaged("it has too many key slots"));
        }
        let of_slots = slots.iter().filter_map(|slot| match slot {
            Slot::Password { params, .. } => Some(*params),
            _ => None,
        });
        for params in of_slots.chain(least) {
            params.check()?;
        }
        Ok(Header {
            id: id.ok_or(damaged("the id is missing"))?,
            generation: generation.ok_or(damaged("the generation is missing"))?,
            databases,
            session,
            least,
            slots,
        })
    }

    /// Checks the MAC at the end of `bytes`, which [`Header::decode`] accepted.
    pub(super) fn verify(&self, key: &Key, bytes: &[u8]) -> Result<(), VaultError> {
        let (body, mac) = bytes
            .split_last_chunk::<MAC_LEN>()
            .ok_or(VaultError::HeaderTampered)?;
        header_mac(key, &self.id, body)
            .verify_slice(mac)
            .map_err(|_| VaultError::HeaderTampered)
    }
}

impl Slot {
    /// A slot that opens with `password`.
    pub(super) fn password(
        id: &[u8; 16],
        password: &Password,
        params: Argon2Params,
        key: &Key,
    ) -> Result<Slot, VaultError> {
        let salt = random()?;
        let wrapping = key_from_password(password, &salt, params)?;
        Ok(Slot::Password {
            salt,
            params,
            wrapped: wrap(&wrapping, id, SLOT_PASSWORD, key)?,
        })
    }

    /// A slot that opens with `wrapping`, which the key store keeps under `account`.
    pub(super) fn key_store(
        id: &[u8; 16],
        account: &str,
        wrapping: &Key,
        key: &Key,
    ) -> Result<Slot, VaultError> {
        let wrapped = wrap(wrapping, id, SLOT_KEY_STORE, key)?;
        Ok(Slot::KeyStore {
            account: account.to_owned(),
            wrapped,
        })
    }

    /// A slot that opens with a recovery key, given as what is derived from it for this vault.
    pub(super) fn recovery(id: &[u8; 16], wrapping: &Key, key: &Key) -> Result<Slot, VaultError> {
        let wrapped = wrap(wrapping, id, SLOT_RECOVERY, key)?;
        Ok(Slot::Recovery { wrapped })
    }

    /// The vault key, if `password` opens this slot. Runs Argon2id.
    pub(super) fn open_with_password(
        &self,
        id: &[u8; 16],
        password: &Password,
    ) -> Result<Option<Key>, VaultError> {
        let Slot::Password {
            salt,
            params,
            wrapped,
        } = self
        else {
            return Ok(None);
        };
        Ok(unwrap(
            &key_from_password(password, salt, *params)?,
            id,
            SLOT_PASSWORD,
            wrapped,
        ))
    }

    /// The vault key, if `wrapping` opens this slot, which is one of a key store or of a recovery key.
    pub(super) fn open_with_key(&self, id: &[u8; 16], wrapping: &Key) -> Option<Key> {
        match self {
            Slot::KeyStore { wrapped, .. } => unwrap(wrapping, id, SLOT_KEY_STORE, wrapped),
            Slot::Recovery { wrapped } => unwrap(wrapping, id, SLOT_RECOVERY, wrapped),
            Slot::Password { .. } | Slot::Other { .. } => None,
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Slot::Password {
                salt,
                params,
                wrapped,
            } => {
                let mut out = vec![SLOT_PASSWORD];
                out.extend_from_slice(salt);
                out.extend_from_slice(&encode_params(*params));
                out.extend_from_slice(wrapped);
                out
            }
            Slot::KeyStore { account, wrapped } => {
                let mut out = vec![SLOT_KEY_STORE];
                out.extend_from_slice(wrapped);
                out.extend_from_slice(account.as_bytes());
                out
            }
            Slot::Recovery { wrapped } => {
                let mut out = vec![SLOT_RECOVERY];
                out.extend_from_slice(wrapped);
                out
            }
            Slot::Other { kind, body } => {
                let mut out = vec![*kind];
                out.extend_from_slice(body);
                out
            }
        }
    }

    fn decode(bytes: &[u8]) -> Option<Slot> {
        let (&kind, body) = bytes.split_first()?;
        match kind {
            SLOT_PASSWORD => {
                let (salt, body) = body.split_first_chunk::<16>()?;
                let (params, wrapped) = body.split_first_chunk::<PARAMS>()?;
                Some(Slot::Password {
                    salt: *salt,
                    params: decode_params(params),
                    wrapped: wrapped.try_into().ok()?,
                })
            }
            SLOT_KEY_STORE => {
                let (wrapped, account) = body.split_first_chunk::<WRAPPED>()?;
                let account = std::str::from_utf8(account).ok()?.to_owned();
                Some(Slot::KeyStore {
                    account,
                    wrapped: *wrapped,
                })
            }
            SLOT_RECOVERY => Some(Slot::Recovery {
                wrapped: body.try_into().ok()?,
            }),
            _ => Some(Slot::Other {
                kind,
                body: body.to_vec(),
            }),
        }
    }
}

fn wrap(wrapping: &Key, id: &[u8; 16], kind: u8, key: &Key) -> Result<[u8; WRAPPED], VaultError> {
    let sealed = Sealer::with_backend(wrapping, Backend::AesGcm).seal(&slot_aad(id, kind), key.expose())?;
    let mut out = [0; WRAPPED];
    out.copy_from_slice(&sealed);
    Ok(out)
}

fn unwrap(wrapping: &Key, id: &[u8; 16], kind: u8, wrapped: &[u8; WRAPPED]) -> Option<Key> {
    let sealer = Sealer::with_backend(wrapping, Backend::AesGcm);
    let opened = zeroize::Zeroizing::new(sealer.open(&slot_aad(id, kind), wrapped).ok()?);
    let mut key = Key::zeroed();
    if opened.len() != key.bytes_mut().len() {
        return None;
    }
    key.bytes_mut().copy_from_slice(&opened);
    Some(key)
}

pub(super) fn encode_params(params: Argon2Params) -> [u8; PARAMS] {
    let mut out = [0; PARAMS];
    let numbers = [params.memory_kib, params.passes, params.lanes];
    for (bytes, number) in out.chunks_exact_mut(4).zip(numbers) {
        bytes.copy_from_slice(&number.to_be_bytes());
    }
    out
}

/// Nothing is checked here.
pub(super) fn decode_params(bytes: &[u8; PARAMS]) -> Argon2Params {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
    Argon2Params {
        memory_kib: u32::from_be_bytes([a, b, c, d]),
        passes: u32::from_be_bytes([e, f, g, h]),
        lanes: u32::from_be_bytes([i, j, k, l]),
    }
}

fn slot_aad(id: &[u8; 16], kind: u8) -> Vec<u8> {
    let mut aad = b"openhuman-vault/v1/slot".to_vec();
    aad.push(kind);
    aad.extend_from_slice(id);
    aad
}

fn header_mac(key: &Key, id: &[u8; 16], bytes: &[u8]) -> Hmac<Sha256> {
    let mac_key = key.derive(id, "openhuman-vault/v1/header");
    let mut mac = Hmac::<Sha256>::new_from_slice(mac_key.expose()).expect("HMAC takes keys of any length");
    mac.update(bytes);
    mac
}

#[cfg(test)]
mod tests;
