#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod files;
#[cfg(feature = "vault")]
#[doc(hidden)]
pub mod fuzzing;
mod key;
#[cfg(feature = "legacy")]
pub mod legacy;
mod memory;
pub mod records;
pub mod seal;
#[cfg(test)]
mod testing;
#[cfg(feature = "vault")]
pub mod tokens;
#[cfg(feature = "vault")]
mod vault;

pub use key::{Key, RandomError};
pub use memory::{Protection, WipingAllocator, forbid_core_dumps, memory_protection};
#[cfg(all(feature = "keychain", target_os = "linux"))]
pub use vault::KernelKeyStore;
#[cfg(feature = "keychain")]
pub use vault::KeychainStore;
#[cfg(feature = "vault")]
pub use vault::{
    Age, Argon2Params, AuditAction, AuditEntry, Existing, Imported, KeyStore, KeyStoreError, MemoryKeyStore,
    Password, RecoveryKey, RecoveryKeyError, Secret, SecretHandle, SecretInfo, Secrets, Vault, VaultError,
    VaultOptions,
};
#[cfg(feature = "vault")]
pub use zeroize::Zeroizing;
