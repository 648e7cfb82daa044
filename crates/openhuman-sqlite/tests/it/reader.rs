use std::path::Path;
use std::process::Command;

use openhuman_sqlite::rusqlite::Connection;

use crate::{Home, integrity, key};

/// A Python with the package the reader needs: the one of `OPENHUMAN_PYTHON`, else the system's. Without one the test
/// says so; where `OPENHUMAN_REQUIRE_READER` is set, it fails.
fn python() -> Option<String> {
    let works = |python: &String| {
        Command::new(python)
            .args(["-c", "import cryptography"])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    let named = std::env::var("OPENHUMAN_PYTHON").ok();
    let found = named
        .into_iter()
        .chain(["python3".to_owned(), "python".to_owned()])
        .find(works);
    if found.is_none() {
        assert!(
            std::env::var_os("OPENHUMAN_REQUIRE_READER").is_none(),
            "Python with `cryptography` is missing"
        );
        eprintln!("NOT RUN: the independent reader needs Python with the package `cryptography`");
    }
    found
}

fn read(python: &str, database: &Path, key_hex: &str, output: &Path) -> Result<(), String> {
    read_sealed(python, database, key_hex, output, None)
}

fn read_sealed(
    python: &str,
    database: &Path,
    key_hex: &str,
    output: &Path,
    seal: Option<&[u8]>,
) -> Result<(), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_sealed.py");
    let run = Command::new(python)
        .arg(script)
        .arg(database)
        .arg(key_hex)
        .arg(output)
        .args(seal.map(hex))
        .output()
        .unwrap();
    if run.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&run.stderr).into_owned())
    }
}

#[test]
fn an_independent_reader_agrees_about_the_format() {
    let Some(python) = python() else { return };
    let key_hex = hex(key().expose());
    let home = Home::new();
    let mut connection = home.open();
    connection
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT); PRAGMA cache_size = 5")
        .unwrap();
    let copy = home.dir().join("copy.db");
    for (round, wanted) in [(1, 60), (2, 120)] {
        // A transaction larger than the cache: frames are rewritten and their checksums recomputed.
        let transaction = connection.transaction().unwrap();
        for id in wanted - 59..=wanted {
            transaction
                .execute("INSERT INTO t VALUES (?1, ?2)", (id, "text ".repeat(200)))
                .unwrap();
            transaction
                .execute("UPDATE t SET x = x || 'y' WHERE id % 5 = 0", [])
                .unwrap();
        }
        transaction.commit().unwrap();
        read(&python, &home.path(), &key_hex, &copy).unwrap();
        let plain = Connection::open(&copy).unwrap();
        assert_eq!(integrity(&plain), "ok", "round {round}, with a log");
        let sum = "SELECT group_concat(id || x) FROM (SELECT * FROM t ORDER BY id)";
        let get = |connection: &Connection| {
            connection
                .query_row(sum, [], |row| row.get::<_, String>(0))
                .unwrap()
        };
        assert_eq!(get(&plain), get(&connection));
        drop(plain);
        std::fs::remove_file(&copy).unwrap();
    }
    connection.close().unwrap();
    read(&python, &home.path(), &key_hex, &copy).unwrap();
    assert_eq!(
        integrity(&Connection::open(&copy).unwrap()),
        "ok",
        "without a log"
    );

    let other = home.dir().join("other.db");
    assert!(
        read(&python, &home.path(), &"00".repeat(32), &other)
            .unwrap_err()
            .contains("wrong key")
    );
    let mut bytes = std::fs::read(home.path()).unwrap();
    bytes[4096 + 7] ^= 1;
    std::fs::write(home.path(), bytes).unwrap();
    assert!(
        read(&python, &home.path(), &key_hex, &other)
            .unwrap_err()
            .contains("page 2")
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn an_independent_reader_agrees_about_seals_and_damaged_logs() {
    let Some(python) = python() else { return };
    let home = Home::new();
    let anchor = std::sync::Arc::new(crate::freshness::Memory::default());
    let options = crate::freshness::anchored(&anchor);
    let connection = openhuman_sqlite::open(&home.path(), &key(), &options).unwrap();
    connection.execute_batch("CREATE TABLE t (x)").unwrap();
    for n in 0..20 {
        connection.execute("INSERT INTO t VALUES (?1)", [n]).unwrap();
    }
    let log_path = home.dir().join("test.db-wal");
    let (main, log) = (
        std::fs::read(home.path()).unwrap(),
        std::fs::read(&log_path).unwrap(),
    );
    connection.close().unwrap();
    let (seal, key_hex) = (anchor.seal().unwrap(), hex(key().expose()));
    let output = |n: u32| home.dir().join(format!("output-{n}"));
    read_sealed(&python, &home.path(), &key_hex, &output(1), Some(&seal)).unwrap();
    // The same page, an older version of it, and a log: each is authentic, none is the newest.
    let mut older = std::fs::read(home.path()).unwrap();
    older[..4096].copy_from_slice(&main[..4096]);
    std::fs::write(home.path(), older).unwrap();
    let error = read_sealed(&python, &home.path(), &key_hex, &output(2), Some(&seal)).unwrap_err();
    assert!(error.contains("rolled back: page 1 of"), "{error}");

    std::fs::write(home.path(), main).unwrap();
    std::fs::write(&log_path, &log).unwrap();
    read(&python, &home.path(), &key_hex, &output(3)).unwrap();
    let mut damaged = log.clone();
    damaged[32 + 4120 * 3 + 500] ^= 1;
    std::fs::write(&log_path, damaged).unwrap();
    let error = read(&python, &home.path(), &key_hex, &output(4)).unwrap_err();
    assert!(error.contains("frame 3"), "{error}");
    let mut torn = log;
    let last = torn.len() - 1;
    torn[last] ^= 1;
    std::fs::write(&log_path, torn).unwrap();
    read(&python, &home.path(), &key_hex, &output(5)).unwrap();
}
