mod age;
mod audit;
mod backoff;
mod cache;
mod calibration;
mod error;
pub(crate) mod fuzzing;
mod header;
mod header_file;
#[cfg(all(feature = "keychain", target_os = "linux"))]
mod kernel;
mod key_store;
#[cfg(feature = "keychain")]
mod keychain;
mod named;
mod password;
mod recovery;
mod secrets;
mod slots;
mod transfer;
mod unlock;

use std::fmt;
use std::fs::{DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

pub use self::age::Age;
pub use self::error::VaultError;
use self::error::io_at;
use self::header::{Header, Slot};
use self::header_file::HEADER_FILE;
#[cfg(all(feature = "keychain", target_os = "linux"))]
pub use self::kernel::KernelKeyStore;
pub use self::key_store::{KeyStore, KeyStoreError, MemoryKeyStore};
#[cfg(feature = "keychain")]
pub use self::keychain::KeychainStore;
pub use self::named::{
    AuditAction, AuditEntry, Existing, Imported, Secret, SecretHandle, SecretInfo, Secrets,
};
#[cfg(feature = "legacy")]
pub(crate) use self::password::derive as argon2id;
pub use self::password::{Argon2Params, Password, VaultOptions};
pub use self::recovery::{RecoveryKey, RecoveryKeyError};
use self::secrets::MAX_NAME;
use crate::files;
use crate::key::{Key, random};
use crate::memory::scrub_stack;
use crate::seal::{Backend, SealError, Sealer};

const SECRETS_FILE: &str = "secrets.ohv";
const LOCK_FILE: &str = "vault.lock";
const SEALED_VERSION: u8 = 1;

/// An unlocked vault: one random 256-bit key, and what is sealed under it.
///
/// The key itself is stored nowhere. The header file `vault.ohv` holds it wrapped, once per key slot: under the
/// password (Argon2id) and, if the user wants, under a recovery key and under a random key in the operating
/// system's keychain. Changing the password rewrites one slot and nothing else.
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
/// let options = VaultOptions::default();
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
        password.check()?;
        let params = options.params(None)?;
        create_dir(dir).map_err(io_at(dir))?;
        let lock = lock(dir)?;
        // An error is not an answer: what cannot be looked at now must not be replaced.
        if Vault::try_exists(dir)? {
            return Err(VaultError::AlreadyExists { path: dir.to_owned() });
        }
        let key = Key::generate()?;
        let id = random()?;
        let slot = Slot::password(&id, password, params, &key)?;
        let header = Header {
            id,
            generation: 0,
            databases: Vec::new(),
            session: 0,
            least: least(options, params),
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
        backoff::forget(dir);
        scrub_stack();
        Ok(vault)
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

/// Milliseconds since the Unix epoch, for callers that leave the clock to us.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
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

/// What the header says about parameters below the default: chosen on purpose, so nothing to raise when it is
/// opened.
fn least(options: &VaultOptions, params: Argon2Params) -> Option<Argon2Params> {
    (options.argon2.is_some() && params.is_weaker_than(Argon2Params::DEFAULT)).then_some(params)
}

#[cfg(all(test, target_os = "linux"))]
mod memory_scan;
#[cfg(test)]
mod tests;
