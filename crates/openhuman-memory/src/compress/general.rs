//! Any text: what is said once stays, what is said over and over is counted.

use std::collections::HashMap;

use super::lines::{clip, is_failure, is_summary, is_warning, pattern};
use crate::chunk::count_tokens;

/// Lines at the beginning and at the end that stay.
const HEAD: usize = 4;
const TAIL: usize = 10;

/// Failures with the same pattern that stay, and warnings. The others are counted.
const FAILURES: usize = 10;
const WARNINGS: usize = 2;

/// What is said more often than this is no summary.
const SUMMARIES: usize = 3;

/// The longest line, in characters.
const WIDTH: usize = 220;

/// Why a line stays: the smaller, the more important. What is indented less says more.
const EDGE: u8 = 0;
const KEY: u8 = 1;
const FIRST: u8 = 2;
const INNER: u8 = 3;
const OTHER: u8 = 4;

/// Keeps lines by importance until the budget is used, in their order, and says how many are missing where.
pub(super) fn shorten(text: &str, budget: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut groups: HashMap<String, (usize, usize)> = HashMap::new();
    let patterns: Vec<String> = lines.iter().map(|line| pattern(line)).collect();
    for (place, pattern) in patterns.iter().enumerate() {
        groups.entry(pattern.clone()).or_insert((0, place)).0 += 1;
    }
    let outer = outer_indent(&lines);
    let mut said: HashMap<&str, usize> = HashMap::new();
    let mut order: Vec<(u8, usize)> = (0..lines.len())
        .map(|place| {
            let (count, first) = groups[&patterns[place]];
            let line = lines[place];
            let before = said.entry(patterns[place].as_str()).or_default();
            *before += 1;
            let is_key = is_failure(line) && *before <= FAILURES || is_warning(line) && *before <= WARNINGS;
            let rank = if place < HEAD || place + TAIL >= lines.len() {
                EDGE
            } else if is_key || (is_summary(line) && count <= SUMMARIES) {
                KEY
            } else if first != place {
                OTHER
            } else if indent(line) <= outer {
                FIRST
            } else {
                INNER
            };
            (rank, place)
        })
        .collect();
    order.sort_unstable();
    let mut keep = vec![false; lines.len()];
    let mut tokens = 0;
    for (rank, place) in order {
        if rank == OTHER {
            break;
        }
        let cost = count_tokens(&clip(lines[place], WIDTH)) + 2;
        // Failures may take twice the room of anything else.
        let room = if rank <= KEY { budget * 2 } else { budget };
        if tokens + cost <= room {
            tokens += cost;
            keep[place] = true;
        }
    }
    render(&lines, &keep, &groups, &patterns)
}

/// What comes before the first letter or digit: blanks, and the lines of a tree.
fn indent(line: &str) -> usize {
    line.chars()
        .take_while(|letter| !letter.is_alphanumeric())
        .count()
}

/// The indentation of the outer quarter of the lines.
fn outer_indent(lines: &[&str]) -> usize {
    let mut indents: Vec<usize> = lines.iter().map(|line| indent(line)).collect();
    indents.sort_unstable();
    indents.get(indents.len() / 4).copied().unwrap_or_default()
}

fn render(
    lines: &[&str],
    keep: &[bool],
    groups: &HashMap<String, (usize, usize)>,
    patterns: &[String],
) -> String {
    let mut out = format!("[{} lines]\n", lines.len());
    let mut skipped = 0;
    for (place, line) in lines.iter().enumerate() {
        if !keep[place] {
            skipped += 1;
            continue;
        }
        if skipped > 0 {
            out.push_str(&format!("… {skipped}\n"));
            skipped = 0;
        }
        out.push_str(&clip(line, WIDTH));
        let (count, first) = groups[&patterns[place]];
        if count > 2 && first == place {
            out.push_str(&format!("  [×{count}]"));
        }
        out.push('\n');
    }
    if skipped > 0 {
        out.push_str(&format!("… {skipped}\n"));
    }
    out
}
