//! The chosen quotes as an answer.

use super::shortlist::Candidate;
use super::{SOURCE_CHARS, Source};
use crate::extractive::{NO_MODEL, sentence};

/// Writes the quotes: the passage with the best sentence first, and within a passage in reading order.
pub(super) fn write(lead: &str, chosen: Vec<Candidate<'_>>, sources: &[&Source<'_>]) -> String {
    let mut passages: Vec<(usize, Vec<Candidate<'_>>)> = Vec::new();
    for candidate in chosen {
        match passages
            .iter_mut()
            .find(|(source, _)| *source == candidate.source)
        {
            Some((_, quotes)) => quotes.push(candidate),
            None => passages.push((candidate.source, vec![candidate])),
        }
    }
    let mut listed: Vec<(&str, &str)> = Vec::new();
    let mut out = format!("{lead}\n\n");
    for (source, mut quotes) in passages {
        let Some(source) = sources.get(source) else {
            continue;
        };
        let name = (source.title.as_str(), source.place.as_str());
        // Two passages of one document are one source.
        let marker = listed.iter().position(|known| *known == name).unwrap_or_else(|| {
            listed.push(name);
            listed.len() - 1
        });
        quotes.sort_by_key(|candidate| candidate.position);
        for quote in quotes {
            out.push_str(&format!("- “{}” [{}]\n", quote.unit.text, marker + 1));
        }
    }
    out.push_str("\nSources:\n");
    for (marker, (title, place)) in listed.iter().enumerate() {
        let place = if place.is_empty() {
            String::new()
        } else {
            format!(" ({place})")
        };
        out.push_str(&format!("[{}] {title}{place}\n", marker + 1));
    }
    format!("{out}\n{NO_MODEL}")
}

pub(super) fn one_line(text: &str) -> String {
    let mut clean = String::new();
    sentence::push_clean(text, &mut clean);
    let line = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(SOURCE_CHARS).collect()
}
