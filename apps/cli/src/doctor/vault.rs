//! The vault and the sealed databases.

use openhuman::sqlite::Freshness;
use openhuman::vault::{Vault, memory_protection};
use openhuman::{CoreError, Home};

use super::Findings;
use crate::args::Global;
use crate::exit::{Code, Failure};
use crate::session;

/// Opens the vault, where that needs nobody or somebody answers. Without it the rest stays closed.
pub(super) async fn look(
    global: &Global,
    home: &Home,
    findings: &mut Findings,
) -> Result<Option<Vault>, Failure> {
    let area = "vault";
    match session::has_vault(home) {
        Ok(true) => {}
        Ok(false) if home.has_sealed_data() => {
            let missing = CoreError::VaultMissing {
                path: home.vault_dir(),
            };
            return findings.bad(area, missing.to_string()).map(|()| None);
        }
        Ok(false) => {
            let text = "there is none yet";
            return findings
                .note(area, text, "`openhuman vault create` makes one")
                .map(|()| None);
        }
        Err(failure) => return findings.bad(area, failure.to_string()).map(|()| None),
    }
    let memory = memory_protection();
    if !memory.locked {
        findings.note(
            area,
            "its keys in memory may be swapped out",
            "raise the limit on locked memory (`ulimit -l`)",
        )?;
    }
    match session::vault(global, home).await {
        Ok(vault) => {
            match vault.has_recovery_key() {
                true => findings.good(area, "it opens, and has a recovery key")?,
                false => findings.note(
                    area,
                    "it opens, and has no recovery key: a lost password cannot be replaced",
                    "`openhuman vault recovery-key` makes one",
                )?,
            }
            Ok(Some(vault))
        }
        Err(failure) if failure.code == Code::Interrupted => Err(failure),
        Err(failure) if failure.code == Code::Locked => {
            let advice = "what is inside was not looked at; give the password with --password-fd N";
            findings
                .note(area, format!("it stays locked: {failure}"), advice)
                .map(|()| None)
        }
        Err(failure) => findings.bad(area, failure.to_string()).map(|()| None),
    }
}

/// Whether each database is the one that was closed last.
pub(super) async fn databases(
    home: &Home,
    mut vault: Vault,
    findings: &mut Findings,
) -> Result<Vault, Failure> {
    let home = home.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let looked = look_at_databases(&home, &mut vault);
        (vault, looked)
    });
    let (vault, looked) = looked.await?;
    let area = "databases";
    match looked {
        Err(error) => findings.bad(area, error.to_string())?,
        Ok((0, _, problems)) if problems.is_empty() => findings.good(area, "there is none yet")?,
        Ok((all, unclean, problems)) => {
            for problem in &problems {
                findings.bad(area, problem.clone())?;
            }
            let good = all - problems.len();
            if unclean > 0 {
                findings.note(
                    area,
                    format!("{unclean} of {good} were not closed the last time"),
                    "they open; only an older copy of one would not be noticed until it was closed once",
                )?;
            } else if problems.is_empty() {
                let text = format!("{good} sealed; each page opens, and each one is as it was closed last");
                findings.good(area, text)?;
            }
        }
    }
    Ok(vault)
}

/// How many there are, how many of them were not closed, and what is wrong.
fn look_at_databases(home: &Home, vault: &mut Vault) -> Result<(usize, usize, Vec<String>), CoreError> {
    let databases = home.databases(vault)?;
    let (mut all, mut unclean, mut problems) = (0, 0, Vec::new());
    for name in databases.names()? {
        all += 1;
        match databases.examine(&name) {
            Ok(Freshness::UncleanClose { .. }) => unclean += 1,
            Ok(_) => {}
            Err(error) => problems.push(error.to_string()),
        }
    }
    Ok((all, unclean, problems))
}
