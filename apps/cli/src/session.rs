//! From the global arguments to an opened vault and a running core.
//!
//! Standard input is left alone: `ask` takes its question from it and `mcp serve` owns it. Only where it is named as the
//! descriptor of a secret is its first line taken, byte by byte, and the rest is still there for the command.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read};

use openhuman::vault::{
    Key, KeyStore, KeyStoreError, KeychainStore, Password, Vault, VaultError, VaultOptions, Zeroizing,
};
use openhuman::{Core, CoreBuilder, CoreError, Credential, Home, earlier_skill_dirs, model_from_env};

use crate::args::{BackendLogin, Cli, Command, Global};
use crate::exit::{Code, Failure, interruptible, tell};
use crate::style::{DIM, ERROR};

/// The longest line that is read from a file descriptor as a password or token, in bytes.
const LONGEST_LINE: usize = 4096;

/// The shortest password that a new vault accepts, in characters.
const SHORTEST_PASSWORD: usize = 8;

/// How often a password may be typed.
const TRIES: usize = 3;

/// A password or token from a file descriptor. It is wiped when dropped and does not print.
pub(crate) struct Secret(Zeroizing<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    fn password(&self) -> Password {
        Password::from(String::clone(&self.0))
    }
}

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
        tell(format_args!(
            "{ERROR}warning:{ERROR:#} the skill in {} is not available: {}",
            problem.path.display(),
            problem.error
        ));
    }
    Ok(core)
}

/// As [`core`], leaving the problems to the caller.
pub(crate) async fn core_quietly(global: &Global) -> Result<Core, Failure> {
    interruptible(async {
        let home = home(global)?;
        let vault = vault(global, &home).await?;
        let builder = Core::builder(home, vault).model(model_from_env());
        Ok(with_skills(global, builder)?.build().await?)
    })
    .await
}

/// Adds the directories of skills that the user named, and those of an earlier installation.
pub(crate) fn with_skills(global: &Global, mut builder: CoreBuilder) -> Result<CoreBuilder, Failure> {
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
    // A home of its own has skills of its own.
    let earlier = earlier_skill_dirs(global.home.is_none());
    Ok(earlier.into_iter().fold(builder, CoreBuilder::skills_dir))
}

/// Whether there is a vault. A directory that cannot be looked into is no answer.
pub(crate) fn has_vault(home: &Home) -> Result<bool, Failure> {
    if home.has_vault() {
        return Ok(true);
    }
    match home.vault_dir().join("vault.ohv").try_exists() {
        Ok(_) => Ok(false),
        Err(error) => {
            let path = home.path().display();
            let message = format!(
                "cannot look into the home directory {path}: {error}; make it readable, or choose another one with --home"
            );
            Err(Failure::new(Code::Unavailable, message))
        }
    }
}

/// Opens the vault: with the password of `--password-fd`, else the key in the keychain, else the password typed at
/// the terminal. A home without a vault gets one.
pub(crate) async fn vault(global: &Global, home: &Home) -> Result<Vault, Failure> {
    if !has_vault(home)? {
        return create_vault(global, home).await;
    }
    if let Some(secret) = &global.password {
        return Ok(open(home, secret.password()).await?);
    }
    match ask_keychain(home).await? {
        Keychain::Opens(vault) => Ok(*vault),
        Keychain::NotAsked => open_from_terminal(home, None).await,
        Keychain::Refuses(reason) => open_from_terminal(home, Some(&reason)).await,
    }
}

/// Creates the vault with a password from `--password-fd`, or typed twice.
pub(crate) async fn create_vault(global: &Global, home: &Home) -> Result<Vault, Failure> {
    if home.has_sealed_data() {
        // Said before anybody thinks of a new password.
        return Err(CoreError::VaultMissing {
            path: home.vault_dir(),
        }
        .into());
    }
    let password = match &global.password {
        Some(secret) if is_too_short(&secret.0) => {
            return Err(Failure::new(
                Code::Usage,
                format!("{}; nothing was created", too_short()),
            ));
        }
        Some(secret) => secret.password(),
        None => choose_password(home)?,
    };
    let new_home = home.clone();
    let options = VaultOptions::default();
    let vault = tokio::task::spawn_blocking(move || new_home.create_vault(&password, &options)).await??;
    tell(format_args!(
        "{DIM}Created a vault in {}.{DIM:#}",
        home.path().display()
    ));
    Ok(vault)
}

