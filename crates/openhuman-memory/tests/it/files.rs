//! Files as people have them: broken, empty, huge, binary.

use openhuman_memory::{Document, MAX_DOCUMENT_BYTES, MemoryError, Query};

use crate::Fixture;

#[test]
fn what_is_no_text_is_refused_with_a_reason_and_leaves_nothing() {
    let fixture = Fixture::new();
    fixture.ingest("notes", "The kettle is red.");
    let before = fixture.memory.stats().unwrap();
    let huge = vec![b'a'; 100 * 1024 * 1024];
    for (name, bytes, reason) in [
        ("latin.txt", &b"na\xefve caf\xe9"[..], "byte 2 is not valid UTF-8"),
        (
            "cut.txt",
            "gr\u{fc}n".as_bytes().split_at(3).0,
            "byte 2 is not valid UTF-8",
        ),
        ("photo.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF", "byte 4 is zero"),
        ("program", b"\x7fELF\x02\x01\x01\x00", "byte 7 is zero"),
        ("half.txt", b"\xff\xfea\x00b", "mark of UTF-16"),
        ("lone.txt", b"\xfe\xff\xd8\x00", "mark of UTF-16"),
        ("huge.log", &huge, "at most 16777216"),
    ] {
        let error = Document::from_bytes(name, "", bytes).unwrap_err();
        assert!(error.to_string().contains(reason), "{name}: {error}");
        let expected = if name == "huge.log" {
            matches!(error, MemoryError::TooLong { .. })
        } else {
            matches!(&error, MemoryError::NotText { key, .. } if key == name)
        };
        assert!(expected, "{error:?}");
    }
    let mut document = Document::new("huge", "", "a ".repeat(MAX_DOCUMENT_BYTES));
    assert!(matches!(
        fixture.memory.ingest(&document),
        Err(MemoryError::TooLong { .. })
    ));
    // One of a batch is wrong: none is stored.
    document.text.truncate(10);
    let unnamed = Document::new("", "", "No key.");
    assert!(fixture.memory.ingest_all(&[document, unnamed]).is_err());
    assert_eq!(fixture.memory.stats().unwrap(), before);
    assert_eq!(fixture.memory.check().unwrap(), 1);
}

#[test]
fn empty_files_and_marks_of_encodings_are_no_errors() {
    let fixture = Fixture::new();
    let empty = Document::from_bytes("empty", "Nothing", b"").unwrap();
    let report = fixture.memory.ingest(&empty).unwrap();
    assert_eq!((report.chunks, report.embedded), (0, 0));
    for (name, bytes) in [
        ("marked", &b"\xef\xbb\xbfThe kettle is red."[..]),
        (
            "little",
            b"\xff\xfeT\x00h\x00e\x00 \x00k\x00e\x00t\x00t\x00l\x00e\x00",
        ),
        (
            "big",
            b"\xfe\xff\x00T\x00h\x00e\x00 \x00k\x00e\x00t\x00t\x00l\x00e",
        ),
    ] {
        let document = Document::from_bytes(name, "", bytes).unwrap();
        assert!(document.text.starts_with("The kettle"), "{name}");
        fixture.memory.ingest(&document).unwrap();
    }
    assert_eq!(fixture.memory.search(&Query::new("kettle")).unwrap().len(), 3);
}
