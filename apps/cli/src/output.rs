//! Standard output: fallible, because a reader may go away, and clean, because text from files, skills and models must
//! not move the cursor of the user's terminal.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use crate::exit::Failure;

/// Writes one line. Styles are dropped where colour is not wanted.
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    Ok(writeln!(out, "{text}")?)
}

/// Writes one value as a line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)?;
    let mut out = io::stdout().lock();
    Ok(writeln!(out, "{text}")?)
}

/// Writes a piece of an answer as it comes.
pub(crate) fn piece(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// The text without control characters, but for line ends and tabs: nobody's text may drive the terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| {
            if (c.is_control() && !matches!(c, '\n' | '\t')) || turns_text(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// As [`clean`], on one line.
pub(crate) fn clean_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || turns_text(c) { ' ' } else { c })
        .collect()
}

/// Marks that turn the direction of text or end a line without a control character: they make a terminal show other
/// words than there are.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\n\tc\u{7}"), "a\u{fffd}[2Jb\n\tc\u{fffd}");
        assert_eq!(clean_line("a\u{9b}b\nc"), "a b c");
        assert_eq!(clean("a\u{202e}b"), "a\u{fffd}b");
    }
}
