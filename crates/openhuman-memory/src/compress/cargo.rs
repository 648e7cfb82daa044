//! Builds and tests of Rust.

use std::collections::BTreeMap;

use super::lines::clip;
use crate::chunk::count_tokens;

/// Messages with their places, failed tests with why, and the last words. What was compiled and what passed is
/// counted.
pub(super) fn shorten(text: &str, budget: usize) -> Option<String> {
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    let mut kept: Vec<String> = Vec::new();
    let mut known = false;
    let mut panic_lines = 0;
    let mut message = false;
    for line in text.lines() {
        let trimmed = line.trim();
        let first = trimmed.split_whitespace().next().unwrap_or_default();
        if [
            "Compiling",
            "Checking",
            "Downloading",
            "Downloaded",
            "Fresh",
            "Adding",
            "Locking",
            "Updating",
            "Blocking",
        ]
        .contains(&first)
        {
            *counted.entry(first).or_default() += 1;
            known = true;
        } else if trimmed.starts_with("test ") && trimmed.ends_with("... ok") {
            *counted.entry("tests ok").or_default() += 1;
            known = true;
        } else if trimmed.starts_with("test ") && trimmed.ends_with("... ignored") {
            *counted.entry("tests ignored").or_default() += 1;
        } else if ["error", "warning"]
            .iter()
            .any(|start| trimmed.starts_with(start))
        {
            kept.push(trimmed.to_owned());
            (known, message) = (true, true);
        } else if let Some(place) = trimmed.strip_prefix("--> ") {
            if message {
                kept.push(format!("  {place}"));
            }
            message = false;
        } else if trimmed.starts_with("= help:") || trimmed.starts_with("help:") {
            kept.push(format!("  {}", clip(trimmed, 140)));
        } else if trimmed.starts_with("test ") && trimmed.contains("... FAILED")
            || trimmed.starts_with("test result:")
            || trimmed.starts_with("Finished")
            || trimmed.starts_with("Running")
            || trimmed.starts_with("Doc-tests")
        {
            kept.push(clip(trimmed, 200));
            known = true;
        } else if trimmed.contains("panicked at") {
            kept.push(trimmed.to_owned());
            panic_lines = 4;
        } else if panic_lines > 0 && !trimmed.is_empty() {
            panic_lines -= 1;
            if !trimmed.starts_with("note:") {
                kept.push(format!("  {}", clip(trimmed, 200)));
            }
        }
    }
    if !known {
        return None;
    }
    let mut out = String::new();
    for (what, count) in counted {
        out.push_str(&format!("{what}: {count}\n"));
    }
    Some(out + &within(&kept, budget * 2))
}

/// The same message is said once with a count; when there is no room, the last lines stay.
fn within(lines: &[String], budget: usize) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines {
        *counts.entry(line).or_default() += 1;
    }
    let mut seen = std::collections::HashSet::new();
    let mut out = Vec::new();
    for line in lines {
        if !seen.insert(line.as_str()) {
            continue;
        }
        let count = counts[line.as_str()];
        out.push(if count > 1 {
            format!("{line} [×{count}]")
        } else {
            line.clone()
        });
    }
    let mut tokens = 0;
    let first = out.iter().rposition(|line| {
        tokens += count_tokens(line) + 1;
        tokens > budget
    });
    let first = first.map_or(0, |place| place + 1);
    let missing = if first > 0 {
        format!("… {first} lines\n")
    } else {
        String::new()
    };
    missing + &out[first..].join("\n") + "\n"
}
