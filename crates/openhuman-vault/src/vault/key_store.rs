use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::key::Key;

/// A place outside the vault's directory that keeps one key per account: the operating system's keychain, or
/// memory in tests.
///
/// The vault stores a random wrapping key there, never its own key and never a document.
pub trait KeyStore: Send + Sync {
    /// The key of `account`; `None` when the store says it has no such entry. A locked store may say so, too:
    /// `None` does not prove that nothing was ever stored.
    ///
    /// # Errors
    /// [`KeyStoreError`] when the store cannot be asked.
    fn get(&self, account: &str) -> Result<Option<Key>, KeyStoreError>;

    /// Stores or replaces the key of `account`.
    ///
    /// # Errors
    /// [`KeyStoreError`] when the store cannot be written.
    fn set(&self, account: &str, key: &Key) -> Result<(), KeyStoreError>;

    /// Removes the key of `account`; `false` when there was none.
    ///
    /// # Errors
    /// [`KeyStoreError`] when the store cannot be written.
    fn delete(&self, account: &str) -> Result<bool, KeyStoreError>;
}

/// Why a key store could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyStoreError {
    /// The store is there but locked.
    #[error("the keychain is locked ({reason}); unlock it and try again")]
    Locked {
        /// What the store said.
        reason: String,
    },
    /// There is no store on this machine, or it cannot be reached.
    #[error("no keychain is available ({reason}); use the password instead")]
    Unavailable {
        /// What the platform said.
        reason: String,
    },
    /// The user or the platform refused access.
    #[error("access to the keychain was denied ({reason}); allow it, or use the password instead")]
    Denied {
        /// What the store said.
        reason: String,
    },
    /// The entry is not a key of this program.
    #[error(
        "the entry {account} in the keychain is not a key of 32 bytes; remove it and remember the vault again"
    )]
    BadEntry {
        /// The account asked for.
        account: String,
    },
    /// Anything else the store reported.
    #[error("the keychain failed ({reason}); use the password instead")]
    Other {
        /// What the store said.
        reason: String,
    },
}

/// A key store that forgets everything with the process, for tests and for programs without a keychain.
///
/// ```
/// use openhuman_vault::{Key, KeyStore, MemoryKeyStore};
///
/// let store = MemoryKeyStore::new();
/// store.set("alice", &Key::from_bytes([1; 32]))?;
/// assert_eq!(store.get("alice")?.unwrap().expose(), &[1; 32]);
/// assert!(store.delete("alice")?);
/// assert!(store.get("alice")?.is_none());
/// # Ok::<(), openhuman_vault::KeyStoreError>(())
/// ```
#[derive(Default)]
pub struct MemoryKeyStore(Mutex<HashMap<String, Key>>);

impl MemoryKeyStore {
    /// An empty store.
    pub fn new() -> MemoryKeyStore {
        MemoryKeyStore::default()
    }
}

impl KeyStore for MemoryKeyStore {
    fn get(&self, account: &str) -> Result<Option<Key>, KeyStoreError> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.get(account).map(Key::duplicate))
    }

    fn set(&self, account: &str, key: &Key) -> Result<(), KeyStoreError> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(account.to_owned(), key.duplicate());
        Ok(())
    }

    fn delete(&self, account: &str) -> Result<bool, KeyStoreError> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.remove(account).is_some())
    }
}

impl fmt::Debug for MemoryKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryKeyStore(..)")
    }
}
