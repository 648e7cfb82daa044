//! The hostile corpus as data: `tests/hostile/CLASS/NAME.js`, whose first lines say what must come of it.
//!
//! `// expect:` alternatives, separated by ` | `: `timeout`, `too-large`, `never-settles`, `unknown-tool`,
//! `ok /pattern/`, `throws /pattern/`, `load-fails /pattern/`.
//! Options, one on a line: `limit` (milliseconds; default 150 for what may time out, else 60,000), `memory` (MB), `entry`, `as: script` (the file is the whole bundle, not
//! the body of a tool), `after: any` (the skill broke itself: a typed error is as good as an answer).

use std::path::Path;
use std::time::Duration;

use openhuman_skills::{SkillError, ToolError};
use regex::Regex;
use serde_json::json;

/// One hostile script.
pub(crate) struct Case {
    pub(crate) class: String,
    pub(crate) name: String,
    pub(crate) expect: Vec<Expect>,
    pub(crate) limit: Duration,
    /// Whether it must answer afterwards; else it may also answer with an error.
    pub(crate) stays_alive: bool,
    /// Its number within its class.
    pub(crate) place: usize,
    entry: String,
    memory_mb: u64,
    code: String,
}

/// What may come of a case.
#[derive(Debug)]
pub(crate) enum Expect {
    Timeout,
    TooLarge,
    NeverSettles,
    UnknownTool,
    Ok(Regex),
    Throws(Regex),
    LoadFails(Regex),
}

/// What came of a case.
#[derive(Debug)]
pub(crate) enum Outcome {
    Load(String),
    Call(Result<String, ToolError>),
}

impl From<SkillError> for Outcome {
    fn from(error: SkillError) -> Self {
        Self::Load(error.to_string())
    }
}

impl Case {
    /// All cases, by class and name.
    pub(crate) fn all() -> Vec<Case> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
        let mut cases = Vec::new();
        for class in sorted(&root) {
            for (place, file) in sorted(&root.join(&class)).into_iter().enumerate() {
                let text = std::fs::read(root.join(&class).join(&file)).unwrap();
                let text = String::from_utf8_lossy(&text);
                let name = file
                    .strip_suffix(".js")
                    .unwrap_or_else(|| panic!("{class}/{file} is no script"));
                cases.push(Case {
                    place,
                    ..Case::parse(&class, name, &text)
                });
            }
        }
        cases
    }

    pub(crate) fn parse(class: &str, name: &str, text: &str) -> Case {
        let mut case = Case {
            class: class.to_owned(),
            name: name.to_owned(),
            expect: Vec::new(),
            limit: Duration::ZERO,
            stays_alive: true,
            place: 0,
            entry: "index.js".to_owned(),
            memory_mb: 8,
            code: String::new(),
        };
        let (mut script, mut rest) = (false, text);
        while let Some((line, below)) = rest.split_once('\n')
            && let Some((key, value)) = line.strip_prefix("// ").and_then(|line| line.split_once(": "))
        {
            if key == "as" {
                script = value == "script";
            } else {
                case.set(key, value)
                    .unwrap_or_else(|| panic!("{class}/{name}: {line}"));
            }
            rest = below;
        }
        assert!(!case.expect.is_empty(), "{class}/{name} expects nothing");
        if case.limit.is_zero() {
            let ends = |expect: &Expect| matches!(expect, Expect::Timeout);
            case.limit = Duration::from_millis(if case.expect.iter().any(ends) { 150 } else { 60_000 });
        }
        case.code = if script {
            rest.to_owned()
        } else {
            format!(
                "globalThis.__skill = {{ default: {{ tools: [{{ name: 'run', execute(args) {{ {rest}\n }} }}, \
                 {{ name: 'alive', execute: () => 'alive' }}] }} }};"
            )
        };
        case
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "expect" => self.expect = value.split(" | ").map(Expect::parse).collect::<Option<_>>()?,
            "limit" => self.limit = Duration::from_millis(value.parse().ok()?),
            "memory" => self.memory_mb = value.parse().ok()?,
            "entry" => value.clone_into(&mut self.entry),
            "after" => self.stays_alive = value == "alive",
            _ => return None,
        }
        Some(())
    }

    pub(crate) fn id(&self) -> String {
        format!("{}-{}", self.class, self.name)
    }

    pub(crate) fn manifest(&self) -> String {
        json!({
            "id": self.id(), "name": self.id(), "entry": self.entry, "memory_limit_mb": self.memory_mb,
            "permissions": {
                "net": [{"host": "*", "http": true}], "notify": true, "db": {"max_mb": 16}, "data": {"max_mb": 16},
            },
        })
        .to_string()
    }

    /// The script, with the ports of the servers it may try to reach.
    pub(crate) fn code(&self, canary: u16, open: u16) -> String {
        self.code
            .replace("CANARY", &canary.to_string())
            .replace("OPEN", &open.to_string())
    }

    pub(crate) fn accepts(&self, outcome: &Outcome) -> bool {
        self.expect.iter().any(|expect| expect.accepts(outcome))
    }
}

impl Expect {
    fn parse(text: &str) -> Option<Self> {
        let pattern = |prefix: &str| {
            let rest = text.strip_prefix(prefix)?.trim().strip_prefix('/')?;
            let (pattern, flags) = rest.rsplit_once('/')?;
            let flags = if flags.is_empty() {
                String::new()
            } else {
                format!("(?{flags})")
            };
            Regex::new(&format!("{flags}{pattern}")).ok()
        };
        Some(match text {
            "timeout" => Self::Timeout,
            "too-large" => Self::TooLarge,
            "never-settles" => Self::NeverSettles,
            "unknown-tool" => Self::UnknownTool,
            _ if text.starts_with("ok ") => Self::Ok(pattern("ok ")?),
            _ if text.starts_with("throws ") => Self::Throws(pattern("throws ")?),
            _ => Self::LoadFails(pattern("load-fails ")?),
        })
    }

    fn accepts(&self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::LoadFails(pattern), Outcome::Load(text))
            | (Self::Ok(pattern), Outcome::Call(Ok(text)))
            | (Self::Throws(pattern), Outcome::Call(Err(ToolError::Failed { message: text }))) => {
                pattern.is_match(text)
            }
            (Self::Timeout, Outcome::Call(Err(ToolError::TimedOut)))
            | (Self::TooLarge, Outcome::Call(Err(ToolError::ResultTooLarge { .. })))
            | (Self::NeverSettles, Outcome::Call(Err(ToolError::NeverSettles { .. })))
            | (Self::UnknownTool, Outcome::Call(Err(ToolError::UnknownTool { .. }))) => true,
            _ => false,
        }
    }
}

fn sorted(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Every class has at least ten cases, and no two say the same.
#[test]
fn the_corpus_is_large_enough() {
    let cases = Case::all();
    let mut classes = std::collections::BTreeMap::new();
    let mut bodies = std::collections::BTreeSet::new();
    for case in &cases {
        *classes.entry(&case.class).or_insert(0) += 1;
        assert!(
            bodies.insert((&case.entry, &case.code)),
            "{} repeats another case",
            case.id()
        );
    }
    println!("{} cases: {classes:?}", cases.len());
    assert!(cases.len() >= 200);
    assert!(
        classes.len() >= 15 && classes.values().all(|count| *count >= 10),
        "{classes:?}"
    );
}
