//! The bodies of the fuzz targets: whatever lies on the disk, reading it ends, does not panic, and gives what was
//! written or an error.

use std::sync::OnceLock;

use openhuman_vault::Key;

use crate::format::{Codec, FRAME, FRAME_HEADER, ID, LOG_HEADER, PAGE, RESERVE, empty_database, new_file_id};
use crate::recovery::{self, Scan};

/// Frames of the log that [`log`] damages; every second one ends a transaction.
const FRAMES: usize = 6;

fn codec() -> &'static Codec {
    static CODEC: OnceLock<Codec> = OnceLock::new();
    CODEC.get_or_init(|| {
        let key = Key::from_bytes([9; 32]);
        let id: [u8; ID] = new_file_id(&key).unwrap_or_default();
        Codec::new(&key, id)
    })
}

/// A page: the input raw, and as changes (`place(2) || xor(1)`) to one that authenticates.
///
/// # Panics
/// When a page opens that was not sealed like this: that is what a fuzzer looks for.
pub fn page(data: &[u8]) {
    let mut raw = [0; PAGE];
    let n = data.len().min(PAGE);
    raw[..n].copy_from_slice(&data[..n]);
    assert!(codec().open_page(2, &mut raw).is_err(), "a page out of nothing");
    for number in [1, 2] {
        let mut good = if number == 1 { empty_database(1) } else { [7; PAGE] };
        good[PAGE - RESERVE..].fill(0);
        let mut sealed = good;
        if codec().seal_page(number, &mut sealed).is_err() {
            return;
        }
        let mut changed = sealed;
        change(&mut changed, data);
        let same = changed == sealed;
        let opened = codec().open_page(number, &mut changed).is_ok();
        assert_eq!(opened, same, "a page opens when it is unchanged, and only then");
        assert!(!opened || changed == good, "the page is another one");
    }
}

/// A log: the input raw, and as changes to one with three transactions of which two are durable.
///
/// # Panics
/// When recovery takes what was not written, or ends early without saying so: that is what a fuzzer looks for.
pub fn log(data: &[u8]) {
    read(data);
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    let good = GOOD.get_or_init(good_log);
    let mut changed = good.clone();
    change(&mut changed, data);
    if let [.., high, low] = data
        && *high < 128
    {
        changed.truncate(usize::from(*high) * 256 + usize::from(*low) * 5);
    }
    let scan = read(&changed);
    let same = |start: usize, n: usize| changed.get(start..start + n) == good.get(start..start + n);
    let header = same(0, LOG_HEADER);
    let frames = (0..FRAMES)
        .take_while(|n| same(LOG_HEADER + n * FRAME, FRAME))
        .count() as u64;
    let expected = if header { frames / 2 * 2 } else { 0 };
    assert_eq!(scan.committed, expected, "{scan:?}");
    let durable_frames = LOG_HEADER + 4 * FRAME;
    let last_transaction_is_there =
        changed.len() == good.len() && changed[durable_frames..] == good[durable_frames..];
    if last_transaction_is_there && frames < 4 && header {
        assert_eq!(scan.damaged, Some(frames), "commits are lost in silence");
    }
}

fn read(log: &[u8]) -> Scan {
    let read = &mut |buf: &mut [u8], offset: u64| {
        let start = offset as usize;
        buf.copy_from_slice(log.get(start..start + buf.len()).unwrap_or(&vec![0; buf.len()]));
        Ok(())
    };
    recovery::scan(codec(), log.len() as u64, read).unwrap_or(Scan {
        committed: 0,
        damaged: None,
    })
}

/// Applies `place(2) || xor(1)` triples.
fn change(bytes: &mut [u8], data: &[u8]) {
    for edit in data.chunks_exact(3) {
        let at = (usize::from(edit[0]) * 256 + usize::from(edit[1])) % bytes.len();
        bytes[at] ^= edit[2];
    }
}

fn good_log() -> Vec<u8> {
    let add = |(mut a, mut b): (u32, u32), data: &[u8]| {
        for pair in data.chunks_exact(8) {
            let word = |at: usize| u32::from_be_bytes([pair[at], pair[at + 1], pair[at + 2], pair[at + 3]]);
            a = a.wrapping_add(word(0)).wrapping_add(b);
            b = b.wrapping_add(word(4)).wrapping_add(a);
        }
        (a, b)
    };
    let mut log = vec![0; LOG_HEADER];
    for (at, word) in [0x377f_0683_u32, 3_007_000, PAGE as u32, 1, 0x1234, 0x5678]
        .iter()
        .enumerate()
    {
        log[at * 4..at * 4 + 4].copy_from_slice(&word.to_be_bytes());
    }
    let mut state = add((0, 0), &log[..24]);
    log[24..28].copy_from_slice(&state.0.to_be_bytes());
    log[28..32].copy_from_slice(&state.1.to_be_bytes());
    for index in 0..FRAMES {
        let mut frame = [0; FRAME];
        frame[3] = index as u8 + 1;
        frame[7] = if index % 2 == 1 { FRAMES as u8 } else { 0 };
        frame[8..16].copy_from_slice(&log[16..24]);
        frame[FRAME_HEADER..FRAME - RESERVE].fill(index as u8);
        state = add(state, &frame[..8]);
        state = add(state, &frame[FRAME_HEADER..]);
        frame[16..20].copy_from_slice(&state.0.to_be_bytes());
        frame[20..24].copy_from_slice(&state.1.to_be_bytes());
        let durable = (index / 2 * 2) as u32;
        if codec().seal_frame(index as u64, durable, &mut frame).is_err() {
            return log;
        }
        log.extend_from_slice(&frame);
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_changed_byte_of_a_log_is_noticed_or_ends_it_where_a_crash_could() {
        for at in 0..good_log().len() {
            log(&[(at / 256) as u8, (at % 256) as u8, 1 << (at % 8), 255, 255]);
        }
    }

    #[test]
    fn a_log_cut_at_any_length_is_a_prefix() {
        for cut in (0..32768).step_by(5) {
            log(&[(cut / 256) as u8, (cut % 256 / 5) as u8]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn seeded_smoke(data in prop::collection::vec(any::<u8>(), 0..400)) {
            page(&data);
            log(&data);
        }
    }
}
