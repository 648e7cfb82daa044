//! The ways into a vault.

use std::path::Path;

use super::backoff::Attempt;
use super::error::VaultError;
use super::header::{Header, Slot};
use super::key_store::KeyStore;
use super::password::{Argon2Params, Password};
use super::recovery::RecoveryKey;
use super::{Vault, backoff, header_file, now_ms};
use crate::memory::scrub_stack;

impl Vault {
    /// Opens the vault with its password. Takes as long as the password parameters say, about half a second.
    ///
    /// When `vault.ohv` is damaged and its copy `vault.ohv.bak` opens with the same password, the copy is used and
    /// put in its place, and the damaged file is kept as `vault.ohv.damaged`; a warning is logged. A copy from
    /// before the last change of a password is not used.
    ///
    /// Wrong passwords are counted in `attempts.ohv`. After the third in a row every further attempt has to wait:
    /// 1, 2, 4 .. 300 seconds, by the system's clock; attempts do not run side by side. The right password resets
    /// the count. Parameters below [`Argon2Params::DEFAULT`] are raised to it on the way, unless they were chosen
    /// when the vault was created; the next opening is the first to take longer.
    ///
    /// # Errors
    /// [`VaultError::WrongPassword`], [`VaultError::TooManyAttempts`], [`VaultError::HeaderTampered`],
    /// [`VaultError::NotFound`], [`VaultError::Damaged`], [`VaultError::UnknownVersion`],
    /// [`VaultError::UnsafeParameters`] (before any work is done), [`VaultError::OutOfMemory`] and
    /// [`VaultError::Io`].
    pub fn open(dir: &Path, password: &Password) -> Result<Vault, VaultError> {
        Vault::open_at(dir, password, now_ms())
    }

    /// [`Vault::open`] for a caller who owns the clock: `now_ms` is in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn open_at(dir: &Path, password: &Password, now_ms: i64) -> Result<Vault, VaultError> {
        password.check()?;
        let attempt = Attempt::begin(dir, now_ms)?;
        let opened = open_with(dir, password);
        match &opened {
            Ok(_) => attempt.succeeded(),
            Err(VaultError::WrongPassword) => attempt.failed(now_ms),
            // Says nothing about the password.
            Err(_) => drop(attempt),
        }
        let mut vault = opened?;
        if let Err(error) = vault.raise_cost(password) {
            // The vault is open either way, and the next opening tries again.
            tracing::warn!(%error, "the password parameters could not be raised");
        }
        scrub_stack();
        Ok(vault)
    }

    /// How many milliseconds the next attempt with a password has to wait, for a program that shows it before anybody
    /// types; 0 when it need not, and when nothing is known. `now_ms` as in [`Vault::open_at`]. Makes no attempt.
    pub fn waiting_ms(dir: &Path, now_ms: i64) -> u64 {
        backoff::waiting_ms(dir, now_ms)
    }

    /// Opens the vault with the key that [`Vault::remember_in`] left in `store`. Fast: no Argon2id.
    ///
    /// # Errors
    /// [`VaultError::NotRemembered`] when the vault has no slot for a key store,
    /// [`VaultError::KeyStoreEntryMissing`] when it has one but the store knows no key (or is locked and does
    /// not say so), [`VaultError::WrongKeyInStore`], [`VaultError::KeyStore`]; otherwise as [`Vault::open`].
    pub fn open_from_key_store(dir: &Path, store: &dyn KeyStore) -> Result<Vault, VaultError> {
        let found = header_file::unlock(dir, |header, _| {
            let mut failure = VaultError::NotRemembered;
            for slot in &header.slots {
                let Slot::KeyStore { account, .. } = slot else {
                    continue;
                };
                let Some(wrapping) = store.get(account)? else {
                    failure = VaultError::KeyStoreEntryMissing;
                    continue;
                };
                match slot.open_with_key(&header.id, &wrapping) {
                    Some(key) => return Ok(key),
                    None => failure = VaultError::WrongKeyInStore,
                }
            }
            Err(failure)
        })?;
        Ok(Vault::assemble(dir, found.key, found.header))
    }

    /// Opens the vault with the recovery key that [`Vault::create_recovery_key`] returned. Fast: no Argon2id. The
    /// usual next step is [`Vault::change_password`].
    ///
    /// # Errors
    /// [`VaultError::NoRecoveryKey`] when none was made, [`VaultError::WrongRecoveryKey`]; otherwise as
    /// [`Vault::open`].
    pub fn open_with_recovery_key(dir: &Path, recovery: &RecoveryKey) -> Result<Vault, VaultError> {
        let found = header_file::unlock(dir, |header, _| {
            let mut slots = header
                .slots
                .iter()
                .filter(|slot| matches!(slot, Slot::Recovery { .. }))
                .peekable();
            if slots.peek().is_none() {
                return Err(VaultError::NoRecoveryKey);
            }
            let wrapping = recovery.wrapping(&header.id);
            slots
                .find_map(|slot| slot.open_with_key(&header.id, &wrapping))
                .ok_or(VaultError::WrongRecoveryKey)
        })?;
        let vault = Vault::assemble(dir, found.key, found.header);
        scrub_stack();
        Ok(vault)
    }

    /// Writes the password slot again when it costs less than it should.
    fn raise_cost(&mut self, password: &Password) -> Result<(), VaultError> {
        let least = self.header.least.unwrap_or(Argon2Params::DEFAULT);
        let Some(params) = self
            .password_params()
            .filter(|params| params.is_weaker_than(least))
        else {
            return Ok(());
        };
        let slot = Slot::password(&self.header.id, password, params.raised_to(least), &self.key)?;
        let known = self.header.slots.clone();
        self.update(|header| {
            // Somebody else may have changed the password in the meantime.
            if header.slots == known {
                replace_password(header, slot);
            }
            Ok(())
        })?;
        tracing::info!(vault = %self.id, "the password parameters were raised");
        Ok(())
    }
}

pub(super) fn replace_password(header: &mut Header, slot: Slot) {
    header.slots.retain(|slot| !matches!(slot, Slot::Password { .. }));
    header.slots.insert(0, slot);
}

fn open_with(dir: &Path, password: &Password) -> Result<Vault, VaultError> {
    let found = header_file::unlock(dir, |header, tried| {
        // The same slot of the same vault would not open the second time either.
        let fresh =
            |slot: &&Slot| !tried.is_some_and(|tried| tried.id == header.id && tried.slots.contains(slot));
        let most = if tried.is_some() { 1 } else { usize::MAX };
        let slots = header
            .slots
            .iter()
            .filter(|slot| matches!(slot, Slot::Password { .. }));
        for slot in slots.filter(fresh).take(most) {
            if let Some(key) = slot.open_with_password(&header.id, password)? {
                return Ok(key);
            }
        }
        Err(VaultError::WrongPassword)
    })?;
    Ok(Vault::assemble(dir, found.key, found.header))
}

#[cfg(test)]
mod tests;
