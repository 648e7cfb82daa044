mod error;
mod header;
mod header_file;
mod key_store;
#[cfg(feature = "keychain")]
mod keychain;
mod password;
mod secrets;

use std::fmt;
use std::fs::{DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub use self::error::VaultError;
use self::error::io_at;
use self::header::{Header, Slot};
use self::header_file::HEADER_FILE;
pub use self::key_store::{KeyStore, KeyStoreError, MemoryKeyStore};
#[cfg(feature = "keychain")]
pub use self::keychain::KeychainStore;
pub use self::password::{Argon2Params, Password, VaultOptions};
use self::secrets::{MAX_NAME, Records, SecretsFile};
use crate::files;
use crate::key::{Key, random};
use crate::seal::{Backend, SealError, Sealer};

const SECRETS_FILE: &str = "secrets.ohv";
const LOCK_FILE: &str = "vault.lock";
const SEALED_VERSION: u8 = 1;

/// An unlocked vault: one random 256-bit key, and what is sealed under it.
///
/// The key itself is stored nowhere. The header file `vault.ohv` holds it wrapped, once per key slot: under the
/// password (Argon2id) and, if the user wants, under a random key in the operating system's keychain. Changing
/// the password rewrites one slot and nothing else.
///
/// All methods block: unlocking takes about half a second by design, the others read or write small files.
///
/// ```
/// use openhuman_vault::{MemoryKeyStore, Password, Vault, VaultError, VaultOptions};
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
///
/// let password = Password::from("correct horse battery staple".to_owned());
/// # let options = VaultOptions::fast_for_tests();
/// # #[cfg(any())]
/// let options = VaultOptions::calibrated();
/// let mut vault = Vault::create(dir, &password, &options)?;
/// vault.set_secret("provider/api-key", b"sk-123")?;
///
/// let store = MemoryKeyStore::new(); // KeychainStore::new()? on a desktop
/// vault.remember_in(&store)?;
/// drop(vault);
///
/// let vault = Vault::open_from_key_store(dir, &store)?;
/// assert_eq!(vault.secret("provider/api-key")?.unwrap().as_slice(), b"sk-123");
/// let wrong = Vault::open(dir, &Password::from("guess".to_owned()));
/// assert!(matches!(wrong, Err(VaultError::WrongPassword)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Vault {
    dir: PathBuf,
    key: Key,
    header: Header,
    id: String,
}

impl Vault {
    /// Whether `dir` holds a vault, as far as this user may know: `false` also when the directory may not be
    /// read. Before creating a vault, ask [`Vault::try_exists`].
    pub fn exists(dir: &Path) -> bool {
        Vault::try_exists(dir).unwrap_or(false)
    }

    /// Whether `dir` holds a vault: its header, or the copy of it. A directory that is not there holds none.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] when the operating system does not say, for instance because this user may not
    /// read the directory.
    pub fn try_exists(dir: &Path) -> Result<bool, VaultError> {
        header_file::try_exists(dir)
    }

    /// Creates a vault with a new random key, and the directory if it is missing.
    ///
    /// # Errors
    /// [`VaultError::AlreadyExists`], [`VaultError::EmptyPassword`], [`VaultError::UnsafeParameters`],
    /// [`VaultError::OutOfMemory`], [`VaultError::Random`], [`VaultError::Unreadable`] and [`VaultError::Io`].
    pub fn create(dir: &Path, password: &Password, options: &VaultOptions) -> Result<Vault, VaultError> {
        options.argon2.check()?;
        create_dir(dir).map_err(io_at(dir))?;
        let lock = lock(dir)?;
        // An error is not an answer: what cannot be looked at now must not be replaced.
        if Vault::try_exists(dir)? {
            return Err(VaultError::AlreadyExists { path: dir.to_owned() });
        }
        let key = Key::generate()?;
        let id = random()?;
        let slot = Slot::password(&id, password, options.argon2, &key)?;
        let header = Header {
            id,
            generation: 0,
            databases: Vec::new(),
            slots: vec![slot],
        };
        let mut vault = Vault::assemble(dir, key, header);
        if let Err(error) = vault.write_header(&lock) {
            // Nothing is sealed under this key yet. The first error is the one to report.
            let header = dir.join(HEADER_FILE);
            for path in [&header_file::copy_of(&header), &header] {
                let _ = std::fs::remove_file(path);
            }
            return Err(error);
        }
        Ok(vault)
    }

