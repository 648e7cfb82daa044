//! The crate as another program sees it.

#[cfg(feature = "vault")]
mod contract_rows;
#[cfg(target_os = "linux")]
mod core_dumps;
#[cfg(all(feature = "vault", unix))]
mod kill;
#[cfg(feature = "sqlite-tokens")]
mod redeem;
/// The keychain against a real Secret Service.
#[cfg(all(feature = "keychain", target_os = "linux"))]
mod secret_service;
