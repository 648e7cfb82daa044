//! `openhuman unlock` and `openhuman lock`: a vault that stays open for a while, so that not every command asks.

use std::time::Duration;

use clap::Args;
use jiff::Zoned;
use openhuman::Home;
use openhuman::vault::{KeyStore, MemoryKeyStore, Vault, VaultError};
use serde_json::json;

use crate::args::Global;
use crate::exit::{Code, Failure};
use crate::output::{self, line};
use crate::password::open_from_terminal;
use crate::session;
use crate::style::DIM;

/// The longest time a vault stays open, in seconds: what the kernel's cache allows.
const LONGEST: u64 = 24 * 60 * 60;

#[derive(Args)]
pub(crate) struct Unlock {
    /// How long, such as 90s, 15m or 8h; a day at most.
    #[arg(long = "for", value_name = "TIME", default_value = "15m", value_parser = duration)]
    time: Duration,
}

/// Reads `90s`, `15m`, `8h`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write it as 90s, 15m or 8h; from a second to a day".to_owned();
    let unit = match text.chars().next_back() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 60 * 60,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    match count.checked_mul(unit) {
        Some(seconds @ 1..=LONGEST) => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

/// The kernel's key ring. It outlives the command and nothing else.
#[cfg(target_os = "linux")]
pub(crate) fn cache(time: Duration) -> Result<Box<dyn KeyStore>, VaultError> {
    let store = openhuman::vault::KernelKeyStore::new(time)?;
    Ok(Box::new(store))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn cache(_time: Duration) -> Result<Box<dyn KeyStore>, VaultError> {
    Err(VaultError::NotCached)
}

/// Leaves the vault open. The password is asked for, even while it is open already: whoever finds an open terminal cannot
/// prolong it.
pub(crate) async fn unlock(global: &Global, unlock: &Unlock) -> Result<(), Failure> {
    if !cfg!(target_os = "linux") {
        return Err(Failure::new(
            Code::Failed,
            "this system has no place that keeps a key for a while; `openhuman vault remember` lets its keychain open the \
             vault",
        ));
    }
    let home = session::home(global)?;
    session::require_vault(&home)?;
    let vault = match &global.password {
        Some(secret) => session::open(&home, secret.to_password()).await?,
        None => open_from_terminal(&home, None).await?,
    };
    let time = unlock.time;
    let kept = tokio::task::spawn_blocking(move || vault.cache_in(cache(time)?.as_ref())).await?;
    kept.map_err(openhuman::CoreError::from)?;
    let seconds = time.as_secs();
    if global.json {
        return output::json(&json!({ "unlocked": true, "seconds": seconds }));
    }
    let until = jiff::SignedDuration::try_from(time)
        .ok()
        .and_then(|time| Zoned::now().checked_add(time).ok());
    let until = until.map_or_else(String::new, |until| until.strftime(" until %H:%M:%S").to_string());
    line(format_args!("The vault stays open{until}."))?;
    line(format_args!(
        "{DIM}Every program of this user can open it in that time. `openhuman lock` ends it.{DIM:#}"
    ))
}

/// Ends what `unlock` began.
pub(crate) async fn lock(global: &Global) -> Result<(), Failure> {
    let home = session::home(global)?;
    session::require_vault(&home)?;
    let dir = home.vault_dir();
    let ended = tokio::task::spawn_blocking(move || {
        // Where the kernel cannot be asked, the file that its key opens goes all the same.
        let store = cache(Duration::from_secs(1)).unwrap_or_else(|_| Box::new(MemoryKeyStore::new()));
        Vault::forget_cached(&dir, store.as_ref())
    });
    ended.await?.map_err(openhuman::CoreError::from)?;
    if global.json {
        return output::json(&json!({ "unlocked": false }));
    }
    line("The vault opens with its password again.")
}

/// The vault, while `unlock` keeps it open. Where the kernel cannot be asked, the other ways are left.
pub(crate) async fn unlocked(home: &Home) -> Result<Option<Vault>, Failure> {
    let home = home.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let store = cache(Duration::from_secs(1)).map_err(openhuman::CoreError::from)?;
        home.open_vault_from_cache(store.as_ref())
    });
    match opened.await? {
        Ok(vault) => Ok(Some(vault)),
        Err(openhuman::CoreError::Vault(VaultError::NotCached)) => Ok(None),
        Err(openhuman::CoreError::Vault(error @ VaultError::KeyStore(_))) => {
            tracing::info!(%error, "the kernel keeps no keys for this process");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_end_within_a_day() {
        let seconds = |text: &str| duration(text).map(|time| time.as_secs());
        assert_eq!(
            [seconds("90s"), seconds("15m"), seconds("24h")],
            [Ok(90), Ok(900), Ok(86_400)]
        );
        for wrong in [
            "",
            "15",
            "m",
            "0m",
            "25h",
            "-1m",
            "1.5h",
            "15 m",
            "\u{e9}",
            "99999999999999999999h",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
