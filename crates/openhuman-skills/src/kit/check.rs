//! Checking a package before anybody else has to.

use std::collections::BTreeSet;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::scan::{Scan, nearest, scan};
use super::schema;
use super::{Simulator, SimulatorError};
use crate::{Frame, HostRule, Manifest, SkillError, SkillPackage, Sources, ToolInfo, Trace};

/// The functions a host calls, as existing packages spell them.
const HOOKS: [&str; 26] = [
    "init",
    "start",
    "stop",
    "onLoad",
    "onTick",
    "onSync",
    "onPing",
    "onError",
    "onRpc",
    "onDisconnect",
    "publishState",
    "onCronTrigger",
    "onServerEvent",
    "onHookTriggered",
    "onWebhookRequest",
    "onSessionStart",
    "onSessionEnd",
    "onSetupStart",
    "onSetupSubmit",
    "onSetupCancel",
    "onListOptions",
    "onSetOption",
    "onOAuthComplete",
    "onOAuthRevoked",
    "onAuthComplete",
    "onAuthRevoked",
];
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

/// What the script defines, as seen from inside; see `js/skill.js`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inside {
    functions: Vec<String>,
    globals: Vec<String>,
    tools_kind: String,
    tools: Vec<ToolInside>,
}

#[derive(Deserialize)]
struct ToolInside {
    kind: String,
    name: Value,
    description: Value,
    execute: String,
    schema: Value,
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

fn tools(inside: &Inside, findings: &mut Vec<Finding>) {
    let mut error = |code, message: String| findings.push(Finding::new(Level::Error, code, message));
    if inside.tools_kind != "array" {
        if inside.tools_kind == "undefined" {
            findings.push(
                Finding::new(Level::Note, "tools", "the skill has no tools")
                    .help("a skill without tools can still run on schedules and events"),
            );
        } else {
            error(
                "tools",
                format!("`tools` is {}, but must be an array", inside.tools_kind),
            );
        }
        return;
    }
    let mut names = BTreeSet::new();
    for (index, tool) in inside.tools.iter().enumerate() {
        if tool.kind != "object" {
            error(
                "tools",
                format!("tools[{index}] is {}, but must be an object", tool.kind),
            );
            continue;
        }
        let Some(name) = tool.name.as_str() else {
            error("tool-name", format!("tools[{index}] has no `name`"));
            continue;
        };
        if !is_tool_name(name) {
            error(
                "tool-name",
                format!(
                    "the tool name '{name}' must be 1 to 64 letters, digits, `_` or `-`, and start with a letter"
                ),
            );
        }
        if !names.insert(name) {
            error(
                "tool-name",
                format!("two tools are called '{name}'; only the first can be called"),
            );
        }
        if tool.execute != "function" {
            error(
                "tool-execute",
                format!("the tool '{name}' has no function `execute`"),
            );
        }
        for problem in schema::problems(&tool.schema) {
            error("tool-schema", format!("the input schema of '{name}': {problem}"));
        }
    }
    for tool in &inside.tools {
        let name = tool.name.as_str().unwrap_or_default();
        let description = tool.description.as_str().unwrap_or_default().trim();
        if description.is_empty() {
            findings.push(
                Finding::new(
                    Level::Warning,
                    "tool-description",
                    format!("the tool '{name}' has no description"),
                )
                .help("a model chooses tools by their descriptions: say what it does, and when to use it"),
            );
        }
        for missing in schema::undescribed(&tool.schema) {
            findings.push(Finding::new(
                Level::Note,
                "tool-schema",
                format!("the argument `{missing}` of '{name}' has no description"),
            ));
        }
    }
}

fn is_tool_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn hooks(inside: &Inside, manifest: &Manifest, findings: &mut Vec<Finding>) {
    let names: BTreeSet<&str> = inside
        .functions
        .iter()
        .chain(&inside.globals)
        .map(String::as_str)
        .collect();
    for name in &names {
        if HOOKS.contains(name) {
            continue;
        }
        let looks = name
            .strip_prefix("on")
            .is_some_and(|rest| rest.starts_with(char::is_uppercase));
        let meant = nearest(name, &HOOKS).filter(|meant| looks || meant.len() > 3);
        match meant {
            Some(meant) if !names.contains(meant) => findings.push(
                Finding::new(Level::Warning, "hook", format!("nobody calls `{name}`"))
                    .help(format!("did you mean `{meant}`?")),
            ),
            _ if looks => {
                findings.push(Finding::new(
                    Level::Note,
                    "hook",
                    format!("nobody calls `{name}`: no hook has this name"),
                ));
            }
            _ => {}
        }
    }
    let events = manifest
        .permissions
        .as_ref()
        .is_some_and(|permissions| !permissions.events.is_empty());
    if names.contains("onServerEvent") && !events {
        findings.push(
            Finding::new(
                Level::Warning,
                "events",
                "`onServerEvent` is never called: the manifest asks for no events",
            )
            .help("list them in `permissions.events`"),
        );
    }
    if events && !names.contains("onServerEvent") {
        findings.push(Finding::new(
            Level::Warning,
            "events",
            "`permissions.events` asks for events, but the skill has no `onServerEvent`",
        ));
    }
}

fn permissions(manifest: &Manifest, found: &Scan, findings: &mut Vec<Finding>) {
    let Some(asked) = &manifest.permissions else {
        findings.push(
            Finding::new(Level::Note, "permissions", "the manifest has no `permissions`")
                .help("write `\"permissions\": {}` if the skill needs none"),
        );
        return;
    };
    let mut warn = |code, message: String| findings.push(Finding::new(Level::Warning, code, message));
    let rules: Vec<(&str, HostRule)> = asked
        .net
        .iter()
        .map(|net| (net.host.as_str(), HostRule::new(&net.host)))
        .collect();
    let sockets: Vec<(&str, HostRule)> = asked
        .websocket
        .iter()
        .map(|socket| (socket.host.as_str(), HostRule::new(&socket.host)))
        .collect();
    let covers = |rules: &[(&str, HostRule)], host: &str| {
        rules.iter().any(|(_, rule)| rule.allows("GET", true, host, 443))
    };
    for host in &found.hosts {
        if !covers(&rules, host) && !covers(&sockets, host) {
            warn(
                "permission-missing",
                format!("the script names the host {host}, which `permissions.net` does not list"),
            );
        }
    }
    for (pattern, rule) in rules.iter().chain(&sockets) {
        let used = found.hosts.iter().any(|host| rule.allows("GET", true, host, 443));
        // An address put together at run time cannot be seen.
        let unseen = found.dynamic_net && pattern.contains('*');
        if !used && !unseen {
            warn(
                "permission-unused",
                format!("the manifest asks for the host {pattern}, which the script never names"),
            );
        }
    }
    let handles: BTreeSet<&str> = asked.net.iter().filter_map(|net| net.secret.as_deref()).collect();
    for secret in &found.secrets {
        if !handles.contains(secret.as_str()) {
            warn(
                "permission-missing",
                format!(
                    "the script uses {{{{secret:{secret}}}}}, but no host in `permissions.net` has this `secret`"
                ),
            );
        }
    }
    for handle in handles {
        if !found.secrets.contains(handle) && found.secrets.is_empty() {
            warn(
                "permission-unused",
                format!("the script never uses the secret '{handle}'"),
            );
        }
    }
    for name in &found.env {
        if !asked.env.contains(name) {
            warn(
                "permission-missing",
                format!(
                    "the script reads the environment value {name}, which `permissions.env` does not list"
                ),
            );
        }
    }
    let wishes = [
        ("notify", asked.notify),
        ("websocket", !asked.websocket.is_empty()),
        ("model", asked.model),
        ("webhooks", asked.webhooks),
        ("tools", !asked.tools.is_empty()),
        ("memory.insert", asked.memory.insert),
    ];
    for (name, wish) in wishes {
        match (wish, found.uses.contains(name)) {
            (false, true) => warn(
                "permission-missing",
                format!("the script needs `permissions.{name}`, which the manifest does not ask for"),
            ),
            (true, false) => warn(
                "permission-unused",
                format!("the manifest asks for `permissions.{name}`, which the script never needs"),
            ),
            _ => {}
        }
    }
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

#[cfg(test)]
mod tests {
    use super::HOOKS;

    #[test]
    fn the_hooks_are_those_the_engine_calls() {
        let dispatch = include_str!("../js/lib/dispatch.js");
        for hook in HOOKS {
            assert!(dispatch.contains(&format!("'{hook}'")), "{hook}");
        }
        let listed = dispatch
            .split("HOOKS = [")
            .nth(1)
            .and_then(|rest| rest.split(']').next())
            .unwrap();
        assert_eq!(listed.matches('\'').count(), 2 * HOOKS.len());
    }
}
