use super::*;
use proptest::prelude::*;

fn key() -> Key {
    Key::from_bytes([1; 32])
}

fn filled(records: &[&[u8]]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.ohr");
    let mut file = RecordFile::open(&path, &key()).unwrap();
    for (index, record) in records.iter().enumerate() {
        assert_eq!(file.append(record).unwrap(), index as u64);
    }
    (dir, path)
}

fn read(path: &Path) -> Result<Vec<Vec<u8>>, RecordError> {
    RecordFile::open(path, &key())?.read_all()
}

const RECORDS: [&[u8]; 3] = [b"first", b"", b"the third record"];

#[test]
fn records_come_back_in_order_after_reopening() {
    let (_dir, path) = filled(&RECORDS);
    assert_eq!(read(&path).unwrap(), RECORDS);
    let mut file = RecordFile::open(&path, &key()).unwrap();
    assert_eq!(file.len(), 3);
    assert_eq!(file.append(b"fourth").unwrap(), 3);
    assert_eq!(read(&path).unwrap().last().unwrap(), b"fourth");
    let on_disk = std::fs::read(&path).unwrap();
    assert_eq!(on_disk[0], VERSION, "the version byte comes first");
    assert!(!on_disk.windows(5).any(|window| window == b"first"));
}

#[test]
fn a_wrong_key_and_a_foreign_file_are_told_apart() {
    let (dir, path) = filled(&RECORDS);
    let wrong = RecordFile::open(&path, &Key::from_bytes([2; 32]));
    assert!(matches!(wrong, Err(RecordError::WrongKeyOrTampered { .. })));
    let foreign = dir.path().join("foreign");
    for content in [&b""[..], b"short", &[b'x'; 4000]] {
        std::fs::write(&foreign, content).unwrap();
        assert!(matches!(read(&foreign), Err(RecordError::NotARecordFile { .. })));
    }
    let mut newer = std::fs::read(&path).unwrap();
    newer[0] = 2;
    std::fs::write(&foreign, newer).unwrap();
    assert!(matches!(
        read(&foreign),
        Err(RecordError::UnknownVersion { version: 2, .. })
    ));
}

#[test]
fn a_flipped_bit_never_gives_wrong_records() {
    let (_dir, path) = filled(&RECORDS);
    let good = std::fs::read(&path).unwrap();
    let anchors = HEADER as usize..START as usize;
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bad).unwrap();
        match read(&path) {
            // One of the two anchors may be damaged: that is what a power cut can do, and the other one counts.
            Ok(records) => assert!(anchors.contains(&at) && records == RECORDS, "byte {at}"),
            Err(RecordError::Tampered { .. } | RecordError::WrongKeyOrTampered { .. }) => {}
            Err(RecordError::NotARecordFile { .. } | RecordError::UnknownVersion { .. }) => assert!(at < 8),
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
}

/// Where each record begins, and where the file ends.
fn bounds(records: &[&[u8]]) -> Vec<usize> {
    let mut bounds = vec![START as usize];
    for record in records {
        bounds.push(bounds.last().unwrap() + LENGTH as usize + record.len() + OVERHEAD);
    }
    bounds
}

#[test]
fn removed_exchanged_and_repeated_records_are_errors() {
    let (_dir, path) = filled(&RECORDS);
    let good = std::fs::read(&path).unwrap();
    let at = bounds(&RECORDS);
    assert_eq!(*at.last().unwrap(), good.len());
    let record = |n: usize| &good[at[n]..at[n + 1]];
    let head = &good[..START as usize];
    let cases: [&[&[u8]]; 6] = [
        &[head, record(1), record(2)],
        &[head, record(0), record(2)],
        &[head, record(0), record(1)],
        &[head, record(1), record(0), record(2)],
        &[head, record(0), record(0), record(1), record(2)],
        &[head],
    ];
    for (case, parts) in cases.into_iter().enumerate() {
        std::fs::write(&path, parts.concat()).unwrap();
        assert!(
            matches!(read(&path), Err(RecordError::Tampered { .. })),
            "case {case}"
        );
    }
}

