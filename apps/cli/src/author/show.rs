//! Places in a skill's files, as the terminal shows them.

use openhuman::skills::Frame;

use crate::exit::Failure;
use crate::output::{clean, clean_line, line};
use crate::style::{DIM, ERROR};

/// The places of an error, innermost first, and the source line of the first one.
pub(super) fn places(indent: &str, frames: &[Frame]) -> Result<(), Failure> {
    for frame in frames.iter().take(6) {
        line(format_args!(
            "{indent}{DIM}at {}{DIM:#}",
            clean_line(&frame.to_string())
        ))?;
    }
    match frames.first() {
        Some(frame) => snippet(indent, frame),
        None => Ok(()),
    }
}

/// The source line of a place, with a mark.
pub(super) fn snippet(indent: &str, frame: &Frame) -> Result<(), Failure> {
    let Some(source) = &frame.source else {
        return Ok(());
    };
    let number = frame.line.to_string();
    let (gutter, before) = (" ".repeat(number.len()), " ".repeat(source.caret));
    line(format_args!(
        "{indent}  {DIM}{number} |{DIM:#} {}",
        clean_line(&source.text)
    ))?;
    line(format_args!(
        "{indent}  {DIM}{gutter} |{DIM:#} {before}{ERROR}^{ERROR:#}"
    ))
}

/// A text of several lines, each behind the indent.
pub(super) fn block(indent: &str, text: &str) -> Result<(), Failure> {
    for part in clean(text).lines() {
        line(format_args!("{indent}{part}"))?;
    }
    Ok(())
}
