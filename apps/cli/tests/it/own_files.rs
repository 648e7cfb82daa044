//! On the user's own input: a folder is remembered, and questions are answered from it with quotes and sources.

use serde_json::Value;

use crate::harness::{PASSWORD, Sandbox, end};

const NOTES: &str = "# Garden\n\nThe tomatoes go into the raised bed in the second week of May.\n\n## Water\n\nThe barrel holds two hundred litres and lasts nine days in July.\n";

#[test]
fn a_folder_is_remembered_and_asked_about() {
    let sandbox = Sandbox::new();
    let garden = sandbox.file("notes/garden.md", NOTES);
    sandbox.file(
        "notes/boat.txt",
        "The boat needs new rope before the regatta in August.",
    );
    let folder = sandbox.path().join("notes");
    let folder = folder.to_str().unwrap();

    let added = sandbox.run(&["memory", "add", folder]).ok();
    assert!(added.contains("2 files"), "{added}");

    let answer = sandbox.run(&["ask", "How long does the water barrel last?"]).ok();
    assert!(answer.contains("nine days"), "{answer}");
    assert!(
        answer.contains(garden.canonicalize().unwrap().to_str().unwrap()),
        "no source in: {answer}"
    );
    assert!(answer.contains("No language model is connected"), "{answer}");

    // The second time nothing has changed, so nothing is embedded again.
    let report: Value =
        serde_json::from_str(&sandbox.run(&["memory", "add", folder, "--json"]).ok()).unwrap();
    assert_eq!((&report["files"], &report["embedded"]), (&2.into(), &0.into()));

    let hits: Value =
        serde_json::from_str(&sandbox.run(&["memory", "search", "tomatoes", "--json"]).ok()).unwrap();
    assert!(
        hits["hits"][0]["text"].as_str().unwrap().contains("raised bed"),
        "{hits}"
    );
    assert!(hits["hits"][0]["signals"]["vector"].is_number(), "{hits}");
}

#[test]
fn what_is_forgotten_is_not_found_again() {
    let sandbox = Sandbox::new();
    let file = sandbox.file(
        "boat.txt",
        "The boat needs new rope before the regatta in August.",
    );
    sandbox.run(&["memory", "add", file.to_str().unwrap()]).ok();
    let listed: Value = serde_json::from_str(&sandbox.run(&["memory", "list", "--json"]).ok()).unwrap();
    let id = listed["documents"][0]["id"].as_str().unwrap().to_owned();
    sandbox.run(&["memory", "forget", &id]).ok();
    let hits: Value =
        serde_json::from_str(&sandbox.run(&["memory", "search", "rope", "--json"]).ok()).unwrap();
    assert_eq!(hits["hits"].as_array().unwrap().len(), 0);
    sandbox
        .run(&["memory", "forget", &id])
        .fails(3, &["no document", "memory list"]);
}

#[cfg(unix)]
#[test]
fn a_question_can_be_piped_in() {
    let sandbox = Sandbox::new();
    let file = sandbox.file(
        "boat.txt",
        "The boat needs new rope before the regatta in August.",
    );
    sandbox.run(&["memory", "add", file.to_str().unwrap()]).ok();
    let password = sandbox.file("password", PASSWORD);
    let mut command = std::process::Command::new("sh");
    let inner = sandbox.command(&[]);
    command
        .arg("-c")
        .arg("exec \"$0\" ask --json --password-fd 3 3<\"$PASSWORD_FILE\"")
        .arg(crate::harness::program());
    command
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PASSWORD_FILE", password);
    let answer = end(&mut command, "What does the boat need?\n").ok();
    let last: Value = serde_json::from_str(answer.lines().last().unwrap()).unwrap();
    assert_eq!(last["type"], "chat.done");
    assert!(last["answer"].as_str().unwrap().contains("new rope"), "{last}");
}

#[test]
fn a_tool_runs_when_it_is_named_and_no_model_is_connected() {
    let sandbox = Sandbox::new();
    let code = "globalThis.__skill = { default: { tools: [{ name: 'add', description: 'Adds.', \
                input_schema: { type: 'object' }, execute: (args) => String(args.a + args.b) }] } };";
    let skills = sandbox.skill("sums", code);
    let dir = skills.to_str().unwrap();
    let answer = sandbox
        .run(&["ask", "--skills-dir", dir, "sums__add {\"a\": 19, \"b\": 23}"])
        .ok();
    assert!(answer.contains("42"), "{answer}");
    let called = sandbox
        .run(&[
            "skills",
            "call",
            "--skills-dir",
            dir,
            "sums",
            "add",
            "{\"a\":1,\"b\":2}",
        ])
        .ok();
    assert_eq!(called.trim(), "3");
    let listed = sandbox.run(&["skills", "list", "--skills-dir", dir]).ok();
    assert!(listed.contains("sums") && listed.contains("Adds."), "{listed}");
}
