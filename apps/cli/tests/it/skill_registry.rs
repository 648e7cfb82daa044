//! Skills are found, installed, updated and removed from the command line.

use std::fs;

use serde_json::{Value, json};

use crate::harness::Sandbox;

fn offer(sandbox: &Sandbox, version: &str, permissions: &Value, init: &str) -> String {
    let manifest =
        json!({ "id": "bell", "name": "The bell", "version": version, "permissions": permissions });
    sandbox.file("bell/manifest.json", &manifest.to_string());
    sandbox.file(
        "bell/index.js",
        &format!(
            "globalThis.__skill = {{ default: {{ init() {{ {init} }}, tools: [{{ name: 'ring', description: 'd', execute: () => 'ding {version}' }}] }} }};"
        ),
    );
    let entry = json!({ "id": "bell", "name": "The bell", "version": version, "description": "Rings",
        "download_url": "bell/index.js", "manifest_url": "bell/manifest.json" });
    let index = json!({ "version": 1, "skills": { "core": [entry], "third_party": [] } });
    let path = sandbox.file("registry.json", &index.to_string());
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_skill_is_installed_updated_and_removed() {
    let mut sandbox = Sandbox::new();
    let place = offer(&sandbox, "1.0.0", &json!({}), "");
    sandbox.env("SKILLS_REGISTRY_URL", place);
    assert!(sandbox.run(&["skills", "search", "rings"]).ok().contains("bell"));
    sandbox
        .run(&["skills", "install", "horn"])
        .fails(3, &["horn", "skills search"]);
    // Nobody signed it, and nobody can be asked here.
    sandbox.run(&["skills", "install", "bell"]).fails(5, &["--yes"]);
    let installed = sandbox.run(&["skills", "install", "bell", "--yes"]).ok();
    assert!(
        installed.contains("is not signed") && installed.contains("bell is installed"),
        "{installed}"
    );
    assert_eq!(
        sandbox.run(&["skills", "call", "bell", "ring"]).ok().trim(),
        "ding 1.0.0"
    );

    // An update says what it asks for in addition.
    offer(
        &sandbox,
        "1.1.0",
        &json!({ "net": [{ "host": "tower.example.com" }] }),
        "",
    );
    let found: Value = serde_json::from_str(&sandbox.run(&["skills", "search", "--json"]).ok()).unwrap();
    assert_eq!(found["skills"][0]["update_available"], true);
    sandbox.run(&["skills", "update"]).fails(5, &["--yes"]);
    assert_eq!(
        sandbox.run(&["skills", "call", "bell", "ring"]).ok().trim(),
        "ding 1.0.0"
    );
    let updated = sandbox.run(&["skills", "update", "bell", "--yes"]).ok();
    assert!(updated.contains("+ reach tower.example.com"), "{updated}");
    assert_eq!(
        sandbox.run(&["skills", "call", "bell", "ring"]).ok().trim(),
        "ding 1.1.0"
    );
    assert!(
        sandbox
            .run(&["skills", "update"])
            .ok()
            .contains("Nothing is newer")
    );

    // A file that was changed on the disk is told, and does not run.
    let home = sandbox.home().join("skills/.packages/bell");
    let scripts = fs::read_dir(home)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("index.js"));
    for script in scripts {
        fs::write(script, "globalThis.tools = [];").unwrap();
    }
    let list = sandbox.run(&["skills", "list"]);
    assert!(
        list.stderr.contains("index.js") && list.stderr.contains("tampered"),
        "{}",
        list.stderr
    );
    sandbox.run(&["skills", "remove", "bell"]).ok();
    sandbox.run(&["skills", "remove", "bell"]).fails(3, &["bell"]);
}
