//! Documents of objects and lists.

use serde_json::Value;

use super::lines::clip;
use crate::chunk::count_tokens;

/// The largest document that is read as JSON, in bytes: 16 MiB.
const LARGEST: usize = 16 * 1024 * 1024;

pub(super) fn is_json(text: &str) -> bool {
    text.len() <= LARGEST && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// How much of each part is shown.
#[derive(Clone, Copy)]
struct Shown {
    items: usize,
    text: usize,
    depth: usize,
    /// The depth at the beginning.
    levels: usize,
}

/// All keys, the first items of each list with how many there are, long texts cut; less of each until it fits.
pub(super) fn shorten(text: &str, budget: usize) -> Option<String> {
    let value: Value = serde_json::from_str(text.trim()).ok()?;
    let steps = [
        (5, 200, 12),
        (3, 120, 10),
        (2, 80, 8),
        (2, 48, 6),
        (1, 40, 6),
        (1, 32, 5),
        (1, 24, 4),
        (1, 20, 3),
    ];
    let mut out = String::new();
    for (items, text, depth) in steps {
        out = String::new();
        write(
            &value,
            Shown {
                items,
                text,
                depth,
                levels: depth,
            },
            &mut out,
        );
        if count_tokens(&out) <= budget {
            break;
        }
    }
    Some(out)
}

fn write(value: &Value, shown: Shown, out: &mut String) {
    match value {
        Value::Object(fields) if shown.depth == 0 => {
            let keys: Vec<&str> = fields.keys().map(String::as_str).collect();
            out.push_str(&format!("{{{}}}", clip(&keys.join(","), 120)));
        }
        Value::Object(fields) => {
            out.push('{');
            let below = Shown {
                depth: shown.depth - 1,
                ..shown
            };
            let mut first = true;
            for (key, value) in fields {
                if is_empty(value) && shown.depth < shown.levels {
                    continue;
                }
                if !first {
                    out.push(',');
                }
                first = false;
                out.push_str(key);
                out.push(':');
                write(value, below, out);
            }
            out.push('}');
        }
        Value::Array(items) if shown.depth == 0 => out.push_str(&format!("[{} items]", items.len())),
        Value::Array(items) => {
            out.push('[');
            let below = Shown {
                depth: shown.depth - 1,
                ..shown
            };
            // Short plain values say more together.
            let plain = items.iter().all(|item| !item.is_object() && !item.is_array());
            let most = if plain { shown.items * 3 } else { shown.items };
            for (place, item) in items.iter().take(most).enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write(item, below, out);
            }
            if items.len() > most {
                out.push_str(&format!(",… {} items", items.len()));
                names(&items[most..], shown, out);
            }
            out.push(']');
        }
        Value::String(text) => out.push_str(&clip(text, shown.text).replace('\n', " ")),
        other => out.push_str(&other.to_string()),
    }
}

/// What the items that are not shown are called, when they have names and the list is not deep inside.
fn names(items: &[Value], shown: Shown, out: &mut String) {
    const CALLED: [&str; 5] = ["name", "title", "key", "id", "path"];
    if shown.depth + 3 < shown.levels {
        return;
    }
    let name = |item: &Value| {
        CALLED
            .iter()
            .find_map(|called| item.get(*called)?.as_str().map(str::to_owned))
    };
    let names: Vec<String> = items
        .iter()
        .filter_map(name)
        .take(40)
        .map(|name| clip(&name, 60))
        .collect();
    if !names.is_empty() {
        out.push_str(&format!(": {}", names.join(" ")));
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}
