//! A vault that stays open for a while, the wait after wrong passwords, and secrets that leave alone.

use openhuman::vault::{Existing, Password, Vault, VaultOptions};
use serde_json::{Value, json};

use crate::harness::{Ended, PASSWORD, Sandbox, end};

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

fn as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Runs a command that nobody gives a password.
fn alone(sandbox: &Sandbox, args: &[&str]) -> Ended {
    end(&mut sandbox.command(args), "")
}

/// Whether the kernel keeps keys for this process: containers often forbid it.
#[cfg(target_os = "linux")]
fn kernel_keeps_keys() -> bool {
    let there = openhuman::vault::KernelKeyStore::new(std::time::Duration::from_secs(1)).is_ok();
    if !there {
        assert!(
            std::env::var_os("OPENHUMAN_REQUIRE_KERNEL_KEYS").is_none(),
            "the kernel keeps no keys for this process"
        );
        eprintln!("not run: the kernel keeps no keys for this process");
    }
    there
}

#[cfg(target_os = "linux")]
#[test]
fn an_unlocked_vault_asks_nobody_until_it_is_locked_or_its_time_is_over() {
    let (sandbox, vault) = with_vault();
    drop(vault);
    let locked = |sandbox: &Sandbox| alone(sandbox, &["memory", "list"]).fails(4, &["no terminal"]);
    locked(&sandbox);
    if !kernel_keeps_keys() {
        return;
    }
    sandbox
        .run_with("not it", &["unlock"])
        .fails(4, &["password is wrong"]);
    locked(&sandbox);

    let told = as_json(&sandbox.run(&["unlock", "--for", "10m", "--json"]).ok());
    assert_eq!(told, json!({ "unlocked": true, "seconds": 600 }));
    alone(&sandbox, &["memory", "list"]).ok();
    let status = as_json(&alone(&sandbox, &["status", "--json"]).ok());
    assert_eq!(status["vault"]["unlocked"], true, "{status}");
    assert_eq!(status["backends"], json!([]), "{status}");
    // Open as it is, it is not prolonged without the password.
    alone(&sandbox, &["unlock"]).fails(4, &["no terminal"]);

    assert_eq!(
        as_json(&alone(&sandbox, &["lock", "--json"]).ok()),
        json!({ "unlocked": false })
    );
    locked(&sandbox);
    alone(&sandbox, &["lock"]).ok();

    // A new password ends it.
    sandbox.run(&["unlock"]).ok();
    let change = [
        "vault",
        "password",
        "--password-fd",
        "0",
        "--new-password-fd",
        "0",
    ];
    end(
        &mut sandbox.command(&change),
        &format!("{PASSWORD}\nanother password\n"),
    )
    .ok();
    locked(&sandbox);

    // So does the time.
    sandbox
        .run_with("another password", &["unlock", "--for", "1s"])
        .ok();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while alone(&sandbox, &["memory", "list"]).code == 0 {
        assert!(std::time::Instant::now() < deadline, "it stays open");
    }
}

#[test]
fn times_that_are_none_are_told_before_a_password_is_asked_for() {
    let (sandbox, _vault) = with_vault();
    for wrong in ["15", "0m", "25h", "soon"] {
        alone(&sandbox, &["unlock", "--for", wrong]).fails(2, &["90s, 15m or 8h"]);
    }
}

#[test]
fn the_wait_after_wrong_passwords_is_known_to_the_next_start() {
    let (sandbox, vault) = with_vault();
    drop(vault);
    let waiting = |sandbox: &Sandbox| {
        let status = as_json(&alone(sandbox, &["status", "--json"]).ok());
        status["vault"]["waiting_ms"].as_u64().unwrap()
    };
    assert_eq!(waiting(&sandbox), 0);
    // Each wait is twice the one before: one of them outlasts the start of a command, however slow this machine is.
    let mut seen = 0;
    for _ in 0..40 {
        sandbox.run_with("wrong", &["memory", "list"]).fails(4, &[]);
        seen = waiting(&sandbox);
        if seen > 0 {
            break;
        }
    }
    assert!(seen > 0, "no wait was told");
    let told = alone(&sandbox, &["status"]).ok();
    assert!(
        told.contains("too many wrong passwords") || waiting(&sandbox) == 0,
        "{told}"
    );
}

/// `script` gives the command a terminal of its own, on which the wait is counted down before the password is asked for.
#[cfg(target_os = "linux")]
#[test]
fn the_wait_is_counted_down_at_the_terminal() {
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("not run: there is no `script` here");
        return;
    }
    let (sandbox, vault) = with_vault();
    drop(vault);
    let home = openhuman::Home::at(sandbox.home());
    for _ in 0..40 {
        sandbox.run_with("wrong", &["memory", "list"]).fails(4, &[]);
        if home.waiting_ms() > 1_500 {
            break;
        }
    }
    let run = format!(
        "{} memory list; echo code=$?",
        crate::harness::program().display()
    );
    let mut child = Command::new("timeout")
        .args(["400", "script", "-qec", &run, "/dev/null"])
        .env("OPENHUMAN_HOME", sandbox.home())
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut seen, mut piece, mut sent) = (String::new(), [0; 512], false);
    loop {
        let count = output.read(&mut piece).unwrap();
        if count == 0 {
            break;
        }
        seen.push_str(&String::from_utf8_lossy(&piece[..count]));
        if !sent && seen.contains("Password:") {
            input.write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
            sent = true;
        }
    }
    child.wait().unwrap();
    assert!(seen.contains("code=0"), "{seen}");
    let (wait, question) = (seen.find("the next one is possible in"), seen.find("Password:"));
    assert!(wait.is_some() && wait < question, "{seen}");
    assert!(!seen.contains(PASSWORD), "{seen}");
}

#[test]
fn some_secrets_are_exported_alone() {
    let (sandbox, vault) = with_vault();
    for (name, value) in [
        ("mail/token", "t-1"),
        ("chat/token", "t-2"),
        ("bank/token", "t-3"),
    ] {
        vault
            .secrets(1_700_000_000_000)
            .put(name, value.as_bytes(), "connected")
            .unwrap();
    }
    let file = sandbox.path().join("some.export");
    let base = [
        "vault",
        "export",
        file.to_str().unwrap(),
        "--password-fd",
        "0",
        "--file-password-fd",
        "0",
    ];
    let run = |names: &[&str]| {
        let args = [&base[..], names].concat();
        end(
            &mut sandbox.command(&args),
            &format!("{PASSWORD}\nof the file itself\n"),
        )
    };
    run(&["--only", "mail/token", "missing"]).fails(3, &["missing"]);
    assert!(!file.exists(), "nothing is written in part");
    let told = run(&["--json", "--only", "mail/token", "chat/token", "mail/token"]).ok();
    assert_eq!(as_json(&told)["secrets"], 2, "{told}");

    let other = tempfile::tempdir().unwrap();
    let password = Password::from("another".to_owned());
    let other = Vault::create(other.path(), &password, &VaultOptions::fast_for_tests()).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let of_file = Password::from("of the file itself".to_owned());
    let taken = other.secrets(0).import(&bytes, &of_file, Existing::Keep).unwrap();
    assert_eq!(taken.added, 2);
    assert_eq!(other.secret_names().unwrap(), ["chat/token", "mail/token"]);
    let log = as_json(&sandbox.run(&["vault", "log", "--json"]).ok());
    let exported = log["log"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["action"] == "exported");
    let names: Vec<_> = exported.map(|entry| entry["name"].as_str().unwrap()).collect();
    assert!(
        names.contains(&"mail/token") && !names.contains(&"bank/token"),
        "{log}"
    );
}
