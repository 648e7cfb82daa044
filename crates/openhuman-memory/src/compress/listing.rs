//! Names of files.

use std::collections::BTreeMap;

use crate::chunk::count_tokens;

/// Whether most lines look like those of `ls -l`.
pub(super) fn is_long(text: &str) -> bool {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(50)
        .collect();
    let long = lines.iter().filter(|line| entry(line).is_some()).count();
    lines.len() > 3 && long * 5 >= lines.len() * 3
}

struct Entry<'a> {
    directory: bool,
    size: &'a str,
    name: &'a str,
}

/// `-rw-r--r-- 1 ada ada 1234 May  5 10:00 name`
fn entry(line: &str) -> Option<Entry<'_>> {
    let mode = line.split_whitespace().next()?;
    let shape = mode.len() >= 10 && mode.bytes().all(|byte| b"-dlcbpsrwxStT+.@".contains(&byte));
    if !shape {
        return None;
    }
    let mut rest = line;
    let mut size = "";
    for column in 0..8 {
        rest = rest.trim_start();
        let end = rest.find(char::is_whitespace)?;
        if column == 4 {
            size = &rest[..end];
        }
        rest = &rest[end..];
    }
    Some(Entry {
        directory: mode.starts_with('d'),
        size,
        name: rest.trim(),
    })
}

/// Each directory that is listed by itself.
pub(super) fn long(text: &str) -> Option<String> {
    let mut sections: Vec<String> = Vec::new();
    for part in text.split("\n\n").filter(|part| !part.trim().is_empty()) {
        sections.push(one(part).unwrap_or_else(|| part.to_owned()));
    }
    Some(sections.join("")).filter(|text| !text.is_empty())
}

/// All names, by ending, with the sizes of the largest files.
fn one(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut directories = Vec::new();
    let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut sizes: Vec<(u64, &str, &str)> = Vec::new();
    let mut other = Vec::new();
    for line in text.lines() {
        match entry(line) {
            Some(entry) if entry.name == "." || entry.name == ".." => {}
            Some(entry) if entry.directory => directories.push(entry.name),
            Some(entry) => {
                let ending = entry
                    .name
                    .rsplit_once('.')
                    .map_or("", |(stem, ending)| if stem.is_empty() { "" } else { ending });
                files.entry(ending).or_default().push(entry.name);
                sizes.push((bytes(entry.size), entry.size, entry.name));
            }
            None if line.trim().is_empty() || line.starts_with("total ") => {}
            None => other.push(line),
        }
    }
    let count: usize = files.values().map(Vec::len).sum();
    for line in other.iter().take(20) {
        out.push_str(line);
        out.push('\n');
    }
    out.push_str(&format!("{count} files, {} directories\n", directories.len()));
    if !directories.is_empty() {
        out.push_str(&format!("directories: {}\n", directories.join(" ")));
    }
    for (ending, names) in &files {
        let what = if ending.is_empty() {
            "files".to_owned()
        } else {
            format!("*.{ending}")
        };
        out.push_str(&format!("{what} ({}): {}\n", names.len(), names.join(" ")));
    }
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let largest: Vec<String> = sizes
        .iter()
        .take(3)
        .map(|(_, size, name)| format!("{name} {size}"))
        .collect();
    out.push_str(&format!("largest: {}\n", largest.join(", ")));
    (count + directories.len() > 0).then_some(out)
}

/// `1234`, `1.2K`
fn bytes(size: &str) -> u64 {
    let (digits, unit) = size.split_at(size.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(size.len()));
    let factor = match unit {
        "K" => 1_000.0,
        "M" => 1_000_000.0,
        "G" => 1_000_000_000.0,
        _ => 1.0,
    };
    digits.parse::<f64>().map_or(0, |number| (number * factor) as u64)
}

/// Paths by directory: how many there are, and their names as long as there is room.
pub(super) fn paths(text: &str, budget: usize) -> Option<String> {
    let mut directories: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut count = 0;
    let mut other = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if line.contains(": ") {
            other.push(line);
            continue;
        }
        count += 1;
        let (directory, name) = line.rsplit_once('/').unwrap_or((".", line));
        directories.entry(directory).or_default().push(name);
    }
    if count == 0 {
        return None;
    }
    let mut out = format!("{count} paths in {} directories\n", directories.len());
    for line in other.iter().take(20) {
        out.push_str(line);
        out.push('\n');
    }
    let per_directory = budget.saturating_sub(directories.len() * 8) / directories.len().max(1);
    let mut names_left = budget;
    for (directory, names) in &directories {
        let mut line = format!("{directory}/ ({})", names.len());
        let mut tokens = 0;
        let mut shown = 0;
        for name in names {
            tokens += count_tokens(name) + 1;
            if tokens > per_directory.max(6).min(names_left) {
                break;
            }
            line.push(' ');
            line.push_str(name);
            shown += 1;
        }
        names_left = names_left.saturating_sub(tokens);
        if shown < names.len() {
            line.push_str(" …");
        }
        out.push_str(&line);
        out.push('\n');
    }
    Some(out)
}
