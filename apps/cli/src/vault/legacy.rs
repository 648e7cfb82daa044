//! What an earlier OpenHuman left in its own files: secrets, and the accounts of skills.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use openhuman::vault::legacy::{self, LegacyReport};
use openhuman::vault::{SecretHandle, Vault};
use openhuman::{Core, CoreError, Home, LegacyAccounts};
use serde_json::json;

use super::on;
use super::secrets::{counted, now_ms};
use crate::args::Global;
use crate::exit::{Code, Failure};
use crate::output::{self, clean_line, line};
use crate::style::{DIM, ERROR};
use crate::{prompt, session};

/// Takes over what an earlier program left, and offers to delete its files.
pub(super) async fn import(
    global: &Global,
    home: &Home,
    dir: Option<PathBuf>,
    delete: bool,
) -> Result<(), Failure> {
    let Some(dir) = dir.or_else(|| std::env::home_dir().map(|home| home.join(".openhuman"))) else {
        let message = "this user has no home directory; name the directory of the earlier program";
        return Err(Failure::new(Code::Usage, message));
    };
    if !dir.is_dir() {
        let message = format!("there is no directory {}; name another one", dir.display());
        return Err(Failure::new(Code::NotFound, message));
    }
    let vault = session::existing_vault(global, home).await?;
    let source = dir.clone();
    let (vault, secrets) = on(vault, move |vault: &mut Vault| {
        Ok::<_, CoreError>(legacy::import(&source, &vault.secrets(now_ms()))?)
    })
    .await?;
    let accounts = accounts(global, home, vault, &dir).await?;
    let found = Found { secrets, accounts };
    if !global.json {
        found.tell(&dir)?;
    }
    let deleted = found.is_complete() && (delete || (!global.json && asked()?));
    if deleted {
        for file in found.files() {
            std::fs::remove_file(file).map_err(|error| {
                Failure::new(Code::Failed, format!("cannot delete {}: {error}", file.display()))
            })?;
        }
    }
    if global.json {
        output::json(&found.as_json(deleted))?;
    } else if deleted {
        line("Deleted them.")?;
    }
    found.outcome()
}

/// The accounts of skills are for skills that are here.
async fn accounts(global: &Global, home: &Home, vault: Vault, dir: &Path) -> Result<LegacyAccounts, Failure> {
    if !dir.join("skills_data").is_dir() {
        return Ok(LegacyAccounts::default());
    }
    let builder = Core::builder(home.clone(), vault).start_skills(false);
    let core = session::with_skills(global, builder)?.build().await?;
    let (reading, dir) = (core.clone(), dir.to_owned());
    let taken = tokio::task::spawn_blocking(move || reading.import_legacy_accounts(&dir)).await;
    core.close().await;
    Ok(taken??)
}

fn asked() -> Result<bool, Failure> {
    let question = "Delete these files now? They are not needed any more. [y/N] ";
    Ok(io::stdin().is_terminal() && prompt::confirmed(question)?)
}

/// What an earlier program left.
struct Found {
    secrets: LegacyReport,
    accounts: LegacyAccounts,
}

impl Found {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.secrets.files.iter().chain(&self.accounts.files)
    }

    /// What did not open is still needed, and so is the key beside it.
    fn is_complete(&self) -> bool {
        self.secrets.failed.is_empty() && self.files().next().is_some()
    }

    fn as_json(&self, deleted: bool) -> serde_json::Value {
        let stored: Vec<&str> = self.secrets.stored.iter().map(SecretHandle::name).collect();
        json!({
            "stored": stored, "files": self.files().collect::<Vec<_>>(), "failed": self.secrets.failed,
            "accounts": self.accounts.taken, "accounts_kept": self.accounts.kept,
            "accounts_without_skill": self.accounts.unknown, "deleted": deleted,
        })
    }

    fn tell(&self, dir: &Path) -> Result<(), Failure> {
        if self.files().next().is_none() && self.accounts.unknown.is_empty() {
            return line(format_args!(
                "There are no secrets of an earlier program in {}.",
                dir.display()
            ));
        }
        line(format_args!("Took over {}:", counted(self.secrets.stored.len())))?;
        for handle in &self.secrets.stored {
            line(format_args!("  {}", clean_line(handle.name())))?;
        }
        for name in &self.secrets.failed {
            line(format_args!(
                "  {ERROR}did not open:{ERROR:#} {}",
                clean_line(name)
            ))?;
        }
        for skill in &self.accounts.taken {
            line(format_args!("  the account of the skill {skill}"))?;
        }
        for skill in &self.accounts.kept {
            line(format_args!(
                "  {DIM}the skill {skill} has an account already{DIM:#}"
            ))?;
        }
        for name in &self.accounts.unknown {
            line(format_args!(
                "  {DIM}left: the account of {}, which is not here; install it and run this again{DIM:#}",
                clean_line(name)
            ))?;
        }
        if self.files().next().is_none() {
            return Ok(());
        }
        line("They came from these files:")?;
        self.files()
            .try_for_each(|file| line(format_args!("  {}", clean_line(&file.display().to_string()))))
    }

    fn outcome(&self) -> Result<(), Failure> {
        let failed = self.secrets.failed.len();
        if failed == 0 {
            return Ok(());
        }
        let message = format!(
            "{} did not open and {} left out; the files stay",
            counted(failed),
            if failed == 1 { "was" } else { "were" }
        );
        Err(Failure::new(Code::Failed, message))
    }
}
