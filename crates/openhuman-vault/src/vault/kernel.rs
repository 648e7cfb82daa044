use std::time::Duration;

use linux_keyutils::{KeyError, KeyRing, KeyRingIdentifier};
use zeroize::Zeroizing;

use super::key_store::{KeyStore, KeyStoreError};
use crate::key::Key;

const LEN: usize = 32;

/// The Linux kernel's key ring of the user, as a cache: keys lie in the kernel's memory, are never swapped out, end after
/// the given time and with the machine. Made for [`Vault::cache_in`](crate::Vault::cache_in); never the only copy of
/// anything.
///
/// Every process of the same user can read them. Containers and sandboxes often forbid these calls.
#[derive(Debug)]
pub struct KernelKeyStore {
    service: String,
    seconds: usize,
}

impl KernelKeyStore {
    /// A cache that forgets each key `lifetime` after it was stored: at least one second, at most a day.
    ///
    /// # Errors
    /// [`KeyStoreError::Unavailable`] and [`KeyStoreError::Denied`] when the kernel has no key rings for this process.
    pub fn new(lifetime: Duration) -> Result<KernelKeyStore, KeyStoreError> {
        KernelKeyStore::with_service("openhuman", lifetime)
    }

    /// As [`KernelKeyStore::new`], with another service name, so that two installations do not meet.
    ///
    /// # Errors
    /// As [`KernelKeyStore::new`].
    pub fn with_service(service: &str, lifetime: Duration) -> Result<KernelKeyStore, KeyStoreError> {
        const DAY: u64 = 24 * 60 * 60;
        rings().map_err(translate)?;
        Ok(KernelKeyStore {
            service: service.to_owned(),
            seconds: usize::try_from(lifetime.as_secs().clamp(1, DAY)).unwrap_or(1),
        })
    }

    fn description(&self, account: &str) -> String {
        format!("{}:{account}", self.service)
    }
}

impl KeyStore for KernelKeyStore {
    fn get(&self, account: &str) -> Result<Option<Key>, KeyStoreError> {
        let found = rings().and_then(|(_, user)| user.search(&self.description(account)));
        let Some(entry) = present(found)? else {
            return Ok(None);
        };
        let mut bytes = Zeroizing::new([0; LEN + 1]);
        let Some(length) = present(entry.read(&mut *bytes))? else {
            return Ok(None);
        };
        match <[u8; LEN]>::try_from(bytes.get(..length).unwrap_or_default()) {
            Ok(bytes) => Ok(Some(Key::from_bytes(bytes))),
            Err(_) => Err(KeyStoreError::BadEntry {
                account: account.to_owned(),
            }),
        }
    }

    fn set(&self, account: &str, key: &Key) -> Result<(), KeyStoreError> {
        let (thread, user) = rings().map_err(translate)?;
        let description = self.description(account);
        // First where it ends with this thread: it is shared only when it has its time.
        let entry = thread.add_key(&description, key.expose()).map_err(translate)?;
        let shared = entry
            .set_timeout(self.seconds)
            .and_then(|()| user.link_key(entry));
        let _ = thread.unlink_key(entry);
        shared.map_err(|error| {
            let _ = entry.invalidate();
            translate(error)
        })
    }

    fn delete(&self, account: &str) -> Result<bool, KeyStoreError> {
        let found = rings().and_then(|(_, user)| user.search(&self.description(account)));
        match present(found)? {
            Some(entry) => Ok(present(entry.invalidate())?.is_some()),
            None => Ok(false),
        }
    }
}

/// The ring of this thread and the one of the user. The second hangs on the first, so that this process possesses what
/// is in it, however the session was begun.
fn rings() -> Result<(KeyRing, KeyRing), KeyError> {
    let thread = KeyRing::from_special_id(KeyRingIdentifier::Thread, true)?;
    let user = KeyRing::from_special_id(KeyRingIdentifier::User, true)?;
    thread.link_keyring(user)?;
    Ok((thread, user))
}

/// `None` for what is not there or not there any more.
fn present<T>(result: Result<T, KeyError>) -> Result<Option<T>, KeyStoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(KeyError::KeyDoesNotExist | KeyError::KeyExpired | KeyError::KeyRevoked) => Ok(None),
        Err(error) => Err(translate(error)),
    }
}

fn translate(error: KeyError) -> KeyStoreError {
    let reason = format!("the kernel's key ring: {error}");
    match error {
        KeyError::AccessDenied => KeyStoreError::Denied { reason },
        KeyError::Unknown(libc::EPERM) => KeyStoreError::Denied { reason },
        KeyError::Unknown(libc::ENOSYS) => KeyStoreError::Unavailable { reason },
        _ => KeyStoreError::Other { reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{Password, Vault, VaultError, VaultOptions};

    /// `None`, and says so, where the kernel has no key rings for this process.
    fn store(test: &str, lifetime: Duration) -> Option<KernelKeyStore> {
        let service = format!("openhuman-test-{}-{test}", std::process::id());
        match KernelKeyStore::with_service(&service, lifetime) {
            Ok(store) => Some(store),
            Err(error) => {
                assert!(
                    std::env::var_os("OPENHUMAN_REQUIRE_KERNEL_KEYS").is_none(),
                    "{error}"
                );
                eprintln!("NOT RUN: {test}: {error}");
                None
            }
        }
    }

    #[test]
    fn keys_are_kept_replaced_seen_by_other_threads_and_removed() {
        let Some(store) = store("kept", Duration::from_secs(60)) else {
            return;
        };
        assert!(store.get("nobody").unwrap().is_none());
        for byte in [1, 2] {
            store.set("alice", &Key::from_bytes([byte; 32])).unwrap();
            let seen = std::thread::scope(|scope| {
                let other = scope.spawn(|| *store.get("alice").unwrap().unwrap().expose());
                other.join().unwrap()
            });
            assert_eq!(seen, [byte; 32]);
        }
        assert!(store.delete("alice").unwrap());
        assert!(!store.delete("alice").unwrap());
        assert!(store.get("alice").unwrap().is_none());
    }

    #[test]
    fn an_entry_that_is_no_key_is_told_from_none() {
        let Some(store) = store("odd", Duration::from_secs(60)) else {
            return;
        };
        let (_, user) = rings().unwrap();
        for length in [1, 31, 33, 500] {
            let entry = user
                .add_key(&store.description("alice"), &vec![7; length])
                .unwrap();
            let error = store.get("alice").unwrap_err();
            assert!(
                matches!(error, KeyStoreError::BadEntry { .. }),
                "{length}: {error}"
            );
            entry.invalidate().unwrap();
        }
    }

    /// The kernel's own clock ends it; nothing here depends on how long that takes.
    #[test]
    fn a_vault_stays_unlocked_in_the_kernel_until_the_time_is_over() {
        let Some(store) = store("vault", Duration::from_secs(3)) else {
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let password = Password::from("a password".to_owned());
        let vault = Vault::create(dir.path(), &password, &VaultOptions::fast_for_tests()).unwrap();
        vault.cache_in(&store).unwrap();
        // On a very slow machine the time is over already; then the first look finds that.
        if let Ok(opened) = Vault::open_from_cache(dir.path(), &store) {
            assert_eq!(opened.subkey("x").expose(), vault.subkey("x").expose());
        }
        let ended = (0..600).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            matches!(
                Vault::open_from_cache(dir.path(), &store),
                Err(VaultError::NotCached)
            )
        });
        assert!(ended, "the kernel never forgot it");
    }
}
