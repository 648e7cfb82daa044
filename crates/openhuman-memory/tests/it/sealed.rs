use std::fs;
use std::path::Path;

use openhuman_memory::{Document, Key, MemoryError, Query, SessionRecord, SessionRole};

use crate::{key, open};

const CANARY: &str = "xylophonecanary";

/// Looks for the canary in names and contents of all files below a directory, and counts the files.
fn search_files(dir: &Path) -> (usize, Vec<String>) {
    let (mut count, mut found) = (0, Vec::new());
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if path.is_dir() {
            let (inner, more) = search_files(&path);
            count += inner;
            found.extend(more);
            continue;
        }
        count += 1;
        let bytes = fs::read(&path).unwrap();
        let utf16: Vec<u8> = CANARY.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let holds = |needle: &[u8]| {
            bytes
                .windows(needle.len())
                .any(|window| window.eq_ignore_ascii_case(needle))
        };
        if name.contains(CANARY)
            || holds(CANARY.as_bytes())
            || holds(&CANARY.as_bytes()[..10])
            || holds(&utf16)
        {
            found.push(name);
        }
    }
    (count, found)
}

#[test]
fn nothing_readable_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path(), &key()).unwrap();
    let document = Document {
        namespace: format!("{CANARY}-namespace"),
        key: format!("{CANARY}-key"),
        title: format!("{CANARY} title"),
        text: format!(
            "# {CANARY} heading\n\n{}",
            format!("The {CANARY} plays at midnight. ").repeat(500)
        ),
        source: format!("/home/{CANARY}"),
        created_ms: None,
    };
    memory.ingest(&document).unwrap();
    for n in 0..50 {
        memory
            .ingest(&Document::new(
                format!("{CANARY}{n}"),
                CANARY,
                format!("{CANARY} number {n}"),
            ))
            .unwrap();
    }
    assert!(!memory.search(&Query::new(CANARY)).unwrap().is_empty());
    let session = memory.session(&format!("{CANARY}-session")).unwrap();
    session
        .append(&SessionRecord::text(
            1,
            SessionRole::User,
            format!("Tell me about {CANARY}."),
        ))
        .unwrap();
    let (files, found) = search_files(dir.path());
    assert!(files >= 2, "the database and a session");
    assert_eq!(found, Vec::<String>::new(), "while it is open");
    drop((session, memory));
    let (_, found) = search_files(dir.path());
    assert_eq!(found, Vec::<String>::new(), "after it was closed");

    // The search itself works: an export is readable.
    let memory = open(dir.path(), &key()).unwrap();
    memory.export_plain(&dir.path().join("plain.db")).unwrap();
    let (_, found) = search_files(dir.path());
    assert_eq!(found.len(), 1);
}

#[test]
fn another_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path(), &key()).unwrap();
    memory.ingest(&Document::new("a", "", "secret")).unwrap();
    drop(memory);
    let error = open(dir.path(), &Key::from_bytes([1; 32])).unwrap_err();
    assert!(matches!(error, MemoryError::WrongKey { .. }), "{error}");
    assert!(open(dir.path(), &key()).is_ok(), "the right key still opens it");
}

#[test]
fn what_was_stored_survives_a_crash() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let memory = open(dir.path(), &key()).unwrap();
    let mut reports = Vec::new();
    for n in 0..20 {
        reports.push(
            memory
                .ingest(&Document::new(format!("{n}"), "", format!("Note number{n}.")))
                .unwrap(),
        );
    }
    memory.forget(&reports[3].document_id).unwrap();
    memory
        .session("s")
        .unwrap()
        .append(&SessionRecord::text(1, SessionRole::User, "hello"))
        .unwrap();

    // The files as a crash would leave them: nothing was closed.
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    fs::create_dir(copy.path().join("sessions")).unwrap();
    for entry in fs::read_dir(dir.path().join("sessions")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join("sessions").join(entry.file_name())).unwrap();
    }
    let after = open(copy.path(), &key()).unwrap();
    assert_eq!(after.documents(None).unwrap(), memory.documents(None).unwrap());
    assert_eq!(after.stats().unwrap().vectors, 19);
    let query = Query::new("number17 number3");
    assert_eq!(after.search(&query).unwrap(), memory.search(&query).unwrap());
    assert_eq!(after.session("s").unwrap().read().unwrap().len(), 2);
}

#[test]
fn a_damaged_database_is_named_with_its_page_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), &key()).unwrap());
    let path = dir.path().join("memory.db");
    let mut bytes = fs::read(&path).unwrap();
    for page in bytes.chunks_exact_mut(4096).skip(1) {
        page[100] ^= 1;
    }
    fs::write(&path, bytes).unwrap();
    let error = open(dir.path(), &key()).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
}

#[test]
fn an_unusable_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let error = open(&file, &key()).unwrap_err();
    assert!(
        matches!(&error, MemoryError::Io { path, .. } if *path == file),
        "{error}"
    );
}

#[test]
fn nothing_secret_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path(), &key()).unwrap();
    let session = memory.session("s").unwrap();
    let printed = format!("{memory:?} {session:?}");
    assert!(!printed.contains("42, 42"), "{printed}");
    fn shared<T: Clone + Send + Sync>(_: &T) {}
    shared(&memory);
    shared(&session);
}
