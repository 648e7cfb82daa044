#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod files;
mod key;
pub mod records;
pub mod seal;
#[cfg(test)]
mod testing;
#[cfg(feature = "vault")]
pub mod tokens;
#[cfg(feature = "vault")]
mod vault;

pub use key::{Key, RandomError};
#[cfg(feature = "keychain")]
pub use vault::KeychainStore;
#[cfg(feature = "vault")]
pub use vault::{
    Argon2Params, KeyStore, KeyStoreError, MemoryKeyStore, Password, Vault, VaultError, VaultOptions,
};
#[cfg(feature = "vault")]
pub use zeroize::Zeroizing;
