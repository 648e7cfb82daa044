//! The kit for authors, as an author meets it.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Ended, Sandbox, end};

/// Runs a command of the kit in the sandbox's directory. None of them needs a vault.
pub(crate) fn kit(sandbox: &Sandbox, args: &[&str], stdin: &str) -> Ended {
    let mut all = vec!["skills"];
    all.extend(args);
    let mut command = sandbox.command(&all);
    command.current_dir(sandbox.path());
    end(&mut command, stdin)
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn a_new_skill_is_ready_to_check_test_run_and_pack() {
    let sandbox = Sandbox::new();
    for template in ["minimal", "sync", "module"] {
        kit(&sandbox, &["new", template, "--template", template], "").ok();
        kit(&sandbox, &["check", template, "--strict"], "").ok();
        let shown = kit(&sandbox, &["test", template, "--json"], "").ok();
        let report: Value = serde_json::from_str(&shown).unwrap();
        assert!(
            report["passed"].as_u64() > Some(0) && report["failed"] == 0,
            "{report}"
        );
    }
    kit(&sandbox, &["new", "minimal"], "").fails(1, &["is there already"]);
    kit(&sandbox, &["new", "Bad_Name"], "").fails(2, &[]);
    let args = ["run", "minimal", "--tool", "greet", "--args", r#"{"name":"Ada"}"#];
    assert!(kit(&sandbox, &args, "").ok().contains("Hello, Ada!"));
    let calls = "greet {\"name\":\"Bob\"}\n.state\n";
    let shown = kit(&sandbox, &["run", "minimal", "--inspect=json"], calls);
    assert!(shown.stderr.contains("\"op\":\"state.set\""), "{}", shown.stderr);
    assert!(shown.ok().contains("\"greetings\": 1"));
    kit(&sandbox, &["keygen", "my.key"], "").ok();
    kit(&sandbox, &["keygen", "my.key"], "").fails(1, &["my.key"]);
    let packed = kit(&sandbox, &["pack", "minimal", "-o", "m.tar.gz", "--json"], "").ok();
    let signed = kit(&sandbox, &["sign", "m.tar.gz", "--key", "my.key", "--json"], "").ok();
    let (packed, signed): (Value, Value) = (
        serde_json::from_str(&packed).unwrap(),
        serde_json::from_str(&signed).unwrap(),
    );
    assert_eq!(packed["digest"], signed["digest"]);
    assert!(packed["key"].is_null() && signed["key"].is_string());
}

#[test]
fn failures_show_the_line_and_what_differs() {
    let sandbox = Sandbox::new();
    kit(&sandbox, &["new", "broken"], "").ok();
    let skill = sandbox.path().join("broken");
    edit(&skill.join("index.js"), "?? 0) + 1", "?? 0) + 2");
    let shown = kit(&sandbox, &["test", "broken"], "");
    assert_eq!(shown.code, 1);
    for text in [
        "✗ greets by name",
        "at index.test.js:4:",
        "4 |   expect(sim.call('greet'",
        "-   count: 1,",
        "+   count: 2,",
    ] {
        assert!(
            shown.stdout.contains(text),
            "'{text}' is not in: {}",
            shown.stdout
        );
    }
    let tap = kit(&sandbox, &["test", "broken", "--tap"], "");
    assert!(
        tap.stdout.starts_with("TAP version 13\nnot ok 1 - "),
        "{}",
        tap.stdout
    );
    edit(
        &skill.join("index.js"),
        "tools: [",
        "onCrontrigger() {}, tools: [",
    );
    let shown = kit(&sandbox, &["check", "broken"], "").ok();
    assert!(shown.contains("did you mean `onCronTrigger`?"), "{shown}");
    edit(&skill.join("manifest.json"), "\"broken\"", "7");
    let shown = kit(&sandbox, &["check", "broken"], "");
    assert!(
        shown.code == 1 && shown.stdout.contains("at manifest.json:2:"),
        "{}",
        shown.stdout
    );
    kit(&sandbox, &["check", "nowhere"], "").fails(3, &["there is no directory"]);
}

/// The fenced blocks of a Markdown text: what follows the fence, and the text.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(kind), None) => open = Some((kind.to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some((_, block))) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

#[test]
fn the_tutorial_does_what_it_says() {
    let sandbox = Sandbox::new();
    for (kind, text) in blocks(include_str!("../../../../docs/writing-skills.md")) {
        let file = match kind.as_str() {
            "console" => {
                for command in text.lines() {
                    let words = command.strip_prefix("openhuman skills ").unwrap();
                    // The only quotes there are stand around JSON without spaces.
                    let args: Vec<&str> = words.split(' ').map(|word| word.trim_matches('\'')).collect();
                    kit(&sandbox, &args, "").ok();
                }
                continue;
            }
            "js skill" => "weather/index.js",
            "json manifest" => "weather/manifest.json",
            "js test" => "weather/index.test.js",
            other => panic!("nobody runs a block of the kind '{other}'"),
        };
        sandbox.file(file, &text);
        if kind == "js test" {
            kit(&sandbox, &["check", "weather", "--strict"], "").ok();
            kit(&sandbox, &["test", "weather"], "").ok();
        }
    }
}
