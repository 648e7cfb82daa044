//! `openhuman skills run`.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use openhuman::skills::kit::DirectoryDbOpener;
use openhuman::skills::{
    BridgeCall, CallOptions, Engine, Grant, HostRule, Manifest, MemorySecrets, Secrets as _, SkillEvent,
    SkillId, SkillPackage, SkillSnapshot,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Stdin, Take};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::watch::Watch;
use super::{Inspect, Run};
use crate::args::Global;
use crate::exit::{Code, Failure, tell};
use crate::output::{self, clean, clean_line, line};
use crate::style::{BOLD, DIM, ERROR, GOOD, TOOL, WARNING};

pub(super) async fn run(global: &Global, run: &Run) -> Result<(), Failure> {
    let args = object(&run.args)?;
    let package = super::load(&run.dir)?;
    let grant = granted(package.manifest(), &run.allow_net)?;
    let engine = engine(run, package.manifest())?;
    // Ends when the engine is gone.
    tokio::spawn(report_events(engine.events()));
    let outcome = serve(global, run, &engine, package, grant, args).await;
    engine.shutdown().await;
    outcome
}

async fn serve(
    global: &Global,
    run: &Run,
    engine: &Engine,
    package: SkillPackage,
    grant: Grant,
    args: Value,
) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Code::Failed, clean(&error.to_string()));
    let id = engine
        .install(package, grant)
        .await
        .map_err(|error| failed(&error))?;
    engine.start(&id).await.map_err(|error| failed(&error))?;
    if let Some(tool) = &run.tool {
        return match call(engine, &id, tool, args).await? {
            Ok(text) if global.json => output::json(&json!({ "result": text })),
            Ok(text) => line(clean(&text)),
            Err(error) => Err(failed(&error)),
        };
    }
    if !global.json {
        list(engine, &id)?;
    }
    let mut watch = run.watch.then(|| Watch::new(&run.dir));
    let mut lines = Some(Entered::default());
    let terminal = std::io::stdin().is_terminal();
    loop {
        if terminal && lines.is_some() {
            output::piece("> ")?;
        }
        tokio::select! {
            entered = next_line(&mut lines) => match entered {
                Some(Ok(entered)) => command(global, engine, &id, &entered).await?,
                Some(Err(failure)) => failure.report(global.json),
                // Without anybody to ask, it goes on for the watch alone.
                None if watch.is_none() => return Ok(()),
                None => lines = None,
            },
            path = changed(&mut watch) => {
                if terminal {
                    output::piece("\r")?;
                }
                reload(run, engine, &id, &path).await;
            }
        }
    }
}

/// The longest line that is read, in bytes.
const LONGEST_LINE: u64 = 1024 * 1024;

/// The lines of standard input. What was read of one stays when a change of a file comes first.
struct Entered {
    input: Take<BufReader<Stdin>>,
    line: Vec<u8>,
    number: usize,
}

impl Default for Entered {
    fn default() -> Self {
        Self {
            input: BufReader::new(tokio::io::stdin()).take(LONGEST_LINE),
            line: Vec::new(),
            number: 0,
        }
    }
}

/// The next line; an inner failure is that of one line. `None` at the end.
async fn next_line(lines: &mut Option<Entered>) -> Option<Result<String, Failure>> {
    let Some(entered) = lines else {
        return std::future::pending().await;
    };
    let count = entered.input.read_until(b'\n', &mut entered.line).await.ok()?;
    if count == 0 && entered.line.is_empty() {
        return None;
    }
    entered.input.set_limit(LONGEST_LINE);
    entered.number += 1;
    let number = entered.number;
    let text = String::from_utf8(std::mem::take(&mut entered.line));
    Some(text.map_err(|_| {
        Failure::new(
            Code::Usage,
            format!("line {number} is not UTF-8 text; it is left out"),
        )
    }))
}

