//! Fuzz targets for the vault's own formats; see [`crate::fuzzing`].

use std::path::Path;

use super::header::{Header, Slot};
use super::password::{Argon2Params, Password};
use super::secrets::{Records, SecretsFile};
use super::{backoff, transfer};
use crate::key::Key;

const ID: [u8; 16] = [7; 16];

/// A header that is read is written as it was, and is not believed: only the one that was written fits its MAC. The
/// input is a header, or edits of a good one, each of a place (2 bytes) and a byte.
pub fn header(data: &[u8]) {
    let path = Path::new("vault.ohv");
    let key = Key::from_bytes([1; 32]);
    if let Ok(header) = Header::decode(path, data) {
        assert!(header.verify(&key, data).is_err(), "nobody knows the key");
        let again = header.encode(&key);
        assert!(Header::decode(path, &again).is_ok_and(|decoded| decoded == header));
        assert!(header.verify(&key, &again).is_ok());
    }
    let Ok(store) = Slot::key_store(&ID, "vault-07", &Key::from_bytes([2; 32]), &key) else {
        return;
    };
    let good = Header {
        id: ID,
        generation: 5,
        databases: vec!["memory.db".to_owned()],
        session: 3,
        least: Some(Argon2Params::FLOOR),
        slots: vec![store],
    }
    .encode(&key);
    let mut bytes = good.clone();
    for edit in data.chunks_exact(3).take(16) {
        let [high, low, byte] = edit else { continue };
        let at = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
        if let Some(place) = bytes.get_mut(at) {
            *place ^= byte;
        }
    }
    let believed = Header::decode(path, &bytes).is_ok_and(|header| header.verify(&key, &bytes).is_ok());
    assert_eq!(believed, bytes == good);
}

/// A secrets file that was not written with the key is not read, whole or with a good MAC behind it.
pub fn secrets(data: &[u8]) {
    let file = SecretsFile::new(Path::new("secrets.ohv"), &ID, &Key::from_bytes([1; 32]));
    assert!(file.decode(data).is_err());
    // What the parser does behind the MAC: it must not trust the lengths, and nothing in it opens.
    let mut framed = vec![2];
    framed.extend_from_slice(b"OHSECRT");
    framed.extend_from_slice(data);
    let framed = file.authenticated(framed);
    let read = file
        .decode(&framed)
        .map(|records: Records| records.iter().count());
    assert!(read.is_err() || read.is_ok_and(|count| count == 0));
}

/// An export that was not made with the password is not read. Runs no Argon2id: the parameters are refused first.
pub fn export(data: &[u8]) {
    let password = Password::from("password".to_owned());
    let mut bytes = vec![1];
    bytes.extend_from_slice(b"OHEXPRT");
    bytes.extend_from_slice(data);
    // The highest byte of the memory: far above the ceiling.
    if let Some(memory) = bytes.get_mut(24) {
        *memory |= 0x80;
    }
    assert!(transfer::open(&bytes, &password).is_err());
}

/// A count of wrong passwords never makes anybody wait for longer than five minutes.
pub fn attempts(data: &[u8]) {
    assert!(backoff::longest_wait(data) <= 300_000);
}
