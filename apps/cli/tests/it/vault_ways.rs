//! The ways into a vault, and what becomes of its secrets, as somebody at a shell uses them.

use openhuman::vault::{Password, Vault, VaultOptions};
use serde_json::{Value, json};

use crate::harness::{Ended, PASSWORD, Sandbox, end};

const OTHER: &str = "another password for tests";

/// A home whose vault is cheap to open.
fn with_vault() -> (Sandbox, Vault) {
    let mut sandbox = Sandbox::new();
    sandbox.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    let vault = Vault::create(
        &sandbox.home().join("vault"),
        &Password::from(PASSWORD.to_owned()),
        &VaultOptions::fast_for_tests(),
    );
    (sandbox, vault.unwrap())
}

/// Runs a command that reads these lines from standard input.
fn with_lines(sandbox: &Sandbox, lines: &[&str], args: &[&str]) -> Ended {
    end(&mut sandbox.command(args), &format!("{}\n", lines.join("\n")))
}

fn as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_changed_password_needs_the_old_one() {
    let (sandbox, vault) = with_vault();
    drop(vault);
    let change = [
        "vault",
        "password",
        "--password-fd",
        "0",
        "--new-password-fd",
        "0",
    ];
    with_lines(&sandbox, &["not the old one", OTHER], &change).fails(4, &["password is wrong"]);
    with_lines(&sandbox, &[PASSWORD, "short"], &change).fails(2, &["8 characters", "nothing was changed"]);
    with_lines(
        &sandbox,
        &[OTHER],
        &["vault", "password", "--new-password-fd", "0"],
    )
    .fails(4, &["no terminal", "--password-fd"]);
    sandbox.run(&["memory", "list"]).ok();

    with_lines(&sandbox, &[PASSWORD, OTHER], &change).ok();
    sandbox.run(&["memory", "list"]).fails(4, &["password is wrong"]);
    sandbox.run_with(OTHER, &["memory", "list"]).ok();
}

#[test]
fn too_many_wrong_passwords_say_how_long_to_wait() {
    let (sandbox, vault) = with_vault();
    drop(vault);
    let mut last = sandbox.run_with("wrong", &["memory", "list"]);
    for _ in 0..6 {
        if !last.stderr.contains("too many") {
            last.fails(4, &["password is wrong"]);
            last = sandbox.run_with("wrong", &["memory", "list"]);
        }
    }
    last.fails(
        4,
        &["too many wrong passwords", "try again in", " s;", "vault recover"],
    );
}

#[test]
fn a_lost_password_is_replaced_with_the_recovery_key() {
    let (sandbox, vault) = with_vault();
    drop(vault);
    let recover = [
        "vault",
        "recover",
        "--recovery-key-fd",
        "0",
        "--new-password-fd",
        "0",
    ];
    let status = |sandbox: &Sandbox| as_json(&sandbox.run(&["vault", "status", "--json"]).ok());
    assert_eq!(status(&sandbox)["recovery_key"], false);
    let unknown = "0123-4567-89AB-CDEF-GHJK-MNPQ-RSTV-WXYZ-CKSC";
    with_lines(&sandbox, &[unknown, OTHER], &recover).fails(4, &["no recovery key"]);

    let made = as_json(&sandbox.run(&["vault", "recovery-key", "--json"]).ok());
    let earlier = made["recovery_key"].as_str().unwrap().to_owned();
    assert_eq!(made["replaced"], false);
    let shown = sandbox.run(&["vault", "recovery-key"]).ok();
    let key = shown.trim();
    assert_eq!(
        (key.len(), key == earlier),
        (44, false),
        "only the key goes to standard output: {shown}"
    );
    let told = status(&sandbox);
    assert_eq!(told["recovery_key"], true);
    assert!(told["memory"]["locked"].is_boolean(), "{told}");

    with_lines(&sandbox, &[&earlier, OTHER], &recover).fails(4, &["latest"]);
    with_lines(&sandbox, &[&key[1..], OTHER], &recover).fails(2, &["35"]);
    with_lines(&sandbox, &[key, "short"], &recover).fails(2, &["nothing was changed"]);
    let end_of_input = ["vault", "recover", "--recovery-key-fd", "0"];
    with_lines(&sandbox, &[key], &end_of_input).fails(4, &["--new-password-fd"]);
    sandbox.run(&["memory", "list"]).ok();

    let typed = key.to_lowercase().replace('-', " ");
    with_lines(&sandbox, &[&typed, OTHER], &recover).ok();
    sandbox.run(&["memory", "list"]).fails(4, &[]);
    sandbox.run_with(OTHER, &["memory", "list"]).ok();

    let remove = ["vault", "recovery-key", "--remove", "--json"];
    assert_eq!(
        as_json(&sandbox.run_with(OTHER, &remove).ok()),
        json!({ "removed": true })
    );
    assert_eq!(
        as_json(&sandbox.run_with(OTHER, &remove).ok()),
        json!({ "removed": false })
    );
    with_lines(&sandbox, &[key, PASSWORD], &recover).fails(4, &["no recovery key"]);
}

