use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use openhuman_sqlite::rusqlite::TransactionBehavior;

use crate::{Home, integrity};

#[test]
fn one_writer_and_three_readers_see_only_whole_transactions() {
    let home = Home::new();
    let mut writer = home.open();
    writer
        .execute_batch("CREATE TABLE pair (a INTEGER, b INTEGER, x TEXT)")
        .unwrap();
    writer.execute_batch("PRAGMA wal_autocheckpoint = 40").unwrap();
    let (done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let reader = home.open();
                let mut last = 0;
                while !done.load(Ordering::Acquire) {
                    let (a, b): (i64, i64) = reader
                        .query_row(
                            "SELECT coalesce(sum(a), 0), coalesce(sum(b), 0) FROM pair",
                            [],
                            |row| Ok((row.get(0)?, row.get(1)?)),
                        )
                        .unwrap();
                    assert_eq!(a, -b, "half a transaction");
                    assert!(a >= last, "time went back");
                    last = a;
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut n = 0;
        // Goes on until the readers had their turns, however busy the machine is.
        while n < 300 || (reads.load(Ordering::Relaxed) < 100 && n < 20_000) {
            let transaction = writer.transaction().unwrap();
            transaction
                .execute("INSERT INTO pair VALUES (?1, 0, ?2)", (n, "x".repeat(500)))
                .unwrap();
            transaction
                .execute("INSERT INTO pair VALUES (0, -?1, ?2)", (n, "y".repeat(500)))
                .unwrap();
            transaction.commit().unwrap();
            n += 1;
        }
        done.store(true, Ordering::Release);
    });
    assert!(reads.load(Ordering::Relaxed) >= 100);
    assert_eq!(integrity(&writer), "ok");
}

#[test]
fn many_writers_take_turns() {
    let home = Home::new();
    home.open()
        .execute_batch("CREATE TABLE counter (n INTEGER); INSERT INTO counter VALUES (0)")
        .unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = home.open();
                for _ in 0..25 {
                    let transaction = connection
                        .transaction_with_behavior(TransactionBehavior::Immediate)
                        .unwrap();
                    transaction.execute("UPDATE counter SET n = n + 1", []).unwrap();
                    transaction.commit().unwrap();
                }
            });
        }
    });
    let n: i64 = home
        .open()
        .query_row("SELECT n FROM counter", [], |row| row.get(0))
        .unwrap();
    assert_eq!(n, 100);
}

#[test]
fn opening_and_closing_at_once_neither_fails_nor_loses_anything() {
    let home = Home::new();
    home.open().execute_batch("CREATE TABLE t (x)").unwrap();
    thread::scope(|scope| {
        for thread in 0..4 {
            let home = &home;
            scope.spawn(move || {
                for n in 0..20 {
                    home.open()
                        .execute("INSERT INTO t VALUES (?1)", [thread * 100 + n])
                        .unwrap();
                }
            });
        }
    });
    let n: i64 = home
        .open()
        .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(n, 80);
    assert_eq!(integrity(&home.open()), "ok");
}

#[test]
fn racing_to_create_one_database_creates_one() {
    for _ in 0..10 {
        let home = Home::new();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    home.open()
                        .execute_batch("CREATE TABLE IF NOT EXISTS t (x)")
                        .unwrap();
                });
            }
        });
        assert_eq!(integrity(&home.open()), "ok");
    }
}
