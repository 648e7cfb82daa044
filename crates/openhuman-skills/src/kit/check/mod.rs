//! Checking a package before anybody else has to.

mod inside;
mod permissions;

use std::collections::BTreeSet;
use std::time::Instant;

use serde::Serialize;

use self::inside::{Inside, hooks, tools};
use self::permissions::permissions;
use super::scan::{Scan, scan};
use super::{Simulator, SimulatorError};
use crate::{Frame, Manifest, SkillError, SkillPackage, Sources, ToolInfo, Trace};

/// A script that takes longer to load is worth a remark: an engine starts hundreds of skills at once.
const SLOW_LOAD_MS: u64 = 500;
/// A script that is larger is worth a remark.
const LARGE_SCRIPT: usize = 1024 * 1024;

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The skill's id.
    pub id: String,
    /// Its version, if the manifest has one.
    pub version: Option<String>,
    /// The digest of the package.
    pub digest: String,
    /// What it found, errors first.
    pub findings: Vec<Finding>,
    /// The tools of the running skill.
    pub tools: Vec<ToolInfo>,
    /// How many files the package has.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: usize,
    /// How long loading and starting took in this run, in milliseconds of real time.
    pub load_ms: u64,
}

impl CheckReport {
    /// Whether nothing is wrong. Warnings are allowed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|finding| finding.level != Level::Error)
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The skill does not work.
    Error,
    /// It probably does not do what is meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// Something a check found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// A stable name for scripts, such as `tool-schema`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do, where that is not obvious.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Frame>,
}

impl Finding {
    fn new(level: Level, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            level,
            code,
            message: message.into(),
            help: None,
            place: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Checks a package: its manifest, its script in a confined runtime with an empty network, its tools, hooks and
/// permissions. The skill is started once and stopped again.
///
/// # Errors
/// [`SimulatorError`] when no engine can be built. What is wrong with the package is in the report.
pub async fn check(package: &SkillPackage) -> Result<CheckReport, SimulatorError> {
    let manifest = package.manifest();
    let mut report = CheckReport {
        id: manifest.id.to_string(),
        version: manifest.version.clone(),
        digest: package.digest().to_owned(),
        findings: Vec::new(),
        tools: Vec::new(),
        files: package.files().count(),
        bytes: package.files().map(|(_, bytes)| bytes.len()).sum(),
        load_ms: 0,
    };
    let text = package.file("manifest.json").unwrap_or_default();
    for lint in Manifest::lint(text) {
        report.findings.push(manifest_finding(text, &lint));
    }
    let mut simulator = Simulator::new(package.clone()).await?;
    let began = Instant::now();
    let started = simulator.start().await;
    report.load_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let inside = match started {
        Ok(()) => {
            let inside = simulator.inside().await;
            report.tools = simulator
                .snapshot()
                .map(|snapshot| snapshot.tools)
                .unwrap_or_default();
            inside
        }
        Err(error) => {
            report.findings.push(start_finding(package, &error));
            None
        }
    };
    if let Some(inside) = &inside {
        tools(inside, &mut report.findings);
        hooks(inside, manifest, &mut report.findings);
    }
    let mut found = Scan::default();
    for (path, bytes) in package.files() {
        if is_script(path) {
            found.merge(scan(&String::from_utf8_lossy(bytes)));
        }
    }
    permissions(manifest, &found, &mut report.findings);
    requests(&simulator, &mut report.findings);
    size(package, report.load_ms, &mut report.findings);
    simulator.end().await;
    report.findings.sort_by_key(|finding| finding.level);
    Ok(report)
}

fn is_script(path: &str) -> bool {
    let script = [".js", ".mjs", ".cjs"].iter().any(|end| path.ends_with(end));
    script && !is_test(path)
}

/// Whether a file of a package is one of tests.
#[must_use]
pub fn is_test(path: &str) -> bool {
    path.ends_with(".test.js") || path.ends_with(".test.mjs")
}

fn manifest_finding(text: &str, lint: &crate::Lint) -> Finding {
    let message = match lint.path.as_str() {
        "" => format!("the manifest {}", lint.message),
        path => format!("`{path}` {}", lint.message),
    };
    let mut finding = Finding::new(Level::Warning, "manifest", message);
    let (line, column) = (
        u32::try_from(lint.line).unwrap_or(u32::MAX),
        u32::try_from(lint.column).unwrap_or(u32::MAX),
    );
    finding.place = Some(Frame::in_text("manifest.json", text, line, column));
    finding
}

fn start_finding(package: &SkillPackage, error: &SkillError) -> Finding {
    let text = match error {
        SkillError::Failed { message, .. } => message.clone(),
        other => other.to_string(),
    };
    let Trace { message, frames } = Sources::new(package.clone()).trace(&text);
    let mut finding = Finding::new(Level::Error, "start", message);
    finding.place = frames.into_iter().next();
    finding
}

/// Requests while it started: there is no network, so what it made of the failure is not judged.
fn requests(simulator: &Simulator, findings: &mut Vec<Finding>) {
    for request in simulator.unmatched() {
        let line = format!(
            "while it starts, the skill sends {} {}",
            request.method, request.url
        );
        findings.push(
            Finding::new(Level::Note, "start", line)
                .help("a start that needs the network fails when there is none; better to connect when a tool is called"),
        );
    }
    let refused: BTreeSet<String> = simulator
        .bridge_calls()
        .into_iter()
        .filter_map(|call| call.result.err())
        .filter(|error| error.contains("not granted") || error.contains("does not ask"))
        .collect();
    for error in refused {
        findings.push(Finding::new(
            Level::Warning,
            "permission-missing",
            format!("while it starts: {error}"),
        ));
    }
}

fn size(package: &SkillPackage, load_ms: u64, findings: &mut Vec<Finding>) {
    let entry = &package.manifest().entry;
    let bytes = package.file(entry).map_or(0, str::len);
    if bytes > LARGE_SCRIPT {
        findings.push(
            Finding::new(
                Level::Note,
                "size",
                format!("{entry} has {} KB, which every start must load", bytes / 1024),
            )
            .help("bundle with `--minify --tree-shaking=true`"),
        );
    }
    if load_ms > SLOW_LOAD_MS {
        findings.push(Finding::new(
            Level::Note,
            "load-time",
            format!("loading and starting took {load_ms} ms"),
        ));
    }
}

impl Simulator {
    async fn inside(&mut self) -> Option<Inside> {
        let value = self
            .function("__openhumanKit", serde_json::json!([]))
            .await
            .ok()?;
        serde_json::from_value(value).ok()
    }
}
