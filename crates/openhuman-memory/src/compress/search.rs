//! Matches of `grep -n`, `rg`: `path:line:text`.

use std::collections::BTreeMap;

use super::lines::clip;
use crate::chunk::count_tokens;

pub(super) fn is_search(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).take(100).collect();
    lines.len() > 3 && lines.iter().filter(|line| matched(line).is_some()).count() * 10 >= lines.len() * 8
}

fn matched(line: &str) -> Option<(&str, &str, &str)> {
    let (path, rest) = line.split_once(':')?;
    let (number, text) = rest.split_once(':')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !path.is_empty()).then_some((path, number, text))
}

/// Every file with how many matches it has, and the first matches of each as long as there is room.
pub(super) fn shorten(text: &str, budget: usize) -> Option<String> {
    let mut files: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    let mut count = 0;
    for line in text.lines() {
        if let Some((path, number, text)) = matched(line) {
            files.entry(path).or_default().push((number, text.trim()));
            count += 1;
        }
    }
    if count == 0 {
        return None;
    }
    let mut out = format!("{count} matches in {} files\n", files.len());
    let heads: usize = files.keys().map(|path| count_tokens(path) + 4).sum();
    let mut room = budget.saturating_sub(heads);
    let share = room / files.len().max(1);
    for (path, matches) in &files {
        out.push_str(&format!("{path} ({})\n", matches.len()));
        let mut used = 0;
        for (number, text) in matches {
            let line = format!(" {number}: {}\n", clip(text, 100));
            let cost = count_tokens(&line);
            if used + cost > share || cost > room {
                break;
            }
            used += cost;
            room -= cost;
            out.push_str(&line);
        }
    }
    Some(out)
}
