//! `manifest.json`: what a skill says about itself.

mod fields;
mod json;
mod lint;
mod types;

use std::fmt;

use serde_json::Value;

use self::json::{At, Node, Reader};
pub use self::types::{
    AuthKind, AuthMode, AuthSetup, Compat, DataPermission, DbPermission, MemoryPermission, NetPermission,
    OAuthSetup, Permissions, Setup, SetupField, SetupOption, WebSocketPermission,
};
use crate::{PackageError, SkillId};

/// The largest manifest that is read, in bytes.
pub(crate) const MAX_MANIFEST: usize = 256 * 1024;
/// The default memory limit and its ceiling, in MB.
const MEMORY_MB: (u64, u64) = (64, 256);

/// What a skill says about itself in `manifest.json`.
///
/// Unknown fields are tolerated, so that manifests written for other versions keep loading.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Manifest {
    /// The identifier; unique within an engine.
    pub id: SkillId,
    /// The name shown to people.
    pub name: String,
    /// The version, as the author writes it.
    pub version: Option<String>,
    /// What the skill does, in a sentence.
    pub description: Option<String>,
    /// The script, relative to the package directory. Default `index.js`.
    pub entry: String,
    /// Whether the script is an ES module (`"type": "module"`) instead of a classic script.
    pub module: bool,
    /// The kind of skill. Default `openhuman`.
    pub skill_type: String,
    /// The JavaScript memory limit in MB. Default 64, at most 256.
    pub memory_limit_mb: u64,
    /// Whether a host should start the skill by itself. The engine only reports it.
    pub auto_start: bool,
    /// Whether a registry leaves the skill out. Nothing else looks at it.
    pub ignore_in_production: bool,
    /// The operating systems the skill supports; empty means all.
    pub platforms: Vec<String>,
    /// What must be set up before the skill is useful.
    pub setup: Setup,
    /// What the skill asks for; `None` in manifests from before permissions existed.
    pub permissions: Option<Permissions>,
    /// Opt-in quirks of earlier runtimes.
    pub compat: Compat,
    /// Names of environment values an older manifest mentions. They grant nothing.
    pub env: Vec<String>,
    /// Events the skill says it emits. For people; nothing checks it.
    pub events_emitted: Vec<String>,
    /// Ids of skills this one says it needs. For people; nothing checks it.
    pub dependencies: Vec<String>,
    /// The kinds of entities and relationships the skill deals in, as written.
    pub entity_schema: Option<Value>,
    /// How often the skill wants `onTick`, as written. The engine does not tick by itself.
    pub tick_interval: Option<f64>,
}

/// A remark on a manifest: a reason to refuse it in [`ManifestError`], a warning from [`Manifest::lint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// The field, such as `permissions.net[0].host`; empty when it is about the whole text.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong, with the value found, and what to write instead. Reads on from the field's name.
    pub message: String,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        match self.path.as_str() {
            "" => write!(f, "the manifest {}", self.message),
            path => write!(f, "`{path}` {}", self.message),
        }
    }
}

/// Everything that is wrong with a manifest, in the order of the text; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    problems: Vec<Lint>,
}

impl ManifestError {
    /// The problems, at most 20.
    #[must_use]
    pub fn problems(&self) -> &[Lint] {
        &self.problems
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for ManifestError {}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`PackageError::Manifest`] with every problem found, each with its field, line and column: text that is not
    /// JSON, a field of the wrong type or written twice, no valid id or name, a runtime other than JavaScript, an
    /// `entry` that leaves the package, a permission that cannot mean anything, or an empty list of ways to connect
    /// an account. [`PackageError::TooLarge`] above 256 KB.
    pub fn parse(json: &str) -> Result<Self, PackageError> {
        check_size(json)?;
        let node = Node::parse(json).map_err(|problem| ManifestError {
            problems: vec![problem],
        })?;
        let root = At::root(&node);
        let mut reader = Reader::new(json);
        if !root.is_object() {
            reader.wrong(&root, "an object");
        }
        reader.duplicates(&root);
        let manifest = read(&mut reader, &root);
        let mut problems = reader.problems;
        problems.sort_by_key(|problem| (problem.line, problem.column));
        match manifest {
            Some(manifest) if problems.is_empty() => Ok(manifest),
            _ => Err(ManifestError { problems }.into()),
        }
    }

