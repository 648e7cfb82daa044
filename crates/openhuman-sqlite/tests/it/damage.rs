use openhuman_sqlite::rusqlite::Connection;
use openhuman_sqlite::{Error, diagnose, export_plain, open};

use crate::{Home, at_once, key};

const PAGE: usize = 4096;
const FRAME: usize = PAGE + 24;

/// A database of several pages, closed, so that all of it is in the main file.
fn closed_database(rows: u32) -> Home {
    let home = Home::new();
    let connection = home.open();
    connection
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT); CREATE INDEX i ON t (x)")
        .unwrap();
    for id in 0..rows {
        connection
            .execute(
                "INSERT INTO t VALUES (?1, ?2)",
                (id, format!("{id} {}", "text ".repeat(90))),
            )
            .unwrap();
    }
    connection.close().unwrap();
    assert_eq!(home.files().len(), 2, "database and lock");
    home
}

/// Opens the database and reads all of it.
fn read_all(home: &Home) -> Result<Vec<(u32, String)>, Error> {
    let connection = open(&home.path(), &key(), &at_once())?;
    let result: openhuman_sqlite::rusqlite::Result<_> = (|| {
        let entries = "SELECT count(x) FROM t INDEXED BY i WHERE x > ''";
        let entries: u32 = connection.query_row(entries, [], |row| row.get(0))?;
        let mut statement = connection.prepare("SELECT id, x FROM t ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        assert_eq!(rows.len(), entries as usize);
        Ok(rows)
    })();
    result.map_err(|error| diagnose(&connection, error))
}

#[test]
fn a_flipped_bit_in_any_byte_is_detected() {
    let home = closed_database(6);
    let good = std::fs::read(home.path()).unwrap();
    let rows = read_all(&home).unwrap();
    assert!(good.len() >= 3 * PAGE && rows.len() == 6);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        std::fs::write(home.path(), &bad).unwrap();
        match read_all(&home) {
            Err(Error::WrongKey { .. }) => assert!(at < 16, "byte {at}"),
            Err(Error::PageCorrupt { page, .. }) => assert_eq!(page as usize, at / PAGE + 1, "byte {at}"),
            other => panic!("byte {at} of {}: {other:?}", good.len()),
        }
    }
    std::fs::write(home.path(), &good).unwrap();
    assert_eq!(read_all(&home).unwrap(), rows);
}

#[test]
fn exchanged_repeated_or_zeroed_pages_are_detected() {
    let home = closed_database(40);
    let good = std::fs::read(home.path()).unwrap();
    let page = |n: usize| n * PAGE..(n + 1) * PAGE;
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bad = good.clone();
        change(&mut bad);
        std::fs::write(home.path(), bad).unwrap();
        read_all(&home).expect_err("it is detected")
    };
    let exchanged = with(&|bad| {
        bad[page(2)].copy_from_slice(&good[page(3)]);
        bad[page(3)].copy_from_slice(&good[page(2)]);
    });
    assert!(matches!(exchanged, Error::PageCorrupt { .. }), "{exchanged}");
    let repeated = with(&|bad| bad[page(4)].copy_from_slice(&good[page(2)]));
    assert!(
        matches!(repeated, Error::PageCorrupt { page: 5, .. }),
        "{repeated}"
    );
    let zeroed = with(&|bad| bad[page(3)].fill(0));
    assert!(matches!(zeroed, Error::PageCorrupt { page: 4, .. }), "{zeroed}");
    let first = with(&|bad| bad[16..PAGE].fill(0));
    assert!(matches!(first, Error::PageCorrupt { page: 1, .. }), "{first}");
}

#[test]
fn a_page_of_another_database_is_detected() {
    let (home, other) = (closed_database(20), closed_database(20));
    let (mut bytes, foreign) = (
        std::fs::read(home.path()).unwrap(),
        std::fs::read(other.path()).unwrap(),
    );
    bytes[2 * PAGE..3 * PAGE].copy_from_slice(&foreign[2 * PAGE..3 * PAGE]);
    std::fs::write(home.path(), bytes).unwrap();
    assert!(matches!(read_all(&home), Err(Error::PageCorrupt { page: 3, .. })));
}

#[test]
fn truncation_at_any_length_is_detected() {
    let home = closed_database(40);
    let good = std::fs::read(home.path()).unwrap();
    let step = crate::count("OPENHUMAN_FLIP_STEP", 997) as usize;
    let cuts = (0..good.len())
        .step_by(step)
        .chain((0..good.len()).step_by(PAGE))
        .chain([1, good.len() - 1]);
    for cut in cuts {
        std::fs::write(home.path(), &good[..cut]).unwrap();
        let error = read_all(&home).expect_err("it is detected");
        if cut < PAGE {
            assert!(matches!(error, Error::Truncated { .. }), "{cut}: {error}");
        }
    }
}

/// Copies a database with a live log, as a crash leaves it.
fn live_copy(rows: u32) -> (Home, Vec<u32>) {
    let home = Home::new();
    let connection = home.open();
    connection
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
        .unwrap();
    for id in 0..rows {
        connection
            .execute("INSERT INTO t VALUES (?1, ?2)", (id, "text ".repeat(300)))
            .unwrap();
    }
    let copy = Home::new();
    for name in ["test.db", "test.db-wal"] {
        std::fs::copy(home.dir().join(name), copy.dir().join(name)).unwrap();
    }
    (copy, (0..rows).collect())
}

fn ids(connection: &Connection) -> Vec<u32> {
    let mut statement = connection.prepare("SELECT id FROM t ORDER BY id").unwrap();
    let ids = statement.query_map([], |row| row.get(0)).unwrap();
    ids.map(Result::unwrap).collect()
}

