use openhuman_sqlite::rusqlite::backup::Backup;
use openhuman_sqlite::rusqlite::{Connection, ErrorCode};
use openhuman_sqlite::{Error, Options, attach, diagnose, open, opens_with, vacuum_into};
use openhuman_vault::Key;

use crate::{Home, at_once, contains, integrity, key};

const CANARY: &str = "CANARY-copy";

fn other_key() -> Key {
    Key::from_bytes([0x55; 32])
}

fn filled(rows: u32) -> (Home, Connection) {
    let home = Home::new();
    let connection = home.open();
    connection
        .execute_batch(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT); CREATE VIRTUAL TABLE f USING fts5(x)",
        )
        .unwrap();
    for id in 0..rows {
        let text = format!("{CANARY} {id} {}", "word ".repeat(100));
        connection
            .execute("INSERT INTO t VALUES (?1, ?2)", (id, &text))
            .unwrap();
        connection.execute("INSERT INTO f VALUES (?1)", [&text]).unwrap();
    }
    (home, connection)
}

fn sum(connection: &Connection, table: &str) -> (u32, String) {
    connection
        .query_row(&format!("SELECT count(*), max(x) FROM {table}"), [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap()
}

fn nothing_readable(home: &Home) {
    for (name, content) in home.files() {
        assert!(!contains(&content, CANARY.as_bytes()), "{name}");
        assert!(
            !name.ends_with("-new") && !name.ends_with("-journal"),
            "{name} is left"
        );
    }
}

#[test]
fn vacuum_into_writes_a_smaller_sealed_copy_under_another_key() {
    let (home, connection) = filled(300);
    connection.execute("DELETE FROM t WHERE id % 2", []).unwrap();
    let target = home.dir().join("copy.db");
    vacuum_into(&connection, &target, &other_key()).unwrap();
    nothing_readable(&home);
    assert!(matches!(
        vacuum_into(&connection, &target, &other_key()),
        Err(Error::AlreadyExists { .. })
    ));
    assert!(opens_with(&target, &other_key()).unwrap() && !opens_with(&target, &key()).unwrap());
    let copy = open(&target, &other_key(), &Options::default()).unwrap();
    assert_eq!(integrity(&copy), "ok");
    assert_eq!(sum(&copy, "t"), sum(&connection, "t"));
    copy.execute_batch("INSERT INTO f(f) VALUES ('integrity-check'); INSERT INTO t VALUES (-1, 'new')")
        .unwrap();
    let mode: String = copy
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    drop(copy);
    let copy = open(&target, &other_key(), &Options::default()).unwrap();
    assert_eq!(sum(&copy, "t").0, 151);
    assert_eq!(integrity(&connection), "ok");
}

/// The cache of the copy spills: pages are read back while the file is being filled.
#[test]
fn vacuum_into_works_with_a_small_cache() {
    let (home, connection) = filled(600);
    connection.execute_batch("PRAGMA cache_size = 5").unwrap();
    let target = home.dir().join("copy.db");
    vacuum_into(&connection, &target, &key()).unwrap();
    let copy = open(&target, &key(), &Options::default()).unwrap();
    assert_eq!(
        (integrity(&copy), sum(&copy, "t")),
        ("ok".to_owned(), sum(&connection, "t"))
    );
}

#[test]
fn a_copy_of_a_damaged_database_is_an_error_and_leaves_nothing() {
    let (home, connection) = filled(300);
    drop(connection);
    let mut bytes = std::fs::read(home.path()).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(home.path(), bytes).unwrap();
    let connection = home.open();
    let error = vacuum_into(&connection, &home.dir().join("copy.db"), &key()).unwrap_err();
    assert!(
        matches!(error, Error::PageCorrupt { page, .. } if page as usize == at / 4096 + 1),
        "{error}"
    );
    assert!(home.files().iter().all(|(name, _)| !name.starts_with("copy.db")));
}

#[test]
fn another_sealed_database_can_be_attached_with_its_own_key() {
    let (home, connection) = filled(50);
    let path = home.dir().join("other.db");
    attach(&connection, &path, &other_key(), "other", &Options::default()).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE other.copy AS SELECT * FROM t; BEGIN; DELETE FROM t; DELETE FROM copy; ROLLBACK",
        )
        .unwrap();
    assert_eq!(sum(&connection, "other.copy"), sum(&connection, "main.t"));
    let synchronous: i64 = connection
        .query_row("PRAGMA other.synchronous", [], |row| row.get(0))
        .unwrap();
    assert_eq!(synchronous, 2);
    nothing_readable(&home);
    connection.execute_batch("DETACH other").unwrap();
    assert!(matches!(
        attach(&connection, &path, &key(), "other", &at_once()),
        Err(Error::WrongKey { .. })
    ));
    let missing = Options {
        must_exist: true,
        ..at_once()
    };
    assert!(matches!(
        attach(&connection, &home.dir().join("none.db"), &key(), "none", &missing),
        Err(Error::Missing { .. })
    ));
    let read_only = Options {
        read_only: true,
        ..at_once()
    };
    attach(&connection, &path, &other_key(), "o", &read_only).unwrap();
    let error = connection.execute("DELETE FROM o.copy", []).unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly));
}

#[test]
fn damage_in_an_attached_database_names_its_file() {
    let (home, connection) = filled(50);
    let path = home.dir().join("other.db");
    vacuum_into(&connection, &path, &other_key()).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096 + 9] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    attach(&connection, &path, &other_key(), "other", &Options::default()).unwrap();
    let error = connection
        .query_row("SELECT count(*), max(x) FROM other.t", [], |_| Ok(()))
        .unwrap_err();
    let error = diagnose(&connection, error);
    assert!(
        matches!(&error, Error::PageCorrupt { path, page: 2 } if path.ends_with("other.db")),
        "{error}"
    );
}

#[test]
fn the_backup_interface_copies_a_live_database_into_a_sealed_one() {
    let (home, connection) = filled(300);
    let path = home.dir().join("backup.db");
    let mut target = open(&path, &other_key(), &Options::default()).unwrap();
    let backup = Backup::new(&connection, &mut target).unwrap();
    let mut steps = 0;
    while let openhuman_sqlite::rusqlite::backup::StepResult::More = backup.step(10).unwrap() {
        steps += 1;
        if steps == 3 {
            // Somebody writes meanwhile, through the same connection.
            connection
                .execute("INSERT INTO t VALUES (9999, 'late')", [])
                .unwrap();
        }
    }
    drop(backup);
    assert!(steps > 3);
    assert_eq!(integrity(&target), "ok");
    assert_eq!(sum(&target, "t"), sum(&connection, "t"));
    drop(target);
    nothing_readable(&home);
    // A plain database has no room for nonce and tag: it is refused, and the target stays as it was.
    let plain = Connection::open_in_memory().unwrap();
    plain.execute_batch("CREATE TABLE p (x)").unwrap();
    let mut target = open(&path, &other_key(), &Options::default()).unwrap();
    let refused =
        Backup::new(&plain, &mut target)
            .unwrap()
            .run_to_completion(100, std::time::Duration::ZERO, None);
    assert!(refused.is_err());
    drop(target);
    let target = open(&path, &other_key(), &Options::default()).unwrap();
    assert_eq!(sum(&target, "t").0, 301);
}
