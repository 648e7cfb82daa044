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
            let cause = cause(&format!("{source:?}")).unwrap_or(Cause::Locked);
            cause.with(source.to_string())
        }
        Error::PlatformFailure(source) => {
            let cause = cause(&format!("{source:?}")).unwrap_or(Cause::Absent);
            cause.with(source.to_string())
        }
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

/// What stands in the way of the store.
#[derive(Clone, Copy)]
enum Cause {
    Locked,
    Absent,
    Denied,
}

impl Cause {
    fn with(self, reason: String) -> KeyStoreError {
        match self {
            Cause::Locked => KeyStoreError::Locked { reason },
            Cause::Absent => KeyStoreError::Unavailable { reason },
            Cause::Denied => KeyStoreError::Denied { reason },
        }
    }
}

/// The stores do not tell these apart in their types, so it is read from the names and numbers of the platforms'
/// own errors. `None` when they say nothing that is known.
fn cause(platform: &str) -> Option<Cause> {
    const KNOWN: [(&str, Cause); 12] = [
        // Linux: the kernel's key rings, and a dismissed prompt of the Secret Service.
        ("Denied", Cause::Denied),
        ("Prompt", Cause::Denied),
        ("Locked", Cause::Locked),
        // macOS: the user said no, a wrong password, no access for this program, the screen is locked.
        ("-128", Cause::Denied),
        ("-25293", Cause::Denied),
        ("-25243", Cause::Denied),
        ("-25308", Cause::Locked),
        // macOS: no keychain there, none of that name, not a keychain.
        ("-25291", Cause::Absent),
        ("-25294", Cause::Absent),
        ("-25295", Cause::Absent),
        // Windows: a session without credentials, as of a service.
        ("NO_SUCH_LOGON_SESSION", Cause::Absent),
        ("1312", Cause::Absent),
    ];
    // A number counts when it stands alone: -128 is not part of -1280.
    let stands_alone = |at: usize, name: &str| {
        let number = name.ends_with(|c: char| c.is_ascii_digit());
        let next = platform[at + name.len()..].chars().next();
        let before = platform[..at].chars().next_back();
        !number || ![next, before].into_iter().flatten().any(|c| c.is_ascii_digit())
    };
    KNOWN
        .into_iter()
        .find(|(name, _)| platform.match_indices(name).any(|(at, _)| stands_alone(at, name)))
        .map(|(_, cause)| cause)
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
        let of = |error: fn(Box<dyn std::error::Error + Send + Sync>) -> Error, text: &str| {
            translate("a", error(boxed(text)))
        };
        for denied in [
            "Prompt",
            "Error { code: -128, message: \"cancelled\" }",
            "code: -25293",
        ] {
            let error = of(Error::PlatformFailure, denied);
            assert!(matches!(error, KeyStoreError::Denied { .. }), "{error}");
        }
        let locked = of(Error::PlatformFailure, "Error { code: -25308 }");
        assert!(matches!(locked, KeyStoreError::Locked { .. }), "{locked}");
        for absent in ["code: -25291", "WIN32_ERROR(1312)"] {
            let error = of(Error::NoStorageAccess, absent);
            assert!(matches!(error, KeyStoreError::Unavailable { .. }), "{error}");
        }
        for unknown in ["code: -1280", "code: 13120", "something"] {
            let error = of(Error::PlatformFailure, unknown);
            assert!(matches!(error, KeyStoreError::Unavailable { .. }), "{error}");
        }
        let bad = translate("a", Error::BadEncoding(b"SECRET".to_vec()));
        assert!(!format!("{bad} {bad:?}").contains("SECRET") && !format!("{bad:?}").contains("83"));
    }
}
