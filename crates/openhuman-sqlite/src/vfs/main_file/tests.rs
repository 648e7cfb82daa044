use super::*;
use crate::format::{RESERVE, empty_database};
use crate::vfs::memory::{MemoryFile, database};

fn page(fill: u8) -> [u8; PAGE] {
    let mut page = [fill; PAGE];
    page[PAGE - RESERVE..].fill(0);
    page
}

fn two_pages() -> MainFile<MemoryFile> {
    let mut file = MainFile::new(MemoryFile::default(), database(), false);
    file.write(&empty_database(1), 0).unwrap();
    file.write(&page(7), PAGE as u64).unwrap();
    file
}

#[test]
fn any_range_is_served_from_its_pages() {
    let mut file = two_pages();
    let mut all = vec![0; 2 * PAGE];
    file.read(&mut all, 0).unwrap();
    assert_eq!(all, [empty_database(1), page(7)].concat());
    for (at, n) in [(24, 16), (0, 100), (PAGE, PAGE), (PAGE - 3, 9), (PAGE + 50, 4)] {
        let mut part = vec![0; n];
        file.read(&mut part, at as u64).unwrap();
        assert_eq!(part, all[at..at + n]);
    }
    assert_eq!(file.size().unwrap(), all.len() as u64);
}

#[test]
fn only_whole_pages_of_this_format_are_written() {
    let mut file = two_pages();
    let before = file.raw().content.clone();
    assert_eq!(
        file.write(&page(1)[..512], 0),
        Err(ffi::SQLITE_IOERR_WRITE),
        "a part of a page"
    );
    assert_eq!(
        file.write(&page(1), 512),
        Err(ffi::SQLITE_IOERR_WRITE),
        "not at a page"
    );
    assert_eq!(
        file.write(&[1; PAGE], PAGE as u64),
        Err(ffi::SQLITE_IOERR_WRITE),
        "the reserve is in use"
    );
    assert_eq!(
        file.write(&page(1), 0),
        Err(ffi::SQLITE_IOERR_WRITE),
        "not a page 1 of this format"
    );
    assert_eq!(file.truncate(0), Err(ffi::SQLITE_IOERR_TRUNCATE));
    assert_eq!(file.truncate(5000), Err(ffi::SQLITE_IOERR_TRUNCATE));
    assert_eq!(file.raw().content, before);
}

#[test]
fn damage_is_an_error_that_names_the_page() {
    let mut file = two_pages();
    file.raw().content[PAGE + 100] ^= 1;
    let mut buf = [1; PAGE];
    assert_eq!(file.read(&mut buf, PAGE as u64), Err(ffi::SQLITE_IOERR_DATA));
    assert_eq!(buf, [0; PAGE]);
    assert_eq!(file.database().damage(), Some(Damage::Page(2)));
    assert_eq!(
        file.read(&mut buf, 2 * PAGE as u64),
        Err(ffi::SQLITE_IOERR_DATA),
        "beyond the end"
    );
    assert_eq!(
        file.database().damage(),
        Some(Damage::EndsBefore {
            page: 3,
            size: 2 * PAGE as u64
        })
    );
}

#[test]
fn a_torn_page_1_shows_constants_to_the_header_read_and_to_nothing_else() {
    let mut file = two_pages();
    file.raw().content[2000] ^= 1;
    let mut header = [1; 100];
    file.read(&mut header, 0).unwrap();
    assert_eq!(header, format::constant_header());
    let mut buf = [1; PAGE];
    assert_eq!(file.read(&mut buf, 0), Err(ffi::SQLITE_NOTADB));
    assert_eq!(file.read(&mut buf[..16], 24), Err(ffi::SQLITE_NOTADB));
}

#[test]
fn a_read_only_file_is_not_changed() {
    let raw = std::mem::take(two_pages().raw());
    let mut file = MainFile::new(raw, database(), true);
    assert_eq!(file.write(&page(1), PAGE as u64), Err(ffi::SQLITE_READONLY));
    assert_eq!(file.truncate(PAGE as u64), Err(ffi::SQLITE_IOERR_TRUNCATE));
}
