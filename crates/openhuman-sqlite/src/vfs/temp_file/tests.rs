use proptest::prelude::*;

use super::*;
use crate::vfs::memory::MemoryFile;

fn file(in_memory: u64) -> TempFile<MemoryFile> {
    TempFile::new(in_memory, Box::new(|| Ok(MemoryFile::default())))
}

#[derive(Clone, Debug)]
enum Step {
    Write(usize, Vec<u8>),
    Read(usize, usize),
    Truncate(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0usize..40 * BLOCK;
    prop_oneof![
        (at.clone(), prop::collection::vec(any::<u8>(), 1..9000))
            .prop_map(|(at, data)| Step::Write(at, data)),
        (0usize..40, prop::collection::vec(any::<u8>(), BLOCK..=BLOCK))
            .prop_map(|(n, data)| Step::Write(n * BLOCK, data)),
        (at.clone(), 0usize..9000).prop_map(|(at, n)| Step::Read(at, n)),
        at.prop_map(Step::Truncate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn behaves_like_one_long_vector_wherever_it_lies(
        steps in prop::collection::vec(step(), 1..40),
        in_memory in 0u64..5 * BLOCK as u64,
    ) {
        let (mut file, mut model) = (file(in_memory), Vec::new());
        for step in steps {
            match step {
                Step::Write(at, data) => {
                    file.write(&data, at as u64).unwrap();
                    if model.len() < at + data.len() {
                        model.resize(at + data.len(), 0);
                    }
                    model[at..at + data.len()].copy_from_slice(&data);
                }
                Step::Read(at, n) => {
                    let mut buf = vec![1; n];
                    let result = file.read(&mut buf, at as u64);
                    let mut expected = model.get(at..).unwrap_or_default().to_vec();
                    prop_assert_eq!(result.is_ok(), expected.len() >= n);
                    expected.resize(n.max(expected.len()), 0);
                    prop_assert_eq!(&buf[..], &expected[..n]);
                }
                Step::Truncate(size) => {
                    model.truncate(size);
                    file.truncate(size as u64).unwrap();
                }
            }
            prop_assert_eq!(file.size(), model.len() as u64);
        }
    }
}

/// The disk, which has everything, and nothing of it is in a window any more.
fn on_the_disk(file: &mut TempFile<MemoryFile>) -> &mut SealedBlocks<MemoryFile> {
    let disk = file.disk.as_mut().unwrap();
    disk.window.write_out(&mut disk.raw).unwrap();
    disk.window = Window::default();
    disk
}

#[test]
fn what_lies_on_the_disk_is_sealed_and_cannot_be_changed() {
    let mut file = file(0);
    file.write(&[b'c'; 3 * BLOCK], 0).unwrap();
    let disk = on_the_disk(&mut file);
    assert_eq!(disk.raw.content.len(), 3 * BLOCK);
    assert!(!disk.raw.content.windows(8).any(|part| part == [b'c'; 8]));
    let older = disk.raw.content.clone();
    disk.raw.content.copy_within(BLOCK..2 * BLOCK, 0);
    let mut buf = [0; BLOCK];
    assert_eq!(file.read(&mut buf, 0), Err(ffi::SQLITE_IOERR_DATA));
    file.write(&[b'd'; BLOCK], 0).unwrap();
    file.read(&mut buf, 0).unwrap();
    assert_eq!(buf, [b'd'; BLOCK]);
    on_the_disk(&mut file).raw.content = older;
    assert_eq!(
        file.read(&mut buf, 0),
        Err(ffi::SQLITE_IOERR_DATA),
        "an older version"
    );
}

#[test]
fn a_full_disk_is_reported_and_a_small_file_needs_none() {
    let mut file: TempFile<MemoryFile> = TempFile::new(BLOCK as u64, Box::new(|| Err(ffi::SQLITE_FULL)));
    file.write(&[1; BLOCK], 0).unwrap();
    assert_eq!(file.write(&[1], BLOCK as u64), Err(ffi::SQLITE_FULL));
    let mut buf = [0; BLOCK];
    file.read(&mut buf, 0).unwrap();
    assert_eq!(buf, [1; BLOCK]);
}

#[test]
fn neighbours_are_written_and_read_with_one_call() {
    let mut file = file(0);
    for n in 0..40u64 {
        file.write(&[n as u8; BLOCK], n * BLOCK as u64).unwrap();
    }
    let disk = on_the_disk(&mut file);
    assert_eq!(disk.raw.writes.len(), 3, "{:?}", disk.raw.writes);
    let mut buf = [0; BLOCK];
    for n in 0..40u64 {
        file.read(&mut buf, n * BLOCK as u64).unwrap();
        assert_eq!(buf, [n as u8; BLOCK]);
    }
}

#[test]
fn a_write_that_fails_is_reported_and_loses_nothing_of_what_waits() {
    let mut file = file(0);
    file.write(&[1; 3 * BLOCK], 0).unwrap();
    file.disk.as_mut().unwrap().raw.broken = Some(ffi::SQLITE_FULL);
    let elsewhere = 30 * BLOCK as u64;
    assert_eq!(file.write(&[2; BLOCK], elsewhere), Err(ffi::SQLITE_FULL));
    file.disk.as_mut().unwrap().raw.broken = None;
    let mut buf = [0; 3 * BLOCK];
    file.read(&mut buf, 0).unwrap();
    assert_eq!(buf, [1; 3 * BLOCK]);
    file.write(&[2; BLOCK], elsewhere).unwrap();
    on_the_disk(&mut file);
    file.read(&mut buf, 0).unwrap();
    assert_eq!(buf, [1; 3 * BLOCK]);
}