fn is_too_short(password: &str) -> bool {
    password.chars().count() < SHORTEST_PASSWORD
}

fn too_short() -> String {
    format!("the password needs at least {SHORTEST_PASSWORD} characters")
}

fn choose_password(home: &Home) -> Result<Password, Failure> {
    let path = home.path().display();
    let unanswered = |reason| match reason {
        Unanswered::NoTerminal => Failure::new(
            Code::Locked,
            format!(
                "there is no vault in {path} yet; create it with `openhuman vault create` at a terminal, or give a \
                 password with --password-fd N"
            ),
        ),
        Unanswered::EndOfInput => Failure::new(Code::Locked, "no password was chosen; nothing was created"),
        Unanswered::Interrupted => Failure::new(Code::Interrupted, "stopped by Ctrl-C; nothing was created"),
    };
    if !has_terminal() {
        return Err(unanswered(Unanswered::NoTerminal));
    }
    tell(format_args!(
        "There is no vault in {path} yet. Choose a password: it seals your keys and memory."
    ));
    tell(format_args!(
        "{DIM}Nobody can reset it. At least {SHORTEST_PASSWORD} characters.{DIM:#}"
    ));
    let mut problem = String::new();
    for _ in 0..TRIES {
        if !problem.is_empty() {
            tell(format_args!("{problem}; try again"));
        }
        let first = prompt("New password: ").map_err(unanswered)?;
        if is_too_short(&first) {
            problem = too_short();
        } else if *prompt("Once more: ").map_err(unanswered)? != *first {
            problem = "the two passwords differ".to_owned();
        } else {
            return Ok(Password::from(String::clone(&first)));
        }
    }
    Err(Failure::new(
        Code::Usage,
        format!("{problem}; nothing was created"),
    ))
}

async fn open(home: &Home, password: Password) -> Result<Vault, CoreError> {
    let home = home.clone();
    tokio::task::spawn_blocking(move || home.open_vault(&password)).await?
}

/// What the keychain did about a vault.
pub(crate) enum Keychain {
    /// The vault is not remembered there.
    NotAsked,
    Opens(Box<Vault>),
    /// The vault is remembered there, and the keychain is locked, denied, absent or has another key.
    Refuses(String),
}

