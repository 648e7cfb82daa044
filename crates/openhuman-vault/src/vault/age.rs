//! Whether the whole directory is the newest one: a key store outside of it keeps a number that only grows.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Vault;
use super::error::VaultError;
use super::key_store::{KeyStore, KeyStoreError};
use crate::key::Key;

const NUMBER: usize = 8;

/// What a key store outside of the directory says about the age of a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Age {
    /// No number was kept before: an older copy of the directory would not have been noticed.
    NeverKept,
    /// The directory is the newest one of which the store knows.
    Newest,
    /// A number was kept, but this store has none: it was emptied, is another one, or is locked and does not say so.
    /// Nothing is known.
    Forgotten,
}

impl Vault {
    /// Begins a session: compares the number of this vault's last session with the one that `store` keeps for it, and raises both. Call it once
    /// when a program starts to work with the vault, and an older copy of the whole directory, put back later, is
    /// [`VaultError::RolledBack`] at the next call. Writes the header and one entry of 32 bytes in the store, which is
    /// not secret.
    ///
    /// What other files of the same home have to be as new: write `session() + 1` into them, then begin the session, and at
    /// the next start expect them to have at least `session()`. What an older copy from *within* a session holds back is not
    /// noticed, nor is the replacement of the store together with the directory.
    ///
    /// # Errors
    /// [`VaultError::RolledBack`] (nothing is changed then; [`Vault::accept_age`] takes the older copy),
    /// [`VaultError::KeyStore`] when the store cannot be asked or does not keep the number, and the errors of
    /// [`Vault::open`] for reading and writing the header.
    pub fn begin_session(&mut self, store: &dyn KeyStore) -> Result<Age, VaultError> {
        let known = self.session_in(store)?;
        let mut age = Age::Newest;
        self.update(|header| {
            age = match known {
                Some(newest) if header.session < newest => {
                    return Err(VaultError::RolledBack {
                        found: header.session,
                        newest,
                    });
                }
                Some(_) => Age::Newest,
                None if header.session > 0 => Age::Forgotten,
                None => Age::NeverKept,
            };
            header.session += 1;
            Ok(())
        })?;
        self.keep_session_in(store)?;
        Ok(age)
    }

    /// Takes this directory for the newest one from now on, after its owner said that the older copy is meant.
    ///
    /// # Errors
    /// As [`Vault::begin_session`], other than [`VaultError::RolledBack`].
    pub fn accept_age(&mut self, store: &dyn KeyStore) -> Result<(), VaultError> {
        let known = self.session_in(store)?.unwrap_or_default();
        self.update(|header| {
            header.session = header.session.max(known) + 1;
            Ok(())
        })?;
        self.keep_session_in(store)
    }

    /// How many sessions were begun; 0 where [`Vault::begin_session`] was never called.
    pub fn session(&self) -> u64 {
        self.header.session
    }

    /// The number in the store. It is authenticated, so that nobody locks the owner out with a higher one.
    fn session_in(&self, store: &dyn KeyStore) -> Result<Option<u64>, VaultError> {
        let account = self.age_account();
        let Some(entry) = store.get(&account)? else {
            return Ok(None);
        };
        let (number, mac) = entry.expose().split_at(NUMBER);
        let number = number
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte));
        let authentic = self.age_mac(number).verify_truncated_left(mac).is_ok();
        if authentic {
            Ok(Some(number))
        } else {
            Err(KeyStoreError::BadEntry { account }.into())
        }
    }

    fn keep_session_in(&self, store: &dyn KeyStore) -> Result<(), VaultError> {
        let number = self.header.session;
        let mut entry = [0; 32];
        entry[..NUMBER].copy_from_slice(&number.to_be_bytes());
        let mac = self.age_mac(number).finalize().into_bytes();
        entry[NUMBER..].copy_from_slice(&mac[..32 - NUMBER]);
        Ok(store.set(&self.age_account(), &Key::from_bytes(entry))?)
    }

    fn age_account(&self) -> String {
        format!("{}-age", self.account())
    }

    fn age_mac(&self, number: u64) -> Hmac<Sha256> {
        let key = self.key.derive(&self.header.id, "openhuman-vault/v1/age");
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).expect("HMAC takes keys of any length");
        mac.update(&number.to_be_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::vault::{MemoryKeyStore, Password, VaultOptions};

    fn password() -> Password {
        Password::from("a password".to_owned())
    }

    fn open(dir: &Path) -> Vault {
        Vault::open(dir, &password()).unwrap()
    }

    /// Every file of a directory, to put back later.
    fn copy(from: &Path, to: &Path) {
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }

    fn created(dir: &Path, store: &MemoryKeyStore) -> Vault {
        let mut vault = Vault::create(dir, &password(), &VaultOptions::fast_for_tests()).unwrap();
        assert_eq!(vault.begin_session(store).unwrap(), Age::NeverKept);
        vault
    }

    #[test]
    fn an_older_copy_of_the_whole_directory_is_reported_until_it_is_accepted() {
        let (home, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = MemoryKeyStore::new();
        let vault = created(home.path(), &store);
        let old = vault.session();
        drop(vault);
        copy(home.path(), backup.path());
        // The control: the copy is as good as the original until another session has begun.
        assert_eq!(open(home.path()).begin_session(&store).unwrap(), Age::Newest);
        let newest = open(home.path()).session();
        assert!(newest > old);
        copy(backup.path(), home.path());
        for _ in 0..2 {
            let mut vault = open(home.path());
            let error = vault.begin_session(&store).unwrap_err();
            assert!(
                matches!(error, VaultError::RolledBack { found, newest: known } if found == old && known == newest),
                "{error}"
            );
            assert_eq!(open(home.path()).session(), old, "nothing is changed");
        }
        let mut vault = open(home.path());
        vault.accept_age(&store).unwrap();
        assert!(vault.session() > newest);
        assert_eq!(open(home.path()).begin_session(&store).unwrap(), Age::Newest);
    }

    #[test]
    fn a_session_whose_number_was_not_kept_locks_nobody_out() {
        let home = tempfile::tempdir().unwrap();
        let store = MemoryKeyStore::new();
        let mut vault = created(home.path(), &store);
        // As after a crash between the header and the store, and after other changes of the header.
        vault.note_database("memory").unwrap();
        assert_eq!(open(home.path()).begin_session(&store).unwrap(), Age::Newest);
    }

    #[test]
    fn a_store_that_forgot_is_not_a_store_that_never_knew() {
        let home = tempfile::tempdir().unwrap();
        let vault = created(home.path(), &MemoryKeyStore::new());
        drop(vault);
        let other = MemoryKeyStore::new();
        assert_eq!(open(home.path()).begin_session(&other).unwrap(), Age::Forgotten);
        assert_eq!(open(home.path()).begin_session(&other).unwrap(), Age::Newest);
    }

    #[test]
    fn a_number_that_the_vault_did_not_keep_is_refused_in_every_byte() {
        let home = tempfile::tempdir().unwrap();
        let store = MemoryKeyStore::new();
        let mut vault = created(home.path(), &store);
        let account = vault.age_account();
        let good = *store.get(&account).unwrap().unwrap().expose();
        for at in 0..good.len() {
            let mut bad = good;
            bad[at] ^= 1;
            store.set(&account, &Key::from_bytes(bad)).unwrap();
            let error = vault.begin_session(&store).unwrap_err();
            assert!(
                matches!(error, VaultError::KeyStore(KeyStoreError::BadEntry { .. })),
                "byte {at}: {error}"
            );
        }
    }
}
