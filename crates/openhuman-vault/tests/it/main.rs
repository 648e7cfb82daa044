//! The keychain against a real Secret Service.

#[cfg(all(feature = "keychain", target_os = "linux"))]
mod secret_service;