/// Lets the keychain open the vault, if it is remembered there.
pub(crate) async fn ask_keychain(home: &Home) -> Result<Keychain, Failure> {
    let home = home.clone();
    match tokio::task::spawn_blocking(move || home.open_vault_from(&OnDemand)).await? {
        Ok(vault) => Ok(Keychain::Opens(Box::new(vault))),
        Err(CoreError::Vault(VaultError::NotRemembered)) => Ok(Keychain::NotAsked),
        Err(CoreError::Vault(
            error
            @ (VaultError::KeyStore(_) | VaultError::KeyStoreEntryMissing | VaultError::WrongKeyInStore),
        )) => {
            tracing::info!(%error, "the keychain does not open the vault");
            Ok(Keychain::Refuses(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// The keychain, reached only when a vault has a key in it: most have none, and reaching it may ask the user.
struct OnDemand;

impl KeyStore for OnDemand {
    fn get(&self, account: &str) -> Result<Option<Key>, KeyStoreError> {
        KeychainStore::new()?.get(account)
    }

    fn set(&self, account: &str, key: &Key) -> Result<(), KeyStoreError> {
        KeychainStore::new()?.set(account, key)
    }

    fn delete(&self, account: &str) -> Result<bool, KeyStoreError> {
        KeychainStore::new()?.delete(account)
    }
}

async fn open_from_terminal(home: &Home, keychain: Option<&str>) -> Result<Vault, Failure> {
    let unanswered = |reason| match reason {
        Unanswered::NoTerminal => {
            let advice = match keychain {
                Some(reason) => format!("; the keychain does not open it: {reason}"),
                None => {
                    ", or let the keychain open the vault once with `openhuman vault remember`".to_owned()
                }
            };
            let message = format!(
                "the vault is locked and there is no terminal to ask at; give the password with --password-fd N{advice}"
            );
            Failure::new(Code::Locked, message)
        }
        Unanswered::EndOfInput => Failure::new(Code::Locked, "no password was given; the vault stays locked"),
        Unanswered::Interrupted => {
            Failure::new(Code::Interrupted, "stopped by Ctrl-C; the vault stays locked")
        }
    };
    if !has_terminal() {
        return Err(unanswered(Unanswered::NoTerminal));
    }
    if let Some(reason) = keychain {
        tell(format_args!(
            "{DIM}The keychain does not open the vault: {reason}{DIM:#}"
        ));
    }
    for left in (0..TRIES).rev() {
        let typed = prompt("Password: ").map_err(unanswered)?;
        match open(home, Password::from(String::clone(&typed))).await {
            Err(error) if error.is_wrong_password() || typed.is_empty() => {
                if left > 0 {
                    tell(error);
                }
            }
            outcome => return Ok(outcome?),
        }
    }
    let message = "the password was wrong each time; the vault stays locked";
    Err(Failure::new(Code::Locked, message))
}

/// Why a question has no answer.
enum Unanswered {
    NoTerminal,
    EndOfInput,
    Interrupted,
}

/// Whether there is a controlling terminal, whatever the standard streams are.
fn has_terminal() -> bool {
    cfg!(not(unix)) || File::options().read(true).write(true).open("/dev/tty").is_ok()
}

/// Asks at the controlling terminal, whatever standard input is. Ctrl-C raises a signal as well: the caller runs in
/// [`interruptible`], else it would end the process while the terminal still hides what is typed.
fn prompt(text: &str) -> Result<Zeroizing<String>, Unanswered> {
    match rpassword::prompt_password(text) {
        Ok(typed) => Ok(Zeroizing::new(typed)),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                // The question has no line end yet.
                tell("");
                Unanswered::EndOfInput
            }
            io::ErrorKind::Interrupted => Unanswered::Interrupted,
            _ => Unanswered::NoTerminal,
        }),
    }
}

/// The login for `--backend`, if one was given.
pub(crate) fn login(backend: &BackendLogin) -> Result<Option<(String, Credential)>, Failure> {
    match (&backend.backend, &backend.login_token) {
        (Some(url), Some(token)) => {
            let credential = Credential::LoginToken(String::clone(&token.0));
            Ok(Some((url.clone(), credential)))
        }
        _ => Ok(None),
    }
}

/// Reads the secrets whose file descriptors the command line names.
pub(crate) fn read_descriptors(cli: &mut Cli) -> Result<(), Failure> {
    if matches!(cli.command, Command::Mcp(_)) && cli.global.password_fd == Some(0) {
        return Err(Failure::new(
            Code::Usage,
            "standard input belongs to the protocol here; use another descriptor for the password",
        ));
    }
    let login = match &mut cli.command {
        Command::Ask(ask) => Some(&mut ask.backend),
        Command::Chat(chat) => Some(&mut chat.backend),
        _ => None,
    };
    let token_fd = login.as_ref().and_then(|login| login.login_token_fd);
    let mut token = None;
    if let Some(fd) = cli.global.password_fd {
        let mut source = open_descriptor(fd, PASSWORD)?;
        cli.global.password = Some(read_line(&mut source, fd, PASSWORD)?);
        if token_fd == Some(fd) {
            token = Some(read_line(&mut source, fd, LOGIN_TOKEN)?);
        }
    }
    // What was opened above is closed again: a number that is not open must not hit it.
    if let (Some(fd), None) = (token_fd, &token) {
        let mut source = open_descriptor(fd, LOGIN_TOKEN)?;
        token = Some(read_line(&mut source, fd, LOGIN_TOKEN)?);
    }
    if let Some(login) = login {
        login.login_token = token;
    }
    Ok(())
}

const PASSWORD: &str = "the password";
const LOGIN_TOKEN: &str = "the login token";

fn unreadable(fd: u32, what: &str, reason: impl fmt::Display) -> Failure {
    let message = format!("cannot read {what} from file descriptor {fd}: {reason}");
    Failure::new(Code::Locked, message)
}

fn open_descriptor(fd: u32, what: &str) -> Result<Box<dyn Read>, Failure> {
    if fd == 0 {
        if io::stdin().is_terminal() {
            let reason = "standard input is a terminal; leave the option out to be asked";
            return Err(unreadable(fd, what, reason));
        }
        return stdin_unbuffered().map_err(|error| unreadable(fd, what, error));
    }
    // Opening the descriptor's name needs no unsafe code, and works on Linux and macOS.
    match File::open(format!("/dev/fd/{fd}")) {
        Ok(file) if file.is_terminal() => Err(unreadable(
            fd,
            what,
            "it is a terminal; leave the option out to be asked",
        )),
        Ok(file) => Ok(Box::new(file)),
        Err(error)
            if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(BAD_DESCRIPTOR) =>
        {
            let message =
                format!("file descriptor {fd} is not open; open it in the calling shell, as in {fd}<FILE");
            Err(Failure::new(Code::Usage, message))
        }
        Err(error) => Err(unreadable(
            fd,
            what,
            format_args!("{error}; use a file or a pipe, as in {fd}<FILE"),
        )),
    }
}

/// `EBADF`, which macOS answers where Linux says that there is no such file.
const BAD_DESCRIPTOR: i32 = 9;

/// Standard input without the buffer of the standard library, which would take more than one line.
fn stdin_unbuffered() -> io::Result<Box<dyn Read>> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        Ok(Box::new(File::from(io::stdin().as_fd().try_clone_to_owned()?)))
    }
    #[cfg(not(unix))]
    Ok(Box::new(io::stdin()))
}

