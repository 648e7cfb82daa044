use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use openhuman_sqlite::rusqlite::Connection;
use openhuman_sqlite::{
    Anchor, AnchorError, Error, Freshness, Options, Processes, diagnose, freshness, open, rekey,
};
use openhuman_vault::Key;

use crate::{Home, at_once, integrity, key};

const PAGE: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct Memory {
    seal: Mutex<Option<Vec<u8>>>,
    fails: AtomicBool,
    panics: AtomicBool,
}

impl Memory {
    pub(crate) fn seal(&self) -> Option<Vec<u8>> {
        self.seal.lock().unwrap().clone()
    }
}

impl Anchor for Memory {
    fn load(&self) -> Result<Option<Vec<u8>>, AnchorError> {
        Ok(self.seal())
    }

    fn store(&self, seal: &[u8]) -> Result<(), AnchorError> {
        assert!(!self.panics.load(Ordering::Relaxed), "a panic in the anchor");
        if self.fails.load(Ordering::Relaxed) {
            return Err("the keychain is locked".into());
        }
        *self.seal.lock().unwrap() = Some(seal.to_vec());
        Ok(())
    }
}

pub(crate) fn anchored(anchor: &Arc<Memory>) -> Options {
    let anchor: Arc<dyn Anchor> = Arc::<Memory>::clone(anchor);
    Options {
        anchor: Some(anchor),
        ..at_once()
    }
}

fn connect(home: &Home, anchor: &Arc<Memory>) -> Result<Connection, Error> {
    open(&home.path(), &key(), &anchored(anchor))
}

/// A database of several pages after one anchored session.
fn sealed_home() -> (Home, Arc<Memory>) {
    let (home, anchor) = (Home::new(), Arc::new(Memory::default()));
    let connection = connect(&home, &anchor).unwrap();
    assert_eq!(freshness(&connection), Freshness::NeverSealed);
    connection
        .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
        .unwrap();
    write(&connection, "one");
    connection.close().unwrap();
    (home, anchor)
}

fn write(connection: &Connection, text: &str) {
    for _ in 0..8 {
        connection
            .execute("INSERT INTO t (x) VALUES (?1)", [text.repeat(900)])
            .unwrap();
    }
}

#[test]
fn a_clean_close_is_fresh_and_counts_the_sessions_that_wrote() {
    let (home, anchor) = sealed_home();
    for (generation, writes) in [(1, false), (1, true), (2, true), (3, false), (3, false)] {
        let connection = connect(&home, &anchor).unwrap();
        assert_eq!(freshness(&connection), Freshness::Fresh { generation });
        if writes {
            write(&connection, "more");
        }
        connection.close().unwrap();
    }
    let plain = home.open();
    assert_eq!(freshness(&plain), Freshness::NotAnchored);
    assert_eq!(integrity(&plain), "ok");
}

#[test]
fn an_older_copy_of_the_file_is_reported() {
    let (home, anchor) = sealed_home();
    let old = std::fs::read(home.path()).unwrap();
    let connection = connect(&home, &anchor).unwrap();
    connection
        .execute("UPDATE t SET x = 'changed' WHERE id = 1", [])
        .unwrap();
    connection.close().unwrap();
    let new = std::fs::read(home.path()).unwrap();
    std::fs::write(home.path(), &old).unwrap();
    let error = connect(&home, &anchor).unwrap_err();
    assert!(
        matches!(error, Error::RolledBack { generation: 2, .. }),
        "{error}"
    );
    std::fs::write(home.path(), &new).unwrap();
    let connection = connect(&home, &anchor).unwrap();
    assert_eq!(freshness(&connection), Freshness::Fresh { generation: 2 });
    drop(connection);
    // The owner may accept the old one.
    std::fs::write(home.path(), &old).unwrap();
    *anchor.seal.lock().unwrap() = None;
    assert_eq!(
        freshness(&connect(&home, &anchor).unwrap()),
        Freshness::NeverSealed
    );
}

