//! A vault that stays unlocked for a while: its key, wrapped, in a file beside the header; what unwraps it in a store
//! that forgets.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::{VaultError, io_at};
use super::header::Header;
use super::key_store::KeyStore;
use super::{Vault, header_file, lock};
use crate::files;
use crate::key::Key;
use crate::memory::scrub_stack;
use crate::seal::{Backend, OVERHEAD, Sealer};

const CACHE_FILE: &str = "unlocked.ohv";
const VERSION: u8 = 1;
const MAGIC: &[u8; 7] = b"OHCACHE";
const HEAD: usize = 8;
const SIZE: usize = HEAD + 32 + OVERHEAD;

impl Vault {
    /// Lets [`Vault::open_from_cache`] open this vault without the password for as long as `cache` keeps an entry: a
    /// `KernelKeyStore`, with the time it was made for. The entry is a new random key; the vault's own key, wrapped under
    /// it, is in the file `unlocked.ohv`. Either alone opens nothing.
    ///
    /// Whoever runs as the same user opens the vault in that time, too: that is the price of not being asked.
    ///
    /// # Errors
    /// [`VaultError::KeyStore`], [`VaultError::Random`] and [`VaultError::Io`]; the vault is not cached then.
    pub fn cache_in(&self, cache: &dyn KeyStore) -> Result<(), VaultError> {
        let _lock = lock(&self.dir)?;
        let wrapping = Key::generate()?;
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(MAGIC);
        let sealed = sealer(&wrapping).seal(&aad(&self.header.id), self.key.expose())?;
        bytes.extend_from_slice(&sealed);
        let path = self.dir.join(CACHE_FILE);
        // The file first: an entry that fits nothing would only be a nuisance.
        files::write_atomic(&path, &bytes).map_err(io_at(&path))?;
        let kept = cache.set(&cache_account(&self.header.id), &wrapping);
        if kept.is_err() {
            let _ = std::fs::remove_file(&path);
        }
        scrub_stack();
        Ok(kept?)
    }

    /// Opens a vault that [`Vault::cache_in`] left unlocked. Fast: no Argon2id.
    ///
    /// # Errors
    /// [`VaultError::NotCached`] when nothing was left, the time is over, or the password was changed since;
    /// [`VaultError::KeyStore`]; otherwise as [`Vault::open`]. In every case the password is the way in.
    pub fn open_from_cache(dir: &Path, cache: &dyn KeyStore) -> Result<Vault, VaultError> {
        let found = header_file::unlock(dir, |header, _| cached_key(dir, header, cache));
        scrub_stack();
        match found {
            Ok(found) => Ok(Vault::assemble(dir, found.key, found.header)),
            Err(error) => Err(error),
        }
    }

    /// Ends what [`Vault::cache_in`] began; nothing happens when nothing is left. Also for a vault that is locked.
    ///
    /// # Errors
    /// [`VaultError::Io`] and [`VaultError::KeyStore`]. The file goes first: when the store fails, what it still
    /// holds opens nothing.
    pub fn forget_cached(dir: &Path, cache: &dyn KeyStore) -> Result<(), VaultError> {
        end_cache(dir)?;
        let id = header_file::id(dir)?;
        cache.delete(&cache_account(&id))?;
        Ok(())
    }
}

/// Removes the wrapped key, so that whatever a store still holds opens nothing.
pub(super) fn end_cache(dir: &Path) -> Result<(), VaultError> {
    let path = dir.join(CACHE_FILE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_at(&path)(error)),
        _ => Ok(()),
    }
}