#[test]
fn a_copied_live_database_recovers_from_its_log() {
    let (copy, rows) = live_copy(100);
    assert!(
        std::fs::metadata(copy.path()).unwrap().len() <= PAGE as u64,
        "everything is in the log"
    );
    assert_eq!(ids(&copy.open()), rows);
    assert_eq!(ids(&copy.open()), rows, "and again, from the main file");
}

/// Damage in what had reached the disk is an error. Damage in the last commit is what a crash can leave: the log
/// ends before it.
#[test]
fn a_damaged_log_is_an_error_or_a_consistent_prefix() {
    let (copy, rows) = live_copy(20);
    let (main, log) = (copy.path(), copy.dir().join("test.db-wal"));
    let (good_main, good_log) = (std::fs::read(&main).unwrap(), std::fs::read(&log).unwrap());
    let step = crate::count("OPENHUMAN_FLIP_STEP", 601) as usize;
    let (mut errors, mut prefixes) = (0, 0);
    for at in (0..good_log.len()).step_by(step).chain([good_log.len() - 1]) {
        let mut bad = good_log.clone();
        bad[at] ^= 0x10;
        std::fs::write(&main, &good_main).unwrap();
        std::fs::write(&log, &bad).unwrap();
        let frame = at.saturating_sub(32) / FRAME;
        match open(&copy.path(), &key(), &at_once()) {
            Err(Error::LogCorrupt { frame: found, .. }) => {
                assert_eq!(found as usize, frame);
                errors += 1;
            }
            Ok(connection) => {
                assert_eq!(
                    ids(&connection),
                    rows[..rows.len() - 1],
                    "frame {frame}: only the last commit"
                );
                prefixes += 1;
            }
            Err(error) => panic!("frame {frame}: {error}"),
        }
    }
    assert!(
        errors > prefixes && prefixes > 0,
        "{errors} errors, {prefixes} prefixes"
    );
}

#[test]
fn a_log_cut_anywhere_is_a_consistent_prefix() {
    let (copy, rows) = live_copy(6);
    let (main, log) = (copy.path(), copy.dir().join("test.db-wal"));
    let (good_main, good_log) = (std::fs::read(&main).unwrap(), std::fs::read(&log).unwrap());
    let step = crate::count("OPENHUMAN_FLIP_STEP", 601) as usize;
    for cut in (0..good_log.len()).step_by(step) {
        std::fs::write(&main, &good_main).unwrap();
        std::fs::write(&log, &good_log[..cut]).unwrap();
        let connection = copy.open();
        let exists: bool = connection
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 't'", [], |row| {
                row.get(0)
            })
            .unwrap();
        let found = if exists { ids(&connection) } else { Vec::new() };
        assert_eq!(found, rows[..found.len()], "cut at {cut}");
    }
}

/// An authentic frame of an older log in the place of a newer one: SQLite alone would end the log there.
#[test]
fn a_frame_of_an_older_log_put_into_a_newer_one_is_an_error() {
    let home = Home::new();
    let log = home.dir().join("test.db-wal");
    let connection = home.open();
    connection
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
        .unwrap();
    let write = |from: u32| {
        for id in from..from + 10 {
            connection
                .execute("INSERT INTO t VALUES (?1, ?2)", (id, "text ".repeat(300)))
                .unwrap();
        }
    };
    write(0);
    let older = std::fs::read(&log).unwrap();
    connection
        .query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))
        .unwrap();
    write(10);
    let copy = Home::new();
    let mut bytes = std::fs::read(&log).unwrap();
    let frame = 32 + 3 * FRAME..32 + 4 * FRAME;
    assert_ne!(bytes[frame.clone()], older[frame.clone()]);
    bytes[frame.clone()].copy_from_slice(&older[frame]);
    std::fs::copy(home.path(), copy.path()).unwrap();
    std::fs::write(copy.dir().join("test.db-wal"), bytes).unwrap();
    assert!(matches!(
        open(&copy.path(), &key(), &at_once()),
        Err(Error::LogCorrupt { frame: 3, .. })
    ));
}

#[test]
fn a_torn_page_1_is_recovered_from_the_log() {
    let (copy, rows) = live_copy(30);
    let good = std::fs::read(copy.path()).unwrap();
    let log = std::fs::read(copy.dir().join("test.db-wal")).unwrap();
    // What a checkpoint would write, torn after each sector: 16 bytes of id stay, the rest is new or old.
    for kept in (512..PAGE).step_by(512) {
        let mut torn = good.clone();
        torn[kept..PAGE].iter_mut().for_each(|byte| *byte ^= 0x5a);
        std::fs::write(copy.path(), torn).unwrap();
        std::fs::write(copy.dir().join("test.db-wal"), &log).unwrap();
        assert_eq!(ids(&copy.open()), rows, "{kept} bytes of the old page 1");
    }
}

#[test]
fn a_failed_export_leaves_nothing_readable_behind() {
    let home = closed_database(400);
    let mut bytes = std::fs::read(home.path()).unwrap();
    let last = bytes.len() - PAGE;
    bytes[last] ^= 1;
    std::fs::write(home.path(), bytes).unwrap();
    let connection = home.open();
    export_plain(&connection, &home.dir().join("plain.db")).expect_err("a page is damaged");
    for (name, _) in home.files() {
        assert!(!name.starts_with("plain.db"), "{name} is left");
    }
}

#[test]
fn a_planted_rollback_journal_is_ignored() {
    let home = closed_database(5);
    std::fs::write(home.dir().join("test.db-journal"), vec![0xd9; 8192]).unwrap();
    assert_eq!(read_all(&home).unwrap().len(), 5);
}
