//! `openhuman mcp serve` answers the official MCP Inspector.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Ended, PASSWORD, Sandbox, program};

const SUMS: &str = "globalThis.__skill = { default: { tools: [{ name: 'add', description: 'Adds two numbers.', \
    input_schema: { type: 'object', properties: { a: { type: 'number' }, b: { type: 'number' } } }, \
    execute: (args) => String(args.a + args.b) }] } };";

/// The node fixture of the MCP crate, with its packages installed.
fn fixture() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/openhuman-mcp/tests/node");
    if !dir.join("node_modules").exists() {
        let installed = Command::new("npm").arg("ci").current_dir(&dir).status();
        let installed = installed.expect("npm is needed for this test: install node and npm");
        assert!(installed.success(), "npm ci failed in {}", dir.display());
    }
    dir
}

fn inspect(sandbox: &Sandbox, options: &[&str]) -> Value {
    let skills = sandbox.skill("sums", SUMS);
    let password = sandbox.file("password", PASSWORD);
    let serve = format!(
        "exec '{}' mcp serve --home '{}' --skills-dir '{}' --password-fd 3 3<'{}'",
        program().display(),
        sandbox.home().display(),
        skills.display(),
        password.display()
    );
    let output = Command::new("node")
        .arg(fixture().join("inspector.mjs"))
        .args(["sh", "-c", &serve, "--"])
        .args(options)
        .output()
        .expect("node is needed for this test");
    let answer = Ended::from(output).ok();
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// The first object in the Inspector's output that has this member, however deep.
fn find<'a>(value: &'a Value, member: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map
            .get(member)
            .or_else(|| map.values().find_map(|value| find(value, member))),
        Value::Array(values) => values.iter().find_map(|value| find(value, member)),
        _ => None,
    }
}

#[test]
fn the_official_inspector_lists_and_calls_the_tools() {
    let sandbox = Sandbox::new();
    let listed = inspect(&sandbox, &["--method", "tools/list"]);
    let tools = find(&listed, "tools").and_then(Value::as_array).unwrap();
    let names: Vec<&str> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert!(
        names.contains(&"sums__add") && names.contains(&"memory__search"),
        "{names:?}"
    );

    let call = [
        "--method",
        "tools/call",
        "--tool-name",
        "sums__add",
        "--tool-args-json",
        "{\"a\":40,\"b\":2}",
    ];
    let called = inspect(&sandbox, &call);
    assert_eq!(find(&called, "content").unwrap()[0]["text"], "42", "{called}");
}

#[test]
fn the_official_inspector_reads_what_the_memory_holds() {
    let sandbox = Sandbox::new();
    let note = sandbox.file("tides.md", "The tide is high at noon on Thursday.");
    sandbox.run(&["memory", "add", &note.display().to_string()]).ok();
    let listed = inspect(&sandbox, &["--method", "resources/list"]);
    let resources = find(&listed, "resources").and_then(Value::as_array).unwrap();
    let uri = resources[0]["uri"].as_str().unwrap();
    assert!(uri.starts_with("memory://document/"), "{uri}");
    let read = inspect(&sandbox, &["--method", "resources/read", "--uri", uri]);
    let text = find(&read, "contents").unwrap()[0]["text"].as_str().unwrap();
    assert!(text.contains("high at noon"), "{read}");
}
