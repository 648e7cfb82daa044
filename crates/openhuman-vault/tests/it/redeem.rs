//! Two processes, each with 64 threads and as many connections, try to redeem the same tokens.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use openhuman_vault::Key;
use openhuman_vault::tokens::{LoginTokens, SqliteTokenStore, TokenError};

/// How long the processes wait for each other before one counts as failed.
const PATIENCE: Duration = Duration::from_secs(120);
const PROCESSES: usize = 2;
const THREADS: usize = 64;
const FOLDER: &str = "OPENHUMAN_TEST_REDEEM_FOLDER";
/// How many tokens; the long form is `OPENHUMAN_TEST_TOKENS=10000`.
const TOKENS: &str = "OPENHUMAN_TEST_TOKENS";
const TEST: &str = "redeem::two_processes_and_each_token_has_exactly_one_winner";

fn open(folder: &Path) -> LoginTokens<SqliteTokenStore> {
    let store = SqliteTokenStore::open(folder.join("tokens.db")).unwrap();
    LoginTokens::new(store, &Key::from_bytes([3; 32]))
}

#[test]
fn two_processes_and_each_token_has_exactly_one_winner() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        race(Path::new(&folder));
        return;
    }
    let count: usize = std::env::var(TOKENS).map_or(200, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let issuer = open(folder.path());
    let tokens: Vec<String> = (0..count)
        .map(|n| {
            let token = issuer.issue(&format!("user {n}"), "desktop", 0).unwrap();
            token.expose().to_owned()
        })
        .collect();
    std::fs::write(folder.path().join("tokens.txt"), tokens.join("\n")).unwrap();
    let racers: Vec<Child> = (0..PROCESSES)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args([TEST, "--exact", "--nocapture"])
                .env(FOLDER, folder.path())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let ready = || {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let is_ready = |name: &str| name.starts_with("ready-");
        entries
            .filter(|entry| is_ready(&entry.as_ref().unwrap().file_name().to_string_lossy()))
            .count()
    };
    // The processes share nothing but this folder, so it is looked at until they are there; one that failed never is.
    let begun = Instant::now();
    while ready() < PROCESSES {
        assert!(
            begun.elapsed() < PATIENCE,
            "{} of {PROCESSES} processes are ready",
            ready()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    std::fs::write(folder.path().join("go"), "").unwrap();
    let mut winners = vec![0_usize; count];
    let mut shares = Vec::new();
    for mut racer in racers {
        let wins = folder.path().join(format!("wins-{}", racer.id()));
        assert!(racer.wait().unwrap().success());
        let wins = std::fs::read_to_string(wins).unwrap();
        shares.push(wins.lines().count());
        for token in wins.lines() {
            winners[token.parse::<usize>().unwrap()] += 1;
        }
    }
    println!(
        "{count} tokens, {} tries, won by process: {shares:?}",
        count * PROCESSES * THREADS
    );
    for (token, winners) in winners.into_iter().enumerate() {
        assert_eq!(winners, 1, "token {token}");
    }
}

/// One of the processes.
fn race(folder: &Path) {
    let tokens = std::fs::read_to_string(folder.join("tokens.txt")).unwrap();
    let tokens: Vec<&str> = tokens.lines().collect();
    let opened = AtomicUsize::new(0);
    let wins: Vec<usize> = std::thread::scope(|scope| {
        let racer = || {
            let racer = open(folder);
            if opened.fetch_add(1, Ordering::AcqRel) + 1 == THREADS {
                std::fs::write(folder.join(format!("ready-{}", std::process::id())), "").unwrap();
            }
            let begun = Instant::now();
            while !folder.join("go").exists() {
                assert!(begun.elapsed() < PATIENCE, "nobody gave the signal to go");
                std::thread::sleep(Duration::from_millis(1));
            }
            let mut wins = Vec::new();
            for (n, token) in tokens.iter().enumerate() {
                match racer.redeem(token, "desktop", 1) {
                    Ok(subject) => {
                        assert_eq!(subject, format!("user {n}"));
                        wins.push(n);
                    }
                    Err(TokenError::Invalid) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            wins
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(racer)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    let wins: Vec<String> = wins.iter().map(ToString::to_string).collect();
    std::fs::write(
        folder.join(format!("wins-{}", std::process::id())),
        wins.join("\n"),
    )
    .unwrap();
}