#[test]
fn secrets_go_from_one_vault_to_another_and_are_written_down() {
    let (from, vault) = with_vault();
    vault
        .secrets(1_700_000_000_000)
        .put("mail/token", b"t-1", "the user connected mail")
        .unwrap();
    vault.set_secret("only/here", b"s").unwrap();
    let file = from.path().join("secrets.export");
    let file = file.to_str().unwrap();
    let sealed = ["--password-fd", "0", "--file-password-fd", "0"];
    let export = [&["vault", "export", file][..], &sealed].concat();
    let import = [&["vault", "import", file, "--json"][..], &sealed].concat();
    with_lines(&from, &[PASSWORD, OTHER], &export).ok();
    assert!(
        !std::fs::read(file)
            .unwrap()
            .windows(3)
            .any(|bytes| bytes == b"t-1")
    );
    with_lines(&from, &[PASSWORD, OTHER], &export).fails(1, &["already"]);

    let (to, other) = with_vault();
    other.set_secret("mail/token", b"mine").unwrap();
    with_lines(&to, &[PASSWORD, PASSWORD], &import).fails(4, &["password of the file is wrong"]);
    let kept = as_json(&with_lines(&to, &[PASSWORD, OTHER], &import).ok());
    assert_eq!(kept, json!({ "added": 1, "replaced": 0, "kept": 1 }));
    assert_eq!(other.secret("mail/token").unwrap().unwrap().as_slice(), b"mine");
    let replace = [&import[..], &["--replace"]].concat();
    let replaced = as_json(&with_lines(&to, &[PASSWORD, OTHER], &replace).ok());
    assert_eq!(replaced, json!({ "added": 0, "replaced": 2, "kept": 0 }));
    assert_eq!(other.secret("mail/token").unwrap().unwrap().as_slice(), b"t-1");

    let log = as_json(&from.run(&["vault", "log", "--json"]).ok());
    let actions: Vec<_> = log["log"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["action"])
        .collect();
    assert_eq!(actions, ["exported", "stored"], "{log}");
    assert_eq!(log["log"][1]["purpose"], "the user connected mail");
    let shown = from.run(&["vault", "log", "--limit", "1"]).ok();
    assert!(shown.contains("exported") && !shown.contains("mail"), "{shown}");

    let text = from.file("no.export", "this is none");
    let none = [&["vault", "import", text.to_str().unwrap()][..], &sealed].concat();
    with_lines(&from, &[PASSWORD, OTHER], &none).fails(1, &["not an export"]);
    let absent = [&["vault", "import", "/nonexistent/file"][..], &sealed].concat();
    with_lines(&from, &[PASSWORD, OTHER], &absent).fails(3, &["/nonexistent/file"]);
}

#[test]
fn what_an_earlier_program_left_is_taken_over() {
    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    /// "sk-legacy-2", sealed by OpenSSL under that key.
    const SEALED: &str =
        "enc2:6e6f6e63652d6e6f6e63652d7a7e467d9d18ca480a00cdc33d4a6f6909e5f70deffbaf912d48e3";
    let (sandbox, vault) = with_vault();
    sandbox.file("old/.secret_key", KEY);
    let config = sandbox.file("old/config.toml", &format!("api_key = \"{SEALED}\"\n"));
    let old = sandbox.path().join("old");
    let import = ["vault", "import-legacy", old.to_str().unwrap(), "--json"];
    let done = as_json(&sandbox.run(&import).ok());
    assert_eq!(
        (&done["stored"], &done["deleted"], &done["failed"]),
        (&json!(["imported/config/api_key"]), &json!(false), &json!([]))
    );
    assert_eq!(
        vault
            .secret("imported/config/api_key")
            .unwrap()
            .unwrap()
            .as_slice(),
        b"sk-legacy-2"
    );
    assert!(config.exists(), "nothing is deleted that nobody said yes to");

    // What does not open stays, whatever was asked for.
    let broken = SEALED.replace("6e6f", "6e6e");
    std::fs::write(&config, format!("api_key = \"{SEALED}\"\nother = \"{broken}\"\n")).unwrap();
    let delete = [&import[..3], &["--delete"]].concat();
    let ended = sandbox.run(&delete);
    ended.fails(1, &["1 secret did not open"]);
    assert!(config.exists());

    std::fs::write(&config, format!("api_key = \"{SEALED}\"\n")).unwrap();
    sandbox.run(&delete).ok();
    assert!(!config.exists() && !old.join(".secret_key").exists());
    let again = sandbox.run(&delete).ok();
    assert!(again.contains("no secrets of an earlier program"), "{again}");
    sandbox
        .run(&["vault", "import-legacy", "/nonexistent/dir"])
        .fails(3, &["/nonexistent/dir"]);
}

