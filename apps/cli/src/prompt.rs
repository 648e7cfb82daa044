//! Questions at the terminal that standard input is. Ctrl-C ends them at once and leaves the terminal as it was.

use std::io::{self, IsTerminal};

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor};

use crate::exit::{Code, Failure};

/// Asks for a line. The answer has no line end.
pub(crate) fn line(question: &str) -> Result<String, Failure> {
    let failed = |error: ReadlineError| match error {
        ReadlineError::Interrupted => Failure::new(Code::Interrupted, "stopped by Ctrl-C"),
        ReadlineError::Eof => Failure::new(Code::Interrupted, "the input ended"),
        ReadlineError::Io(error) => error.into(),
        other => Failure::new(Code::Failed, format!("the terminal cannot be read: {other}")),
    };
    // A blocking read of standard input could not be ended: the editor reads Ctrl-C as a key, and restores the terminal.
    let config = Config::builder().auto_add_history(false).build();
    let mut editor = Editor::<(), _>::with_history(config, MemHistory::new()).map_err(failed)?;
    editor.readline(question).map_err(failed)
}

/// Asks for a line that is not shown.
pub(crate) fn secret(question: &str) -> Result<String, Failure> {
    rpassword::prompt_password(question).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => Failure::new(Code::Interrupted, "stopped by Ctrl-C"),
        io::ErrorKind::UnexpectedEof => Failure::new(Code::Interrupted, "the input ended"),
        _ => error.into(),
    })
}

/// Asks for a yes; anything else is a no.
pub(crate) fn confirmed(question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(
            Code::Denied,
            "nobody can be asked here; look at the list above and repeat with --yes",
        ));
    }
    Ok(matches!(line(question)?.trim(), "y" | "Y" | "yes"))
}
