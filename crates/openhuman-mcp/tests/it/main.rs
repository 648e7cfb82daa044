//! The servers against the official MCP clients, and our client against servers.
//!
//! They need node and `npm ci --ignore-scripts` in `tests/node`, and a Python with the package `mcp` that
//! `OPENHUMAN_PYTHON` names. Where that is missing the tests say so and pass, unless `OPENHUMAN_REQUIRE_NODE=1` or
//! `OPENHUMAN_REQUIRE_PYTHON_MCP=1` is set.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "http")]
mod conformance;
mod contract;
#[cfg(feature = "http")]
mod http;

fn fixture() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node");
    let ready = folder.join("node_modules/@modelcontextprotocol/sdk").is_dir()
        && Command::new("node")
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success());
    let required = std::env::var_os("OPENHUMAN_REQUIRE_NODE").is_some_and(|value| value == "1");
    assert!(
        ready || !required,
        "node or its packages are missing; run `npm ci --ignore-scripts` in tests/node"
    );
    if !ready {
        eprintln!("not run: node or its packages are missing; run `npm ci --ignore-scripts` in tests/node");
    }
    ready.then_some(folder)
}

/// A Python that has the official SDK.
fn python() -> Option<PathBuf> {
    let program = PathBuf::from(std::env::var_os("OPENHUMAN_PYTHON").unwrap_or_else(|| "python3".into()));
    let ready = Command::new(&program)
        .args(["-c", "import mcp.client.streamable_http"])
        .output()
        .is_ok_and(|output| output.status.success());
    let required = std::env::var_os("OPENHUMAN_REQUIRE_PYTHON_MCP").is_some_and(|value| value == "1");
    assert!(
        ready || !required,
        "the Python package mcp is missing: pip install mcp"
    );
    if !ready {
        eprintln!("not run: the Python package mcp is missing: pip install mcp");
    }
    ready.then_some(program)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn server() -> PathBuf {
    example("stdio_echo")
}

/// Cargo builds the examples before it runs the tests, next to the folder of the test binary.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test binary has a path");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("deps and the profile are above it");
    let server = profile
        .join("examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        server.is_file(),
        "run `cargo build -p openhuman-mcp --all-features --example {name}` first"
    );
    server
}

fn node(folder: &Path, script: &str, options: &[&str]) -> Output {
    Command::new("node")
        .arg(folder.join(script))
        .arg(server())
        .args(options)
        .output()
        .expect("node starts")
}

fn json(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{error}", output.status);
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

#[test]
fn the_official_inspector_lists_and_calls_in_every_protocol_era() {
    let Some(folder) = fixture() else { return };
    for era in ["legacy", "auto", "modern"] {
        let era = ["--protocol-era", era];
        let listed = json(&node(
            &folder,
            "inspector.mjs",
            &[&["--", "--method", "tools/list"], &era[..]].concat(),
        ));
        let tools = listed["result"]["tools"].as_array().expect("a list").clone();
        let names: Vec<&Value> = tools.iter().map(|tool| &tool["name"]).collect();
        assert_eq!(names, ["demo__echo", "demo__grow"], "{era:?}");
        assert_eq!(tools[0]["annotations"]["readOnlyHint"], true);
        assert_eq!(tools[1]["annotations"]["destructiveHint"], true);

        let call = [
            "--",
            "--method",
            "tools/call",
            "--tool-name",
            "demo__echo",
            "--tool-args-json",
        ];
        let called = json(&node(
            &folder,
            "inspector.mjs",
            &[&call[..], &["{\"text\":\"hé\"}"], &era].concat(),
        ));
        assert_eq!(
            called["result"]["content"],
            json!([{"type": "text", "text": "hé"}]),
            "{era:?}"
        );
    }
}

#[test]
fn the_official_sdk_lists_calls_and_hears_of_changes() {
    let Some(folder) = fixture() else { return };
    assert_eq!(
        json(&node(&folder, "sdk.mjs", &[])),
        json!({"ok": true, "calls": 500})
    );
}

#[test]
fn the_official_python_sdk_uses_everything_over_stdio() {
    let Some(python) = python() else { return };
    let output = Command::new(python)
        .arg(script("python/client.py"))
        .arg("stdio")
        .arg(server())
        .output()
        .expect("python starts");
    assert_eq!(json(&output), json!({"ok": true, "calls": 100}));
}
