//! A process that changes a vault is killed at any moment: what it confirmed is there, and the vault opens.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use openhuman_vault::{AuditAction, MemoryKeyStore, Password, Vault, VaultError, VaultOptions};

const TEST: &str = "kill::what_was_confirmed_survives_a_kill_and_the_vault_opens";
const FOLDER: &str = "OPENHUMAN_TEST_KILL_FOLDER";
const START: &str = "OPENHUMAN_TEST_KILL_START";
/// How many times a process is killed; the long form is `OPENHUMAN_TEST_KILLS=1000`.
const KILLS: &str = "OPENHUMAN_TEST_KILLS";

fn password(n: u64) -> Password {
    Password::from(format!("password {n}"))
}

#[test]
fn what_was_confirmed_survives_a_kill_and_the_vault_opens() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let start = std::env::var(START).unwrap().parse().unwrap();
        change(Path::new(&folder), start);
        return;
    }
    let kills: u64 = std::env::var(KILLS).map_or(40, |kills| kills.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let options = VaultOptions::fast_for_tests();
    let id = Vault::create(folder.path(), &password(0), &options)
        .unwrap()
        .id()
        .to_owned();
    let (mut current, mut confirmed, mut stored) = (0, 0, 0);
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([TEST, "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(START, current.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut intended = current;
        let mut take = |line: &str| {
            let mut words = line.split(' ');
            let (what, n) = (words.next(), words.next().and_then(|n| n.parse::<u64>().ok()));
            match (what, n) {
                (Some("changing"), Some(n)) => intended = n,
                (Some("changed"), Some(n)) => {
                    (current, intended) = (n, n);
                    confirmed += 1;
                }
                (Some("stored"), Some(n)) => {
                    stored = n;
                    confirmed += 1;
                }
                _ => {}
            }
        };
        // A different moment each time: after so many confirmations, however long they take, and a little later.
        let (mut wanted, mut begun) = (kill % 7, false);
        while !begun || wanted > 0 {
            let line = lines.next().and_then(Result::ok);
            let line = line.expect("the process works until it is killed");
            begun |= line.starts_with("changing");
            wanted = wanted.saturating_sub(u64::from(
                line.starts_with("changed") || line.starts_with("stored"),
            ));
            take(&line);
        }
        std::thread::sleep(Duration::from_micros(kill * 7_919 % 30_000));
        child.kill().unwrap();
        child.wait().unwrap();
        lines.map_while(Result::ok).for_each(|line| take(&line));

        // One of the two passwords opens it: the confirmed one, or the one that was on its way.
        let open = |n| {
            Vault::open_at(
                folder.path(),
                &password(n),
                i64::try_from(kill * 1_000_000).unwrap(),
            )
        };
        let vault = match open(intended) {
            Err(VaultError::WrongPassword) => open(current).unwrap(),
            other => {
                current = intended;
                other.unwrap()
            }
        };
        assert_eq!(vault.id(), id);
        let newest = vault.secret("n").unwrap().map_or(0, |value| {
            std::str::from_utf8(&value).unwrap().parse::<u64>().unwrap()
        });
        assert!(newest >= stored, "{newest} is there, {stored} was confirmed");
        stored = newest;
        let log = vault.secrets(0).audit().unwrap();
        assert!(log.iter().all(|entry| entry.action != AuditAction::LogReplaced));
    }
    println!("{kills} kills, {confirmed} confirmed changes, none lost");
    assert!(confirmed >= kills * 2, "{confirmed}");
}

/// The process that is killed.
fn change(folder: &Path, start: u64) {
    let options = VaultOptions::fast_for_tests();
    let mut vault = Vault::open_at(folder, &password(start), i64::MAX).unwrap();
    let store = MemoryKeyStore::new();
    let say = |what: &str, n: u64| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{what} {n}").unwrap();
        out.flush().unwrap();
    };
    let mut n: u64 = vault
        .secret("n")
        .unwrap()
        .map_or(0, |value| std::str::from_utf8(&value).unwrap().parse().unwrap());
    for password_n in start + 1.. {
        // The harness of tests may have begun this line.
        println!();
        say("changing", password_n);
        vault.change_password(&password(password_n), &options).unwrap();
        say("changed", password_n);
        for _ in 0..4 {
            n += 1;
            vault
                .secrets(1)
                .put("n", n.to_string().as_bytes(), "test")
                .unwrap();
            say("stored", n);
        }
        vault.remember_in(&store).unwrap();
        vault.create_recovery_key().unwrap();
    }
}
