//! History and changes.

use std::collections::BTreeMap;

use super::lines::clip;
use crate::chunk::count_tokens;

/// Commits as `hash date subject`, the newest first, as many as there is room for; the others are counted by author.
pub(super) fn log(text: &str, budget: usize) -> Option<String> {
    struct Commit<'a> {
        hash: &'a str,
        author: &'a str,
        date: &'a str,
        subject: &'a str,
    }
    let mut commits: Vec<Commit<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(hash) = line.strip_prefix("commit ") {
            let hash = hash.split_whitespace().next()?;
            commits.push(Commit {
                hash: hash.get(..9).unwrap_or(hash),
                author: "",
                date: "",
                subject: "",
            });
        } else if let Some(commit) = commits.last_mut() {
            if let Some(author) = line.strip_prefix("Author:") {
                commit.author = author.split('<').next().unwrap_or_default().trim();
            } else if let Some(date) = line.strip_prefix("Date:") {
                commit.date = date.trim();
            } else if commit.subject.is_empty() && line.starts_with("    ") {
                commit.subject = line.trim();
            }
        }
    }
    if commits.is_empty() {
        return None;
    }
    let mut authors: BTreeMap<&str, usize> = BTreeMap::new();
    for commit in &commits {
        *authors.entry(commit.author).or_default() += 1;
    }
    let authors: Vec<String> = authors
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    let dates = (commits.last()?.date, commits.first()?.date);
    let mut out = format!(
        "{} commits from {} to {}; {}\n",
        commits.len(),
        dates.0,
        dates.1,
        authors.join(", ")
    );
    let mut tokens = count_tokens(&out);
    for (place, commit) in commits.iter().enumerate() {
        let line = format!("{} {}\n", commit.hash, clip(commit.subject, 120));
        tokens += count_tokens(&line);
        if tokens > budget {
            out.push_str(&format!("… {} older\n", commits.len() - place));
            break;
        }
        out.push_str(&line);
    }
    Some(out)
}

/// Files with what was added and removed, and the places that changed.
pub(super) fn diff(text: &str, budget: usize) -> Option<String> {
    struct File<'a> {
        name: &'a str,
        added: usize,
        removed: usize,
        notes: Vec<&'a str>,
        places: Vec<&'a str>,
        lines: Vec<&'a str>,
    }
    let mut files: Vec<File<'_>> = Vec::new();
    let mut before = Vec::new();
    for line in text.lines() {
        if let Some(names) = line.strip_prefix("diff --git ") {
            let name = names.rsplit(" b/").next().unwrap_or(names);
            files.push(File {
                name,
                added: 0,
                removed: 0,
                notes: vec![],
                places: vec![],
                lines: vec![],
            });
            continue;
        }
        let Some(file) = files.last_mut() else {
            before.push(line);
            continue;
        };
        if line.starts_with("+++") || line.starts_with("---") || line.starts_with("index ") {
            continue;
        }
        if let Some(place) = line.strip_prefix("@@ ") {
            let place = place.split(" @@").nth(1).unwrap_or_default().trim();
            if !place.is_empty() && !file.places.contains(&place) {
                file.places.push(place);
            }
        } else if line.starts_with('+') {
            file.added += 1;
            file.lines.push(line);
        } else if line.starts_with('-') {
            file.removed += 1;
            file.lines.push(line);
        } else if [
            "new file",
            "deleted file",
            "rename ",
            "similarity",
            "Binary",
            "old mode",
            "new mode",
        ]
        .iter()
        .any(|start| line.starts_with(start))
        {
            file.notes.push(line);
        }
    }
    if files.is_empty() {
        return None;
    }
    let (added, removed) = files
        .iter()
        .fold((0, 0), |sum, file| (sum.0 + file.added, sum.1 + file.removed));
    let mut out = String::new();
    for line in before.iter().filter(|line| !line.trim().is_empty()).take(12) {
        out.push_str(&format!("{}\n", clip(line, 160)));
    }
    out.push_str(&format!("{} files, +{added} -{removed}\n", files.len()));
    let mut tokens = 0;
    let room = budget / files.len().max(1);
    for file in &files {
        let notes: String = file.notes.iter().map(|note| format!(" ({note})")).collect();
        out.push_str(&format!(
            "{} +{} -{}{notes}\n",
            file.name, file.added, file.removed
        ));
        let mut of_file = 0;
        for line in file.places.iter().take(6).chain(&file.lines) {
            let line = format!("  {}\n", clip(line, 140));
            let cost = count_tokens(&line);
            if of_file + cost > room || tokens + cost > budget {
                break;
            }
            of_file += cost;
            tokens += cost;
            out.push_str(&line);
        }
    }
    Some(out)
}
