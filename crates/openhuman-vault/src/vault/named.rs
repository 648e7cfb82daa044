//! Named secrets.

use zeroize::Zeroizing;

use super::error::VaultError;
use super::secrets::{Records, SecretsFile};
use super::{SECRETS_FILE, Vault, check_name, lock};

impl Vault {
    /// Stores or replaces a secret of at most 1 MiB under a name of 1 to 256 bytes. On disk when it returns.
    ///
    /// # Errors
    /// [`VaultError::BadName`], [`VaultError::TooLarge`], [`VaultError::SecretsTampered`],
    /// [`VaultError::Damaged`] and [`VaultError::Io`]; nothing has changed then.
    pub fn set_secret(&self, name: &str, value: &[u8]) -> Result<(), VaultError> {
        check_name(name)?;
        self.with_secrets(|file, records| {
            file.insert(records, name, value)?;
            file.store(records)
        })
    }

    /// The secret of that name, if there is one.
    ///
    /// # Errors
    /// As [`Vault::set_secret`].
    pub fn secret(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        check_name(name)?;
        self.with_secrets(|file, records| {
            records
                .get(name)
                .map(|sealed| file.value(name, sealed))
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
        self.with_secrets(|_, records| Ok(records.keys().cloned().collect()))
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
