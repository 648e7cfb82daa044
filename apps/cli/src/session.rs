//! From the global arguments to an opened vault and a running core.
//!
//! Nothing here reads standard input: `ask` takes its question from it and `mcp serve` owns it.

use std::fs::File;
use std::io::{self, IsTerminal, Read};

use openhuman::vault::{KeyStoreError, KeychainStore, Password, Vault, VaultError, VaultOptions};
use openhuman::{Core, CoreError, Credential, Home, model_from_env};

use crate::args::{BackendLogin, Global};
use crate::exit::{Code, Failure};
use crate::style::{DIM, ERROR};

/// The longest line that is read from a file descriptor as a password or token.
const LONGEST_LINE: u64 = 4096;

/// The shortest password that a new vault accepts, in characters.
const SHORTEST_PASSWORD: usize = 8;

/// How often a wrong password may be typed.
const TRIES: usize = 3;

pub(crate) fn home(global: &Global) -> Result<Home, Failure> {
    match &global.home {
        Some(path) => Ok(Home::at(path)),
        None => Ok(Home::of_user()?),
    }
}

/// Opens the vault and builds the core; problems of single skills are said on standard error.
pub(crate) async fn core(global: &Global) -> Result<Core, Failure> {
    let core = core_quietly(global).await?;
    for problem in core.problems() {
        anstream::eprintln!(
            "{ERROR}warning:{ERROR:#} the skill in {} is not available: {}",
            problem.path.display(),
            problem.error
        );
    }
    Ok(core)
}

/// As [`core`], leaving the problems to the caller.
pub(crate) async fn core_quietly(global: &Global) -> Result<Core, Failure> {
    let home = home(global)?;
    let vault = vault(global, &home).await?;
    let mut builder = Core::builder(home, vault).model(model_from_env());
    for dir in &global.skills_dir {
        if !dir.is_dir() {
            let message = format!(
                "the skills directory {} does not exist; check --skills-dir",
                dir.display()
            );
            return Err(Failure::new(Code::NotFound, message));
        }
        builder = builder.skills_dir(dir);
    }
    Ok(builder.build().await?)
}

/// Opens the vault: with the password of `--password-fd`, else the key in the keychain, else the password typed at
/// the terminal. A home without a vault gets one.
pub(crate) async fn vault(global: &Global, home: &Home) -> Result<Vault, Failure> {
    if !home.has_vault() {
        return create_vault(global, home).await;
    }
    if let Some(fd) = global.password_fd {
        let password = Password::from(read_line(fd, "the password")?);
        return open(home, password).await.map_err(Failure::from);
    }
    match open_from_keychain(home).await {
        Ok(vault) => return Ok(vault),
        Err(error) => tracing::info!(%error, "the keychain does not open the vault"),
    }
    open_from_terminal(home).await
}

/// Creates the vault with a password from `--password-fd`, or typed twice.
pub(crate) async fn create_vault(global: &Global, home: &Home) -> Result<Vault, Failure> {
    let path = home.path().display();
    let typed = match global.password_fd {
        Some(fd) => read_line(fd, "the password")?,
        None => {
            anstream::eprintln!(
                "There is no vault in {path} yet. Choose a password: it seals your keys and memory."
            );
            anstream::eprintln!("{DIM}Nobody can reset it. At least {SHORTEST_PASSWORD} characters.{DIM:#}");
            let first = prompt("New password: ")?;
            if prompt("Once more: ")? != first {
                return Err(Failure::new(
                    Code::Usage,
                    "the two passwords differ; nothing was created, try again",
                ));
            }
            first
        }
    };
    if typed.chars().count() < SHORTEST_PASSWORD {
        let message =
            format!("the password needs at least {SHORTEST_PASSWORD} characters; nothing was created");
        return Err(Failure::new(Code::Usage, message));
    }
    let (new_home, password) = (home.clone(), Password::from(typed));
    let options = VaultOptions::default();
    let vault = tokio::task::spawn_blocking(move || new_home.create_vault(&password, &options)).await??;
    anstream::eprintln!("{DIM}Created a vault in {path}.{DIM:#}");
    Ok(vault)
}

async fn open(home: &Home, password: Password) -> Result<Vault, CoreError> {
    let home = home.clone();
    tokio::task::spawn_blocking(move || home.open_vault(&password)).await?
}

async fn open_from_keychain(home: &Home) -> Result<Vault, CoreError> {
    let home = home.clone();
    tokio::task::spawn_blocking(move || {
        let keychain = KeychainStore::new().map_err(VaultError::from)?;
        home.open_vault_from(&keychain)
    })
    .await?
}

async fn open_from_terminal(home: &Home) -> Result<Vault, Failure> {
    for left in (0..TRIES).rev() {
        let password = prompt("Password: ")?;
        match open(home, Password::from(password)).await {
            Err(error) if error.is_wrong_password() && left > 0 => anstream::eprintln!("{error}"),
            outcome => return Ok(outcome?),
        }
    }
    Err(Failure::new(Code::Locked, "the vault stays locked"))
}

/// Asks at the controlling terminal, whatever standard input is.
fn prompt(text: &str) -> Result<String, Failure> {
    rpassword::prompt_password(text).map_err(|_| {
        Failure::new(
            Code::Locked,
            "the vault is locked and there is no terminal to ask at; give the password with --password-fd N, or let \
             the keychain open the vault once with `openhuman vault remember`",
        )
    })
}

/// The keychain, for `vault remember` and `vault forget`.
pub(crate) fn keychain() -> Result<KeychainStore, Failure> {
    KeychainStore::new().map_err(|error: KeyStoreError| CoreError::from(VaultError::from(error)).into())
}

/// The login for `--backend`, if one was given.
pub(crate) fn login(backend: &BackendLogin) -> Result<Option<(String, Credential)>, Failure> {
    match (&backend.backend, backend.login_token_fd) {
        (Some(url), Some(fd)) => Ok(Some((
            url.clone(),
            Credential::LoginToken(read_line(fd, "the login token")?),
        ))),
        _ => Ok(None),
    }
}

/// Reads one line from an inherited file descriptor.
fn read_line(fd: u32, what: &str) -> Result<String, Failure> {
    let failed = |reason: String| {
        Failure::new(
            Code::Locked,
            format!("cannot read {what} from file descriptor {fd}: {reason}"),
        )
    };
    let mut text = String::new();
    let outcome = if fd == 0 {
        if io::stdin().is_terminal() {
            return Err(failed(
                "standard input is a terminal; leave the option out to be asked".into(),
            ));
        }
        io::stdin().lock().take(LONGEST_LINE).read_to_string(&mut text)
    } else {
        // Opening the descriptor's name needs no unsafe code, and works on Linux and macOS.
        File::open(format!("/dev/fd/{fd}")).and_then(|file| file.take(LONGEST_LINE).read_to_string(&mut text))
    };
    outcome.map_err(|error| failed(format!("{error}; open it in the calling shell, as in {fd}<FILE")))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(failed("it is empty".into()));
    }
    Ok(line.to_owned())
}
