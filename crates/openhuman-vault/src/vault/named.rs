//! Named secrets: values under a name, handed out by handle, every use of them written down.

use std::fmt;

use zeroize::Zeroizing;

use super::audit::AuditLog;
pub use super::audit::{AuditAction, AuditEntry};
use super::error::VaultError;
use super::password::Password;
use super::secrets::{Record, Records, SecretsFile};
use super::transfer;
pub use super::transfer::{Existing, Imported};
use super::{SECRETS_FILE, Vault, check_name, lock, now_ms};

impl Vault {
    /// Stores or replaces a secret of at most 1 MiB under a name of 1 to 256 bytes. On disk when it returns.
    ///
    /// # Errors
    /// [`VaultError::BadName`], [`VaultError::TooLarge`], [`VaultError::SecretsTampered`],
    /// [`VaultError::Damaged`] and [`VaultError::Io`]; nothing has changed then.
    pub fn set_secret(&self, name: &str, value: &[u8]) -> Result<(), VaultError> {
        check_name(name)?;
        self.with_secrets(|file, records| {
            file.insert(records, name, value, now_ms())?;
            file.store(records)
        })
    }

    /// The secret of that name, if there is one. This use is not written down; [`Secrets::reveal`] does that.
    ///
    /// # Errors
    /// As [`Vault::set_secret`].
    pub fn secret(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        check_name(name)?;
        self.with_secrets(|file, records| {
            records
                .get(name)
                .map(|record| file.value(name, record))
                .transpose()
        })
    }

    /// Removes a secret; `false` when there was none.
    ///
    /// # Errors
    /// As [`Vault::set_secret`].
    pub fn remove_secret(&self, name: &str) -> Result<bool, VaultError> {
        check_name(name)?;
        self.with_secrets(|file, records| {
            let removed = records.remove(name).is_some();
            if removed {
                file.store(records)?;
            }
            Ok(removed)
        })
    }

    /// The names of all secrets, sorted.
    ///
    /// # Errors
    /// As [`Vault::set_secret`].
    pub fn secret_names(&self) -> Result<Vec<String>, VaultError> {
        self.with_secrets(|_, records| Ok(records.iter().map(|(name, _)| name.clone()).collect()))
    }

    /// The named secrets with their handles, versions and the log of their use. `now_ms`, in milliseconds since
    /// the Unix epoch, goes into that log and into the times of what is changed.
    pub fn secrets(&self, now_ms: i64) -> Secrets<'_> {
        Secrets { vault: self, now_ms }
    }

    fn with_secrets<T>(
        &self,
        work: impl FnOnce(&SecretsFile<'_>, &mut Records) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let _lock = lock(&self.dir)?;
        let path = self.dir.join(SECRETS_FILE);
        let file = SecretsFile::new(&path, &self.header.id, &self.key);
        let mut records = file.load()?;
        work(&file, &mut records)
    }
}

/// The secrets of an unlocked vault; see [`Vault::secrets`].
///
/// Every use and change is written into a sealed log beside the secrets before it happens, and waits for the disk.
///
/// ```
/// # use openhuman_vault::{Password, Vault, VaultError, VaultOptions};
/// # let dir = tempfile::tempdir()?;
/// # let vault = Vault::create(dir.path(), &Password::from("pass".to_owned()), &VaultOptions::fast_for_tests())?;
/// let secrets = vault.secrets(1_700_000_000_000);
/// let handle = secrets.put("mail/token", b"t-1", "the user connected mail")?;
/// // The handle may be stored, shown and logged. The value is taken only where it is needed:
/// assert_eq!(secrets.reveal(&handle, "GET /messages")?.expose(), b"t-1");
///
/// // Of two that refresh the same token, one is told that it came late.
/// let newer = secrets.replace(&handle, b"t-2", "refreshed")?;
/// let late = secrets.replace(&handle, b"t-3", "refreshed");
/// assert!(matches!(late, Err(VaultError::SecretChanged { .. })));
/// assert_eq!(secrets.audit()?.last().unwrap().version, newer.version());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Secrets<'v> {
    vault: &'v Vault,
    now_ms: i64,
}

