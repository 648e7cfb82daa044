//! Secrets that leave the vault, sealed under a password of their own.

use super::{AuditAction, Secrets};
use crate::vault::error::VaultError;
use crate::vault::password::{Password, VaultOptions};
use crate::vault::transfer::{self, Exported};

impl Secrets<'_> {
    /// All secrets in one sealed piece that opens with `password`, in any vault. Runs Argon2id once.
    ///
    /// # Errors
    /// [`VaultError::EmptyPassword`] and the other errors of a password; otherwise as [`Secrets::put`].
    pub fn export(&self, password: &Password, options: &VaultOptions) -> Result<Vec<u8>, VaultError> {
        self.export_where(None, password, options)
    }

    /// As [`Secrets::export`], but only the secrets of these names. Each is written down as exported.
    ///
    /// # Errors
    /// [`VaultError::SecretMissing`] for the first name that is not there (nothing is written down then); otherwise as
    /// [`Secrets::export`].
    pub fn export_only(
        &self,
        names: &[&str],
        password: &Password,
        options: &VaultOptions,
    ) -> Result<Vec<u8>, VaultError> {
        self.export_where(Some(names), password, options)
    }

    fn export_where(
        &self,
        only: Option<&[&str]>,
        password: &Password,
        options: &VaultOptions,
    ) -> Result<Vec<u8>, VaultError> {
        password.check()?;
        let params = options.params(self.vault.password_params())?;
        self.vault.with_secrets(|file, records| {
            let names = only.unwrap_or_default();
            if let Some(missing) = names.iter().find(|name| records.get(name).is_none()) {
                return Err(VaultError::SecretMissing {
                    name: (*missing).to_owned(),
                });
            }
            if only.is_none() {
                self.write_down(AuditAction::Exported, "", 0, "all secrets")?;
            }
            let wanted = |name: &str| only.is_none_or(|names| names.contains(&name));
            let mut secrets = Vec::new();
            for (name, record) in records.iter().filter(|(name, _)| wanted(name)) {
                if only.is_some() {
                    self.write_down(AuditAction::Exported, name, record.about.version, "this secret")?;
                }
                secrets.push(Exported::new(name, record.about, file.value(name, record)?));
            }
            transfer::seal(&secrets, password, params)
        })
    }
}
