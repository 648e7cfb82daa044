use keyring::{Entry, Error};
use zeroize::Zeroizing;

use super::key_store::{KeyStore, KeyStoreError};
use crate::key::Key;

const SERVICE: &str = "openhuman";

/// The operating system's keychain: Keychain on macOS, Credential Manager on Windows, the Secret Service on
/// Linux. Entries have the service name `openhuman`.
///
/// Calls block, and the platform may ask the user; call it from a thread that may wait.
#[derive(Debug)]
pub struct KeychainStore {
    service: String,
}

impl KeychainStore {
    /// Connects to the keychain.
    ///
    /// # Errors
    /// [`KeyStoreError::Unavailable`] when this machine has none, for instance no session bus on Linux.
    pub fn new() -> Result<KeychainStore, KeyStoreError> {
        KeychainStore::with_service(SERVICE)
    }

    /// As [`KeychainStore::new`], with another service name, so that two installations do not meet.
    ///
    /// # Errors
    /// As [`KeychainStore::new`].
    pub fn with_service(service: &str) -> Result<KeychainStore, KeyStoreError> {
        match Entry::store_status() {
            Ok(()) => Ok(KeychainStore {
                service: service.to_owned(),
            }),
            Err(error) => Err(KeyStoreError::Unavailable {
                reason: error.to_string(),
            }),
        }
    }

    fn entry(&self, account: &str) -> Result<Entry, KeyStoreError> {
        Entry::new(&self.service, account).map_err(|error| translate(account, error))
    }
}

impl KeyStore for KeychainStore {
    fn get(&self, account: &str) -> Result<Option<Key>, KeyStoreError> {
        match self.entry(account)?.get_secret() {
            Ok(secret) => {
                let secret = Zeroizing::new(secret);
                let bytes = <[u8; 32]>::try_from(secret.as_slice()).map_err(|_| KeyStoreError::BadEntry {
                    account: account.to_owned(),
                })?;
                Ok(Some(Key::from_bytes(bytes)))
            }
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(translate(account, error)),
        }
    }

    fn set(&self, account: &str, key: &Key) -> Result<(), KeyStoreError> {
        self.entry(account)?
            .set_secret(key.expose())
            .map_err(|error| translate(account, error))
    }

    fn delete(&self, account: &str) -> Result<bool, KeyStoreError> {
        match self.entry(account)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(Error::NoEntry) => Ok(false),
            Err(error) => Err(translate(account, error)),
        }
    }
}

/// The error texts of the platforms carry reasons, never secrets; variants that hold bytes lose them here.
fn translate(account: &str, error: Error) -> KeyStoreError {
    match error {
        Error::NoStorageAccess(source) => {
            let reason = source.to_string();
            if format!("{source:?}").contains("Denied") {
                KeyStoreError::Denied { reason }
            } else {
                KeyStoreError::Locked { reason }
            }
        }
        Error::PlatformFailure(source) => KeyStoreError::Unavailable {
            reason: source.to_string(),
        },
        Error::NoDefaultStore => KeyStoreError::Unavailable {
            reason: "no store for this platform".to_owned(),
        },
        Error::BadEncoding(_) | Error::BadDataFormat(..) | Error::Ambiguous(_) => KeyStoreError::BadEntry {
            account: account.to_owned(),
        },
        other => KeyStoreError::Other {
            reason: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_errors_keep_their_meaning_and_lose_their_bytes() {
        let boxed = |text: &str| -> Box<dyn std::error::Error + Send + Sync> { text.to_owned().into() };
        let locked = translate("a", Error::NoStorageAccess(boxed("is locked")));
        assert!(matches!(locked, KeyStoreError::Locked { .. }), "{locked}");
        let denied = translate("a", Error::NoStorageAccess(boxed("AccessDenied")));
        assert!(matches!(denied, KeyStoreError::Denied { .. }), "{denied}");
        let none = translate("a", Error::PlatformFailure(boxed("no bus")));
        assert!(matches!(none, KeyStoreError::Unavailable { .. }), "{none}");
        let bad = translate("a", Error::BadEncoding(b"SECRET".to_vec()));
        assert!(!format!("{bad} {bad:?}").contains("SECRET") && !format!("{bad:?}").contains("83"));
    }
}