/// Reads up to the first line end, byte by byte: what follows belongs to others, and may come much later.
fn read_line(source: &mut dyn Read, fd: u32, what: &str) -> Result<Secret, Failure> {
    // Sized first, so that no unwiped copy is left behind by a growing buffer.
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST_LINE));
    let mut byte = Zeroizing::new([0]);
    loop {
        match source.read(byte.as_mut_slice()) {
            Ok(0) => break,
            Ok(_) if *byte == *b"\n" => break,
            Ok(_) if line.len() == LONGEST_LINE => {
                let reason = format_args!("the line is longer than {LONGEST_LINE} bytes");
                return Err(unreadable(fd, what, reason));
            }
            Ok(_) => line.extend_from_slice(byte.as_slice()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(fd, what, error)),
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    match std::str::from_utf8(&line) {
        Ok("") => Err(unreadable(fd, what, "it is empty")),
        Ok(text) => Ok(Secret(Zeroizing::new(text.to_owned()))),
        Err(_) => Err(unreadable(fd, what, "it is not UTF-8 text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_taken_and_the_rest_stays() {
        let mut source = &b"first one\r\nsecond\n\n"[..];
        let mut next = || read_line(&mut source, 7, PASSWORD);
        assert_eq!(*next().unwrap().0, "first one");
        assert_eq!(*next().unwrap().0, "second");
        assert!(next().unwrap_err().to_string().contains("it is empty"));
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_and_not_cut() {
        let longest = "a".repeat(LONGEST_LINE);
        let read = |text: &str| read_line(&mut text.as_bytes(), 7, PASSWORD);
        assert_eq!(*read(&longest).unwrap().0, longest);
        assert_eq!(*read(&format!("{longest}\n")).unwrap().0, longest);
        let refused = read(&format!("{longest}b\n")).unwrap_err();
        assert!(refused.to_string().contains("4096"), "{refused}");
        assert_eq!(format!("{:?}", read("hidden").unwrap()), "Secret(..)");
    }
}