    /// Opens the vault with its password. Takes as long as the password parameters say, about half a second.
    ///
    /// When `vault.ohv` is damaged and its copy `vault.ohv.bak` opens with the same password, the copy is used and
    /// put in its place, and the damaged file is kept as `vault.ohv.damaged`; a warning is logged. A copy from
    /// before the last change of a password is not used. A wrong password changes nothing.
    ///
    /// # Errors
    /// [`VaultError::WrongPassword`], [`VaultError::HeaderTampered`], [`VaultError::NotFound`],
    /// [`VaultError::Damaged`], [`VaultError::UnknownVersion`], [`VaultError::UnsafeParameters`] (before any
    /// work is done), [`VaultError::OutOfMemory`] and [`VaultError::Io`].
    pub fn open(dir: &Path, password: &Password) -> Result<Vault, VaultError> {
        let found = header_file::unlock(dir, |header, tried| {
            // The same slot of the same vault would not open the second time either.
            let fresh = |slot: &&Slot| {
                !tried.is_some_and(|tried| tried.id == header.id && tried.slots.contains(slot))
            };
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

    /// Replaces the password. Everything sealed stays as it is: only one key slot is rewritten.
    ///
    /// # Errors
    /// As [`Vault::create`].
    pub fn change_password(&mut self, password: &Password, options: &VaultOptions) -> Result<(), VaultError> {
        let slot = Slot::password(&self.header.id, password, options.argon2, &self.key)?;
        self.update(|header| {
            header.slots.retain(|slot| !matches!(slot, Slot::Password { .. }));
            header.slots.insert(0, slot);
            Ok(())
        })
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

    /// The vault's random identity, 32 hexadecimal digits. It never changes.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Derives a key for one purpose. The same label always gives the same key; keys of different labels, and
    /// the vault's own key, tell nothing about each other.
    pub fn subkey(&self, label: &str) -> Key {
        self.key
            .derive(&self.header.id, &format!("openhuman-vault/v1/subkey/{label}"))
    }

    /// Seals a value that the caller stores. It opens only under the same `name` in the same vault.
    ///
    /// # Errors
    /// [`VaultError::BadName`] outside 1 to 256 bytes, [`VaultError::Seal`] without randomness.
    pub fn seal(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>, VaultError> {
        check_name(name)?;
        let mut out = vec![SEALED_VERSION];
        out.extend_from_slice(&self.value_sealer().seal(&self.value_aad(name), bytes)?);
        Ok(out)
    }

    /// Opens what [`Vault::seal`] returned.
    ///
    /// # Errors
    /// [`VaultError::BadName`], and [`VaultError::Seal`] when vault, name or bytes are not the ones sealed.
    pub fn unseal(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        check_name(name)?;
        let Some((&SEALED_VERSION, body)) = sealed.split_first() else {
            return Err(SealError::NotAuthentic.into());
        };
        Ok(self.value_sealer().open(&self.value_aad(name), body)?)
    }

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

    /// Notes that a database of this name exists from now on. A program that finds it missing later knows that
    /// it was lost, and does not start an empty one in its place.
    ///
    /// # Errors
    /// [`VaultError::BadName`], [`VaultError::TooLarge`] above 64 databases, and the errors of [`Vault::open`]
    /// for reading the header again.
    pub fn note_database(&mut self, name: &str) -> Result<(), VaultError> {
        const LIMIT: usize = 64;
        check_name(name)?;
        if self.has_database(name) {
            return Ok(());
        }
        self.update(|header| {
            if header.databases.len() >= LIMIT {
                return Err(VaultError::TooLarge {
                    what: "the number of databases",
                    limit: LIMIT,
                });
            }
            if !header.databases.iter().any(|known| known == name) {
                header.databases.push(name.to_owned());
            }
            Ok(())
        })
    }

    /// Whether [`Vault::note_database`] was called for that name.
    pub fn has_database(&self, name: &str) -> bool {
        self.header.databases.iter().any(|known| known == name)
    }

    fn assemble(dir: &Path, key: Key, header: Header) -> Vault {
        let id = header.id.iter().map(|byte| format!("{byte:02x}")).collect();
        Vault {
            dir: dir.to_owned(),
            key,
            header,
            id,
        }
    }

    fn account(&self) -> String {
        format!("vault-{}", self.id)
    }

    fn value_sealer(&self) -> Sealer {
        let key = self.key.derive(&self.header.id, "openhuman-vault/v1/values");
        Sealer::with_backend(&key, Backend::AesGcm)
    }

    fn value_aad(&self, name: &str) -> Vec<u8> {
        let mut aad = vec![SEALED_VERSION];
        aad.extend_from_slice(&self.header.id);
        aad.extend_from_slice(name.as_bytes());
        aad
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

    /// Changes the header as it is on disk now, which another handle may have written since.
    fn update(
        &mut self,
        change: impl FnOnce(&mut Header) -> Result<(), VaultError>,
    ) -> Result<(), VaultError> {
        let lock = lock(&self.dir)?;
        let mut header = header_file::find(&self.dir, |_, _| Ok(self.key.duplicate()))?.header;
        let slots = header.slots.clone();
        change(&mut header)?;
        let before = std::mem::replace(&mut self.header, header);
        let written = self.write_header(&lock);
        if written.is_err() {
            self.header = before;
        } else if slots != self.header.slots {
            header_file::forget_damaged(&self.dir, &lock);
        }
        written
    }

    fn write_header(&mut self, lock: &File) -> Result<(), VaultError> {
        self.header.generation += 1;
        header_file::write(&self.dir, &self.header.encode(&self.key), lock)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("dir", &self.dir)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Held while a file of the vault is read or written; freed when the file is dropped.
fn lock(dir: &Path) -> Result<File, VaultError> {
    let path = dir.join(LOCK_FILE);
    let io = io_at(&path);
    let file = files::owner_only()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(&io)?;
    file.lock().map_err(&io)?;
    Ok(file)
}

fn create_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn check_name(name: &str) -> Result<(), VaultError> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(VaultError::BadName {
            len: name.len(),
            limit: MAX_NAME,
        });
    }
    Ok(())
}

fn is_account(slot: &Slot, wanted: &str) -> bool {
    matches!(slot, Slot::KeyStore { account, .. } if account == wanted)
}

#[cfg(test)]
mod tests;
