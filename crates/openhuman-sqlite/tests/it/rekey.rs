use std::process::{Command, Stdio};

use openhuman_sqlite::{Error, open, opens_with, rekey};
use openhuman_vault::Key;

use crate::{Home, at_once, integrity, key};

const PAGE: u64 = 4096;

fn new_key() -> Key {
    Key::from_bytes([0x66; 32])
}

fn filled(rows: u32) -> Home {
    let home = Home::new();
    let mut connection = home.open();
    connection
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
        .unwrap();
    let transaction = connection.transaction().unwrap();
    for id in 0..rows {
        transaction
            .execute(
                "INSERT INTO t VALUES (?1, ?2)",
                (id, format!("{id} {}", "x".repeat(3000))),
            )
            .unwrap();
    }
    transaction.commit().unwrap();
    home
}

fn rows(home: &Home, key: &Key) -> u32 {
    let connection = open(&home.path(), key, &at_once()).unwrap();
    assert_eq!(integrity(&connection), "ok");
    let bad = "SELECT count(*) FROM t WHERE x NOT LIKE id || ' xxx%'";
    let bad: u32 = connection.query_row(bad, [], |row| row.get(0)).unwrap();
    assert_eq!(bad, 0);
    connection
        .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn the_key_of_a_database_can_be_changed() {
    let home = filled(100);
    let before = std::fs::read(home.path()).unwrap();
    rekey(&home.path(), &key(), &new_key(), &at_once()).unwrap();
    let after = std::fs::read(home.path()).unwrap();
    assert_eq!(after.len(), before.len());
    let same = before
        .chunks(4096)
        .zip(after.chunks(4096))
        .filter(|(a, b)| a == b)
        .count();
    assert_eq!(same, 0, "every page is sealed anew");
    assert!(matches!(
        open(&home.path(), &key(), &at_once()),
        Err(Error::WrongKey { .. })
    ));
    assert_eq!(rows(&home, &new_key()), 100);
    rekey(&home.path(), &key(), &new_key(), &at_once()).expect("it is done already");
    assert_eq!(rows(&home, &new_key()), 100);
    let neither = Key::from_bytes([1; 32]);
    assert!(matches!(
        rekey(&home.path(), &key(), &neither, &at_once()),
        Err(Error::WrongKey { .. })
    ));
    let left: Vec<_> = home.files().into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["test.db", "test.db-lock"]);
}

#[test]
fn a_database_in_use_or_damaged_keeps_its_key() {
    let home = filled(100);
    let connection = home.open();
    assert!(matches!(
        rekey(&home.path(), &key(), &new_key(), &at_once()),
        Err(Error::InUse { .. })
    ));
    drop(connection);
    let good = std::fs::read(home.path()).unwrap();
    let mut bad = good.clone();
    bad[70 * 4096] ^= 1;
    std::fs::write(home.path(), &bad).unwrap();
    assert!(matches!(
        rekey(&home.path(), &key(), &new_key(), &at_once()),
        Err(Error::PageCorrupt { page: 71, .. })
    ));
    assert_eq!(std::fs::read(home.path()).unwrap(), bad);
    std::fs::write(home.path(), good).unwrap();
    rekey(&home.path(), &key(), &new_key(), &at_once()).unwrap();
    assert_eq!(rows(&home, &new_key()), 100);
}

/// Kills it at many points. Exactly one key opens the database each time, and the next call goes on.
#[test]
fn a_killed_change_of_the_key_is_resumed() {
    let home = filled(2500);
    let work = home.dir().join("test.db-rekey");
    let pages = std::fs::metadata(home.path()).unwrap().len() / PAGE;
    let mut interrupted = 0;
    for part in [1, 3, 5, 7, 9] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["rekey::change_the_key_until_killed", "--exact", "--nocapture"])
            .env("OPENHUMAN_TEST_REKEY", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let reached = pages * part / 10 * PAGE;
        let there = || std::fs::metadata(&work).map_or(0, |metadata| metadata.len());
        while there() < reached && child.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (old, new) = (
            opens_with(&home.path(), &key()).unwrap(),
            opens_with(&home.path(), &new_key()).unwrap(),
        );
        assert!(old != new, "exactly one key opens it");
        if new {
            break;
        }
        interrupted += 1;
        assert_eq!(rows(&home, &key()), 2500);
    }
    assert!(interrupted > 0, "it was never interrupted");
    let begun = std::fs::read(&work).unwrap_or_default();
    rekey(&home.path(), &key(), &new_key(), &at_once()).unwrap();
    assert_eq!(rows(&home, &new_key()), 2500);
    let done = std::fs::read(home.path()).unwrap();
    let kept = begun
        .chunks(4096)
        .zip(done.chunks(4096))
        .filter(|(a, b)| a == b)
        .count();
    assert!(
        begun.is_empty() || kept + 1 >= begun.len() / 4096,
        "{kept} pages were kept"
    );
}

/// Does nothing unless it is the process to be killed.
#[test]
fn change_the_key_until_killed() {
    if let Some(path) = std::env::var_os("OPENHUMAN_TEST_REKEY") {
        rekey(path.as_ref(), &key(), &new_key(), &at_once()).unwrap();
    }
}
