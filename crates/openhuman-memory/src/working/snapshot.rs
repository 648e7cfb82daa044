//! From the published state of a skill to items.

use serde_json::Value;

use super::Kind;
use super::redact::{is_private_key, key_words, redacted};

/// The most values looked at in one snapshot.
pub(super) const MAX_SCALARS: usize = 1_200;
/// The most items of one list.
pub(super) const MAX_LIST: usize = 40;
/// The longest item, in characters.
pub(super) const MAX_ITEM: usize = 180;
/// The shortest value, in bytes.
pub(super) const MIN_VALUE: usize = 3;
/// The longest value of an entity, in bytes.
pub(super) const MAX_ENTITY: usize = 80;

/// Something worth remembering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: Kind,
    /// What it is a value of: another value with the same slot takes its place.
    pub(super) slot: String,
    pub(super) text: String,
}

/// Words of a path that tell what its values are. Whole words: `plan` is not in `explanation`.
const WORDS: &[(Kind, &[&str])] = &[
    (
        Kind::Constraint,
        &[
            "constraint",
            "constraints",
            "limit",
            "limits",
            "rule",
            "rules",
            "policy",
            "policies",
            "restriction",
            "restrictions",
            "budget",
            "quota",
            "requirement",
            "requirements",
            "allergy",
            "allergies",
        ],
    ),
    (
        Kind::Goal,
        &[
            "goal",
            "goals",
            "objective",
            "objectives",
            "plan",
            "plans",
            "target",
            "targets",
            "milestone",
            "milestones",
            "task",
            "tasks",
            "todo",
            "todos",
            "deadline",
            "deadlines",
        ],
    ),
    (
        Kind::Preference,
        &[
            "preference",
            "preferences",
            "prefer",
            "prefers",
            "preferred",
            "setting",
            "settings",
            "favorite",
            "favorites",
            "favourite",
            "favourites",
            "theme",
            "language",
            "locale",
            "timezone",
            "likes",
            "dislikes",
            "format",
            "style",
        ],
    ),
    (
        Kind::Entity,
        &[
            "name",
            "owner",
            "contact",
            "contacts",
            "person",
            "people",
            "team",
            "teams",
            "project",
            "projects",
            "organization",
            "organisation",
            "company",
            "workspace",
            "workspaces",
            "repository",
            "account",
            "channel",
            "channels",
            "user",
            "users",
            "author",
            "authors",
            "title",
            "page",
            "pages",
            "database",
            "databases",
        ],
    ),
];

pub(super) fn read(state: &Value) -> Vec<Found> {
    let mut reader = Reader {
        scalars: 0,
        found: Vec::new(),
    };
    reader.value(&mut Vec::new(), None, state);
    reader.found
}

struct Reader {
    scalars: usize,
    found: Vec<Found>,
}

impl Reader {
    /// `label` tells items of a list apart.
    fn value(&mut self, path: &mut Vec<String>, label: Option<&str>, value: &Value) {
        if self.scalars >= MAX_SCALARS {
            return;
        }
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    if !is_private_key(key) {
                        path.push(key.clone());
                        self.value(path, label, value);
                        path.pop();
                    }
                }
            }
            Value::Array(items) => {
                for item in items.iter().take(MAX_LIST) {
                    let own = label_of(item);
                    self.value(path, own.as_deref().or(label), item);
                }
            }
            Value::Null => {}
            scalar => {
                self.scalars += 1;
                let text = match scalar {
                    Value::String(text) => text.trim().to_owned(),
                    other => other.to_string(),
                };
                self.found.extend(item(path, label, &text));
            }
        }
    }
}

/// What an item of a list is called: by its identifier, or by itself.
fn label_of(item: &Value) -> Option<String> {
    match item {
        Value::String(text) => Some(text.clone()),
        Value::Object(fields) => {
            ["id", "key", "name", "title"]
                .iter()
                .find_map(|name| match fields.get(*name)? {
                    Value::String(text) => Some(text.clone()),
                    Value::Number(number) => Some(number.to_string()),
                    _ => None,
                })
        }
        other => Some(other.to_string()),
    }
}

fn item(path: &[String], label: Option<&str>, value: &str) -> Option<Found> {
    let kind = kind(path)?;
    if value.len() < MIN_VALUE || (kind == Kind::Entity && value.len() > MAX_ENTITY) {
        return None;
    }
    // Made unreadable before it is cut: half an address would not be recognised.
    let value = redacted(value)?;
    let place = clipped(&format!(" ({})", path.join(" > ")), MAX_ITEM / 2);
    let text = clipped(&value, MAX_ITEM - place.chars().count()) + &place;
    let slot = match label {
        Some(label) => format!("{} [{}]", path.join(" > "), redacted(label)?),
        None => path.join(" > "),
    };
    Some(Found {
        kind,
        slot,
        text: text.replace('\n', " "),
    })
}

/// The last part of a path that says something decides.
fn kind(path: &[String]) -> Option<Kind> {
    path.iter().rev().find_map(|part| {
        let words = key_words(part);
        let of = |(kind, names): &(Kind, &[&str])| {
            words
                .iter()
                .any(|word| names.contains(&word.as_str()))
                .then_some(*kind)
        };
        WORDS.iter().find_map(of)
    })
}

pub(super) fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => text[..end].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(state: &Value) -> Vec<String> {
        read(state).into_iter().map(|found| found.text).collect()
    }

    #[test]
    fn values_are_found_by_whole_words_of_their_path() {
        let state = json!({
            "preferences": {"theme": "dark"},
            "explanation": {"text": "not a plan"},
            "planet": "Mars",
            "auth": {"name": "hidden"},
            "author": "Ada",
            "empty_goals": [],
            "goals": ["ship it", "x"],
        });
        let mut found = texts(&state);
        found.sort();
        assert_eq!(
            found,
            ["Ada (author)", "dark (preferences > theme)", "ship it (goals)"]
        );
    }

    #[test]
    fn bounds_hold() {
        let many: Vec<String> = (0..100).map(|n| format!("goal {n}")).collect();
        assert_eq!(read(&json!({"goals": many})).len(), MAX_LIST);
        let fields: serde_json::Map<String, Value> = (0..3_000)
            .map(|n| (format!("goal {n}"), json!("value")))
            .collect();
        assert_eq!(read(&Value::Object(fields)).len(), MAX_SCALARS);
        let long = texts(&json!({"goals": "w ".repeat(500)}));
        assert_eq!(long[0].chars().count(), MAX_ITEM);
        assert!(
            texts(&json!({"name": "n ".repeat(41)})).is_empty(),
            "a name is not that long"
        );
    }

    #[test]
    fn addresses_are_unreadable_before_they_are_cut() {
        let value = format!("{}ada@example.org", "w ".repeat(80));
        let found = texts(&json!({"goals": value}));
        assert!(!found[0].contains("ada@"), "{found:?}");
    }

    #[test]
    fn slots_do_not_depend_on_the_place_in_a_list() {
        let slots = |state: Value| {
            let mut slots: Vec<String> = read(&state).into_iter().map(|found| found.slot).collect();
            slots.sort();
            slots
        };
        let (a, b) = (
            json!({"id": 1, "title": "one task"}),
            json!({"id": 2, "title": "two tasks"}),
        );
        assert_eq!(slots(json!({"tasks": [a, b]})), slots(json!({"tasks": [b, a]})));
    }
}