#[test]
fn an_older_version_of_any_one_page_is_reported() {
    let (home, anchor) = sealed_home();
    let old = std::fs::read(home.path()).unwrap();
    let connection = connect(&home, &anchor).unwrap();
    connection
        .execute_batch("UPDATE t SET x = x || '!'; VACUUM")
        .unwrap();
    connection.close().unwrap();
    let new = std::fs::read(home.path()).unwrap();
    let pages = old.len().min(new.len()) / PAGE;
    let mut changed = 0;
    for page in 0..pages {
        let range = page * PAGE..(page + 1) * PAGE;
        if old[range.clone()] == new[range.clone()] {
            continue;
        }
        changed += 1;
        let mut mixed = new.clone();
        mixed[range.clone()].copy_from_slice(&old[range]);
        std::fs::write(home.path(), &mixed).unwrap();
        let error = connect(&home, &anchor).unwrap_err();
        let number = page as u64 + 1;
        assert!(
            matches!(error, Error::RolledBack { page: Some(named), generation: 2, .. } if named == number),
            "page {number}: {error}"
        );
        assert!(
            error.to_string().starts_with(&format!("page {number} of ")),
            "{error}"
        );
    }
    assert!(changed > 3, "{changed} pages");
    // Two at once are not blamed on one.
    let mut mixed = new.clone();
    let both = [0, pages - 1].map(|page| page * PAGE..(page + 1) * PAGE);
    for range in both {
        assert_ne!(old[range.clone()], new[range.clone()]);
        mixed[range.clone()].copy_from_slice(&old[range]);
    }
    std::fs::write(home.path(), &mixed).unwrap();
    let error = connect(&home, &anchor).unwrap_err();
    assert!(matches!(error, Error::RolledBack { page: None, .. }), "{error}");
    // A page that does not authenticate is damaged, and not an older one.
    let mut damaged = new.clone();
    damaged[3 * PAGE - 1] ^= 1;
    std::fs::write(home.path(), &damaged).unwrap();
    let error = connect(&home, &anchor).unwrap_err();
    assert!(matches!(error, Error::PageCorrupt { page: 3, .. }), "{error}");
    // The control: without the anchor nobody notices, because every page is authentic.
    std::fs::write(home.path(), &mixed).unwrap();
    assert!(open(&home.path(), &key(), &at_once()).is_ok());
}

#[test]
fn a_log_or_pages_added_after_a_clean_close_are_reported() {
    let (home, anchor) = sealed_home();
    let good = std::fs::read(home.path()).unwrap();
    let session = home.open();
    write(&session, "unanchored");
    let log = std::fs::read(home.dir().join("test.db-wal")).unwrap();
    drop(session);
    assert!(
        matches!(connect(&home, &anchor), Err(Error::RolledBack { .. })),
        "another program wrote"
    );
    std::fs::write(home.path(), &good).unwrap();
    std::fs::write(home.dir().join("test.db-wal"), &log).unwrap();
    assert!(
        matches!(connect(&home, &anchor), Err(Error::RolledBack { .. })),
        "a log was put there"
    );
    std::fs::remove_file(home.dir().join("test.db-wal")).unwrap();
    assert!(connect(&home, &anchor).is_ok());
    std::fs::write(home.path(), [&good[..], &[0; PAGE]].concat()).unwrap();
    assert!(matches!(connect(&home, &anchor), Err(Error::RolledBack { .. })));
}

