//! How a command ends: one message, and an exit code that scripts can rely on.

use std::fmt;

use openhuman::{CoreError, ErrorKind};
use serde_json::json;

/// Exit codes are stable: scripts decide by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
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
            anstream::eprintln!("{error}");
        } else {
            anstream::eprintln!(
                "{}error:{} {}",
                crate::style::ERROR,
                crate::style::ERROR.render_reset(),
                self.message
            );
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
        let code = match error.kind() {
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::Locked => Code::Locked,
            ErrorKind::Denied => Code::Denied,
            ErrorKind::Unavailable => Code::Unavailable,
            ErrorKind::Timeout => Code::Timeout,
            _ => Code::Failed,
        };
        Self::new(code, error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // Whoever read our output has had enough, as `head` does: that is no news to anybody.
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::shown(Code::Failed);
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
