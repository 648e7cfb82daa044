//! The items of a skill as documents, where a search finds them.

use super::{Item, Kind};
use crate::document::Document;
use crate::error::MemoryError;
use crate::ingest::document_id;
use crate::memory::Memory;

/// The namespace of these documents.
pub(crate) const NAMESPACE: &str = "global";

/// What their keys begin with.
pub(crate) const PREFIX: &str = "working.user.";

/// Their source.
pub(crate) const SOURCE: &str = "skill_sync_working_memory";

/// The part of a key that stands for a skill: lower case, with dashes.
pub(crate) fn slug(skill: &str) -> String {
    let mut slug = String::with_capacity(skill.len());
    for letter in skill.chars() {
        if letter.is_alphanumeric() {
            slug.extend(letter.to_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// Writes a document for each kind that has items and the summary, and removes the others. Returns how many changed.
pub(super) fn write(memory: &Memory, skill: &str, items: &[Item]) -> Result<usize, MemoryError> {
    let slug = slug(skill);
    let mut changed = 0;
    for kind in Kind::ALL {
        let lines: Vec<String> = items
            .iter()
            .filter(|item| item.kind == kind)
            .map(|item| format!("- {}", item.text))
            .collect();
        changed += usize::from(put(memory, &slug, kind.plural(), &lines)?);
    }
    let counts: Vec<String> = Kind::ALL
        .into_iter()
        .map(|kind| (kind, items.iter().filter(|item| item.kind == kind).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("- {count} {}", kind.plural()))
        .collect();
    changed += usize::from(put(memory, &slug, "summary", &counts)?);
    Ok(changed)
}

fn put(memory: &Memory, slug: &str, kind: &str, lines: &[String]) -> Result<bool, MemoryError> {
    let key = format!("{PREFIX}{slug}.{kind}");
    if lines.is_empty() {
        return memory.forget(&document_id(NAMESPACE, &key));
    }
    let heading = format!("{slug} • {kind}");
    let document = Document {
        namespace: NAMESPACE.to_owned(),
        source: SOURCE.to_owned(),
        ..Document::new(key, &*heading, format!("{heading}\n\n{}", lines.join("\n")))
    };
    Ok(!memory.ingest(&document)?.unchanged)
}
