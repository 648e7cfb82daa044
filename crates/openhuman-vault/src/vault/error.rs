use std::io;
use std::path::{Path, PathBuf};

use super::key_store::KeyStoreError;
use super::password::Argon2Params;
use crate::key::RandomError;
use crate::records::RecordError;
use crate::seal::SealError;

/// Why a vault could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// No password slot opens with this password.
    #[error("the password is wrong")]
    WrongPassword,
    /// Wrong passwords came before; this attempt was not made.
    #[error("too many wrong passwords; try again in {} s", wait_ms.div_ceil(1_000))]
    TooManyAttempts {
        /// Milliseconds until the next attempt is made.
        wait_ms: u64,
    },
    /// The recovery key is well-formed, but not the one of this vault.
    #[error("the recovery key does not open this vault; check that it is the latest one made for it")]
    WrongRecoveryKey,
    /// The vault has no slot for a recovery key.
    #[error("this vault has no recovery key; unlock it with the password")]
    NoRecoveryKey,
    /// The key is right, but the header is not the one that was written.
    #[error(
        "the vault header vault.ohv was changed since it was written, and vault.ohv.bak beside it cannot replace it; \
         restore vault.ohv from a backup"
    )]
    HeaderTampered,
    /// There is no vault here.
    #[error("there is no vault in {}; create one first", path.display())]
    NotFound {
        /// The directory.
        path: PathBuf,
    },
    /// There is a vault here already.
    #[error("{} already holds a vault; open it, or choose another directory", path.display())]
    AlreadyExists {
        /// The directory.
        path: PathBuf,
    },
    /// The header or the secrets file cannot be read as one. For the header this means that its copy
    /// `vault.ohv.bak` cannot replace it.
    #[error("{} is damaged ({reason}); restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: &'static str,
    },
    /// Damaged at its first byte, or written by a newer program.
    #[error(
        "{} is damaged, or written by a newer version of this program (format {version}, this one reads format 1); \
         restore it from a backup, or use the newer version",
        path.display()
    )]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// The version byte found.
        version: u8,
    },
    /// The header asks for more or less work than is safe.
    #[error(
        "the password parameters ({} KiB, {} passes, {} lanes) are outside what is accepted ({} to {} KiB, at most \
         {} passes and {} lanes); choose others, or, if they came from a vault, its header was changed: restore \
         vault.ohv from a backup",
        params.memory_kib, params.passes, params.lanes, Argon2Params::FLOOR.memory_kib,
        Argon2Params::CEILING.memory_kib, Argon2Params::CEILING.passes, Argon2Params::CEILING.lanes
    )]
    UnsafeParameters {
        /// The parameters found.
        params: Argon2Params,
    },
    /// The memory for Argon2id is not there.
    #[error("not enough memory to check the password ({kib} KiB needed); close other programs and try again")]
    OutOfMemory {
        /// KiB asked for.
        kib: u32,
    },
    /// An empty password protects nothing.
    #[error("the password is empty; choose one")]
    EmptyPassword,
    /// Longer than any password.
    #[error("the password is longer than {limit} bytes; choose a shorter one")]
    PasswordTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The vault has no slot for a key store.
    #[error("this vault is not remembered in the keychain; unlock it with the password")]
    NotRemembered,
    /// The vault was remembered, but the key store says it has no such entry. Some stores answer this way while
    /// they are locked.
    #[error(
        "the keychain has no entry for this vault; unlock the keychain, or unlock the vault with the password"
    )]
    KeyStoreEntryMissing,
    /// The vault is not unlocked any more.
    #[error("the vault is locked again; unlock it with the password")]
    NotCached,
    /// The directory is older than the one of which the key store knows: a copy was put back.
    #[error(
        "the vault is an older copy (of session {found}, the keychain knows of session {newest}); restore the newest copy, or \
         accept this one"
    )]
    RolledBack {
        /// The session of the copy.
        found: u64,
        /// The newest session of which the store knows.
        newest: u64,
    },
    /// The entry in the key store belongs to another key.
    #[error(
        "the key in the keychain does not open this vault; unlock it with the password and remember it again"
    )]
    WrongKeyInStore,
    /// A name for a secret or sealed value that is empty or too long.
    #[error("the name of a secret has {len} bytes, 1 to {limit} are allowed; choose another name")]
    BadName {
        /// Bytes found.
        len: usize,
        /// Most bytes allowed.
        limit: usize,
    },
    /// A limit of the secrets file or the header.
    #[error("{what} would be too large, the limit is {limit}; store large data in a database")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// The limit, in bytes, secrets or databases.
        limit: usize,
    },
    /// The secrets file does not authenticate.
    #[error("the secrets file {} was changed since it was written; restore it from a backup", path.display())]
    SecretsTampered {
        /// The file.
        path: PathBuf,
    },
    /// The name of a handle was removed.
    #[error("there is no secret {name} any more; store it again")]
    SecretMissing {
        /// The name asked for.
        name: String,
    },
    /// The value of a handle was replaced.
    #[error("the secret {name} was replaced in the meantime; ask for its new handle")]
    SecretChanged {
        /// The name asked for.
        name: String,
    },
    /// What was to be imported is not an export of secrets.
    #[error("this is not an export of secrets ({reason}); choose another file")]
    NotAnExport {
        /// What does not fit.
        reason: &'static str,
    },
    /// The log of secrets failed.
    #[error("the use of a secret could not be written down, so it was not allowed: {0}")]
    Audit(#[from] RecordError),
    /// The key store failed.
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
    /// Sealing or opening a value failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Nobody can say whether there is a vault here.
    #[error(
        "cannot tell whether {} holds a vault ({source}); allow this user to read the directory, or choose another",
        path.display()
    )]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file system failed.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

pub(super) fn io_at(path: &Path) -> impl Fn(io::Error) -> VaultError {
    move |source| VaultError::Io {
        path: path.to_owned(),
        source,
    }
}