#[test]
fn commands_about_a_vault_do_not_make_one() {
    let sandbox = Sandbox::new();
    for command in ["password", "recover", "recovery-key", "log", "import-legacy"] {
        let mut args = vec!["vault", command];
        if command == "import-legacy" {
            args.push("/tmp");
        }
        sandbox.run(&args).fails(3, &["no vault", "vault create"]);
    }
    assert!(!sandbox.home().join("vault").exists());
}

#[test]
fn databases_are_listed_sealed_anew_copied_and_compared_with_the_last_close() {
    let (sandbox, vault) = with_vault();
    drop(vault);
    let note = sandbox.file(
        "boat.txt",
        "The boat needs new rope before the regatta in August.",
    );
    let list = |sandbox: &Sandbox| sandbox.run(&["vault", "databases", "--json"]);
    let state = |ended: &Ended| as_json(&ended.stdout)["databases"][0]["state"].clone();
    assert_eq!(as_json(&list(&sandbox).ok()), json!({ "databases": [] }));
    let file = sandbox.home().join("memory/memory.db");
    sandbox.run(&["memory", "list"]).ok();
    let older = std::fs::read(&file).unwrap();
    sandbox.run(&["memory", "add", note.to_str().unwrap()]).ok();
    let closed = list(&sandbox);
    assert_eq!(state(&closed), "fresh", "{}", closed.stdout);
    let newest = std::fs::read(&file).unwrap();

    std::fs::write(&file, &older).unwrap();
    let refused = list(&sandbox);
    assert_eq!(
        (refused.code, state(&refused)),
        (1, json!("rolled_back")),
        "{}",
        refused.stdout
    );
    sandbox
        .run(&["memory", "list"])
        .fails(1, &["older copy", "not in it", "openhuman vault accept memory"]);
    sandbox.run(&["vault", "accept"]).fails(2, &["<NAME>"]);
    sandbox.run(&["vault", "accept", "memory"]).ok();
    let listed = sandbox.run(&["memory", "list"]).ok();
    assert!(!listed.contains("boat"), "{listed}");
    // Now the newer one is the one that was not closed last.
    sandbox.run(&["memory", "add", note.to_str().unwrap()]).ok();
    std::fs::write(&file, &newest).unwrap();
    sandbox.run(&["memory", "list"]).fails(1, &["older copy"]);
    sandbox.run(&["vault", "accept", "--all"]).ok();

    let rekeyed = as_json(&sandbox.run(&["vault", "rekey", "--json"]).ok());
    assert_eq!(rekeyed, json!({ "done": ["memory"], "failed": [] }));
    assert_ne!(std::fs::read(&file).unwrap()[..16], newest[..16]);
    let listed = sandbox.run(&["memory", "list"]).ok();
    assert!(listed.contains("boat"), "{listed}");

    let copy = sandbox.path().join("plain.db");
    let export = ["vault", "export-database", "memory", copy.to_str().unwrap()];
    let ended = sandbox.run(&export);
    assert!(ended.stderr.contains("not encrypted"), "{}", ended.stderr);
    ended.ok();
    assert!(std::fs::read(&copy).unwrap().starts_with(b"SQLite format 3"));
    sandbox.run(&export).fails(1, &["already exists"]);
    let other = sandbox.path().join("other.db");
    let other = other.to_str().unwrap();
    sandbox
        .run(&["vault", "export-database", "skill/none", other])
        .fails(3, &["skill/none", "there is: memory"]);
    sandbox
        .run(&["vault", "export-database", "nonsense", other])
        .fails(2, &["skill/ID"]);
}
