//! `openhuman vault`: the commands, and what they share.

mod databases;
mod legacy;
mod password;
mod secrets;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use openhuman::vault::{KeyStore, KeychainStore, Vault, VaultError, memory_protection};
use openhuman::{CoreError, DatabaseName, Home};
use serde_json::json;

use crate::args::Global;
use crate::descriptors::{Secret, Wanted};
use crate::exit::{Code, Failure};
use crate::output::{self, line};
use crate::session::{self, Keychain};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create the vault.
    Create,
    /// Say whether there is a vault, what opens it, and how its keys are protected in memory.
    #[command(
        after_help = "Whether there is a recovery key is said when the vault is opened: by the keychain, or with \
                            --password-fd."
    )]
    Status,
    /// Let this user's OS keychain open the vault, so that no password is asked.
    Remember,
    /// Take the key out of the OS keychain again.
    Forget,
    /// Change the password. The old one is asked for, whatever the keychain would open.
    Password {
        #[command(flatten)]
        new: NewPassword,
    },
    /// Make a recovery key, which opens the vault when the password is lost, and show it once.
    RecoveryKey {
        /// Remove the recovery key instead: what was written down opens nothing any more.
        #[arg(long)]
        remove: bool,
    },
    /// Open the vault with its recovery key, and set a new password.
    Recover {
        /// Read the recovery key from this file descriptor, up to the first line end.
        #[arg(long, value_name = "N")]
        recovery_key_fd: Option<u32>,
        /// What was read from `recovery_key_fd`.
        #[arg(skip)]
        recovery_key: Option<Secret>,
        #[command(flatten)]
        new: NewPassword,
    },
    /// Show what was done with the secrets in the vault, the newest first.
    Log {
        /// How many entries.
        #[arg(short, long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Write secrets into a file, sealed under a password of its own: all of them, or some.
    Export {
        /// The new file.
        file: PathBuf,
        /// Only these secrets, by their names in `vault log`; can be given several times.
        #[arg(long, value_name = "NAME", num_args = 1..)]
        only: Vec<String>,
        #[command(flatten)]
        sealed: FilePassword,
    },
    /// Take the secrets of an exported file into this vault.
    Import {
        /// The file.
        file: PathBuf,
        /// Replace secrets of the same name. Without it those in the vault stay.
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        sealed: FilePassword,
    },
    /// Take over the secrets, and the accounts of skills, that an earlier OpenHuman left in its own files.
    ImportLegacy {
        /// Its directory [default: ~/.openhuman].
        dir: Option<PathBuf>,
        /// Delete its files afterwards, without asking.
        #[arg(long)]
        delete: bool,
    },
    /// List the sealed databases, and say of each whether it is the one that was closed last.
    Databases,
    /// Seal every database anew under new keys. After an interruption, run it again.
    Rekey,
    /// Copy the whole home, sealed as it is, into a new directory: the databases compacted, and everything else.
    #[command(
        after_help = "The copy is a home: `openhuman --home DIR ...` opens it with the same password. To restore, put it in \
                            the place of the home."
    )]
    Backup {
        /// The new directory, outside of the home.
        dir: PathBuf,
    },
    /// Give up what the damaged log of a database holds. The log stays beside it as NAME-wal.damaged.
    DiscardLog {
        /// The database, from `vault databases`.
        name: DatabaseName,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
    /// Write a plain, readable copy of one database.
    ExportDatabase {
        /// The database, from `vault databases`.
        name: DatabaseName,
        /// The new file.
        file: PathBuf,
    },
    /// Take a database as it is, although an older copy of it was put back.
    Accept {
        /// The database, from `vault databases`.
        #[arg(required_unless_present = "all")]
        name: Option<DatabaseName>,
        /// All of them: after a whole home was put back from a backup.
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
}

/// A new password for the vault.
#[derive(Args)]
pub(crate) struct NewPassword {
    /// Read the new password from this file descriptor, up to the first line end. What is read before it from the same
    /// descriptor comes first.
    #[arg(long, value_name = "N")]
    new_password_fd: Option<u32>,
    /// What was read from `new_password_fd`.
    #[arg(skip)]
    new_password: Option<Secret>,
}

/// The password of an exported file.
#[derive(Args)]
pub(crate) struct FilePassword {
    /// Read the file's password from this file descriptor, up to the first line end. The vault's password comes first
    /// where both are read from one descriptor.
    #[arg(long, value_name = "N")]
    file_password_fd: Option<u32>,
    /// What was read from `file_password_fd`.
    #[arg(skip)]
    file_password: Option<Secret>,
}

impl NewPassword {
    fn wanted(&mut self) -> Wanted<'_> {
        Wanted {
            fd: self.new_password_fd,
            what: "the new password",
            into: &mut self.new_password,
        }
    }
}

