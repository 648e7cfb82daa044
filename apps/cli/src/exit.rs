//! How a command ends: one message, and an exit code that scripts can rely on.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};

use openhuman::skills::RpcError;
use openhuman::{CoreError, ErrorKind};
use serde_json::json;

use crate::style::ERROR;

/// Exit codes are stable: scripts decide by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    /// Nothing is wrong: whoever read the output has had enough of it.
    Enough = 0,
    /// Something failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// What was named does not exist.
    NotFound = 3,
    /// The vault is locked, the password is wrong, or a login was refused.
    Locked = 4,
    /// A rule or a missing grant forbids it.
    Denied = 5,
    /// A port, a peer, the network or the home directory is not available now.
    Unavailable = 6,
    /// A limit of time was reached.
    Timeout = 7,
    /// Stopped by the user.
    Interrupted = 130,
}

impl Code {
    fn name(self) -> &'static str {
        match self {
            Self::Enough => "enough",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Locked => "locked",
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
        }
    }

    /// The code for an `error_type` of a conversation.
    pub(crate) fn of_chat(error_type: &str) -> Self {
        match error_type {
            "network" => Self::Unavailable,
            "timeout" => Self::Timeout,
            "cancelled" => Self::Interrupted,
            _ => Self::Failed,
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    message: String,
    /// The message was shown already, for instance as the last line of a table.
    silent: bool,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            silent: false,
        }
    }

    /// A failure whose message the user has seen.
    pub(crate) fn shown(code: Code) -> Self {
        Self {
            code,
            message: String::new(),
            silent: true,
        }
    }

    /// Prints the message to standard error, as text or as JSON.
    pub(crate) fn report(&self, as_json: bool) {
        if self.silent {
            return;
        }
        if as_json {
            let error = json!({ "error": { "code": self.code.name(), "message": self.message } });
            tell(error);
        } else {
            tell(format_args!("{ERROR}error:{ERROR:#} {}", self.message));
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<CoreError> for Failure {
    fn from(error: CoreError) -> Self {
        if is_about_the_home(&error) {
            let message = format!(
                "{error}; see that the home directory can be written, or choose another one with --home"
            );
            return Self::new(Code::Unavailable, message);
        }
        let code = match error.kind() {
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::Locked => Code::Locked,
            ErrorKind::Denied => Code::Denied,
            ErrorKind::Unavailable => Code::Unavailable,
            ErrorKind::Timeout => Code::Timeout,
            _ if matches!(error, CoreError::Setting { .. } | CoreError::RecoveryKey(_)) => Code::Usage,
            _ => Code::Failed,
        };
        if error.retry_after_ms().is_some() {
            let advice =
                "where the password is lost, `openhuman vault recover` opens the vault with its recovery key";
            return Self::new(code, format!("{error}; {advice}"));
        }
        Self::new(code, error.to_string())
    }
}

/// Whether the home directory is the problem: not ours to write, read-only, full, or no directory.
fn is_about_the_home(error: &CoreError) -> bool {
    match error {
        // What is only read is the user's own folder.
        CoreError::Io { action: "read", .. } => return false,
        // A directory that cannot be made, whatever the reason.
        CoreError::Io { action: "create", .. } => return true,
        CoreError::Io { .. } | CoreError::Vault(_) | CoreError::Memory(_) | CoreError::Database(_) => {}
        _ => return false,
    }
    let mut causes = std::iter::successors(Some(error as &dyn Error), |&error| error.source());
    let cause = causes.find_map(|error| error.downcast_ref::<io::Error>());
    matches!(
        cause.map(io::Error::kind),
        Some(
            io::ErrorKind::PermissionDenied
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::NotADirectory
        )
    )
}

impl From<RpcError> for Failure {
    fn from(error: RpcError) -> Self {
        CoreError::from(error).into()
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Whoever read our output has had enough, as `head` does: that is no news to anybody.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::shown(Code::Enough);
        }
        Self::new(Code::Failed, format!("cannot read or write: {error}"))
    }
}

impl From<tokio::task::JoinError> for Failure {
    fn from(error: tokio::task::JoinError) -> Self {
        CoreError::from(error).into()
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(Code::Failed, format!("cannot write JSON: {error}"))
    }
}

/// Says something on standard error. When that cannot be written there is nobody left to tell.
pub(crate) fn tell(text: impl fmt::Display) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Ends when the process is told to stop: by Ctrl-C, and on Unix by SIGTERM. It listens from this call on.
pub(crate) fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let interrupt = interrupt_signal()?;
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            () = interrupt => {}
            _ = terminate.recv() => {}
        }
        #[cfg(not(unix))]
        interrupt.await;
    })
}

/// Runs a command that Ctrl-C simply ends. It is dropped then, so that it can clean up behind itself.
pub(crate) async fn interruptible<T>(
    command: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let interrupt = interrupt_signal()?;
    tokio::select! {
        biased;
        outcome = command => outcome,
        () = interrupt => Err(Failure::new(Code::Interrupted, "stopped by Ctrl-C")),
    }
}

/// Ends at Ctrl-C. It listens from this call on, unlike [`tokio::signal::ctrl_c`], which listens from its first poll.
fn interrupt_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    #[cfg(unix)]
    let mut signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    #[cfg(windows)]
    let mut signal = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        signal.recv().await;
    })
}
