//! The bodies of the fuzz targets: each takes arbitrary bytes and panics when an invariant does not hold. They are
//! here, not in `fuzz/`, so that they reach what is private and are tested on stable Rust too.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Key;
use crate::records::RecordFile;
use crate::tokens::{Challenge, LoginRequests, LoginTokens, MemoryTokenStore, is_well_formed};
use crate::vault::RecoveryKey;
pub use crate::vault::fuzzing::{attempts, export, header, secrets};

/// No text but one that was issued logs anybody in, and a link that is refused leaves the request as it was.
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let tokens = LoginTokens::new(MemoryTokenStore::new(), &Key::from_bytes([1; 32]));
    let issued = tokens
        .issue("ada", "desktop", 0)
        .map(|token| token.expose().to_owned());
    assert!(tokens.redeem(text, "desktop", 0).is_err());
    assert!(tokens.redeem_with(text, "desktop", text, 0).is_err());
    assert!(issued.is_ok_and(|token| tokens.redeem(&token, "desktop", 0).is_ok()));

    let mut requests = LoginRequests::default();
    assert!(requests.accept(text, 0).is_err());
    if requests.start(0).is_ok() {
        match requests.accept(text, 0) {
            Ok(proof) => {
                assert!(is_well_formed(proof.token()) && text.contains(proof.token()));
                assert!(!requests.is_pending(0));
            }
            Err(_) => assert!(requests.is_pending(0)),
        }
    }
    if let Some(challenge) = Challenge::parse(text) {
        // Some texts name the same bytes: the last character has two bits to spare.
        assert_eq!(Challenge::parse(&challenge.to_string()), Some(challenge));
    }
    if let Ok(key) = RecoveryKey::parse(text) {
        let shown = key.text();
        let again = RecoveryKey::parse(&shown).map(|key| key.text().to_string());
        assert_eq!(again.as_deref(), Ok(shown.as_str()));
    }
}

/// However a record file is changed, what is read of it is what was written, in order, and all that was confirmed
/// before the last record. Each four bytes of the input are a place in the file, what to do there, and a byte.
pub fn records(data: &[u8]) {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    static WRITTEN: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let written: Vec<Vec<u8>> = (0..4_u8).map(|n| vec![n; usize::from(n) * 7]).collect();
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("oh-fuzz-{}-{serial}.ohr", std::process::id()));
    let _removed = Removed(path.clone());
    let key = Key::from_bytes([1; 32]);
    let write = || {
        let mut file = RecordFile::open(&path, &key).ok()?;
        for record in &written {
            file.append(record).ok()?;
        }
        std::fs::read(&path).ok()
    };
    let Some(mut bytes) = WRITTEN.get_or_init(write).clone() else {
        // No space for temporary files says nothing about the reader.
        return;
    };
    for edit in data.chunks_exact(4).take(32) {
        let [high, low, what, byte] = edit else { continue };
        let at = usize::from(u16::from_be_bytes([*high, *low])) % (bytes.len() + 1);
        match what % 4 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, *byte),
            // Twice as long each time would soon be all memory.
            2 if bytes.len() < 8192 => bytes.extend_from_within(at..),
            2 => {}
            _ => {
                if let Some(place) = bytes.get_mut(at) {
                    *place ^= byte;
                }
            }
        }
    }
    if std::fs::write(&path, &bytes).is_err() {
        return;
    }
    let Ok(mut file) = RecordFile::open(&path, &key) else {
        return;
    };
    let Ok(read) = file.read_all() else {
        panic!("a file that opened cannot be read");
    };
    assert!(
        written.starts_with(&read),
        "something was read that was not written"
    );
    assert!(read.len() + 1 >= written.len(), "a confirmed record is missing");
    if data.len() % 16 > 3 {
        // Appending waits for the disk; some inputs are enough.
        return;
    }
    assert!(file.append(b"more").is_ok());
    assert_eq!(file.read_all().map(|all| all.len()).ok(), Some(read.len() + 1));
}

struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // A leftover in the directory for temporary files harms nobody.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Target = (&'static str, fn(&[u8]));
    const TARGETS: [Target; 6] = [
        ("header", header),
        ("secrets", secrets),
        ("export", export),
        ("attempts", attempts),
        ("token", token),
        ("records", records),
    ];

    #[test]
    fn the_corpora_hold() {
        for (target, run) in TARGETS {
            let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("fuzz/corpus")
                .join(target);
            let files: Vec<_> = std::fs::read_dir(&dir)
                .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
                .collect();
            assert!(!files.is_empty(), "{target}");
            for file in files {
                run(&std::fs::read(file.unwrap().path()).unwrap());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn arbitrary_bytes_hold(data in prop::collection::vec(any::<u8>(), 0..400)) {
            for (_, run) in TARGETS {
                run(&data);
            }
        }
    }
}
