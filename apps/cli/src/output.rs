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

/// The text cut to the width of the terminal, where standard output is one; `taken` columns of the line are not for it.
pub(crate) fn fitting(text: &str, taken: usize) -> String {
    let width = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    match width {
        // In a very narrow one the text is worth more than the line.
        Some(width) => cut(text, width.saturating_sub(taken).max(20)),
        None => text.to_owned(),
    }
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end_matches([' ', ';', ',']))
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
    fn a_text_is_cut_to_its_room() {
        assert_eq!(cut("reach a.org", 11), "reach a.org");
        assert_eq!(cut("reach a.org", 7), "reach…");
        assert_eq!(cut("äöüß", 3), "äö…");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\n\tc\u{7}"), "a\u{fffd}[2Jb\n\tc\u{fffd}");
        assert_eq!(clean_line("a\u{9b}b\nc"), "a b c");
        assert_eq!(clean("a\u{202e}b"), "a\u{fffd}b");
    }
}
