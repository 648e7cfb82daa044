//! Passwords typed at the controlling terminal, whatever standard input is.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use openhuman::Home;
use openhuman::vault::{Password, Vault, Zeroizing};

use crate::descriptors::Secret;
use crate::exit::{Code, Failure, tell};
use crate::session;
use crate::style::DIM;

/// The shortest password that is accepted for something new, in characters.
const SHORTEST: usize = 8;

/// How often a password may be typed.
const TRIES: usize = 3;

/// What to say when a new password is asked for.
pub(crate) struct Asking<'a> {
    /// What it is for.
    pub(crate) intro: String,
    /// Where nobody can be asked: why, and what to do.
    pub(crate) nobody: String,
    /// What comes of it when none is chosen, such as "nothing was created".
    pub(crate) nothing: &'a str,
}

/// A new password: the one given, else one typed twice.
pub(crate) fn new_password(given: Option<&Secret>, asking: &Asking<'_>) -> Result<Password, Failure> {
    let refused = |problem: &str| Failure::new(Code::Usage, format!("{problem}; {}", asking.nothing));
    match given {
        Some(secret) if is_too_short(secret.text()) => return Err(refused(&too_short())),
        Some(secret) => return Ok(secret.to_password()),
        None => {}
    }
    let unanswered = |reason| match reason {
        Unanswered::NoTerminal => Failure::new(Code::Locked, asking.nobody.as_str()),
        Unanswered::EndOfInput => Failure::new(
            Code::Locked,
            format!("no password was chosen; {}", asking.nothing),
        ),
        Unanswered::Interrupted => Failure::new(
            Code::Interrupted,
            format!("stopped by Ctrl-C; {}", asking.nothing),
        ),
    };
    if !has_terminal() {
        return Err(unanswered(Unanswered::NoTerminal));
    }
    tell(&asking.intro);
    tell(format_args!(
        "{DIM}Nobody can reset it. At least {SHORTEST} characters.{DIM:#}"
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
    Err(refused(&problem))
}

fn is_too_short(password: &str) -> bool {
    password.chars().count() < SHORTEST
}

fn too_short() -> String {
    format!("the password needs at least {SHORTEST} characters")
}

/// The text that was given, else one line typed at the terminal that is not shown.
pub(crate) fn typed(
    given: Option<&Secret>,
    question: &str,
    option: &str,
) -> Result<Zeroizing<String>, Failure> {
    if let Some(secret) = given {
        return Ok(Zeroizing::new(secret.text().to_owned()));
    }
    let unanswered = |reason| match reason {
        Unanswered::NoTerminal => {
            let message = format!("there is no terminal to ask at; give it with {option} N");
            Failure::new(Code::Locked, message)
        }
        Unanswered::EndOfInput => Failure::new(Code::Locked, "nothing was typed; nothing was changed"),
        Unanswered::Interrupted => Failure::new(Code::Interrupted, "stopped by Ctrl-C; nothing was changed"),
    };
    if !has_terminal() {
        return Err(unanswered(Unanswered::NoTerminal));
    }
    prompt(question).map_err(unanswered)
}

/// Opens the vault with the password typed at the terminal; `keychain` says why the keychain did not.
pub(crate) async fn open_from_terminal(home: &Home, keychain: Option<&str>) -> Result<Vault, Failure> {
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
        wait_out(home).await;
        let typed = prompt("Password: ").map_err(unanswered)?;
        match session::open(home, Password::from(String::clone(&typed))).await {
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

/// After too many wrong passwords the next one has to wait: said and counted down before anybody types.
async fn wait_out(home: &Home) {
    let in_place = io::stderr().is_terminal();
    let mut told = false;
    loop {
        let left = home.waiting_ms();
        if left == 0 {
            break;
        }
        let text = format!(
            "Too many wrong passwords came before: the next one is possible in {} s",
            left.div_ceil(1000)
        );
        if in_place {
            // Over the line before: the longer one is first.
            let _ = write!(anstream::stderr().lock(), "\r{DIM}{text} {DIM:#}");
        } else if !told {
            tell(text);
        }
        told = true;
        tokio::time::sleep(Duration::from_millis(left.min(1000))).await;
    }
    if told && in_place {
        tell("");
    }
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
