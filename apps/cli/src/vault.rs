//! `openhuman vault`.

use openhuman::vault::{KeyStore, KeychainStore, VaultError};
use openhuman::{CoreError, Home};
use serde_json::json;

use crate::args::{Global, Vault};
use crate::exit::{Code, Failure};
use crate::output;
use crate::session::{self, Keychain};

pub(crate) async fn run(global: &Global, command: Vault) -> Result<(), Failure> {
    let home = session::home(global)?;
    let shown = home.path().display().to_string();
    match command {
        Vault::Create => {
            if session::has_vault(&home)? {
                let message = format!("there is a vault in {shown} already; nothing was changed");
                return Err(Failure::new(Code::Failed, message));
            }
            session::create_vault(global, &home).await?;
            if global.json {
                output::json(&json!({ "created": true, "home": shown }))?;
            }
            Ok(())
        }
        Vault::Status => status(global, &home, &shown).await,
        Vault::Remember => {
            let mut vault = session::vault(global, &home).await?;
            with_keychain(move |keychain| vault.remember_in(keychain)).await?;
            if global.json {
                return output::json(&json!({ "remembered": true, "home": shown }));
            }
            output::line("The keychain of this user opens the vault from now on.")
        }
        Vault::Forget => {
            let mut vault = session::vault(global, &home).await?;
            with_keychain(move |keychain| vault.forget_in(keychain)).await?;
            if global.json {
                return output::json(&json!({ "remembered": false, "home": shown }));
            }
            output::line("The vault opens with its password only.")
        }
    }
}

async fn status(global: &Global, home: &Home, shown: &str) -> Result<(), Failure> {
    let keychain = if session::has_vault(home)? {
        Some(session::ask_keychain(home).await?)
    } else {
        None
    };
    if global.json {
        let (opens, problem) = match &keychain {
            Some(Keychain::Opens(_)) => (true, None),
            Some(Keychain::Refuses(reason)) => (false, Some(reason)),
            _ => (false, None),
        };
        return output::json(&json!({
            "exists": keychain.is_some(), "home": shown, "opened_by_keychain": opens, "keychain_problem": problem,
        }));
    }
    match keychain {
        None => output::line("There is no vault yet. `openhuman vault create` makes one."),
        Some(Keychain::NotAsked) => output::line("There is a vault. It opens with its password."),
        Some(Keychain::Opens(_)) => {
            output::line("There is a vault. It opens with its password or with this user's keychain.")
        }
        Some(Keychain::Refuses(reason)) => output::line(format_args!(
            "There is a vault. It opens with its password. The keychain should open it as well, and does not: {reason}"
        )),
    }
}

async fn with_keychain<F>(call: F) -> Result<(), Failure>
where
    F: FnOnce(&dyn KeyStore) -> Result<(), VaultError> + Send + 'static,
{
    let outcome = tokio::task::spawn_blocking(move || {
        // Reached before anything is changed.
        let keychain = KeychainStore::new()?;
        call(&keychain)
    });
    Ok(outcome.await?.map_err(CoreError::from)?)
}
