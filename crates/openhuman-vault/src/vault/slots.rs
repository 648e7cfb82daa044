//! Changing the ways into a vault.

use super::error::VaultError;
use super::header::Slot;
use super::key_store::KeyStore;
use super::password::{Argon2Params, Password, VaultOptions};
use super::recovery::RecoveryKey;
use super::unlock::replace_password;
use super::{Vault, backoff, cache, least};
use crate::key::Key;
use crate::memory::scrub_stack;

impl Vault {
    /// Puts a new random wrapping key into `store` and adds the slot it opens; replaces an earlier one.
    ///
    /// # Errors
    /// [`VaultError::KeyStore`] when the store refuses (the vault is unchanged then); otherwise as
    /// [`Vault::set_secret`].
    pub fn remember_in(&mut self, store: &dyn KeyStore) -> Result<(), VaultError> {
        let account = self.account();
        let wrapping = Key::generate()?;
        let slot = Slot::key_store(&self.header.id, &account, &wrapping, &self.key)?;
        let previous = store.get(&account)?;
        store.set(&account, &wrapping)?;
        let written = self.update(|header| {
            header.slots.retain(|slot| !is_account(slot, &account));
            header.slots.push(slot);
            Ok(())
        });
        if written.is_err() {
            // Back to the key that fits the slot that is still there; the first error is the one to report.
            let _ = match previous {
                Some(key) => store.set(&account, &key),
                None => store.delete(&account).map(drop),
            };
        }
        written
    }

    /// Removes the key store's slot, then the key in `store`. The password is the only way in afterwards.
    ///
    /// # Errors
    /// As [`Vault::remember_in`]. The slot goes first: when the store fails, what it still holds opens nothing.
    pub fn forget_in(&mut self, store: &dyn KeyStore) -> Result<(), VaultError> {
        let account = self.account();
        self.update(|header| {
            header.slots.retain(|slot| !is_account(slot, &account));
            Ok(())
        })?;
        store.delete(&account)?;
        Ok(())
    }

    /// Replaces the password. Everything sealed stays as it is: only one key slot is rewritten. What
    /// [`Vault::cache_in`] left unlocked is locked again.
    ///
    /// # Errors
    /// As [`Vault::create`].
    pub fn change_password(&mut self, password: &Password, options: &VaultOptions) -> Result<(), VaultError> {
        password.check()?;
        let params = options.params(self.password_params())?;
        let slot = Slot::password(&self.header.id, password, params, &self.key)?;
        // Whoever knew the old password does not stay inside.
        cache::end_cache(&self.dir)?;
        self.update(|header| {
            replace_password(header, slot);
            header.least = least(options, params);
            Ok(())
        })?;
        backoff::forget(&self.dir);
        scrub_stack();
        Ok(())
    }

    /// Makes a recovery key, which opens the vault without the password from now on, and ends an earlier one. Show
    /// its [text](RecoveryKey::text) once and keep it nowhere.
    ///
    /// # Errors
    /// [`VaultError::Random`], and the errors of [`Vault::open`] for reading and writing the header; the earlier
    /// recovery key still works then.
    pub fn create_recovery_key(&mut self) -> Result<RecoveryKey, VaultError> {
        let recovery = RecoveryKey::generate()?;
        let slot = Slot::recovery(&self.header.id, &recovery.wrapping(&self.header.id), &self.key)?;
        self.update(|header| {
            header.slots.retain(|slot| !matches!(slot, Slot::Recovery { .. }));
            header.slots.push(slot);
            Ok(())
        })?;
        scrub_stack();
        Ok(recovery)
    }

    /// Ends the recovery key; `false` when there was none.
    ///
    /// # Errors
    /// As [`Vault::create_recovery_key`].
    pub fn remove_recovery_key(&mut self) -> Result<bool, VaultError> {
        let mut removed = false;
        self.update(|header| {
            let before = header.slots.len();
            header.slots.retain(|slot| !matches!(slot, Slot::Recovery { .. }));
            removed = header.slots.len() < before;
            Ok(())
        })?;
        Ok(removed)
    }

    /// Whether a recovery key opens this vault.
    pub fn has_recovery_key(&self) -> bool {
        self.header
            .slots
            .iter()
            .any(|slot| matches!(slot, Slot::Recovery { .. }))
    }

    /// The cost of guessing the password, as stored in the header.
    pub fn password_params(&self) -> Option<Argon2Params> {
        self.header.slots.iter().find_map(|slot| match slot {
            Slot::Password { params, .. } => Some(*params),
            _ => None,
        })
    }

    /// Whether the vault has a slot for a key store.
    pub fn is_remembered(&self) -> bool {
        self.header
            .slots
            .iter()
            .any(|slot| matches!(slot, Slot::KeyStore { .. }))
    }
}

fn is_account(slot: &Slot, wanted: &str) -> bool {
    matches!(slot, Slot::KeyStore { account, .. } if account == wanted)
}
