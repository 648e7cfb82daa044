use std::process::{Command, Stdio};

use openhuman_sqlite::rusqlite::{Connection, ErrorCode};
use openhuman_sqlite::{Error, Options, open};
use openhuman_vault::Key;

use crate::{Home, at_once, contains, integrity, key};

fn sealed() -> Home {
    let home = Home::new();
    home.open()
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES ('secret')")
        .unwrap();
    home
}

#[test]
fn a_wrong_key_is_its_own_error_and_changes_nothing() {
    let home = sealed();
    let before = home.files();
    let other = Key::from_bytes([0x43; 32]);
    assert!(matches!(
        open(&home.path(), &other, &at_once()),
        Err(Error::WrongKey { .. })
    ));
    assert_eq!(home.files(), before);
    let _open = home.open();
    assert!(
        matches!(
            open(&home.path(), &other, &at_once()),
            Err(Error::WrongKey { .. })
        ),
        "also while it is open"
    );
}

#[test]
fn plain_sqlite_cannot_read_a_sealed_database() {
    let home = sealed();
    let plain = Connection::open(home.path()).unwrap();
    let error = plain
        .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase));
}

#[test]
fn a_plain_database_is_not_opened_in_place_of_a_sealed_one() {
    let home = Home::new();
    Connection::open(home.path())
        .unwrap()
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
    let before = home.files();
    assert!(matches!(
        open(&home.path(), &key(), &at_once()),
        Err(Error::NotSealed { .. })
    ));
    let after: Vec<_> = home
        .files()
        .into_iter()
        .filter(|(name, _)| !name.ends_with("-lock"))
        .collect();
    assert_eq!(after, before);
}

#[cfg(unix)]
#[test]
fn a_directory_or_a_pipe_is_no_database() {
    let home = Home::new();
    std::fs::create_dir(home.dir().join("folder.db")).unwrap();
    let made = Command::new("mkfifo").arg(home.dir().join("pipe.db")).status();
    assert!(made.unwrap().success());
    for name in ["folder.db", "pipe.db"] {
        let error = open(&home.dir().join(name), &key(), &at_once()).unwrap_err();
        assert!(matches!(error, Error::NotSealed { .. }), "{name}: {error}");
    }
}

#[test]
fn a_missing_database_is_created_only_when_that_is_allowed() {
    let home = Home::new();
    for options in [
        Options {
            must_exist: true,
            ..at_once()
        },
        Options {
            read_only: true,
            ..at_once()
        },
    ] {
        assert!(matches!(
            open(&home.path(), &key(), &options),
            Err(Error::Missing { .. })
        ));
        assert!(home.files().is_empty(), "nothing is created");
    }
    drop(home.open());
    open(
        &home.path(),
        &key(),
        &Options {
            must_exist: true,
            ..at_once()
        },
    )
    .unwrap();
    let nowhere = home.dir().join("no/such/dir.db");
    assert!(matches!(
        open(&nowhere, &key(), &at_once()),
        Err(Error::Io { .. })
    ));
}

#[test]
fn a_wiped_or_cut_off_file_is_not_a_new_database() {
    for size in [0, 1, 15, 16, 100, 4095] {
        let home = sealed();
        std::fs::OpenOptions::new()
            .write(true)
            .open(home.path())
            .unwrap()
            .set_len(size)
            .unwrap();
        let error = open(&home.path(), &key(), &at_once()).unwrap_err();
        assert!(
            matches!(error, Error::Truncated { size: found, .. } if found == size),
            "{size}: {error}"
        );
    }
}

#[test]
fn a_log_without_its_database_is_not_taken_for_a_new_start() {
    let home = Home::new();
    let connection = home.open();
    connection.execute_batch("CREATE TABLE t (x)").unwrap();
    let log = std::fs::read(home.dir().join("test.db-wal")).unwrap();
    drop(connection);
    std::fs::remove_file(home.path()).unwrap();
    std::fs::write(home.dir().join("test.db-wal"), log).unwrap();
    assert!(matches!(
        open(&home.path(), &key(), &at_once()),
        Err(Error::Missing { .. })
    ));
}