#[test]
fn an_unfinished_record_at_the_end_is_dropped_and_written_over() {
    let (_dir, path) = filled(&RECORDS[..2]);
    let before = std::fs::read(&path).unwrap();
    RecordFile::open(&path, &key())
        .unwrap()
        .append(b"never confirmed")
        .unwrap();
    let after = std::fs::read(&path).unwrap();
    for cut in before.len()..after.len() {
        // The crash came before the anchor was written.
        let mut torn = after[..cut].to_vec();
        torn[..before.len()].copy_from_slice(&before);
        for zeros in [0, 700] {
            let mut torn = torn.clone();
            torn.resize(cut + if cut == before.len() { zeros } else { 0 }, 0);
            std::fs::write(&path, torn).unwrap();
            assert_eq!(read(&path).unwrap(), RECORDS[..2], "cut at {cut}");
            let mut file = RecordFile::open(&path, &key()).unwrap();
            assert_eq!(file.append(b"next").unwrap(), 2);
            assert_eq!(read(&path).unwrap().len(), 3);
        }
    }
    // The record was complete, only the anchor was not written: it counts.
    let mut complete = after;
    complete[..before.len()].copy_from_slice(&before);
    std::fs::write(&path, complete).unwrap();
    assert_eq!(read(&path).unwrap().last().unwrap(), b"never confirmed");
}

/// The disk may write the later parts of a long record before its first one.
#[test]
fn a_power_cut_that_leaves_only_the_end_of_an_unconfirmed_record_does_not_lock_the_file() {
    let (_dir, path) = filled(&RECORDS[..2]);
    let before = std::fs::read(&path).unwrap();
    let mut file = RecordFile::open(&path, &key()).unwrap();
    file.append(&[7; 20_000]).unwrap();
    let after = std::fs::read(&path).unwrap();
    for written_from in [before.len() + 3, before.len() + 4, 4096, 8192] {
        let mut torn = after.clone();
        torn[..before.len()].copy_from_slice(&before);
        torn[before.len()..written_from].fill(0);
        std::fs::write(&path, torn).unwrap();
        assert_eq!(read(&path).unwrap().len(), 2, "written from {written_from}");
        let mut file = RecordFile::open(&path, &key()).unwrap();
        assert_eq!(file.append(b"next").unwrap(), 2);
        assert_eq!(read(&path).unwrap().len(), 3);
    }
}

/// After a failed sync the system may drop the data and still show it: a record appended behind it would be
/// confirmed, and unreadable after a power cut.
#[test]
fn a_record_that_did_not_reach_the_disk_is_not_built_upon() {
    let (_dir, path) = filled(&RECORDS[..1]);
    let before = std::fs::read(&path).unwrap();
    let mut file = RecordFile::open(&path, &key()).unwrap();
    file.sync_fails = true;
    assert!(matches!(file.append(b"refused"), Err(RecordError::Io { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    file.sync_fails = false;
    assert_eq!(file.append(b"next").unwrap(), 1);
    assert_eq!(read(&path).unwrap(), [RECORDS[0], b"next"]);
}

#[test]
fn appending_to_a_file_that_was_cut_off_while_open_is_an_error() {
    let (_dir, path) = filled(&RECORDS);
    let mut file = RecordFile::open(&path, &key()).unwrap();
    let cut = bounds(&RECORDS)[2] as u64;
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(cut)
        .unwrap();
    assert!(matches!(
        file.append(b"lost"),
        Err(RecordError::Tampered { index: 2, .. })
    ));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), cut);
}

#[test]
fn two_handles_see_each_others_records() {
    let (_dir, path) = filled(&[]);
    let mut a = RecordFile::open(&path, &key()).unwrap();
    let mut b = RecordFile::open(&path, &key()).unwrap();
    assert_eq!(
        (
            a.append(b"a").unwrap(),
            b.append(b"b").unwrap(),
            a.append(b"c").unwrap()
        ),
        (0, 1, 2)
    );
    assert_eq!(b.read_all().unwrap(), [b"a", b"b", b"c"]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| RecordFile::open(&path, &key()).unwrap().append(b"x").unwrap());
        }
    });
    assert_eq!(a.read_all().unwrap().len(), 7);
}

#[test]
fn racing_to_create_one_file_creates_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.ohr");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| RecordFile::open(&path, &key()).unwrap().append(b"x").unwrap());
        }
    });
    assert_eq!(read(&path).unwrap().len(), 4);
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "no temporary file is left"
    );
}

#[test]
fn a_record_above_the_limit_is_refused() {
    let (_dir, path) = filled(&[]);
    let mut file = RecordFile::open(&path, &key()).unwrap();
    assert!(matches!(
        file.append(&vec![0; MAX_RECORD + 1]),
        Err(RecordError::TooLong { .. })
    ));
    assert!(file.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever the bytes are: an error or the records, never a panic.
    #[test]
    fn random_damage_is_survived(at in 0usize..400, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (_dir, path) = filled(&RECORDS);
        let mut content = std::fs::read(&path).unwrap();
        let at = at.min(content.len());
        let end = (at + bytes.len()).min(content.len());
        content.splice(at..end, bytes);
        std::fs::write(&path, content).unwrap();
        if let Ok(records) = read(&path) {
            prop_assert_eq!(records, RECORDS);
        }
    }
}
