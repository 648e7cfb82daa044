//! The files a new skill starts with.

use crate::SkillId;

/// Types of everything a skill finds.
pub const SKILL_TYPES: &str = include_str!("../../openhuman-skill.d.ts");
/// Types of what a test finds.
pub const TEST_TYPES: &str = include_str!("template/openhuman-skill-test.d.ts");

/// What a new skill is an example of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Template {
    /// One tool and some state.
    #[default]
    Minimal,
    /// A copy of a service's data: network, a secret, a database, a schedule.
    Sync,
    /// ES modules.
    Module,
}

/// The files of a new skill: paths with forward slashes, and their texts.
#[must_use]
pub fn files(id: &SkillId, template: Template) -> Vec<(&'static str, String)> {
    macro_rules! text {
        ($path:literal) => {
            include_str!(concat!("template/", $path))
        };
    }
    let (own, description, entry, test): (&[(&str, &str)], _, _, _) = match template {
        Template::Minimal => (
            &[
                ("manifest.json", text!("minimal/manifest.json")),
                ("index.js", text!("minimal/index.js")),
                ("index.test.js", text!("minimal/index.test.js")),
            ],
            "Greets people.",
            "index.js",
            "index.test.js",
        ),
        Template::Sync => (
            &[
                ("manifest.json", text!("sync/manifest.json")),
                ("index.js", text!("sync/index.js")),
                ("index.test.js", text!("sync/index.test.js")),
            ],
            "Keeps a searchable copy of the items of a service.",
            "index.js",
            "index.test.js",
        ),
        Template::Module => (
            &[
                ("manifest.json", text!("module/manifest.json")),
                ("index.mjs", text!("module/index.mjs")),
                ("src/words.mjs", text!("module/src/words.mjs")),
                ("index.test.mjs", text!("module/index.test.mjs")),
            ],
            "Counts words.",
            "index.mjs",
            "index.test.mjs",
        ),
    };
    let common = [
        ("README.md", text!("README.md")),
        ("jsconfig.json", text!("jsconfig.json")),
        ("openhuman-skill.d.ts", SKILL_TYPES),
        ("openhuman-skill-test.d.ts", TEST_TYPES),
    ];
    let name = title(id.as_str());
    let fill = |text: &str| {
        text.replace("@ID@", id.as_str())
            .replace("@NAME@", &name)
            .replace("@DESCRIPTION@", description)
            .replace("@ENTRY@", entry)
            .replace("@TEST@", test)
    };
    own.iter()
        .chain(&common)
        .map(|(path, text)| (*path, fill(text)))
        .collect()
}

/// Whether a file of a skill's directory is for its author alone, and left out of a package that is handed on: tests,
/// types, settings of tools, earlier archives and, above all, signing keys.
#[must_use]
pub fn is_authors_own(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    super::is_test(path)
        || name.ends_with(".d.ts")
        || name.ends_with(".key")
        || name.ends_with(".tar.gz")
        || matches!(
            name,
            "jsconfig.json" | "tsconfig.json" | "package.json" | "package-lock.json"
        )
}

/// `my-skill` as `My Skill`.
fn title(id: &str) -> String {
    let words = id.split('-').filter(|word| !word.is_empty()).map(|word| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect::<String>())
            .unwrap_or_default()
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_titles_and_nothing_is_left_unfilled() {
        assert_eq!(title("my-first-skill2"), "My First Skill2");
        let id = SkillId::new("my-skill").unwrap();
        for template in [Template::Minimal, Template::Sync, Template::Module] {
            for (path, text) in files(&id, template) {
                let marker = ["@ID@", "@NAME@", "@DESCRIPTION@", "@ENTRY@", "@TEST@"];
                assert!(marker.iter().all(|mark| !text.contains(mark)), "{path}");
            }
        }
    }

    /// What the language or the engine's core brings, or the script itself.
    const ELSEWHERE: [&str; 10] = [
        "__skillId",
        "__skill",
        "tools",
        "window",
        "self",
        "global",
        "queueMicrotask",
        "atob",
        "btoa",
        "DOMException",
    ];

    #[test]
    fn the_types_name_every_global_of_the_library_and_no_other() {
        let library = include_str!("../js/library.rs");
        let list = library
            .split("static GLOBALS")
            .nth(1)
            .and_then(|rest| rest.split("];").next())
            .unwrap();
        let first = |line: &str| line.split('"').nth(1).map(str::to_owned);
        let calls = ["global(", "alias(", "only("];
        let globals: BTreeSet<String> = list
            .lines()
            .filter(|line| calls.iter().any(|call| line.trim().starts_with(call)))
            .filter_map(first)
            .collect();
        assert!(globals.len() > 40, "{globals:?}");
        let name = |rest: &str| -> String {
            rest.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        };
        let declared: BTreeSet<String> = SKILL_TYPES
            .lines()
            .filter_map(|line| line.strip_prefix("declare "))
            .filter_map(|line| line.split_once(' '))
            .map(|(_, rest)| name(rest))
            .collect();
        let missing: Vec<_> = globals.difference(&declared).collect();
        let absent: Vec<_> = declared
            .difference(&globals)
            .filter(|name| !ELSEWHERE.contains(&name.as_str()))
            .collect();
        assert!(
            missing.is_empty() && absent.is_empty(),
            "not in the types: {missing:?}; only there: {absent:?}"
        );
    }
}
