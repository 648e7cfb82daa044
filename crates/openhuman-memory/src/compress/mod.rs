//! Results of tools, shortened by rules before a model reads them.
//!
//! A result is looked at once: by the family of its tool, found by the command or by what the text looks like, and by
//! a general rule when no family knows it. What is left out is never lost: [`Memory::shorten`](crate::Memory::shorten)
//! keeps the original, and the shortened text begins with how to get it.
//!
//! ```
//! use openhuman_memory::compress::{ToolOutput, compress};
//!
//! let log: String = (0..200).map(|n| format!("2024-05-01 10:00:{:02} INFO request {n} served\n", n % 60)).collect();
//! let log = log + "2024-05-01 10:04:00 ERROR disk /dev/sda1 is full\n";
//! let short = compress(&ToolOutput { tool: "shell", command: "tail app.log", text: &log }).unwrap();
//! assert!(short.tokens_after * 4 < short.tokens_before);
//! assert!(short.text.contains("disk /dev/sda1 is full"));
//! ```

mod cargo;
mod general;
mod git;
mod json;
mod lines;
mod listing;
mod search;
mod table;

use crate::chunk::count_tokens;

/// What a tool gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolOutput<'a> {
    /// The tool's name.
    pub tool: &'a str,
    /// The command line, if it ran one; empty otherwise.
    pub command: &'a str,
    /// What it printed.
    pub text: &'a str,
}

/// A shortened result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compressed {
    /// What the model reads.
    pub text: String,
    /// The rule that shortened it.
    pub rule: &'static str,
    /// Tokens of the original.
    pub tokens_before: usize,
    /// Tokens of the text.
    pub tokens_after: usize,
}

/// Shorter results are left alone.
pub const MIN_BYTES: usize = 512;

/// A result is shortened when at most this share of its tokens is left, in percent.
const WORTH: usize = 95;

/// Shortens a result; `None` when it is short already or would not become much shorter. Never fails: any text is
/// a result. Cost: one or two passes, and counting tokens.
pub fn compress(output: &ToolOutput<'_>) -> Option<Compressed> {
    if output.text.len() < MIN_BYTES {
        return None;
    }
    let clean = lines::clean(output.text);
    let tokens_before = count_tokens(output.text);
    let budget = (tokens_before / 5).clamp(160, 1_500);
    let family = family(output, &clean);
    let by_rule = family.and_then(|family| Some((family.name(), family.shorten(&clean, budget)?)));
    let (rule, text) = by_rule.unwrap_or_else(|| ("general", general::shorten(&clean, budget)));
    let tokens_after = count_tokens(&text);
    (tokens_after * 100 <= tokens_before * WORTH).then_some(Compressed {
        text,
        rule,
        tokens_before,
        tokens_after,
    })
}

/// Tools whose results look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Listing,
    Paths,
    GitLog,
    GitDiff,
    Cargo,
    Json,
    Separated,
    Columns,
    Search,
}

impl Family {
    fn name(self) -> &'static str {
        match self {
            Self::Listing => "listing",
            Self::Paths => "paths",
            Self::GitLog => "git log",
            Self::GitDiff => "git diff",
            Self::Cargo => "cargo",
            Self::Json => "json",
            Self::Separated => "csv",
            Self::Columns => "columns",
            Self::Search => "search",
        }
    }

    fn shorten(self, text: &str, budget: usize) -> Option<String> {
        match self {
            Self::Listing => listing::long(text),
            Self::Paths => listing::paths(text, budget),
            Self::GitLog => git::log(text, budget),
            Self::GitDiff => git::diff(text, budget),
            Self::Cargo => cargo::shorten(text, budget),
            Self::Json => json::shorten(text, budget),
            Self::Separated => table::separated(text),
            Self::Columns => table::columns(text, budget),
            Self::Search => search::shorten(text, budget),
        }
    }
}

/// The command says what it is; without one, the text does.
fn family(output: &ToolOutput<'_>, text: &str) -> Option<Family> {
    let mut words = output
        .command
        .split_whitespace()
        .filter(|word| !word.contains('='));
    let program = words.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default();
    let subcommand = words.next().unwrap_or_default();
    match (program, subcommand) {
        ("ls", _) if listing::is_long(text) => return Some(Family::Listing),
        ("find" | "fd", _) => return Some(Family::Paths),
        ("git", "log") => return Some(Family::GitLog),
        ("git", "diff" | "show") => return Some(Family::GitDiff),
        ("cargo", "build" | "check" | "clippy" | "test" | "run" | "nextest") => return Some(Family::Cargo),
        ("grep" | "rg" | "ag", _) if search::is_search(text) => return Some(Family::Search),
        ("ps" | "df" | "du" | "top", _) => return Some(Family::Columns),
        _ => {}
    }
    let start = text.trim_start();
    if start.starts_with(['{', '[']) && json::is_json(start) {
        return Some(Family::Json);
    }
    if table::is_separated(text) {
        return Some(Family::Separated);
    }
    if program.is_empty() && listing::is_long(text) {
        return Some(Family::Listing);
    }
    None
}

#[cfg(test)]
mod tests;
