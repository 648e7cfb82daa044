//! Secrets from file descriptors that the command line names.
//!
//! Standard input is left alone: `ask` takes its question from it and `mcp serve` owns it. Only where it is named as the
//! descriptor of a secret is its first line taken, byte by byte, and the rest is still there for the command.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read};

use openhuman::vault::{Password, Zeroizing};

use crate::args::{Cli, Command};
use crate::exit::{Code, Failure};

/// The longest line that is read from a file descriptor as a password or token, in bytes.
const LONGEST_LINE: usize = 4096;

const PASSWORD: &str = "the password";
const LOGIN_TOKEN: &str = "the login token";

/// A password or token from a file descriptor. It is wiped when dropped and does not print.
pub(crate) struct Secret(Zeroizing<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    pub(crate) fn to_password(&self) -> Password {
        Password::from(String::clone(&self.0))
    }
}

/// A secret that the command line asks for.
pub(crate) struct Wanted<'a> {
    pub(crate) fd: Option<u32>,
    /// What it is, such as "the password".
    pub(crate) what: &'static str,
    pub(crate) into: &'a mut Option<Secret>,
}

/// Reads the secrets whose file descriptors the command line names. Of one descriptor they are taken line by line: the
/// vault's password first, then in the order of the options in the help.
pub(crate) fn read(cli: &mut Cli) -> Result<(), Failure> {
    if matches!(cli.command, Command::Mcp(_)) && cli.global.password_fd == Some(0) {
        return Err(Failure::new(
            Code::Usage,
            "standard input belongs to the protocol here; use another descriptor for the password",
        ));
    }
    let mut wanted = vec![Wanted {
        fd: cli.global.password_fd,
        what: PASSWORD,
        into: &mut cli.global.password,
    }];
    match &mut cli.command {
        Command::Ask(crate::args::Ask { backend, .. }) | Command::Chat(crate::args::Chat { backend, .. }) => {
            wanted.push(Wanted {
                fd: backend.login_token_fd,
                what: LOGIN_TOKEN,
                into: &mut backend.login_token,
            });
        }
        Command::Memory(memory) => wanted.extend(memory.secrets()),
        Command::Login(login) => wanted.push(login.wanted()),
        Command::Vault(vault) => wanted.extend(vault.secrets()),
        _ => {}
    }
    // One descriptor after the other is opened and closed again: a number that is not open must not hit an earlier one.
    wanted.retain(|wanted| wanted.fd.is_some());
    while let Some((fd, what)) = wanted.first().and_then(|first| Some((first.fd?, first.what))) {
        let mut source = open_descriptor(fd, what)?;
        let (here, others): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|wanted| wanted.fd == Some(fd));
        for Wanted { what, into, .. } in here {
            *into = Some(read_line(&mut source, fd, what)?);
        }
        wanted = others;
    }
    Ok(())
}

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
        assert_eq!(next().unwrap().text(), "first one");
        assert_eq!(next().unwrap().text(), "second");
        assert!(next().unwrap_err().to_string().contains("it is empty"));
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_and_not_cut() {
        let longest = "a".repeat(LONGEST_LINE);
        let read = |text: &str| read_line(&mut text.as_bytes(), 7, PASSWORD);
        assert_eq!(read(&longest).unwrap().text(), longest);
        assert_eq!(read(&format!("{longest}\n")).unwrap().text(), longest);
        let refused = read(&format!("{longest}b\n")).unwrap_err();
        assert!(refused.to_string().contains("4096"), "{refused}");
        assert_eq!(format!("{:?}", read("hidden").unwrap()), "Secret(..)");
    }
}
