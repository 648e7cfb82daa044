//! Warnings for authors.

use serde_json::Value;

use super::json::{At, Node, Reader};
use super::{Lint, MAX_MANIFEST};

const TOP: [&str; 25] = [
    "id",
    "name",
    "version",
    "description",
    "runtime",
    "entry",
    "type",
    "skill_type",
    "memory_limit_mb",
    "auto_start",
    "ignoreInProduction",
    "platforms",
    "setup",
    "permissions",
    "compat",
    "env",
    "events_emitted",
    "entity_schema",
    "tick_interval",
    "dependencies",
    "author",
    "license",
    "repository",
    "homepage",
    "$schema",
];
const PERMISSIONS: [&str; 11] = [
    "net",
    "websocket",
    "env",
    "tools",
    "events",
    "notify",
    "model",
    "webhooks",
    "memory",
    "db",
    "data",
];
const NET: [&str; 5] = ["host", "methods", "ports", "http", "secret"];
const WEBSOCKET: [&str; 2] = ["host", "ports"];
const MEMORY: [&str; 2] = ["insert", "recall"];
const SIZE: [&str; 1] = ["max_mb"];
const SETUP: [&str; 4] = ["required", "label", "oauth", "auth"];
const MODE: [&str; 9] = [
    "type",
    "label",
    "description",
    "provider",
    "scopes",
    "apiBaseUrl",
    "fields",
    "textDescription",
    "textPlaceholder",
];
const FIELD: [&str; 8] = [
    "name",
    "type",
    "label",
    "description",
    "required",
    "default",
    "placeholder",
    "options",
];
const FIELD_TYPES: [&str; 7] = [
    "text",
    "number",
    "password",
    "select",
    "multiselect",
    "boolean",
    "textarea",
];
const PLATFORMS: [&str; 5] = ["windows", "macos", "linux", "android", "ios"];

pub(super) fn run(json: &str) -> Vec<Lint> {
    if json.len() > MAX_MANIFEST {
        return Vec::new();
    }
    let Ok(node) = Node::parse(json) else {
        return Vec::new();
    };
    let root = At::root(&node);
    let mut reader = Reader::new(json);
    let lints = &mut reader;
    // The top level belongs to everybody: only near misses are worth a word there.
    keys(lints, &root, &TOP, false);
    top(lints, &root);
    setup(lints, &root);
    permissions(lints, &root);
    let mut remarks = reader.problems;
    remarks.sort_by_key(|remark| (remark.line, remark.column));
    remarks
}

fn top(lints: &mut Reader<'_>, root: &At<'_>) {
    if root.get("entry").is_none() {
        lints.report(root, "names no `entry`; `index.js` is loaded");
    }
    if root.get("version").is_none() {
        lints.report(
            root,
            "has no `version`, so an update cannot be told from the version installed",
        );
    }
    if root.get("permissions").is_none() {
        lints.report(
            root,
            "has no `permissions`; only the hosts of `apiBaseUrl` are asked for. Write `\"permissions\": {}` if none are needed",
        );
    }
    if let Some(at) = root.get("type")
        && !matches!(at.scalar().and_then(Value::as_str), Some("module" | "script"))
    {
        lints.wrong(&at, "`module` for an ES module, or absent");
    }
    if let Some(at) = root.get("memory_limit_mb")
        && at
            .scalar()
            .and_then(Value::as_u64)
            .is_some_and(|mb| !(1..=256).contains(&mb))
    {
        lints.report(&at, format!("is {}; 1 to 256 are used", at.preview()));
    }
    for key in [
        "runtime",
        "tick_interval",
        "events_emitted",
        "entity_schema",
        "env",
    ] {
        if let Some(at) = root.get(key) {
            let instead = match key {
                "runtime" => "there is one runtime; leave it out",
                "tick_interval" => "nothing ticks by itself; register a schedule with cron",
                "env" => "it grants nothing; ask in `permissions.env`",
                _ => "nothing reads it; leave it out",
            };
            lints.report(&at, format!("is from earlier versions: {instead}"));
        }
    }
    for at in root
        .get("platforms")
        .and_then(|at| at.items())
        .unwrap_or_default()
    {
        one_of(lints, &at, &PLATFORMS);
    }
}

fn setup(lints: &mut Reader<'_>, root: &At<'_>) {
    let Some(setup) = root.get("setup") else { return };
    keys(lints, &setup, &SETUP, true);
    if let Some(oauth) = setup.get("oauth") {
        lints.report(
            &oauth,
            "is the older form; write a mode of type `managed` in `setup.auth.modes`",
        );
    }
    let modes = setup.get("auth").and_then(|auth| auth.get("modes"));
    for mode in modes.and_then(|modes| modes.items()).unwrap_or_default() {
        keys(lints, &mode, &MODE, true);
        for field in mode.get("fields").and_then(|at| at.items()).unwrap_or_default() {
            keys(lints, &field, &FIELD, true);
            if let Some(kind) = field.get("type") {
                one_of(lints, &kind, &FIELD_TYPES);
            }
        }
    }
}

fn permissions(lints: &mut Reader<'_>, root: &At<'_>) {
    let Some(block) = root.get("permissions") else {
        return;
    };
    keys(lints, &block, &PERMISSIONS, true);
    for (list, known) in [("net", &NET[..]), ("websocket", &WEBSOCKET[..])] {
        for wish in block.get(list).and_then(|at| at.items()).unwrap_or_default() {
            keys(lints, &wish, known, true);
            let host = wish.get("host");
            if let Some(at) = host
                && at.scalar().and_then(Value::as_str) == Some("*")
            {
                lints.report(&at, "asks for every host; users will hesitate: name the hosts");
            }
        }
    }
    for (key, known) in [("memory", &MEMORY[..]), ("db", &SIZE[..]), ("data", &SIZE[..])] {
        if let Some(at) = block.get(key) {
            keys(lints, &at, known, true);
        }
    }
}

/// Remarks on keys that nobody reads: all of them, or only those that look misspelled.
fn keys(lints: &mut Reader<'_>, at: &At<'_>, known: &[&str], all: bool) {
    for (key, member) in at.members() {
        if known.contains(&key) {
            continue;
        }
        match nearest(key, known) {
            Some(near) => lints.report(&member, format!("is not a known key; did you mean `{near}`?")),
            None if all => {
                let known = known.join("`, `");
                lints.report(&member, format!("is not a known key; known are `{known}`"));
            }
            None => {}
        }
    }
}

fn one_of(lints: &mut Reader<'_>, at: &At<'_>, known: &[&str]) {
    let Some(text) = at.scalar().and_then(Value::as_str) else {
        return;
    };
    if !known.contains(&text) {
        lints.report(
            at,
            format!("is {}; known are `{}`", at.preview(), known.join("`, `")),
        );
    }
}

/// The known word that differs only in case and separators, or by one or two letters.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if word.len() > 64 {
        return None;
    }
    let flat = |text: &str| text.to_ascii_lowercase().replace(['_', '-'], "");
    let word = flat(word);
    let distances = known.iter().map(|name| (distance(&word, &flat(name)), *name));
    let (steps, name) = distances.min_by_key(|(steps, _)| *steps)?;
    let allowed = if name.len() <= 4 { 1 } else { 2 };
    (steps <= allowed && name.len() > 2).then_some(name)
}

/// The Levenshtein distance.
fn distance(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in two.iter().enumerate() {
            let step = (diagonal + usize::from(a != *b))
                .min(row[j] + 1)
                .min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], step);
        }
    }
    row[two.len()]
}
