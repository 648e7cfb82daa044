use openhuman_sqlite::rusqlite::Connection;

use crate::{Home, contains, integrity};

const CANARY: &str = "CANARY-7f3a9c";

fn no_canary(home: &Home, when: &str) {
    for (name, content) in home.files() {
        assert!(!contains(&content, CANARY.as_bytes()), "{name} {when}");
        assert!(!contains(&content, b"CREATE TABLE"), "schema in {name} {when}");
        assert!(!contains(&content, b"SQLite format"), "{name} {when}");
        assert!(
            !name.ends_with("-shm") && !name.ends_with("-journal"),
            "{name} {when}"
        );
    }
}

fn fill(connection: &Connection) {
    connection
        .execute_batch(
            "CREATE TABLE note (id INTEGER PRIMARY KEY, x TEXT); CREATE VIRTUAL TABLE f USING fts5(x)",
        )
        .unwrap();
    for id in 0..400 {
        let text = format!("{CANARY} {id} {}", CANARY.repeat(20));
        connection
            .execute("INSERT INTO note VALUES (?1, ?2)", (id, &text))
            .unwrap();
        connection.execute("INSERT INTO f VALUES (?1)", [&text]).unwrap();
    }
}

#[test]
fn row_5_nothing_readable_reaches_the_disk() {
    let home = Home::new();
    let connection = home.open();
    connection
        .execute_batch("PRAGMA cache_size = 5; PRAGMA temp_store = FILE; PRAGMA cache_spill = ON")
        .unwrap();
    fill(&connection);
    no_canary(&home, "with an open log");
    connection
        .execute_batch("BEGIN; SAVEPOINT s; UPDATE note SET x = x || '!'")
        .unwrap();
    no_canary(&home, "in a transaction that spills");
    connection.execute_batch("ROLLBACK TO s; COMMIT").unwrap();
    connection
        .execute_batch("CREATE INDEX i ON note (x); CREATE TEMP TABLE t AS SELECT * FROM note")
        .unwrap();
    connection
        .query_row(
            "SELECT count(*) FROM (SELECT x FROM note ORDER BY x DESC)",
            [],
            |_| Ok(()),
        )
        .unwrap();
    no_canary(&home, "with temporary tables and sorting");
    connection
        .execute_batch("DELETE FROM note WHERE id % 3; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    no_canary(&home, "after VACUUM and a checkpoint");
    assert_eq!(integrity(&connection), "ok");
    drop(connection);
    no_canary(&home, "after close");
    let names: Vec<_> = home.files().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["test.db", "test.db-lock"]);
}

#[test]
fn row_8_no_key_is_written_in_plaintext() {
    let home = Home::new();
    let connection = home.open();
    fill(&connection);
    openhuman_sqlite::vacuum_into(&connection, &home.dir().join("copy.db"), &crate::key()).unwrap();
    openhuman_sqlite::export_plain(&connection, &home.dir().join("plain.db")).unwrap();
    let hex = crate::key().expose().map(|byte| format!("{byte:02x}")).concat();
    let live = home.files();
    drop(connection);
    let other = openhuman_vault::Key::from_bytes([0x7e; 32]);
    openhuman_sqlite::rekey(&home.path(), &crate::key(), &other, &crate::at_once()).unwrap();
    for (name, content) in live.into_iter().chain(home.files()) {
        for key in [crate::key().expose(), other.expose()] {
            assert!(!contains(&content, &key[..8]), "{name}");
        }
        assert!(!contains(&content, &hex.as_bytes()[..16]), "{name}");
    }
}

/// The control: the search finds the canary where it is.
#[test]
fn the_canary_is_found_in_a_plain_database() {
    let home = Home::new();
    fill(&Connection::open(home.path()).unwrap());
    assert!(
        home.files()
            .iter()
            .any(|(_, content)| contains(content, CANARY.as_bytes()))
    );
}

#[test]
fn the_sealed_file_looks_random() {
    let home = Home::new();
    fill(&home.open());
    let content = std::fs::read(home.path()).unwrap();
    let mut counts = [0f64; 256];
    content.iter().for_each(|byte| counts[usize::from(*byte)] += 1.0);
    let total = content.len() as f64;
    let entropy: f64 = counts
        .iter()
        .filter(|n| **n > 0.0)
        .map(|n| -(n / total) * (n / total).log2())
        .sum();
    assert!(entropy > 7.99, "{entropy} bits per byte");
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let connection = home.open();
    fill(&connection);
    for (name, _) in home.files() {
        let mode = std::fs::metadata(home.dir().join(&name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
    }
}
