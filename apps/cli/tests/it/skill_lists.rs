//! How skills are listed, named and asked.

use serde_json::Value;

use crate::harness::{PASSWORD, Sandbox};

const BELL: &str =
    "globalThis.__skill = { default: { tools: [{ name: 'ring', description: 'Rings.', input_schema: {},
    execute() { console.error('the clapper \\u001b[31mhangs loose'); return 'ding'; } }] } };";

fn with_bell() -> Sandbox {
    let mut sandbox = Sandbox::new();
    let dir = sandbox.skill("bell", BELL);
    sandbox.env("OPENHUMAN_SKILLS_DIR", dir.to_str().unwrap());
    sandbox.run(&["vault", "create"]).ok();
    sandbox
}

#[test]
fn what_is_not_there_has_one_exit_code() {
    let sandbox = with_bell();
    for args in [
        &["skills", "revoke", "bell"][..],
        &["skills", "revoke", "gong"],
        &["skills", "allow", "gong", "--yes"],
        &["skills", "call", "gong", "ring"],
        &["skills", "call", "bell", "bang"],
        &["skills", "enable", "gong"],
        &["skills", "schedules", "gong"],
        &["skills", "schedules", "bell", "--run", "daily"],
        &["skills", "setup", "gong", "--values", "{}"],
        &["skills", "remove", "gong"],
        &["skills", "update", "gong"],
        &["skills", "egress", "gong"],
    ] {
        let ended = sandbox.run(args);
        assert_eq!(ended.code, 3, "{args:?}: {}{}", ended.stdout, ended.stderr);
    }
}

#[test]
fn a_skill_that_was_switched_off_is_listed_as_such_and_still_answers_a_call() {
    let sandbox = with_bell();
    assert!(sandbox.run(&["skills", "list"]).ok().contains("connected"));
    sandbox.run(&["skills", "disable", "bell"]).ok();
    let listed = sandbox.run(&["skills", "list"]).ok();
    assert!(
        listed.contains("disabled") && !listed.contains("offline"),
        "{listed}"
    );
    let json: Value = serde_json::from_str(&sandbox.run(&["skills", "list", "--json"]).ok()).unwrap();
    assert_eq!(json["skills"][0]["disabled"], true);
    assert_eq!(
        sandbox.run(&["skills", "call", "bell", "ring"]).ok().trim(),
        "ding"
    );
    sandbox.run(&["skills", "enable", "bell"]).ok();
    assert!(sandbox.run(&["skills", "list"]).ok().contains("connected"));
}

#[test]
fn what_a_skill_writes_is_a_line_with_its_name() {
    let sandbox = with_bell();
    let ended = sandbox.run(&["skills", "call", "bell", "ring"]);
    assert!(
        ended.stderr.contains("bell: the clapper \u{fffd}[31mhangs loose"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("openhuman_skills"), "{}", ended.stderr);
}

#[test]
fn skills_of_an_earlier_installation_are_found() {
    let mut sandbox = Sandbox::new();
    let code = BELL;
    sandbox.file("ws/skills/old/manifest.json", r#"{"id":"old","name":"Old"}"#);
    sandbox.file("ws/skills/old/index.js", code);
    let local = sandbox.skill("bell", code);
    sandbox.env("SKILLS_LOCAL_DIR", local.to_str().unwrap());
    let workspace = sandbox.path().join("ws");
    sandbox.env("OPENHUMAN_WORKSPACE", workspace.to_str().unwrap());
    let listed = sandbox.run(&["skills", "list"]).ok();
    assert!(listed.contains("bell") && listed.contains("old"), "{listed}");
    assert!(listed.contains("not started"), "without auto_start: {listed}");
}

#[test]
fn a_host_that_an_older_skill_is_told_by_its_user_can_be_allowed() {
    let sandbox = with_bell();
    sandbox.skill(
        "visitor",
        "globalThis.__skill = { default: { tools: [{ name: 'go', description: '', input_schema: {},
            execute: (args) => net.fetch(args.url).body }] } };",
    );
    let go = [
        "skills",
        "call",
        "visitor",
        "go",
        r#"{"url":"https://tower.example.invalid/"}"#,
    ];
    let hint = "openhuman skills allow visitor --host tower.example.invalid";
    sandbox
        .run(&go)
        .fails(1, &["is not asked for in the manifest", hint]);
    for bad in ["https://x.org", "127.0.0.1", "x.org:80", "*", ""] {
        sandbox
            .run(&["skills", "allow", "visitor", "--host", bad, "--yes"])
            .fails(2, &["host name"]);
    }
    let allow = [
        "skills",
        "allow",
        "visitor",
        "--host",
        "tower.example.invalid",
        "--yes",
    ];
    assert!(
        sandbox
            .run(&allow)
            .ok()
            .contains("reach tower.example.invalid (your own wish)")
    );
    let again = sandbox.run(&["skills", "allow", "visitor", "--yes"]).ok();
    assert!(
        again.contains("reach tower.example.invalid (allowed before)"),
        "{again}"
    );
}

/// `script` gives the command a terminal of its own.
#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_ends_the_setup_at_once_and_leaves_the_terminal_as_it_was() {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    let sandbox = with_bell();
    let wizard = "globalThis.__skill = { default: { tools: [], onSetupStart: () => ({ step: { id: 'a', title: 'T',
        fields: [{ name: 'url', type: 'text', label: 'Where to', required: true }] } }), onSetupSubmit: () => ({}) } };";
    sandbox.skill("asks", wizard);
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("not run: there is no `script` here");
        return;
    }
    let program = crate::harness::program();
    let password = sandbox.file("password", &format!("{PASSWORD}\n"));
    let run = format!(
        "stty -a > before; {} skills setup asks --password-fd 9 9<{}; echo code=$?; stty -a > after",
        program.display(),
        password.display()
    );
    let mut child = Command::new("timeout")
        .args(["60", "script", "-qec", &run, "/dev/null"])
        .current_dir(sandbox.path())
        .env("OPENHUMAN_HOME", sandbox.home())
        .env("OPENHUMAN_SKILLS_DIR", sandbox.path().join("skills"))
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut seen, mut piece) = (String::new(), [0; 512]);
    let mut sent = false;
    loop {
        let count = output.read(&mut piece).unwrap();
        if count == 0 {
            break;
        }
        seen.push_str(&String::from_utf8_lossy(&piece[..count]));
        if !sent && seen.contains("Where to") {
            input.write_all(b"\x03").unwrap();
            sent = true;
        }
    }
    child.wait().unwrap();
    assert!(seen.contains("code=130"), "{seen}");
    let terminal = |name: &str| std::fs::read_to_string(sandbox.path().join(name)).unwrap();
    assert_eq!(terminal("before"), terminal("after"));
}