async fn changed(watch: &mut Option<Watch>) -> std::path::PathBuf {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// Puts the new version in place of the old one. If it does not start, the old one runs on.
async fn reload(run: &Run, engine: &Engine, id: &SkillId, path: &Path) {
    let began = Instant::now();
    let complain = |text: &str| {
        tell(format_args!(
            "{ERROR}not reloaded{ERROR:#}, the version before runs on: {}",
            clean(text)
        ));
    };
    let package = match super::edited(&run.dir) {
        Ok(package) => package,
        Err(error) => return complain(&error.to_string()),
    };
    if package.manifest().id != *id {
        return complain("the id in the manifest changed; end this run and start again");
    }
    let grant = match granted(package.manifest(), &run.allow_net) {
        Ok(grant) => grant,
        Err(failure) => return complain(&failure.to_string()),
    };
    match engine.replace(package, grant).await {
        Ok(()) => tell(format_args!(
            "{GOOD}reloaded{GOOD:#} {DIM}{} changed, {} ms{DIM:#}",
            path.display(),
            began.elapsed().as_millis()
        )),
        Err(error) => complain(&error.to_string()),
    }
}

/// Carries out a line: a tool with its arguments, or one of a few words.
async fn command(global: &Global, engine: &Engine, id: &SkillId, entered: &str) -> Result<(), Failure> {
    let entered = entered.trim();
    let (name, args) = entered.split_once(char::is_whitespace).unwrap_or((entered, "{}"));
    match name {
        "" => Ok(()),
        ".tools" => list(engine, id),
        ".state" => {
            let state = snapshot(engine, id).map(|snapshot| snapshot.state);
            line(clean(&serde_json::to_string_pretty(&state)?))
        }
        tool => {
            let args = match object(args) {
                Ok(args) => args,
                Err(failure) => {
                    failure.report(global.json);
                    return Ok(());
                }
            };
            let began = Instant::now();
            match call(engine, id, tool, args).await {
                Ok(Ok(text)) if global.json => output::json(&json!({ "tool": tool, "result": text })),
                Ok(Ok(text)) => {
                    line(clean(&pretty(&text)))?;
                    tell(format_args!("{DIM}{} ms{DIM:#}", began.elapsed().as_millis()));
                    Ok(())
                }
                Ok(Err(error)) => {
                    Failure::new(Code::Failed, clean(&error)).report(global.json);
                    Ok(())
                }
                Err(failure) => {
                    failure.report(global.json);
                    Ok(())
                }
            }
        }
    }
}

/// A result that is JSON, on several lines.
fn pretty(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => {
            serde_json::to_string_pretty(&value).unwrap_or_else(|_| text.to_owned())
        }
        _ => text.to_owned(),
    }
}

/// Calls a tool; the inner error is the tool's own.
async fn call(
    engine: &Engine,
    id: &SkillId,
    tool: &str,
    args: Value,
) -> Result<Result<String, String>, Failure> {
    let known = snapshot(engine, id)
        .map(|snapshot| snapshot.tools)
        .unwrap_or_default();
    if !known.iter().any(|known| known.name == tool) {
        let names: Vec<&str> = known.iter().map(|tool| tool.name.as_str()).collect();
        return Err(Failure::new(
            Code::NotFound,
            format!(
                "there is no tool '{}'; there are: {}",
                clean_line(tool),
                clean_line(&names.join(", "))
            ),
        ));
    }
    let output = engine.call_tool(id, tool, args, CallOptions::default()).await;
    Ok(output
        .map(|output| output.text)
        .map_err(|error| error.to_string()))
}

fn snapshot(engine: &Engine, id: &SkillId) -> Option<SkillSnapshot> {
    let all = engine.snapshots().into_iter();
    all.into_iter().find(|snapshot| snapshot.skill_id == id.as_str())
}

fn list(engine: &Engine, id: &SkillId) -> Result<(), Failure> {
    let Some(snapshot) = snapshot(engine, id) else {
        return Ok(());
    };
    line(format_args!(
        "{BOLD}{id}{BOLD:#} {GOOD}is running{GOOD:#}  {DIM}a call is NAME [JSON]; .tools, .state; Ctrl-D ends{DIM:#}"
    ))?;
    for tool in &snapshot.tools {
        let arguments = tool.input_schema.get("properties").and_then(Value::as_object);
        let names: Vec<String> = arguments
            .map(|all| all.keys().map(|name| clean_line(name)).collect())
            .unwrap_or_default();
        line(format_args!(
            "  {TOOL}{}{TOOL:#} {DIM}{{{}}}{DIM:#}  {}",
            clean_line(&tool.name),
            names.join(", "),
            crate::ask::preview(&tool.description)
        ))?;
    }
    Ok(())
}

fn object(text: &str) -> Result<Value, Failure> {
    match serde_json::from_str::<Value>(text) {
        Ok(value) if value.is_object() => Ok(value),
        _ => Err(Failure::new(
            Code::Usage,
            "the arguments must be a JSON object, such as '{\"name\":\"Ada\"}'",
        )),
    }
}

/// Everything the manifest asks for, and what the author adds.
fn granted(manifest: &Manifest, hosts: &[String]) -> Result<Grant, Failure> {
    let mut grant = Grant::from_manifest(manifest);
    for host in hosts {
        match host.rsplit_once(':') {
            Some((name, port)) if !name.is_empty() => {
                let port = port
                    .parse()
                    .map_err(|_| Failure::new(Code::Usage, format!("'{host}' is no HOST or HOST:PORT")))?;
                grant.allow_private(name, port);
            }
            _ => {
                grant.allow_host(HostRule::new(host));
            }
        }
    }
    Ok(grant)
}

