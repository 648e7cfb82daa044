//! Copies of the home, logs that are given up, and what removed skills leave behind.

use serde_json::{Value, json};

use crate::harness::Sandbox;

fn as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_home_is_copied_and_the_copy_opens() {
    let sandbox = Sandbox::new();
    let note = sandbox.file("notes/rope.md", "# Rope\n\nThe boat needs new rope.");
    sandbox.run(&["memory", "add", note.to_str().unwrap()]).ok();
    let target = sandbox.path().join("copy");
    let target = target.to_str().unwrap();
    let told = sandbox.run(&["vault", "backup", target]).ok();
    assert!(
        told.contains("Copied 1 database") && told.contains("same password"),
        "{told}"
    );
    sandbox
        .run(&["vault", "backup", target])
        .fails(2, &["already", "choose a new name"]);
    let inside = sandbox.home().join("copy");
    sandbox
        .run(&["vault", "backup", inside.to_str().unwrap()])
        .fails(2, &["inside the home"]);
    let found = sandbox.run(&["--home", target, "memory", "search", "rope"]).ok();
    assert!(found.contains("new rope"), "{found}");
    let other = sandbox.path().join("other");
    let json = as_json(
        &sandbox
            .run(&["vault", "backup", other.to_str().unwrap(), "--json"])
            .ok(),
    );
    assert_eq!(json["databases"], json!(["memory"]), "{json}");
    assert!(json["files"].as_u64().unwrap() >= 2, "{json}");
}

#[test]
fn rekey_says_when_there_is_nothing_to_seal_and_a_log_that_is_not_there_is_told() {
    let sandbox = Sandbox::new();
    sandbox.run(&["vault", "create"]).ok();
    let told = sandbox.run(&["vault", "rekey"]).ok();
    assert!(told.contains("no database yet"), "{told}");
    let json = as_json(&sandbox.run(&["vault", "rekey", "--json"]).ok());
    assert_eq!(json, json!({ "done": [], "failed": [] }));
    // Nobody can be asked here, and nothing is given up unasked.
    sandbox
        .run(&["vault", "discard-log", "memory"])
        .fails(5, &["--yes"]);
    let told = sandbox.run(&["vault", "discard-log", "memory", "--yes"]).ok();
    assert!(told.contains("has no log"), "{told}");
    sandbox
        .run(&["vault", "discard-log", "../memory", "--yes"])
        .fails(2, &["memory, egress, skill/ID and files/ID"]);
}

const TELLS: &str = "globalThis.__skill = { default: { tools: [{ name: 'tell', description: 'd', execute() {
    state.set('word', 'kept'); memory.insert({ title: 'Told', content: 'A lantern hangs in the tower.' }); return 'told'; } },
    { name: 'word', description: 'd', execute: () => String(state.get('word')) }] } };";

#[test]
fn a_removed_skill_takes_its_documents_along_and_its_data_only_when_told() {
    let sandbox = Sandbox::new();
    let manifest = json!({ "id": "teller", "name": "Teller", "version": "1.0.0", "permissions": { "memory": { "insert": true } } });
    sandbox.file("teller/manifest.json", &manifest.to_string());
    let package = sandbox.file("teller/index.js", TELLS);
    let package = package.parent().unwrap().to_str().unwrap();
    let install = || sandbox.run(&["skills", "install", package, "--yes"]).ok();
    let lantern = || sandbox.run(&["memory", "search", "lantern"]).ok();
    install();
    sandbox.run(&["skills", "call", "teller", "tell"]).ok();
    assert!(lantern().contains("tower"));
    let told = sandbox.run(&["skills", "remove", "teller"]).ok();
    assert!(
        told.contains("Its own data stays") && told.contains("One document of it is forgotten"),
        "{told}"
    );
    assert!(!lantern().contains("tower"));

    install();
    assert_eq!(
        sandbox.run(&["skills", "call", "teller", "word"]).ok().trim(),
        "kept"
    );
    sandbox.run(&["skills", "call", "teller", "tell"]).ok();
    let removed = sandbox.run(&[
        "skills",
        "remove",
        "teller",
        "--forget-data",
        "--keep-documents",
        "--json",
    ]);
    let removed = as_json(&removed.ok());
    assert_eq!(
        removed,
        json!({ "removed": "teller", "documents_forgotten": 0, "data_deleted": true })
    );
    assert!(lantern().contains("tower"), "kept by the user's wish");
    install();
    assert_eq!(
        sandbox.run(&["skills", "call", "teller", "word"]).ok().trim(),
        "null"
    );
    sandbox
        .run(&["skills", "remove", "teller", "--forget-data", "--keep-data"])
        .fails(2, &["--keep-data"]);
}

#[test]
fn accounts_of_skills_are_taken_over_from_an_earlier_program() {
    let mut sandbox = Sandbox::new();
    let skills = sandbox.skill(
        "mail",
        "globalThis.__skill = { default: { tools: [{ name: 'mode', description: 'd', execute: () => String(auth.getMode()) }] } };",
    );
    sandbox.env("OPENHUMAN_SKILLS_DIR", skills.to_str().unwrap());
    let credential = json!({ "mode": "text", "credentials": { "content": "t0p" } }).to_string();
    let file = sandbox.file("old/skills_data/mail/auth_credential.json", &credential);
    sandbox.file("old/skills_data/gone/auth_credential.json", &credential);
    sandbox.run(&["vault", "create"]).ok();
    let old = sandbox.path().join("old");
    let told = as_json(
        &sandbox
            .run(&[
                "vault",
                "import-legacy",
                old.to_str().unwrap(),
                "--delete",
                "--json",
            ])
            .ok(),
    );
    assert_eq!(told["accounts"], json!(["mail"]), "{told}");
    assert_eq!(told["accounts_without_skill"], json!(["gone"]));
    assert!(!file.exists() && old.join("skills_data/gone/auth_credential.json").exists());
    assert_eq!(
        sandbox.run(&["skills", "call", "mail", "mode"]).ok().trim(),
        "text"
    );
    let log = sandbox.run(&["vault", "log"]).ok();
    assert!(log.contains("taken over from an earlier program"), "{log}");
    assert!(
        log.contains("the skill mail uses its account for no host"),
        "{log}"
    );
    assert!(!log.contains("t0p"), "{log}");
}
