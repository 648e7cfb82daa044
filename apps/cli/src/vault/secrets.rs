//! The secrets in the vault: what was done with them, and their way out and in.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use jiff::Timestamp;
use openhuman::Home;
use openhuman::vault::{AuditAction, AuditEntry, Existing, VaultOptions};
use serde_json::{Value, json};

use super::{FilePassword, on};
use crate::args::Global;
use crate::exit::{Code, Failure};
use crate::output::{self, clean_line, line};
use crate::password::{Asking, new_password, typed};
use crate::session;
use crate::style::{BOLD, DIM, ERROR};

/// The largest exported file that is read, in bytes: what a vault can hold, and room to spare.
const LARGEST_EXPORT: u64 = 80 * 1024 * 1024;

pub(super) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Shows the newest entries of the log of secrets.
pub(super) async fn log(global: &Global, home: &Home, limit: usize) -> Result<(), Failure> {
    let vault = session::existing_vault(global, home).await?;
    let (_, entries) = on(vault, |vault| Ok(vault.secrets(now_ms()).audit()?)).await?;
    let newest = entries.iter().rev().take(limit);
    if global.json {
        let log: Vec<Value> = newest.map(as_value).collect();
        return output::json(&json!({ "log": log }));
    }
    if entries.is_empty() {
        return line("Nothing was done with secrets yet.");
    }
    newest.into_iter().try_for_each(show)
}

fn as_value(entry: &AuditEntry) -> Value {
    json!({
        "at_ms": entry.at_ms, "action": name(entry.action), "name": entry.name, "version": entry.version,
        "purpose": entry.purpose,
    })
}

fn name(action: AuditAction) -> &'static str {
    match action {
        AuditAction::Stored => "stored",
        AuditAction::Revealed => "revealed",
        AuditAction::Removed => "removed",
        AuditAction::Exported => "exported",
        AuditAction::Imported => "imported",
        AuditAction::LogReplaced => "log_replaced",
        _ => "other",
    }
}

fn show(entry: &AuditEntry) -> Result<(), Failure> {
    let time = Timestamp::from_millisecond(entry.at_ms).map_or_else(
        |_| entry.at_ms.to_string(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    );
    if entry.action == AuditAction::LogReplaced {
        return line(format_args!(
            "{DIM}{time}{DIM:#}  {ERROR}the log before this was changed by somebody; it is kept as audit.damaged.ohr{ERROR:#}"
        ));
    }
    line(format_args!(
        "{DIM}{time}{DIM:#}  {:9} {BOLD}{}{BOLD:#}  {DIM}{}{DIM:#}",
        name(entry.action),
        clean_line(&entry.name),
        clean_line(&entry.purpose)
    ))
}

/// Writes secrets into a new file: those of these names, or all.
pub(super) async fn export(
    global: &Global,
    home: &Home,
    file: &Path,
    only: Vec<String>,
    sealed: &FilePassword,
) -> Result<(), Failure> {
    if file.exists() {
        let message = format!("{} is there already; choose another name", file.display());
        return Err(Failure::new(Code::Failed, message));
    }
    let vault = session::existing_vault(global, home).await?;
    let password = new_password(
        sealed.file_password.as_ref(),
        &Asking {
            intro: "Choose a password for the file. It is needed to import it.".to_owned(),
            nobody: "there is no terminal to ask at; give a password for the file with --file-password-fd N"
                .to_owned(),
            nothing: "nothing was written",
        },
    )?;
    let (_, (bytes, count)) = on(vault, move |vault| {
        let secrets = vault.secrets(now_ms());
        if only.is_empty() {
            let bytes = secrets.export(&password, &VaultOptions::default())?;
            return Ok((bytes, secrets.list()?.len()));
        }
        let names: Vec<&str> = only.iter().map(String::as_str).collect();
        let bytes = secrets.export_only(&names, &password, &VaultOptions::default())?;
        Ok((
            bytes,
            names.iter().collect::<std::collections::BTreeSet<_>>().len(),
        ))
    })
    .await?;
    write_new(file, &bytes)
        .map_err(|error| Failure::new(Code::Failed, format!("cannot write {}: {error}", file.display())))?;
    if global.json {
        return output::json(&json!({ "file": file, "secrets": count }));
    }
    line(format_args!(
        "Wrote {} into {}, sealed under its own password.",
        counted(count),
        file.display()
    ))
}

pub(super) fn counted(count: usize) -> String {
    format!("{count} secret{}", if count == 1 { "" } else { "s" })
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Takes in an exported file: all of it, or nothing.
pub(super) async fn import(
    global: &Global,
    home: &Home,
    file: &Path,
    replace: bool,
    sealed: &FilePassword,
) -> Result<(), Failure> {
    let bytes = read_export(file)?;
    let vault = session::existing_vault(global, home).await?;
    let text = typed(
        sealed.file_password.as_ref(),
        "Password of the file: ",
        "--file-password-fd",
    )?;
    let existing = if replace {
        Existing::Replace
    } else {
        Existing::Keep
    };
    let password = String::clone(&text).into();
    let outcome = on(vault, move |vault| {
        Ok(vault.secrets(now_ms()).import(&bytes, &password, existing)?)
    });
    let (_, imported) = outcome.await.map_err(|failure| match failure.code {
        // The vault is open: it is the other password.
        Code::Locked => Failure::new(
            Code::Locked,
            "the password of the file is wrong; nothing was changed",
        ),
        _ => failure,
    })?;
    if global.json {
        return output::json(&json!({
            "added": imported.added, "replaced": imported.replaced, "kept": imported.kept,
        }));
    }
    line(format_args!(
        "Added {}, replaced {}, left {} as they were.",
        counted(imported.added),
        imported.replaced,
        imported.kept
    ))
}

fn read_export(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| {
        let code = match error.kind() {
            io::ErrorKind::NotFound => Code::NotFound,
            _ => Code::Failed,
        };
        Failure::new(code, format!("cannot read {}: {error}", file.display()))
    };
    let mut bytes = Vec::new();
    let mut source = File::open(file).map_err(failed)?.take(LARGEST_EXPORT + 1);
    source.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST_EXPORT {
        let message = format!("{} is too large to be an export of secrets", file.display());
        return Err(Failure::new(Code::Failed, message));
    }
    Ok(bytes)
}