    /// Remarks on what is allowed but probably not meant: misspelled keys, fields that do nothing, permissions wider
    /// than they need be. Empty for a text that is not JSON: [`Manifest::parse`] says why.
    #[must_use]
    pub fn lint(json: &str) -> Vec<Lint> {
        lint::run(json)
    }

    /// Whether the skill runs on the operating system this library was built for.
    #[must_use]
    pub fn supports_this_platform(&self) -> bool {
        self.platforms.is_empty() || self.platforms.iter().any(|name| name == platform_name())
    }
}

fn check_size(json: &str) -> Result<(), PackageError> {
    if json.len() <= MAX_MANIFEST {
        return Ok(());
    }
    Err(PackageError::TooLarge {
        what: "manifest.json".to_owned(),
        size: json.len(),
        limit: MAX_MANIFEST,
    })
}

fn read(reader: &mut Reader<'_>, root: &At<'_>) -> Option<Manifest> {
    let id = match root.get("id") {
        Some(at) => reader.as_text(&at).and_then(|text| match SkillId::new(&text) {
            Ok(id) => Some(id),
            Err(_) => {
                reader.wrong(
                    &at,
                    "lower-case letters, digits and single hyphens, at most 64 characters",
                );
                None
            }
        }),
        None => {
            reader.report(root, "has no `id`, for example \"price-feed\"");
            None
        }
    };
    let name = match root.get("name") {
        Some(at) => reader.as_text(&at).and_then(|text| {
            let fits = !text.trim().is_empty() && text.len() <= 200;
            if !fits {
                reader.wrong(&at, "1 to 200 characters");
            }
            fits.then_some(text)
        }),
        None => {
            reader.report(root, "has no `name`, the name shown to people");
            None
        }
    };
    if let Some(runtime) = reader.text(root, "runtime")
        && !matches!(runtime.as_str(), "v8" | "javascript" | "quickjs")
        && let Some(at) = root.get("runtime")
    {
        reader.wrong(
            &at,
            "`v8`, `javascript` or `quickjs`: only JavaScript skills can run",
        );
    }
    let entry = match root.get("entry") {
        Some(at) => reader.as_text(&at).unwrap_or_default(),
        None => "index.js".to_owned(),
    };
    if let Some(at) = root.get("entry")
        && at.scalar().is_some_and(Value::is_string)
        && !is_confined(&entry)
    {
        reader.wrong(
            &at,
            "a plain path inside the package, with forward slashes, such as `dist/index.js`",
        );
    }
    let manifest = Manifest {
        id: id.clone().or_else(|| SkillId::new("unknown").ok())?,
        name: name.clone().unwrap_or_default(),
        version: reader.text(root, "version"),
        description: reader.text(root, "description"),
        entry,
        module: reader.text(root, "type").as_deref() == Some("module"),
        skill_type: reader
            .text(root, "skill_type")
            .unwrap_or_else(|| "openhuman".to_owned()),
        memory_limit_mb: reader
            .number(root, "memory_limit_mb", 0)
            .unwrap_or(MEMORY_MB.0)
            .clamp(1, MEMORY_MB.1),
        auto_start: reader.flag(root, "auto_start"),
        ignore_in_production: reader.flag(root, "ignoreInProduction"),
        platforms: reader.texts(root, "platforms", "the name of an operating system", |_| true),
        setup: fields::setup(reader, root),
        permissions: fields::permissions(reader, root),
        compat: Compat {
            db_text_as_json: reader
                .object(root, "compat")
                .is_some_and(|compat| reader.flag(&compat, "db_text_as_json")),
        },
        env: fields::names(reader, root, "env"),
        events_emitted: fields::names(reader, root, "events_emitted"),
        dependencies: fields::names(reader, root, "dependencies"),
        entity_schema: root.get("entity_schema").map(|at| at.value()),
        tick_interval: root
            .get("tick_interval")
            .and_then(|at| at.scalar().and_then(Value::as_f64)),
    };
    (id.is_some() && name.is_some()).then_some(manifest)
}

/// The operating system, in the words of manifests and of `platform.os()`.
pub(crate) fn platform_name() -> &'static str {
    match std::env::consts::OS {
        "windows" => "windows",
        "macos" => "macos",
        "linux" => "linux",
        _ => "unknown",
    }
}

/// Whether a path is relative, forward-slashed and free of `.` and `..`, also by the rules of Windows.
pub(crate) fn is_confined(path: &str) -> bool {
    crate::package::path::check(path).is_ok()
}

#[cfg(test)]
mod tests;