impl Command {
    /// The secrets that the command reads from file descriptors.
    pub(crate) fn secrets(&mut self) -> Vec<Wanted<'_>> {
        match self {
            Self::Password { new } => vec![new.wanted()],
            Self::Recover {
                recovery_key_fd,
                recovery_key,
                new,
            } => vec![
                Wanted {
                    fd: *recovery_key_fd,
                    what: "the recovery key",
                    into: recovery_key,
                },
                new.wanted(),
            ],
            Self::Export { sealed, .. } | Self::Import { sealed, .. } => vec![Wanted {
                fd: sealed.file_password_fd,
                what: "the file's password",
                into: &mut sealed.file_password,
            }],
            _ => Vec::new(),
        }
    }
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Failure> {
    let home = session::home(global)?;
    match command {
        Command::Create => create(global, &home).await,
        Command::Status => status(global, &home).await,
        Command::Remember => remember(global, &home, true).await,
        Command::Forget => remember(global, &home, false).await,
        Command::Password { new } => password::change(global, &home, &new).await,
        Command::RecoveryKey { remove: false } => password::make_recovery_key(global, &home).await,
        Command::RecoveryKey { remove: true } => password::remove_recovery_key(global, &home).await,
        Command::Recover {
            recovery_key, new, ..
        } => password::recover(global, &home, recovery_key.as_ref(), &new).await,
        Command::Log { limit } => secrets::log(global, &home, limit.into()).await,
        Command::Export { file, only, sealed } => secrets::export(global, &home, &file, only, &sealed).await,
        Command::Import {
            file,
            replace,
            sealed,
        } => secrets::import(global, &home, &file, replace, &sealed).await,
        Command::ImportLegacy { dir, delete } => legacy::import(global, &home, dir, delete).await,
        Command::Databases => databases::list(global, &home).await,
        Command::Rekey => databases::rekey(global, &home).await,
        Command::Backup { dir } => databases::backup(global, &home, dir).await,
        Command::DiscardLog { name, yes } => databases::discard_log(global, &home, name, yes).await,
        Command::ExportDatabase { name, file } => databases::export(global, &home, name, file).await,
        Command::Accept { name, .. } => databases::accept(global, &home, name).await,
    }
}

/// Runs a call on the vault on a thread that may block, and gives the vault back.
async fn on<T, F>(mut vault: Vault, call: F) -> Result<(Vault, T), Failure>
where
    T: Send + 'static,
    F: FnOnce(&mut Vault) -> Result<T, CoreError> + Send + 'static,
{
    let outcome = tokio::task::spawn_blocking(move || {
        let value = call(&mut vault)?;
        Ok::<_, CoreError>((vault, value))
    });
    Ok(outcome.await??)
}

async fn create(global: &Global, home: &Home) -> Result<(), Failure> {
    let shown = home.path().display();
    if session::has_vault(home)? {
        let message = format!("there is a vault in {shown} already; nothing was changed");
        return Err(Failure::new(Code::Failed, message));
    }
    session::create_vault(global, home).await?;
    if global.json {
        output::json(&json!({ "created": true, "home": shown.to_string() }))?;
    }
    Ok(())
}

async fn remember(global: &Global, home: &Home, remembered: bool) -> Result<(), Failure> {
    let mut vault = session::vault(global, home).await?;
    with_keychain(move |keychain| {
        if remembered {
            vault.remember_in(keychain)
        } else {
            vault.forget_in(keychain)
        }
    })
    .await?;
    if global.json {
        let shown = home.path().display().to_string();
        return output::json(&json!({ "remembered": remembered, "home": shown }));
    }
    line(if remembered {
        "The keychain of this user opens the vault from now on."
    } else {
        "The vault opens with its password only."
    })
}

async fn status(global: &Global, home: &Home) -> Result<(), Failure> {
    let keychain = if session::has_vault(home)? {
        Some(session::ask_keychain(home).await?)
    } else {
        None
    };
    // What only the opened vault tells.
    let recovery_key = match (&keychain, &global.password) {
        (Some(Keychain::Opens(vault)), _) => Some(vault.has_recovery_key()),
        (Some(_), Some(password)) => {
            let vault = session::open(home, password.to_password()).await?;
            Some(vault.has_recovery_key())
        }
        _ => None,
    };
    let memory = memory_protection();
    if global.json {
        let (opens, problem) = match &keychain {
            Some(Keychain::Opens(_)) => (true, None),
            Some(Keychain::Refuses(reason)) => (false, Some(reason)),
            _ => (false, None),
        };
        return output::json(&json!({
            "exists": keychain.is_some(), "home": home.path().display().to_string(),
            "opened_by_keychain": opens, "keychain_problem": problem, "recovery_key": recovery_key,
            "memory": { "locked": memory.locked, "excluded_from_dumps": memory.excluded_from_dumps },
        }));
    }
    match keychain {
        None => return line("There is no vault yet. `openhuman vault create` makes one."),
        Some(Keychain::NotAsked) => line("There is a vault. It opens with its password.")?,
        Some(Keychain::Opens(_)) => {
            line("There is a vault. It opens with its password or with this user's keychain.")?;
        }
        Some(Keychain::Refuses(reason)) => line(format_args!(
            "There is a vault. It opens with its password. The keychain should open it as well, and does not: {reason}"
        ))?,
    }
    match recovery_key {
        Some(true) => line("It has a recovery key.")?,
        Some(false) => line(
            "It has no recovery key: a lost password cannot be replaced. `openhuman vault recovery-key` makes one.",
        )?,
        None => {}
    }
    line(match (memory.locked, memory.excluded_from_dumps) {
        (true, true) => "Its keys in memory are kept out of swap and core dumps.",
        (true, false) => "Its keys in memory are kept out of swap, but not out of core dumps.",
        (false, true) => {
            "Its keys in memory are kept out of core dumps; they may be swapped out: raise the limit on locked memory."
        }
        (false, false) => "Its keys in memory may be swapped out and be part of a core dump on this system.",
    })
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
