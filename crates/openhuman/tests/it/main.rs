//! The core as a front end uses it.

mod backend;
mod copies;
mod databases;
mod desktop;
mod dispatcher;
mod embedding;
mod forgetting;
mod lent;
mod links;
mod logins;
mod packages;
mod recall;
mod schema;
mod skill_memory;
mod storage;
mod strict_embeddings;
mod threads;
mod turns;

use std::path::Path;

use openhuman::vault::{Password, VaultOptions};
use openhuman::{Core, Home};

/// A skill that adds, and one that fails.
const SUMS: &str = "globalThis.__skill = { default: { tools: [
    { name: 'add', description: 'Adds.', input_schema: { type: 'object', properties: { a: { type: 'number' } }, required: ['a'] }, execute: (args) => String(args.a + args.b) },
    { name: 'fail', description: 'Fails.', input_schema: { type: 'object' }, execute() { throw new Error('no sums today'); } },
] } };";

fn password() -> Password {
    Password::from("a password for tests".to_owned())
}

/// A core in `dir/home` with the skill `sums`, in a new vault.
async fn new_core(dir: &Path) -> Core {
    let home = Home::at(dir.join("home"));
    let vault = home
        .create_vault(&password(), &VaultOptions::fast_for_tests())
        .unwrap();
    Core::builder(home, vault)
        .skills_dir(skills(dir))
        .build()
        .await
        .unwrap()
}

fn skills(dir: &Path) -> std::path::PathBuf {
    write_skill(dir, "sums", SUMS);
    dir.join("skills")
}

fn write_skill(dir: &Path, id: &str, code: &str) {
    let package = dir.join("skills").join(id);
    std::fs::create_dir_all(&package).unwrap();
    std::fs::write(
        package.join("manifest.json"),
        format!(r#"{{ "id": "{id}", "name": "{id}", "auto_start": true }}"#),
    )
    .unwrap();
    std::fs::write(package.join("index.js"), code).unwrap();
}