#[test]
fn after_an_unclean_close_freshness_is_unknown_until_the_next_clean_one() {
    let (home, anchor) = sealed_home();
    let connection = connect(&home, &anchor).unwrap();
    write(&connection, "crash");
    // What a crash leaves: the files and the anchor as they are now.
    let copy = Home::new();
    for name in ["test.db", "test.db-wal"] {
        std::fs::copy(home.dir().join(name), copy.dir().join(name)).unwrap();
    }
    let crashed = Arc::new(Memory::default());
    *crashed.seal.lock().unwrap() = anchor.seal();
    drop(connection);
    let connection = connect(&copy, &crashed).unwrap();
    assert_eq!(freshness(&connection), Freshness::UncleanClose { generation: 2 });
    write(&connection, "after");
    connection.close().unwrap();
    let connection = connect(&copy, &crashed).unwrap();
    assert_eq!(freshness(&connection), Freshness::Fresh { generation: 3 });
}

#[test]
fn nothing_is_written_when_the_anchor_cannot_keep_the_seal() {
    let (home, anchor) = sealed_home();
    let before = std::fs::read(home.path()).unwrap();
    for failure in [&anchor.fails, &anchor.panics] {
        failure.store(true, Ordering::Relaxed);
        let connection = connect(&home, &anchor).unwrap();
        let error = connection.execute("DELETE FROM t", []).unwrap_err();
        let error = diagnose(&connection, error);
        let panicked = anchor.panics.load(Ordering::Relaxed);
        assert!(panicked || matches!(error, Error::Anchor { .. }), "{error}");
        drop(connection);
        failure.store(false, Ordering::Relaxed);
        assert_eq!(std::fs::read(home.path()).unwrap(), before);
    }
    let connection = connect(&home, &anchor).unwrap();
    assert_eq!(freshness(&connection), Freshness::Fresh { generation: 1 });
    assert_eq!(integrity(&connection), "ok");
}

#[test]
fn a_seal_that_cannot_be_stored_at_close_leaves_freshness_unknown() {
    let (home, anchor) = sealed_home();
    let connection = connect(&home, &anchor).unwrap();
    write(&connection, "x");
    anchor.panics.store(true, Ordering::Relaxed);
    connection.close().unwrap();
    anchor.panics.store(false, Ordering::Relaxed);
    let connection = connect(&home, &anchor).unwrap();
    assert_eq!(freshness(&connection), Freshness::UncleanClose { generation: 2 });
}

#[test]
fn a_damaged_seal_is_an_error_in_every_byte() {
    let (home, anchor) = sealed_home();
    let seal = anchor.seal().unwrap();
    for at in 0..seal.len() {
        let mut changed = seal.clone();
        changed[at] ^= 1;
        *anchor.seal.lock().unwrap() = Some(changed);
        let result = connect(&home, &anchor);
        // A seal that says "open" promises nothing; any other change is noticed.
        let opened = result
            .as_ref()
            .is_ok_and(|connection| matches!(freshness(connection), Freshness::UncleanClose { .. }));
        let refused = matches!(result, Err(Error::RolledBack { .. } | Error::Anchor { .. }));
        assert!(refused || (opened && at == 1), "byte {at}");
    }
}

#[test]
fn a_changed_key_keeps_freshness_and_the_old_file_does_not_come_back() {
    let (home, anchor) = sealed_home();
    let old = std::fs::read(home.path()).unwrap();
    let new_key = Key::from_bytes([0x77; 32]);
    rekey(&home.path(), &key(), &new_key, &anchored(&anchor)).unwrap();
    let connection = open(&home.path(), &new_key, &anchored(&anchor)).unwrap();
    assert_eq!(freshness(&connection), Freshness::Fresh { generation: 2 });
    drop(connection);
    std::fs::write(home.path(), old).unwrap();
    assert!(matches!(connect(&home, &anchor), Err(Error::RolledBack { .. })));
}

#[test]
fn an_anchor_needs_one_process_and_the_first_connection() {
    let (home, anchor) = sealed_home();
    let shared = Options {
        processes: Processes::Many,
        ..anchored(&anchor)
    };
    assert!(matches!(
        open(&home.path(), &key(), &shared),
        Err(Error::Unsupported { .. })
    ));
    let _first = home.open();
    assert!(matches!(connect(&home, &anchor), Err(Error::Unsupported { .. })));
}
