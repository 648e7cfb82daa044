use super::*;
use crate::format::RESERVE;
use crate::vfs::memory::{MemoryFile, database};

fn page(fill: u8) -> [u8; PAGE] {
    let mut page = [fill; PAGE];
    page[PAGE - RESERVE..].fill(0);
    page
}

/// A frame header for page 2, told apart by its last byte.
fn header(mark: u8) -> [u8; FRAME_HEADER] {
    let mut header = [0; FRAME_HEADER];
    header[3] = 2;
    header[FRAME_HEADER - 1] = mark;
    header
}

fn log(frames: u8) -> LogFile<MemoryFile> {
    let mut log = LogFile::new(MemoryFile::default(), database());
    log.write(&[0xaa; LOG_HEADER], 0).unwrap();
    for n in 0..frames {
        log.write(&header(n), frame_offset(n.into())).unwrap();
        log.write(&page(n), frame_offset(n.into()) + FRAME_HEADER as u64)
            .unwrap();
    }
    log
}

fn frame(log: &mut LogFile<MemoryFile>, index: u64) -> Vec<u8> {
    let mut buf = vec![1; FRAME];
    log.read(&mut buf, frame_offset(index)).unwrap();
    buf
}

#[test]
fn a_header_and_its_page_are_one_write() {
    let mut log = log(2);
    assert_eq!(
        log.raw().writes,
        [(0, LOG_HEADER), (32, FRAME), (32 + FRAME as u64, FRAME)]
    );
    assert_eq!(frame(&mut log, 1), [&header(1)[..], &page(1)].concat());
    let mut part = [0; 8];
    log.read(&mut part, frame_offset(1) + 16).unwrap();
    assert_eq!(part, header(1)[16..], "the checksum of the frame before");
    let mut buf = [0; PAGE];
    log.read(&mut buf, frame_offset(0) + FRAME_HEADER as u64).unwrap();
    assert_eq!(buf, page(0));
    log.read(&mut buf[..LOG_HEADER], 0).unwrap();
    assert_eq!(buf[..LOG_HEADER], [0xaa; LOG_HEADER]);
    assert_eq!(
        log.read(&mut buf, frame_offset(2) + 24),
        Err(ffi::SQLITE_IOERR_SHORT_READ)
    );
}

#[test]
fn a_page_written_again_keeps_its_header() {
    let mut log = log(2);
    log.write(&page(9), frame_offset(0) + FRAME_HEADER as u64)
        .unwrap();
    assert_eq!(frame(&mut log, 0), [&header(0)[..], &page(9)].concat());
}

#[test]
fn a_header_after_a_whole_read_is_on_disk_at_once() {
    let mut log = log(2);
    frame(&mut log, 0);
    let writes = log.raw().writes.len();
    log.write(&header(77), frame_offset(0)).unwrap();
    assert_eq!(log.raw().writes.len(), writes + 1);
    assert_eq!(frame(&mut log, 0), [&header(77)[..], &page(0)].concat());
}

/// What recovery leaves when the log was begun anew and then the power failed: the last frame it looked at is one
/// of the older generation, and the first frame written afterwards takes its place.
#[test]
fn the_first_write_after_a_crash_replaces_a_frame_that_recovery_read() {
    let mut log = log(2);
    let old = frame(&mut log, 1);
    let mut first = header(0);
    first[3] = 1;
    first[8..16].fill(0x5a);
    let content = format::empty_database(1);
    log.write(&first, frame_offset(1)).unwrap();
    log.write(&content, frame_offset(1) + FRAME_HEADER as u64)
        .unwrap();
    let new = frame(&mut log, 1);
    assert_ne!(new, old);
    assert_eq!(new, [&first[..], &content].concat());
}

#[test]
fn a_waiting_header_is_written_by_whatever_comes_next() {
    let next: [fn(&mut LogFile<MemoryFile>); 5] = [
        |log| log.write(&header(5), frame_offset(2)).unwrap(),
        |log| log.sync(0).unwrap(),
        |log| log.flush().unwrap(),
        LogFile::flush_or_remember,
        |log| drop(frame(log, 1)),
    ];
    for next in next {
        let mut log = log(2);
        log.write(&header(66), frame_offset(0)).unwrap();
        next(&mut log);
        let mut raw = std::mem::take(log.raw());
        let mut reader = LogFile::new(std::mem::take(&mut raw), Arc::clone(&log.database));
        assert_eq!(frame(&mut reader, 0), [&header(66)[..], &page(0)].concat());
    }
}

#[test]
fn a_new_generation_or_a_cut_forgets_a_waiting_header() {
    for forget in [
        |log: &mut LogFile<MemoryFile>| log.write(&[1; LOG_HEADER], 0),
        |log: &mut LogFile<MemoryFile>| log.truncate(32),
    ] {
        let mut log = log(1);
        log.write(&header(66), frame_offset(0)).unwrap();
        forget(&mut log).unwrap();
        assert!(log.pending.is_none());
    }
}

#[test]
fn a_write_that_fails_where_no_error_is_possible_fails_everything_after() {
    let mut log = log(1);
    log.write(&header(66), frame_offset(0)).unwrap();
    log.raw().broken = Some(ffi::SQLITE_FULL);
    log.flush_or_remember();
    log.raw().broken = None;
    assert_eq!(log.sync(0), Err(ffi::SQLITE_FULL));
    assert_eq!(log.write(&page(1), frame_offset(0) + 24), Err(ffi::SQLITE_FULL));
    assert_eq!(
        log.read(&mut [0; PAGE], frame_offset(0) + 24),
        Err(ffi::SQLITE_FULL)
    );
}

#[test]
fn a_damaged_frame_ends_recovery_and_fails_any_other_read() {
    let mut log = log(3);
    log.raw().content[frame_offset(1) as usize + 1000] ^= 1;
    assert_eq!(frame(&mut log, 1), [0; FRAME], "recovery sees an empty frame");
    let mut buf = [1; PAGE];
    assert_eq!(
        log.read(&mut buf, frame_offset(1) + 24),
        Err(ffi::SQLITE_IOERR_DATA)
    );
    assert_eq!((buf, log.database.damage()), ([0; PAGE], Some(Damage::Frame(1))));
    assert_eq!(
        log.write(&page(1), frame_offset(1) + 24),
        Err(ffi::SQLITE_IOERR_DATA),
        "no header to keep"
    );
    frame(&mut log, 2);
}

#[test]
fn a_frame_moved_to_another_place_is_damaged() {
    let mut log = log(2);
    let (a, b) = (frame_offset(0) as usize, frame_offset(1) as usize);
    let content = &mut log.raw().content;
    content.copy_within(a..a + FRAME, b);
    assert_eq!(frame(&mut log, 1), [0; FRAME]);
}

#[test]
fn writes_of_any_other_shape_are_refused() {
    let mut log = log(1);
    for (n, at) in [
        (10, 0),
        (32, 8),
        (24, 33),
        (100, 32),
        (PAGE, 32),
        (24, 56),
        (FRAME, 32),
    ] {
        assert_eq!(
            log.write(&vec![0; n], at),
            Err(ffi::SQLITE_IOERR_WRITE),
            "{n} bytes at {at}"
        );
    }
    let mut first = header(0);
    first[3] = 1;
    log.write(&first, frame_offset(1)).unwrap();
    let refused = log.write(&page(1), frame_offset(1) + 24);
    assert_eq!(
        refused,
        Err(ffi::SQLITE_IOERR_WRITE),
        "a page 1 that is not of this format"
    );
}