impl Secrets<'_> {
    /// Stores or replaces a secret of at most 1 MiB under a name of 1 to 256 bytes.
    ///
    /// # Errors
    /// As [`Vault::set_secret`], and [`VaultError::Audit`] when the log cannot be written; nothing has changed then.
    pub fn put(&self, name: &str, value: &[u8], purpose: &str) -> Result<SecretHandle, VaultError> {
        check_name(name)?;
        self.change(name, value, purpose, |_| Ok(()))
    }

    /// Replaces a secret if `handle` is still the latest one for its name.
    ///
    /// # Errors
    /// [`VaultError::SecretMissing`] and [`VaultError::SecretChanged`]; otherwise as [`Secrets::put`].
    pub fn replace(
        &self,
        handle: &SecretHandle,
        value: &[u8],
        purpose: &str,
    ) -> Result<SecretHandle, VaultError> {
        self.change(&handle.name, value, purpose, |records| {
            handle.find(records).map(drop)
        })
    }

    /// The handle of the latest value under that name, if there is one.
    ///
    /// # Errors
    /// As [`Vault::set_secret`].
    pub fn handle(&self, name: &str) -> Result<Option<SecretHandle>, VaultError> {
        check_name(name)?;
        self.vault.with_secrets(|_, records| {
            Ok(records.get(name).map(|record| SecretHandle {
                name: name.to_owned(),
                version: record.about.version,
            }))
        })
    }

    /// What is known of all secrets without opening them, sorted by name.
    ///
    /// # Errors
    /// As [`Vault::set_secret`].
    pub fn list(&self) -> Result<Vec<SecretInfo>, VaultError> {
        let known = |time: i64| (time != 0).then_some(time);
        self.vault.with_secrets(|_, records| {
            let infos = records.iter().map(|(name, record)| SecretInfo {
                handle: SecretHandle {
                    name: name.clone(),
                    version: record.about.version,
                },
                created_ms: known(record.about.created_ms),
                changed_ms: known(record.about.changed_ms),
            });
            Ok(infos.collect())
        })
    }

    /// The value behind a handle. `purpose` says what for; its first 256 bytes go into the log.
    ///
    /// # Errors
    /// [`VaultError::SecretMissing`] when the name was removed, [`VaultError::SecretChanged`] when the value was
    /// replaced since; otherwise as [`Secrets::put`]. Nothing is revealed that could not be written down.
    pub fn reveal(&self, handle: &SecretHandle, purpose: &str) -> Result<Secret, VaultError> {
        self.vault.with_secrets(|file, records| {
            let record = handle.find(records)?;
            self.write_down(AuditAction::Revealed, &handle.name, handle.version, purpose)?;
            Ok(Secret(file.value(&handle.name, record)?))
        })
    }

    /// Removes a secret; `false` when there was none.
    ///
    /// # Errors
    /// As [`Secrets::put`].
    pub fn remove(&self, name: &str, purpose: &str) -> Result<bool, VaultError> {
        check_name(name)?;
        self.vault.with_secrets(|file, records| {
            let Some(record) = records.remove(name) else {
                return Ok(false);
            };
            self.write_down(AuditAction::Removed, name, record.about.version, purpose)?;
            file.store(records)?;
            Ok(true)
        })
    }

    /// Takes in what [`Secrets::export`] returned: all of it or, after an error, nothing. Runs Argon2id once.
    ///
    /// # Errors
    /// [`VaultError::WrongPassword`], [`VaultError::NotAnExport`], [`VaultError::UnsafeParameters`] before any work
    /// is done; otherwise as [`Secrets::put`].
    pub fn import(
        &self,
        exported: &[u8],
        password: &Password,
        existing: Existing,
    ) -> Result<Imported, VaultError> {
        let secrets = transfer::open(exported, password)?;
        self.vault.with_secrets(|file, records| {
            let mut imported = Imported::default();
            for secret in &secrets {
                check_name(&secret.name)?;
                match (records.get(&secret.name), existing) {
                    (Some(_), Existing::Keep) => {
                        imported.kept += 1;
                        continue;
                    }
                    (Some(_), Existing::Replace) => imported.replaced += 1,
                    (None, _) => imported.added += 1,
                }
                file.insert(records, &secret.name, &secret.value, self.now_ms)?;
            }
            self.write_down(AuditAction::Imported, "", 0, "an export")?;
            file.store(records)?;
            Ok(imported)
        })
    }

    /// The log of uses and changes, oldest first: at least the latest 256.
    ///
    /// # Errors
    /// [`VaultError::Audit`] when it was changed or cannot be read.
    pub fn audit(&self) -> Result<Vec<AuditEntry>, VaultError> {
        let _lock = lock(&self.vault.dir)?;
        self.log().read()
    }

    fn change(
        &self,
        name: &str,
        value: &[u8],
        purpose: &str,
        check: impl FnOnce(&Records) -> Result<(), VaultError>,
    ) -> Result<SecretHandle, VaultError> {
        self.vault.with_secrets(|file, records| {
            check(records)?;
            let version = file.insert(records, name, value, self.now_ms)?;
            self.write_down(AuditAction::Stored, name, version, purpose)?;
            file.store(records)?;
            Ok(SecretHandle {
                name: name.to_owned(),
                version,
            })
        })
    }

    /// Only while the lock of the vault is held.
    fn write_down(
        &self,
        action: AuditAction,
        name: &str,
        version: u64,
        purpose: &str,
    ) -> Result<(), VaultError> {
        self.log().append(&AuditEntry {
            at_ms: self.now_ms,
            action,
            name: name.to_owned(),
            version,
            purpose: purpose.to_owned(),
        })
    }

    fn log(&self) -> AuditLog<'_> {
        AuditLog {
            dir: &self.vault.dir,
            key: self
                .vault
                .key
                .derive(&self.vault.header.id, "openhuman-vault/v1/audit"),
        }
    }
}

impl fmt::Debug for Secrets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secrets").field(&self.vault.id).finish()
    }
}

/// Names one value of one secret. It is no secret itself, and it does not open anything without the vault.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretHandle {
    name: String,
    version: u64,
}

impl SecretHandle {
    /// The name of the secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of this value. Later values have higher ones, and none is used twice in a vault.
    pub fn version(&self) -> u64 {
        self.version
    }

    fn find<'r>(&self, records: &'r Records) -> Result<&'r Record, VaultError> {
        let record = records.get(&self.name).ok_or_else(|| VaultError::SecretMissing {
            name: self.name.clone(),
        })?;
        if record.about.version != self.version {
            return Err(VaultError::SecretChanged {
                name: self.name.clone(),
            });
        }
        Ok(record)
    }
}

/// What [`Secrets::list`] tells of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecretInfo {
    /// Names its latest value.
    pub handle: SecretHandle,
    /// When the name was first stored, in milliseconds since the Unix epoch; `None` when that was not kept.
    pub created_ms: Option<i64>,
    /// When the latest value was stored, in milliseconds since the Unix epoch; `None` when that was not kept.
    pub changed_ms: Option<i64>,
}

/// The value of a secret: wiped when it is dropped, not printed, not copied by accident.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    #[cfg(feature = "legacy")]
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>) -> Secret {
        Secret(bytes)
    }

    /// The bytes, for the one call that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The value as text, if it is text.
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

mod export;
#[cfg(test)]
mod tests;
