//! The ways into the vault: its password and its recovery key.

use openhuman::vault::{RecoveryKey, VaultOptions};
use openhuman::{CoreError, Home};
use serde_json::json;

use super::{NewPassword, on};
use crate::args::Global;
use crate::descriptors::Secret;
use crate::exit::{Failure, tell};
use crate::output::{self, line};
use crate::password::{Asking, new_password, open_from_terminal, typed};
use crate::session;
use crate::style::{BOLD, DIM};

const NOTHING: &str = "nothing was changed";

/// Changes the password. Whoever finds an unlocked keychain cannot lock the owner out: the old one is asked for.
pub(super) async fn change(global: &Global, home: &Home, new: &NewPassword) -> Result<(), Failure> {
    session::require_vault(home)?;
    let vault = match &global.password {
        Some(secret) => session::open(home, secret.to_password()).await?,
        None => open_from_terminal(home, None).await?,
    };
    let password = new_password(
        new.new_password.as_ref(),
        &Asking {
            intro: "Choose a new password for the vault.".to_owned(),
            nobody: "there is no terminal to ask at; give the new password with --new-password-fd N"
                .to_owned(),
            nothing: NOTHING,
        },
    )?;
    on(vault, move |vault| {
        Ok(vault.change_password(&password, &VaultOptions::default())?)
    })
    .await?;
    if global.json {
        return output::json(&json!({ "changed": true }));
    }
    line("The vault opens with the new password from now on.")
}

/// Makes a recovery key and shows it.
pub(super) async fn make_recovery_key(global: &Global, home: &Home) -> Result<(), Failure> {
    let vault = session::existing_vault(global, home).await?;
    let replaced = vault.has_recovery_key();
    let (_, key) = on(vault, |vault| Ok(vault.create_recovery_key()?)).await?;
    let text = key.text();
    if global.json {
        return output::json(&json!({ "recovery_key": text.as_str(), "replaced": replaced }));
    }
    if replaced {
        tell(format_args!(
            "{DIM}The earlier recovery key opens nothing any more.{DIM:#}"
        ));
    }
    tell(
        "Write this down and keep it away from this machine. It opens the vault without the password, and it is shown once:",
    );
    line(format_args!("{BOLD}{}{BOLD:#}", text.as_str()))
}

/// Removes the recovery key.
pub(super) async fn remove_recovery_key(global: &Global, home: &Home) -> Result<(), Failure> {
    let vault = session::existing_vault(global, home).await?;
    let (_, removed) = on(vault, |vault| Ok(vault.remove_recovery_key()?)).await?;
    if global.json {
        return output::json(&json!({ "removed": removed }));
    }
    line(if removed {
        "The recovery key opens nothing any more."
    } else {
        "There was no recovery key."
    })
}

/// Opens the vault with its recovery key and sets a new password. The key stays valid.
pub(super) async fn recover(
    global: &Global,
    home: &Home,
    given: Option<&Secret>,
    new: &NewPassword,
) -> Result<(), Failure> {
    session::require_vault(home)?;
    let text = typed(given, "Recovery key: ", "--recovery-key-fd")?;
    let key = RecoveryKey::parse(&text).map_err(CoreError::from)?;
    let place = home.clone();
    let vault = tokio::task::spawn_blocking(move || place.open_vault_with_recovery_key(&key)).await??;
    let password = new_password(
        new.new_password.as_ref(),
        &Asking {
            intro: "The recovery key fits. Choose a new password for the vault.".to_owned(),
            nobody:
                "the recovery key fits, and there is no terminal to ask for a new password; give it with \
                     --new-password-fd N"
                    .to_owned(),
            nothing: NOTHING,
        },
    )?;
    on(vault, move |vault| {
        Ok(vault.change_password(&password, &VaultOptions::default())?)
    })
    .await?;
    if global.json {
        return output::json(&json!({ "recovered": true }));
    }
    line(
        "The vault opens with the new password from now on. The recovery key is still valid; `openhuman vault recovery-key` makes another.",
    )
}
