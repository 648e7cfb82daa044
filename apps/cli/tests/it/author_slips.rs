//! What authors of skills do by mistake, and what they read then.

use std::process::Stdio;

use crate::authors::kit;
use crate::harness::Sandbox;

#[test]
fn a_signature_that_an_edit_made_stale_is_a_warning_to_its_author() {
    let sandbox = Sandbox::new();
    kit(&sandbox, &["new", "signed"], "").ok();
    kit(&sandbox, &["keygen", "my.key"], "").ok();
    kit(&sandbox, &["sign", "signed", "--key", "my.key"], "").ok();
    let script = sandbox.path().join("signed/index.js");
    let edited = std::fs::read_to_string(&script).unwrap() + "\n// edited\n";
    std::fs::write(&script, edited).unwrap();
    let greet = ["run", "signed", "--tool", "greet", "--args", r#"{"name":"Ada"}"#];
    for args in [
        &["check", "signed"][..],
        &greet,
        &["pack", "signed", "-o", "s.tar.gz"],
    ] {
        let ended = kit(&sandbox, args, "");
        assert!(
            ended.stderr.contains("signature.json is left out"),
            "{}",
            ended.stderr
        );
        ended.ok();
    }
    // Who gets the folder is refused.
    let sandbox_home = sandbox.run(&[
        "skills",
        "install",
        sandbox.path().join("signed").to_str().unwrap(),
        "--yes",
    ]);
    sandbox_home.fails(
        1,
        &[
            "signed' cannot be installed",
            "signature",
            "openhuman skills check",
        ],
    );
}

#[test]
fn pack_replaces_archives_only_and_writes_to_standard_output() {
    let sandbox = Sandbox::new();
    kit(&sandbox, &["new", "mine"], "").ok();
    let script = sandbox.path().join("mine/index.js");
    let before = std::fs::read_to_string(&script).unwrap();
    for path in ["mine/index.js", "mine"] {
        kit(&sandbox, &["pack", "mine", "-o", path], "").fails(2, &[path, "is no packed skill"]);
    }
    assert_eq!(std::fs::read_to_string(&script).unwrap(), before);
    for _ in 0..2 {
        kit(&sandbox, &["pack", "mine", "-o", "mine.tar.gz"], "").ok();
    }
    let mut command = sandbox.command(&["skills", "pack", "mine", "-o", "-"]);
    let piped = command
        .current_dir(sandbox.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(piped.status.success());
    assert_eq!(
        piped.stdout,
        std::fs::read(sandbox.path().join("mine.tar.gz")).unwrap()
    );
    assert!(!sandbox.path().join("-").exists());
}

#[test]
fn a_line_that_is_not_text_is_left_out_and_the_next_one_counts() {
    let sandbox = Sandbox::new();
    kit(&sandbox, &["new", "mine"], "").ok();
    let mut command = sandbox.command(&["skills", "run", "mine"]);
    let mut child = command
        .current_dir(sandbox.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = b"greet {\"name\":\"\xff\"}\ngreet {\"name\":\"Ada\"}";
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
    let ended = child.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(told.contains("line 1 is not UTF-8"), "{told}");
    assert!(String::from_utf8(ended.stdout).unwrap().contains("Hello, Ada!"));
    assert!(ended.status.success());
}

#[test]
fn check_names_what_a_manifest_without_permissions_asks_for() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "old/manifest.json",
        r#"{"id":"old","name":"Old","version":"1.0.0","setup":{"oauth":{"provider":"p","apiBaseUrl":"https://api.example.com"}}}"#,
    );
    sandbox.file(
        "old/index.js",
        "globalThis.__skill = { default: { tools: [{ name: 'a', description: 'x', input_schema: { type: 'object' }, execute: () => 'b' }] } };",
    );
    let shown = kit(&sandbox, &["check", "old"], "").ok();
    assert!(
        shown.contains("asks for:") && shown.contains("reach api.example.com"),
        "{shown}"
    );
    assert!(
        kit(&sandbox, &["check", "old", "--json"], "")
            .ok()
            .contains("asks_for")
    );
}

#[test]
fn a_full_heap_is_called_by_its_name() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "big/manifest.json",
        r#"{"id":"big","name":"Big","memory_limit_mb":16,"permissions":{}}"#,
    );
    sandbox.file(
        "big/index.js",
        "globalThis.__skill = { default: { tools: [{ name: 'fill', description: 'x', input_schema: {}, \
         execute() { const all = []; for (;;) all.push(new Array(1000).fill(1)); } }] } };",
    );
    kit(&sandbox, &["run", "big", "--tool", "fill"], "").fails(1, &["memory limit of 16 MB"]);
}
