//! `openhuman vault`.

use openhuman::CoreError;
use openhuman::vault::KeyStore;
use serde_json::json;

use crate::args::{Global, Vault};
use crate::exit::{Code, Failure};
use crate::session;

pub(crate) async fn run(global: &Global, command: Vault) -> Result<(), Failure> {
    let home = session::home(global)?;
    match command {
        Vault::Create if home.has_vault() => {
            let message = format!(
                "there is a vault in {} already; nothing was changed",
                home.path().display()
            );
            Err(Failure::new(Code::Failed, message))
        }
        Vault::Create => session::create_vault(global, &home).await.map(drop),
        Vault::Status => {
            let exists = home.has_vault();
            let remembered = exists
                && tokio::task::spawn_blocking(move || {
                    session::keychain().is_ok_and(|keychain| home.open_vault_from(&keychain).is_ok())
                })
                .await?;
            if global.json {
                println!(
                    "{}",
                    json!({ "exists": exists, "opened_by_keychain": remembered })
                );
            } else {
                match (exists, remembered) {
                    (false, _) => println!("There is no vault yet. `openhuman vault create` makes one."),
                    (true, false) => println!("There is a vault. It opens with its password."),
                    (true, true) => {
                        println!("There is a vault. It opens with its password or with this user's keychain.")
                    }
                }
            }
            Ok(())
        }
        Vault::Remember => {
            let mut vault = session::vault(global, &home).await?;
            with_keychain(move |keychain| vault.remember_in(keychain)).await?;
            println!("The keychain of this user opens the vault from now on.");
            Ok(())
        }
        Vault::Forget => {
            let mut vault = session::vault(global, &home).await?;
            with_keychain(move |keychain| vault.forget_in(keychain)).await?;
            println!("The vault opens with its password only.");
            Ok(())
        }
    }
}

async fn with_keychain<F>(call: F) -> Result<(), Failure>
where
    F: FnOnce(&dyn KeyStore) -> Result<(), openhuman::vault::VaultError> + Send + 'static,
{
    tokio::task::spawn_blocking(move || {
        call(&session::keychain()?).map_err(|error| CoreError::from(error).into())
    })
    .await?
}
