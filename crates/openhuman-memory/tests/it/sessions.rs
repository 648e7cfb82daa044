use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use openhuman_memory::{Memory, MemoryError, Session, SessionRecord, SessionRole};

use crate::{Fixture, NOW, key, open};

fn message(n: i64) -> SessionRecord {
    SessionRecord::text(n, SessionRole::User, format!("message {n}"))
}

fn messages(session: &Session) -> Vec<SessionRecord> {
    session.read().unwrap().into_iter().skip(1).collect()
}

fn only_file(dir: &std::path::Path) -> PathBuf {
    let mut files = fs::read_dir(dir.join("sessions")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    file
}

#[test]
fn a_session_starts_with_its_header_and_keeps_its_lines() {
    let fixture = Fixture::new();
    let session = fixture.memory.session("chat 1/../x").unwrap();
    assert_eq!(session.id(), "chat 1/../x");
    assert!(session.read().unwrap().is_empty());
    assert!(
        fixture.memory.session_ids().unwrap().is_empty(),
        "looking does not create"
    );
    session.append(&message(1)).unwrap();
    let end = SessionRecord::SessionEnd {
        timestamp: 3,
        memory_captured: true,
    };
    let compaction = SessionRecord::Compaction {
        timestamp: 2,
        compaction_count: 1,
        summary: "s".into(),
        preserved_messages: 4,
        pinned: Vec::new(),
        references: Vec::new(),
    };
    session.append(&compaction).unwrap();
    session.append(&end).unwrap();
    let header = SessionRecord::Session {
        version: "1.0".into(),
        session_id: "chat 1/../x".into(),
        timestamp: NOW,
    };
    assert_eq!(session.read().unwrap(), [header, message(1), compaction, end]);
    assert_eq!(fixture.memory.stats().unwrap().sessions, 1);
}

#[test]
fn sessions_are_listed_reopened_and_forgotten() {
    let fixture = Fixture::new();
    for id in ["b", "a"] {
        fixture.memory.session(id).unwrap().append(&message(7)).unwrap();
        fixture.clock.advance(std::time::Duration::from_secs(1));
    }
    assert_eq!(fixture.memory.session_ids().unwrap(), ["b", "a"]);
    let Fixture { dir, memory, .. } = fixture;
    drop(memory);
    let memory = open(dir.path(), &key()).unwrap();
    assert_eq!(memory.session_ids().unwrap(), ["b", "a"]);
    let session = memory.session("a").unwrap();
    session.append(&message(8)).unwrap();
    assert_eq!(messages(&session), [message(7), message(8)]);
    assert!(memory.forget_session("b").unwrap() && !memory.forget_session("b").unwrap());
    assert_eq!(memory.session_ids().unwrap(), ["a"]);
    only_file(dir.path());

    // A handle that is still around starts the session anew.
    assert!(memory.forget_session("a").unwrap());
    assert!(session.read().unwrap().is_empty());
    session.append(&message(9)).unwrap();
    assert_eq!(messages(&session), [message(9)]);
    assert_eq!(memory.session_ids().unwrap(), ["a"]);
}

#[test]
fn a_torn_tail_is_dropped_and_writing_goes_on() {
    let fixture = Fixture::new();
    let append = |memory: &Memory, n| memory.session("s").unwrap().append(&message(n)).unwrap();
    append(&fixture.memory, 1);
    let file = only_file(fixture.dir.path());
    for torn in [&[0u8, 0, 1][..], &[0, 0, 0, 80, 1, 2, 3]] {
        let whole = fs::metadata(&file).unwrap().len();
        OpenOptions::new()
            .append(true)
            .open(&file)
            .unwrap()
            .write_all(torn)
            .unwrap();
        let count = messages(&fixture.memory.session("s").unwrap()).len();
        append(&fixture.memory, 2);
        assert_eq!(messages(&fixture.memory.session("s").unwrap()).len(), count + 1);
        assert!(fs::metadata(&file).unwrap().len() > whole);
    }
    assert_eq!(
        messages(&fixture.memory.session("s").unwrap()),
        [message(1), message(2), message(2)]
    );
}

#[test]
fn a_changed_record_is_an_error() {
    let fixture = Fixture::new();
    let session = fixture.memory.session("s").unwrap();
    for n in 0..5 {
        session.append(&message(n)).unwrap();
    }
    drop(session);
    let file = only_file(fixture.dir.path());
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2 + 40;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = fixture.memory.session("s").unwrap().read().unwrap_err();
    assert!(matches!(error, MemoryError::SessionFile { .. }), "{error}");
}

#[test]
fn threads_share_one_session() {
    let fixture = Fixture::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let session = fixture.memory.session("s").unwrap();
            scope.spawn(move || (0..5).for_each(|n| session.append(&message(n)).unwrap()));
        }
    });
    let records = fixture.memory.session("s").unwrap().read().unwrap();
    let headers = records
        .iter()
        .filter(|record| matches!(record, SessionRecord::Session { .. }))
        .count();
    assert_eq!((records.len(), headers), (21, 1));
}

/// Windows does not tell a missing file from a file in the place of its directory.
#[cfg(unix)]
#[test]
fn a_session_that_cannot_be_reached_is_not_an_empty_one() {
    let fixture = Fixture::new();
    let session = fixture.memory.session("s").unwrap();
    session.append(&message(1)).unwrap();
    drop(session);
    let sessions = fixture.dir.path().join("sessions");
    fs::rename(&sessions, fixture.dir.path().join("elsewhere")).unwrap();
    fs::write(&sessions, "in the way").unwrap();
    assert!(fixture.memory.session("s").unwrap().read().is_err());
}

/// Whatever the order in which the two get through: what is appended after both is there, and is listed.
#[test]
fn a_session_forgotten_while_it_is_written_keeps_what_comes_later() {
    let fixture = Fixture::new();
    for n in 0..60 {
        let id = format!("session {n}");
        let session = fixture.memory.session(&id).unwrap();
        session.append(&message(1)).unwrap();
        let start = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                session.append(&message(2)).unwrap();
            });
            scope.spawn(|| {
                start.wait();
                fixture.memory.forget_session(&id).unwrap();
            });
        });
        session.append(&message(3)).unwrap();
        drop(session);
        let again = fixture.memory.session(&id).unwrap();
        assert_eq!(messages(&again).last(), Some(&message(3)), "{id}");
        assert!(fixture.memory.session_ids().unwrap().contains(&id), "{id}");
    }
}

#[test]
fn session_limits_are_typed_errors() {
    let fixture = Fixture::new();
    assert!(matches!(
        fixture.memory.session(""),
        Err(MemoryError::Empty { field: "session id" })
    ));
    assert!(matches!(
        fixture.memory.session(&"x".repeat(300)),
        Err(MemoryError::TooLong { .. })
    ));
    let session = fixture.memory.session("s").unwrap();
    let long = SessionRecord::text(1, SessionRole::Tool, "x".repeat(9 * 1024 * 1024));
    assert!(matches!(
        session.append(&long),
        Err(MemoryError::TooLong {
            field: "session record",
            ..
        })
    ));
}
