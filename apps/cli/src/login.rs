//! `openhuman login` and `openhuman logout`: sessions at backends, kept in the vault.

use clap::Args;
use openhuman::{Core, Credential};
use serde_json::json;

use crate::args::{Global, backend_url};
use crate::descriptors::{Secret, Wanted};
use crate::exit::{self, Failure, tell};
use crate::output::{self, line};
use crate::password::typed;
use crate::session;
use crate::style::{BOLD, DIM};

/// How a login link begins.
const LINK: &str = "openhuman://";

#[derive(Args)]
pub(crate) struct Login {
    /// The backend's address.
    #[arg(value_name = "URL", value_parser = backend_url)]
    pub(crate) url: String,
    /// Read the login token from this file descriptor, up to the first line end. The password comes first where both are
    /// read from one descriptor.
    #[arg(long, value_name = "N")]
    login_token_fd: Option<u32>,
    /// What was read from `login_token_fd`.
    #[arg(skip)]
    login_token: Option<Secret>,
}

#[derive(Args)]
pub(crate) struct Logout {
    /// The backend's address.
    #[arg(value_name = "URL", value_parser = backend_url)]
    url: String,
}

impl Login {
    /// The secret that the command reads from a file descriptor.
    pub(crate) fn wanted(&mut self) -> Wanted<'_> {
        Wanted {
            fd: self.login_token_fd,
            what: "the login token",
            into: &mut self.login_token,
        }
    }
}

/// Logs in and keeps the session. Nothing stays connected: that is for the commands that follow.
pub(crate) async fn login(global: &Global, login: &Login) -> Result<(), Failure> {
    let core = core(global).await?;
    let outcome = exit::interruptible(log_in(&core, login)).await;
    core.close().await;
    outcome?;
    if global.json {
        return output::json(&json!({ "logged_in": true, "backend": login.url }));
    }
    line(format_args!("Logged in at {}.", login.url))?;
    line(format_args!(
        "{DIM}The session is in the vault: `--backend {}` needs no token from now on. `openhuman logout {}` ends it.{DIM:#}",
        login.url, login.url
    ))
}

async fn log_in(core: &Core, login: &Login) -> Result<(), Failure> {
    let answer = match &login.login_token {
        Some(token) => typed(Some(token), "", "")?,
        None => {
            // A link is bound to this code, so that it may pass through a browser or a chat.
            let challenge = core.start_login(&login.url)?;
            tell("Give this code to the backend, as the code of your device:");
            tell(format_args!("\n  {BOLD}{challenge}{BOLD:#}\n"));
            tell(format_args!(
                "{DIM}It answers with a link, good for five minutes and on this device only. A plain login token does as \
                 well.{DIM:#}"
            ));
            typed(None, "Link or token (not shown): ", "--login-token-fd")?
        }
    };
    let answer = answer.trim();
    if answer.starts_with(LINK) {
        core.finish_login(answer).await?;
    } else {
        core.connect(&login.url, &Credential::LoginToken(answer.to_owned()))
            .await?;
    }
    Ok(())
}

/// Forgets the session.
pub(crate) async fn logout(global: &Global, logout: &Logout) -> Result<(), Failure> {
    let core = core(global).await?;
    let ended = core.log_out(&logout.url).await;
    core.close().await;
    let was = ended?;
    if global.json {
        return output::json(&json!({ "was_logged_in": was, "backend": logout.url }));
    }
    line(if was {
        format!("Logged out of {}.", logout.url)
    } else {
        format!("Nobody was logged in at {} here.", logout.url)
    })
}

/// A core that does no more than this needs.
async fn core(global: &Global) -> Result<Core, Failure> {
    exit::interruptible(async {
        let home = session::home(global)?;
        let vault = session::existing_vault(global, &home).await?;
        Ok(session::builder(home, vault)?.start_skills(false).build().await?)
    })
    .await
}
