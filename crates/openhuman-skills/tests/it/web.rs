//! The web's globals, side by side with node's.
//!
//! `tests/web/snippets.txt` holds one snippet for each line, by global; each is evaluated in node and in a skill, and
//! must give the same value or the same kind of error. `tests/web/differences.txt` names those that do not, with the
//! reason. Without node the comparison says so and passes, unless `OPENHUMAN_REQUIRE_NODE=1` is set, as it is in
//! continuous integration.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use openhuman_skills::Grant;
use serde_json::{Value, json};

use crate::support::{call, engine, run_with, tool};

const EVALUATE: &str = include_str!("../web/evaluate.js");
const SNIPPETS: &str = include_str!("../web/snippets.txt");
const DIFFERENCES: &str = include_str!("../web/differences.txt");

/// Every snippet with its global, in order.
fn snippets() -> Vec<(&'static str, &'static str)> {
    let mut global = "";
    let mut all = Vec::new();
    for line in SNIPPETS.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            global = name;
        } else if !line.is_empty() && !line.starts_with('#') {
            all.push((global, line));
        }
    }
    all
}

/// Snippet and reason: a line with the reason after `#`, then the lines of its snippets.
fn differences() -> BTreeMap<&'static str, &'static str> {
    let mut reason = "";
    let mut all = BTreeMap::new();
    for line in DIFFERENCES.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            reason = text;
        } else if !line.is_empty() {
            assert!(
                all.insert(line, reason).is_none(),
                "{line} is in the ledger twice"
            );
        }
    }
    all
}

fn in_node(snippets: &[&str]) -> Option<Vec<Value>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/web/node.mjs");
    let child = Command::new("node")
        .args(["--no-warnings", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            let required = std::env::var_os("OPENHUMAN_REQUIRE_NODE").is_some_and(|value| value == "1");
            assert!(!required, "node is required: {error}");
            eprintln!("skipped: node is not installed ({error})");
            return None;
        }
    };
    let input = serde_json::to_string(snippets).unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "node failed: {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    Some(
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

async fn in_skill(snippets: &[(&str, &str)]) -> Vec<Value> {
    let engine = engine();
    let code = format!(
        "const evaluate = {EVALUATE};\n{}",
        tool("return evaluate(args.code);")
    );
    let mut results = Vec::new();
    let mut skill = None;
    let mut last = "";
    for (global, code_of_snippet) in snippets {
        // Each global in its own skill: what one leaves behind is not seen by the next.
        if *global != last || skill.is_none() {
            let name = format!("web-{}", results.len());
            skill = Some(run_with(&engine, &name, &code, Grant::none()).await);
            last = global;
        }
        let id = skill.as_ref().unwrap();
        let answer = call(&engine, id, json!({ "code": code_of_snippet })).await;
        results.push(match answer {
            Ok(text) => serde_json::from_str(&text).unwrap(),
            Err(error) => json!({ "call": error.to_string() }),
        });
    }
    engine.shutdown().await;
    results
}

#[tokio::test(flavor = "multi_thread")]
async fn the_globals_do_what_they_do_in_node() {
    let snippets = snippets();
    let codes: Vec<&str> = snippets.iter().map(|(_, code)| *code).collect();
    let Some(expected) = in_node(&codes) else {
        return;
    };
    assert_eq!(expected.len(), snippets.len());
    let ours = in_skill(&snippets).await;
    let mut known = differences();
    let mut report = String::new();
    for (((global, code), expected), ours) in snippets.iter().zip(&expected).zip(&ours) {
        match (known.remove(code), expected == ours) {
            (None, true) | (Some(_), false) => {}
            (None, false) => {
                report.push_str(&format!("[{global}] {code}\n  node {expected}\n  ours {ours}\n"));
            }
            (Some(reason), true) => {
                report.push_str(&format!(
                    "[{global}] {code}\n  is the same now; the ledger says: {reason}\n"
                ));
            }
        }
    }
    for code in known.keys() {
        report.push_str(&format!("{code}\n  is in the ledger, and not a snippet\n"));
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn every_global_has_snippets() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (global, _) in snippets() {
        *counts.entry(global).or_default() += 1;
    }
    let total: usize = counts.values().sum();
    assert!(total >= 450, "only {total} snippets");
    for (global, count) in counts {
        assert!(count >= 8, "only {count} snippets for {global}");
    }
}
