use super::*;
use crate::vault::VaultOptions;
use proptest::prelude::*;

fn sample() -> (Header, Key) {
    let (id, key) = ([7; 16], Key::from_bytes([1; 32]));
    let wrapping = Key::from_bytes([2; 32]);
    let slots = vec![
        Slot::Password {
            salt: [3; 16],
            params: VaultOptions::fast_for_tests().argon2.unwrap(),
            wrapped: [4; WRAPPED],
        },
        Slot::key_store(&id, "vault-07", &wrapping, &key).unwrap(),
        Slot::recovery(&id, &Key::from_bytes([5; 32]), &key).unwrap(),
        Slot::Other {
            kind: 9,
            body: b"a slot of a later version".to_vec(),
        },
    ];
    (
        Header {
            id,
            generation: 5,
            databases: vec!["memory.db".to_owned()],
            session: 3,
            least: Some(Argon2Params::FLOOR),
            slots,
        },
        key,
    )
}

fn decode(bytes: &[u8]) -> Result<Header, VaultError> {
    Header::decode(Path::new("vault.ohv"), bytes)
}

#[test]
fn a_header_comes_back_as_it_was_with_slots_it_does_not_know() {
    let (header, key) = sample();
    let bytes = header.encode(&key);
    assert_eq!(bytes[0], VERSION);
    assert_eq!(decode(&bytes).unwrap(), header);
    header.verify(&key, &bytes).unwrap();
    assert!(matches!(
        header.verify(&Key::from_bytes([9; 32]), &bytes),
        Err(VaultError::HeaderTampered)
    ));
}

#[test]
fn every_flipped_bit_is_an_error() {
    let (header, key) = sample();
    let good = header.encode(&key);
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let checked = decode(&bad).and_then(|header| header.verify(&key, &bad));
        assert!(checked.is_err(), "bit {bit}");
    }
    for length in 0..good.len() {
        assert!(
            decode(&good[..length])
                .and_then(|header| header.verify(&key, &good[..length]))
                .is_err()
        );
    }
}

#[test]
fn hostile_parameters_are_refused_while_reading() {
    let (mut header, key) = sample();
    for (memory_kib, passes, lanes) in [(u32::MAX, 3, 1), (8, 1, 1), (65536, 1000, 1), (65536, 3, 64)] {
        let params = Argon2Params {
            memory_kib,
            passes,
            lanes,
        };
        header.slots[0] = Slot::Password {
            salt: [0; 16],
            params,
            wrapped: [0; WRAPPED],
        };
        assert!(
            matches!(
                decode(&header.encode(&key)),
                Err(VaultError::UnsafeParameters { .. })
            ),
            "{params:?}"
        );
    }
    header.slots.clear();
    header.least = Some(Argon2Params {
        memory_kib: u32::MAX,
        ..Argon2Params::DEFAULT
    });
    assert!(matches!(
        decode(&header.encode(&key)),
        Err(VaultError::UnsafeParameters { .. })
    ));
    header.least = None;
    header.slots = vec![sample().0.slots[0].clone(); MAX_PASSWORD_SLOTS + 1];
    assert!(
        matches!(decode(&header.encode(&key)), Err(VaultError::Damaged { .. })),
        "each costs an Argon2id run"
    );
}

#[test]
fn a_slot_opens_only_in_its_own_vault() {
    let (header, key) = sample();
    let wrapping = Key::from_bytes([2; 32]);
    let slot = &header.slots[1];
    assert_eq!(
        slot.open_with_key(&header.id, &wrapping).unwrap().expose(),
        key.expose()
    );
    assert!(slot.open_with_key(&[8; 16], &wrapping).is_none());
    assert!(slot.open_with_key(&header.id, &key).is_none());
    let recovery = &header.slots[2];
    let opened = recovery
        .open_with_key(&header.id, &Key::from_bytes([5; 32]))
        .unwrap();
    assert_eq!(opened.expose(), key.expose());
    assert!(
        recovery
            .open_with_key(&[8; 16], &Key::from_bytes([5; 32]))
            .is_none()
    );
    assert!(recovery.open_with_key(&header.id, &wrapping).is_none());
}

/// A wrapped key of one kind is not accepted in a slot of another.
#[test]
fn a_slot_does_not_change_its_kind() {
    let (header, _) = sample();
    let wrapping = Key::from_bytes([2; 32]);
    let Slot::KeyStore { wrapped, .. } = &header.slots[1] else {
        panic!("the second slot is one of a key store");
    };
    let moved = Slot::Recovery { wrapped: *wrapped };
    assert!(moved.open_with_key(&header.id, &wrapping).is_none());
}

/// Version 1 as it was first written: no least parameters, only the first two kinds of slots.
#[test]
fn a_header_without_the_later_fields_is_read() {
    let (mut header, key) = sample();
    header.least = None;
    header.session = 0;
    header.slots.truncate(2);
    let bytes = header.encode(&key);
    let read = decode(&bytes).unwrap();
    assert_eq!((read.least, read.session), (None, 0));
    read.verify(&key, &bytes).unwrap();
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode(&bytes);
        let mut framed = vec![VERSION];
        framed.extend_from_slice(MAGIC);
        framed.extend_from_slice(&bytes);
        let _ = decode(&framed);
    }
}
