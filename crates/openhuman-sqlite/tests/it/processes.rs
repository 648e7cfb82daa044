//! Several processes on one database, and processes that the system limits.

use std::path::Path;
use std::process::{Command, Stdio};

use openhuman_sqlite::rusqlite::TransactionBehavior;
use openhuman_sqlite::{Error, Options, Processes, diagnose, open};

use crate::{Home, at_once, integrity, key};

const TURNS: i64 = 40;

fn shared() -> Options {
    Options {
        processes: Processes::Many,
        busy_timeout: std::time::Duration::from_secs(60),
        ..Options::default()
    }
}

/// This program again, to run one test that acts as another process.
fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([&format!("processes::{test}"), "--exact", "--nocapture"])
        .env("OPENHUMAN_TEST_CHILD", path)
        .stdin(Stdio::null());
    command
}

#[test]
fn processes_that_ask_for_it_share_a_database() {
    let home = Home::new();
    let mut children: Vec<_> = (0..4)
        .map(|_| {
            child("count_up", &home.path())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let connection = open(&home.path(), &key(), &shared()).unwrap();
    let (n, rows): (i64, i64) = connection
        .query_row(
            "SELECT (SELECT n FROM counter), (SELECT count(*) FROM log)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!((n, rows), (4 * TURNS, 4 * TURNS));
    assert_eq!(integrity(&connection), "ok");
    assert!(
        home.dir().join("test.db-shm").exists(),
        "the index is shared by a file"
    );
    let alone = Options {
        processes: Processes::One,
        ..at_once()
    };
    assert!(matches!(
        open(&home.path(), &key(), &alone),
        Err(Error::Unsupported { .. })
    ));
    drop(connection);
    let left: Vec<_> = home.files().into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["test.db", "test.db-lock"], "and gone at the end");
    let _alone = open(&home.path(), &key(), &alone).unwrap();
    let output = child("count_up_or_say_in_use", &home.path()).output().unwrap();
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("in use"),
        "one that is alone stays alone"
    );
}

/// Acts as one of several processes.
#[test]
fn count_up() {
    let Some(path) = std::env::var_os("OPENHUMAN_TEST_CHILD") else {
        return;
    };
    let mut connection = open(path.as_ref(), &key(), &shared()).unwrap();
    connection
        .execute_batch("PRAGMA wal_autocheckpoint = 10; PRAGMA cache_size = 5")
        .unwrap();
    for turn in 0..TURNS {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .unwrap();
        transaction
            .execute_batch(
                "CREATE TABLE IF NOT EXISTS counter (n INTEGER); CREATE TABLE IF NOT EXISTS log (x TEXT);
                 INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM counter);
                 UPDATE counter SET n = n + 1",
            )
            .unwrap();
        // Larger than the cache: frames are written again inside their transaction.
        transaction
            .execute(
                "INSERT INTO log VALUES (?1)",
                ["z".repeat(turn as usize % 7 * 9000)],
            )
            .unwrap();
        transaction.commit().unwrap();
        let (n, rows): (i64, i64) = connection
            .query_row(
                "SELECT (SELECT n FROM counter), (SELECT count(*) FROM log)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(n, rows, "half a transaction of another process");
    }
}

/// Acts as a process that comes to a database which is not shared.
#[test]
fn count_up_or_say_in_use() {
    let Some(path) = std::env::var_os("OPENHUMAN_TEST_CHILD") else {
        return;
    };
    let options = Options {
        processes: Processes::Many,
        ..at_once()
    };
    match open(path.as_ref(), &key(), &options) {
        Err(Error::InUse { .. }) => println!("in use"),
        other => println!("{other:?}"),
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_a_clear_error_and_loses_nothing() {
    let home = Home::new();
    home.open()
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
        .unwrap();
    let limited = child("fill_the_disk", &home.path());
    // The size of any one file is limited, which the system reports much like a full disk.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 700; exec \"$@\"", "sh"])
        .arg(limited.get_program())
        .args(limited.get_args())
        .env("OPENHUMAN_TEST_CHILD", home.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let committed: u32 = text
        .lines()
        .find_map(|line| line.strip_prefix("full after "))
        .unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
        .parse()
        .unwrap();
    assert!(committed > 5);
    let connection = home.open();
    let stored: u32 = connection
        .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(stored, committed);
    assert_eq!(integrity(&connection), "ok");
}

/// Acts as a process with too little room.
#[test]
fn fill_the_disk() {
    let Some(path) = std::env::var_os("OPENHUMAN_TEST_CHILD") else {
        return;
    };
    let connection = open(path.as_ref(), &key(), &Options::default()).unwrap();
    connection
        .execute_batch("PRAGMA wal_autocheckpoint = 50")
        .unwrap();
    for id in 0..10_000u32 {
        let written = connection.execute("INSERT INTO t VALUES (?1, ?2)", (id, "x".repeat(4500)));
        if let Err(error) = written {
            let error = diagnose(&connection, error);
            assert!(matches!(error, Error::DiskFull { .. }), "{error}");
            let count: u32 = connection
                .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
                .unwrap();
            assert_eq!(count, id, "reading goes on");
            println!("\nfull after {id}");
            return;
        }
    }
}

#[cfg(unix)]
#[test]
fn without_room_the_key_stays_and_the_error_says_so() {
    let (home, crashed) = (Home::new(), Home::new());
    let connection = home.open();
    connection
        .execute_batch("PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
        .unwrap();
    for id in 0..200u32 {
        connection
            .execute("INSERT INTO t VALUES (?1, ?2)", (id, "x".repeat(4500)))
            .unwrap();
    }
    for name in ["test.db", "test.db-wal"] {
        std::fs::copy(home.dir().join(name), crashed.dir().join(name)).unwrap();
    }
    drop(connection);
    // Once there is no room for what is in the log, once for the copy.
    for home in [&crashed, &home] {
        let limited = child("change_the_key", &home.path());
        let output = Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f 700; exec \"$@\"", "sh"])
            .arg(limited.get_program())
            .args(limited.get_args())
            .env("OPENHUMAN_TEST_CHILD", home.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("there is no room left"), "{text}");
        assert!(
            !home.dir().join("test.db-rekey").exists(),
            "it would stand in the way"
        );
        let connection = home.open();
        let stored: u32 = connection
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!((stored, integrity(&connection).as_str()), (200, "ok"));
    }
}

/// Acts as a process with too little room.
#[test]
fn change_the_key() {
    if let Some(path) = std::env::var_os("OPENHUMAN_TEST_CHILD") {
        let new = openhuman_vault::Key::from_bytes([0x55; 32]);
        match openhuman_sqlite::rekey(path.as_ref(), &key(), &new, &at_once()) {
            Ok(()) => println!("changed"),
            Err(error) => println!("{error}"),
        }
    }
}

#[cfg(unix)]
#[test]
fn a_directory_that_cannot_be_written_is_a_clear_error() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    home.open().execute_batch("CREATE TABLE t (x)").unwrap();
    let mode =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(&home.path(), 0o444);
    mode(&home.dir().join("test.db-lock"), 0o444);
    mode(home.dir(), 0o555);
    let before = home.files();
    // The superuser may write anywhere.
    let run = |test: &str| {
        let child = child(test, &home.path());
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "[ $(id -u) = 0 ] && set -- setpriv --reuid 65534 --clear-groups \"$@\"; exec \"$@\"",
                "sh",
            ])
            .arg(child.get_program())
            .args(child.get_args())
            .env("OPENHUMAN_TEST_CHILD", home.path());
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let text = run("open_where_nothing_can_be_written");
    mode(home.dir(), 0o755);
    assert!(
        text.contains("cannot be written; check the permissions"),
        "{text}"
    );
    assert_eq!(home.files(), before);
}

/// Acts as a process that may not write.
#[test]
fn open_where_nothing_can_be_written() {
    let Some(path) = std::env::var_os("OPENHUMAN_TEST_CHILD") else {
        return;
    };
    match open(path.as_ref(), &key(), &at_once()) {
        Ok(_) => println!("opened"),
        Err(error) => println!("{error}"),
    }
}