#[test]
fn attaching_another_file_fails_closed() {
    let home = sealed();
    let connection = home.open();
    let plain = home.dir().join("plain.db");
    Connection::open(&plain)
        .unwrap()
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
    let before = std::fs::read(&plain).unwrap();
    for target in [plain.clone(), home.dir().join("fresh.db"), home.path()] {
        let result = connection.execute("ATTACH ?1 AS other", [target.to_str().unwrap()]);
        assert!(result.is_err(), "{}", target.display());
    }
    let into = home.dir().join("copy.db");
    assert!(
        connection
            .execute("VACUUM INTO ?1", [into.to_str().unwrap()])
            .is_err()
    );
    assert!(!into.exists() && !home.dir().join("fresh.db").exists());
    // A URI that names the VFS below: what went there would not be sealed.
    let around = |path: &std::path::Path| format!("file:{}?vfs={}", path.display(), "unix");
    for target in [&plain, &into] {
        let uri = around(target);
        for sql in [
            format!("ATTACH '{uri}' AS other"),
            format!("ATTACH '{}' || '' AS other", uri),
            format!("VACUUM INTO '{uri}'"),
        ] {
            assert!(connection.execute_batch(&sql).is_err(), "{sql}");
        }
        assert!(connection.execute("ATTACH ?1 AS other", [&uri]).is_err());
        assert!(connection.execute("VACUUM INTO ?1", [&uri]).is_err());
    }
    assert!(!into.exists());
    // The control: a connection that nobody guards does write there.
    let unguarded = Connection::open_in_memory().unwrap();
    unguarded.execute("VACUUM INTO ?1", [around(&into)]).unwrap();
    assert!(into.exists());
    assert_eq!(std::fs::read(&plain).unwrap(), before);
    connection
        .execute_batch("ATTACH ':memory:' AS m; CREATE TABLE m.t (x); DETACH m; VACUUM")
        .unwrap();
    assert_eq!(integrity(&connection), "ok");
}

#[test]
fn the_key_is_not_in_the_name_sqlite_knows() {
    let home = sealed();
    let connection = home.open();
    let name = connection.path().unwrap();
    assert!(
        !name.contains("openhuman") && !contains(name.as_bytes(), key().expose()),
        "{name}"
    );
}

#[test]
fn a_read_only_connection_reads_and_does_not_write() {
    let home = sealed();
    let before = home.files();
    let connection = open(
        &home.path(),
        &key(),
        &Options {
            read_only: true,
            ..at_once()
        },
    )
    .unwrap();
    let x: String = connection
        .query_row("SELECT x FROM t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(x, "secret");
    let error = connection.execute("INSERT INTO t VALUES (2)", []).unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly));
    drop(connection);
    let database = |files: &[(String, Vec<u8>)]| files.iter().find(|(name, _)| name == "test.db").cloned();
    assert_eq!(database(&home.files()), database(&before));
}

#[test]
fn a_second_process_is_told_that_the_database_is_in_use() {
    let home = sealed();
    let connection = home.open();
    assert_eq!(other_process(&home), "in use");
    drop(connection);
    assert_eq!(other_process(&home), "opened");
}

/// Runs [`open_from_another_process`] in a process of its own.
fn other_process(home: &Home) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["access::open_from_another_process", "--exact", "--nocapture"])
        .env("OPENHUMAN_TEST_OPEN", home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .find_map(|line| line.split("result: ").nth(1))
        .unwrap_or(&text)
        .to_owned()
}

/// Does nothing unless it is the other process.
#[test]
fn open_from_another_process() {
    let Some(path) = std::env::var_os("OPENHUMAN_TEST_OPEN") else {
        return;
    };
    match open(path.as_ref(), &key(), &at_once()) {
        Ok(_) => println!("\nresult: opened"),
        Err(Error::InUse { .. }) => println!("\nresult: in use"),
        Err(error) => println!("\nresult: {error}"),
    }
}