fn cached_key(dir: &Path, header: &Header, cache: &dyn KeyStore) -> Result<Key, VaultError> {
    let path = dir.join(CACHE_FILE);
    let bytes = match files::read_limited(&path, SIZE as u64) {
        Ok(bytes) => bytes.unwrap_or_default(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(VaultError::NotCached),
        Err(error) => return Err(io_at(&path)(error)),
    };
    let body = bytes
        .strip_prefix(&[VERSION])
        .and_then(|rest| rest.strip_prefix(MAGIC))
        .ok_or(VaultError::NotCached)?;
    let wrapping = cache
        .get(&cache_account(&header.id))?
        .ok_or(VaultError::NotCached)?;
    let opened = sealer(&wrapping).open(&aad(&header.id), body);
    let opened = Zeroizing::new(opened.map_err(|_| VaultError::NotCached)?);
    let mut key = Key::zeroed();
    if opened.len() != key.bytes_mut().len() {
        return Err(VaultError::NotCached);
    }
    key.bytes_mut().copy_from_slice(&opened);
    Ok(key)
}

fn sealer(wrapping: &Key) -> Sealer {
    Sealer::with_backend(wrapping, Backend::AesGcm)
}

fn aad(id: &[u8; 16]) -> Vec<u8> {
    [b"openhuman-vault/v1/cache".as_slice(), id].concat()
}

fn cache_account(id: &[u8; 16]) -> String {
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("vault-{id}-unlocked")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{MemoryKeyStore, Password, VaultOptions};

    fn password(text: &str) -> Password {
        Password::from(text.to_owned())
    }

    fn created(dir: &Path) -> Vault {
        Vault::create(dir, &password("a password"), &VaultOptions::fast_for_tests()).unwrap()
    }

    fn is_not_cached(dir: &Path, cache: &dyn KeyStore) -> bool {
        matches!(Vault::open_from_cache(dir, cache), Err(VaultError::NotCached))
    }

    #[test]
    fn a_cached_vault_opens_until_the_cache_forgets() {
        let (dir, cache) = (tempfile::tempdir().unwrap(), MemoryKeyStore::new());
        let dir = dir.path();
        let vault = created(dir);
        assert!(is_not_cached(dir, &cache), "nothing was cached");
        vault.cache_in(&cache).unwrap();
        assert!(!vault.is_remembered(), "a cache is no key slot");
        let opened = Vault::open_from_cache(dir, &cache).unwrap();
        assert_eq!(opened.subkey("x").expose(), vault.subkey("x").expose());
        let entry = cache.get(&cache_account(&vault.header.id)).unwrap().unwrap();
        assert_ne!(
            entry.expose(),
            vault.key.expose(),
            "the vault's key stays out of the store"
        );
        cache.delete(&cache_account(&vault.header.id)).unwrap();
        assert!(is_not_cached(dir, &cache), "the time is over");
        vault.cache_in(&cache).unwrap();
        assert!(!is_not_cached(dir, &cache));
        Vault::forget_cached(dir, &cache).unwrap();
        Vault::forget_cached(dir, &cache).unwrap();
        assert!(is_not_cached(dir, &cache));
        assert!(cache.get(&cache_account(&vault.header.id)).unwrap().is_none());
    }

    #[test]
    fn a_new_password_ends_the_cache() {
        let (dir, cache) = (tempfile::tempdir().unwrap(), MemoryKeyStore::new());
        let dir = dir.path();
        let mut vault = created(dir);
        vault.cache_in(&cache).unwrap();
        vault
            .change_password(&password("another one"), &VaultOptions::fast_for_tests())
            .unwrap();
        assert!(is_not_cached(dir, &cache));
        assert!(Vault::open(dir, &password("another one")).is_ok());
    }

    #[test]
    fn a_changed_cut_or_foreign_file_opens_nothing_and_damages_nothing() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (dir, cache) = (dir.path(), MemoryKeyStore::new());
        let vault = created(dir);
        vault.cache_in(&cache).unwrap();
        let path = dir.join(CACHE_FILE);
        let good = std::fs::read(&path).unwrap();
        assert_eq!(good.len(), SIZE);
        let header = std::fs::read(dir.join("vault.ohv")).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, bad).unwrap();
            assert!(is_not_cached(dir, &cache), "byte {at}");
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(is_not_cached(dir, &cache), "cut at {at}");
        }
        std::fs::write(&path, [&good[..], &[0]].concat()).unwrap();
        assert!(is_not_cached(dir, &cache), "longer");
        let foreign = created(other.path());
        foreign.cache_in(&cache).unwrap();
        std::fs::copy(other.path().join(CACHE_FILE), &path).unwrap();
        assert!(is_not_cached(dir, &cache), "of another vault");
        std::fs::write(&path, &good).unwrap();
        assert!(!is_not_cached(dir, &cache));
        assert_eq!(std::fs::read(dir.join("vault.ohv")).unwrap(), header);
    }

    /// A store that cannot keep anything.
    struct Broken;

    impl KeyStore for Broken {
        fn get(&self, _account: &str) -> Result<Option<Key>, super::super::KeyStoreError> {
            Ok(None)
        }
        fn set(&self, _account: &str, _key: &Key) -> Result<(), super::super::KeyStoreError> {
            Err(super::super::KeyStoreError::Unavailable {
                reason: "no kernel".into(),
            })
        }
        fn delete(&self, _account: &str) -> Result<bool, super::super::KeyStoreError> {
            Ok(false)
        }
    }

    #[test]
    fn a_cache_that_keeps_nothing_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let vault = created(dir.path());
        assert!(matches!(vault.cache_in(&Broken), Err(VaultError::KeyStore(_))));
        assert!(!dir.path().join(CACHE_FILE).exists());
    }
}