fn engine(run: &Run, manifest: &Manifest) -> Result<Engine, Failure> {
    let mut builder = Engine::builder()
        .workers(1)
        .secrets(Arc::new(secrets(run, manifest)?));
    if let Some(dir) = &run.data {
        builder = builder.db(Arc::new(DirectoryDbOpener::new(dir.clone())));
    }
    if let Some(format) = run.inspect {
        let began = Instant::now();
        builder = builder.inspect(move |call| inspected(format, began, call));
    }
    builder
        .build()
        .map_err(|error| Failure::new(Code::Failed, error.to_string()))
}

/// The secrets from the environment, each for the hosts that the manifest names it with.
fn secrets(run: &Run, manifest: &Manifest) -> Result<MemorySecrets, Failure> {
    let secrets = MemorySecrets::default();
    for entry in &run.secret {
        let usage = |text: String| Failure::new(Code::Usage, text);
        let (handle, variable) = entry.split_once('=').ok_or_else(|| {
            usage(format!(
                "'{entry}' is not HANDLE=VARIABLE; the value stays off the command line"
            ))
        })?;
        let value = std::env::var(variable)
            .map_err(|_| usage(format!("the environment variable {variable} is not set")))?;
        let rules = manifest
            .permissions
            .iter()
            .flat_map(|permissions| &permissions.net);
        let hosts = rules.filter(|net| net.secret.as_deref() == Some(handle));
        let bindings: Vec<String> = hosts
            .flat_map(|net| {
                let ports = if net.ports.is_empty() {
                    vec![443]
                } else {
                    net.ports.clone()
                };
                ports.into_iter().map(|port| format!("{}:{port}", net.host))
            })
            .collect();
        if bindings.is_empty() {
            return Err(usage(format!(
                "no host in the manifest's `permissions.net` has the secret '{handle}'"
            )));
        }
        secrets
            .store(&manifest.id, handle, &bindings, value.into())
            .map_err(|text| Failure::new(Code::Failed, text))?;
    }
    Ok(secrets)
}

/// Prints a call of a host function.
fn inspected(format: Inspect, began: Instant, call: &BridgeCall) {
    let at = began.elapsed().as_secs_f64();
    if format == Inspect::Json {
        tell(json!({
            "at_ms": (at * 1000.0).round(),
            "op": call.op,
            "args": call.args,
            "result": call.result.as_ref().ok(),
            "error": call.result.as_ref().err(),
            "duration_us": u64::try_from(call.duration.as_micros()).unwrap_or(u64::MAX),
        }));
        return;
    }
    // What carries results and log lines is not the skill's doing, or shown anyway.
    if call.op.starts_with("call.") || call.op.starts_with("log.") || call.op.starts_with("console.") {
        return;
    }
    let args = clean_line(&call.args.join(", "));
    let took = call.duration.as_secs_f64() * 1000.0;
    let shown: String = args.chars().take(100).collect();
    match &call.result {
        Ok(result) => {
            let result: String = clean_line(result).chars().take(60).collect();
            tell(format_args!(
                "{DIM}{at:8.3}{DIM:#} {TOOL}{}{TOOL:#}({shown}) {DIM}→ {result}  {took:.2} ms{DIM:#}",
                call.op
            ));
        }
        Err(error) => tell(format_args!(
            "{DIM}{at:8.3}{DIM:#} {TOOL}{}{TOOL:#}({shown}) {ERROR}✗ {}{ERROR:#}  {DIM}{took:.2} ms{DIM:#}",
            call.op,
            clean_line(error)
        )),
    }
}

/// Prints what the skill logs and shows.
async fn report_events(mut events: Receiver<SkillEvent>) {
    loop {
        match events.recv().await {
            Ok(SkillEvent::Log { level, message, .. }) => {
                let style = match level.as_str() {
                    "error" => ERROR,
                    "warn" => WARNING,
                    _ => DIM,
                };
                tell(format_args!("{style}{level:5}{style:#} {}", clean(&message)));
            }
            Ok(SkillEvent::Notification { title, body, .. }) => tell(format_args!(
                "{BOLD}{}{BOLD:#} {}",
                clean_line(&title),
                clean_line(&body)
            )),
            Ok(SkillEvent::PermissionWanted { what, .. }) => tell(format_args!(
                "{WARNING}refused{WARNING:#} {}: not granted",
                clean_line(&what)
            )),
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
