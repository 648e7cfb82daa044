//! Items as Markdown that a person can read and change.

use super::{Item, Kind, MAX_TEXT_BYTES, USER};
use crate::error::MemoryError;

pub(super) fn write(items: &[Item]) -> String {
    let mut text = "# Working memory\n".to_owned();
    for kind in Kind::ALL {
        let of_kind: Vec<&Item> = items.iter().filter(|item| item.kind == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        text.push_str(&format!("\n## {}\n\n", kind.plural()));
        for item in of_kind {
            let pin = if item.pinned { "**pinned** " } else { "" };
            text.push_str(&format!(
                "- {pin}{} <!-- {} -->\n",
                item.text.replace("<!--", "&lt;!--"),
                serde_json::json!({
                    "origin": item.origin,
                    "slot": item.slot,
                    "confidence": item.confidence,
                    "evidence": item.evidence,
                    "first_ms": item.first_ms,
                    "last_ms": item.last_ms,
                })
                .to_string()
                .replace("-->", "--\\u003e")
            ));
        }
    }
    text
}

/// A line without a comment is something the user wrote: its slot is its text.
pub(super) fn read(text: &str, now_ms: i64) -> Result<Vec<Item>, MemoryError> {
    let mut kind = None;
    let mut items = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = |reason: &str| MemoryError::Markdown {
            line: number + 1,
            reason: reason.to_owned(),
        };
        let line = line.trim();
        if let Some(heading) = line.strip_prefix("## ") {
            let found = Kind::of_plural(&heading.trim().to_lowercase());
            kind =
                Some(found.ok_or_else(|| {
                    wrong("the heading is not preferences, goals, constraints or entities")
                })?);
        } else if let Some(rest) = line.strip_prefix("- ") {
            let kind = kind.ok_or_else(|| wrong("it comes before the first heading"))?;
            items.push(item(rest, kind, now_ms).map_err(|reason| wrong(&reason))?);
        }
    }
    Ok(items)
}

fn item(line: &str, kind: Kind, now_ms: i64) -> Result<Item, String> {
    let (text, comment) = match line.split_once("<!--") {
        None => (line, None),
        Some((text, rest)) => (text, Some(rest.split("-->").next().unwrap_or_default())),
    };
    let (pinned, text) = match text.trim().strip_prefix("**pinned**") {
        Some(text) => (true, text.trim()),
        None => (false, text.trim()),
    };
    let text = &text.replace("&lt;!--", "<!--");
    if text.is_empty() || text.len() > 4 * MAX_TEXT_BYTES {
        return Err(format!("the text has {} bytes", text.len()));
    }
    let comment: serde_json::Value = match comment {
        None => serde_json::Value::Null,
        Some(comment) => serde_json::from_str(comment.trim()).map_err(|error| error.to_string())?,
    };
    let string = |name: &str| {
        comment
            .get(name)
            .and_then(|value| value.as_str())
            .map(str::to_owned)
    };
    let number = |name: &str| comment.get(name).and_then(serde_json::Value::as_i64);
    Ok(Item {
        id: 0,
        origin: string("origin").unwrap_or_else(|| USER.to_owned()),
        kind,
        slot: string("slot").unwrap_or_else(|| text.to_owned()),
        text: text.to_owned(),
        confidence: comment
            .get("confidence")
            .and_then(serde_json::Value::as_f64)
            .map_or(1.0, |confidence| confidence.clamp(0.01, 1.0) as f32),
        evidence: number("evidence")
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1)
            .max(1),
        pinned,
        first_ms: number("first_ms").unwrap_or(now_ms),
        last_ms: number("last_ms").unwrap_or(now_ms),
        closed_ms: None,
    })
}
