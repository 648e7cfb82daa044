use super::*;
use crate::testing::{Shake128, unhex};
use proptest::prelude::*;

const BOTH: [Backend; 2] = [Backend::Ring, Backend::AesGcm];

fn known(key: u8, aad: &[u8], ciphertext: &str) {
    let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
    for backend in BOTH {
        let sealer = Sealer::with_backend(&Key::from_bytes([key; 32]), backend);
        let mut sealed = b"XAES-256-GCM".to_vec();
        let tag = sealer.seal_in_place(nonce, aad, &mut sealed);
        sealed.extend_from_slice(&tag);
        assert_eq!(sealed, unhex(ciphertext), "{backend:?}");
        let message = [nonce.as_slice(), &sealed].concat();
        assert_eq!(
            sealer.open(aad, &message).unwrap(),
            b"XAES-256-GCM",
            "{backend:?}"
        );
    }
}

/// The vectors of the C2SP specification: one key whose CMAC subkey has no carry, one whose subkey has.
#[test]
fn xaes_matches_the_c2sp_vectors() {
    known(1, b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271");
    known(
        3,
        b"c2sp.org/XAES-256-GCM",
        "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
    );
}

/// The accumulated vectors of the same specification: random messages, hashed together.
#[test]
fn xaes_matches_the_accumulated_c2sp_vector() {
    assert_eq!(
        accumulated(10_000),
        unhex("e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939")
    );
}

#[test]
#[ignore = "takes minutes; `cargo test -p openhuman-vault --lib -- --ignored accumulated`"]
fn xaes_matches_the_long_accumulated_c2sp_vector() {
    assert_eq!(
        accumulated(1_000_000),
        unhex("2163ae1445985a30b60585ee67daa55674df06901b890593e824b8a7c885ab15")
    );
}

fn accumulated(messages: usize) -> Vec<u8> {
    let (mut source, mut sink) = (Shake128::default(), Shake128::default());
    for _ in 0..messages {
        let key = Key::from_bytes(source.squeeze(32).try_into().unwrap());
        let nonce = source.squeeze(NONCE_LEN).try_into().unwrap();
        let length = source.squeeze(1)[0];
        let plaintext = source.squeeze(length.into());
        let length = source.squeeze(1)[0];
        let aad = source.squeeze(length.into());

        let [ring, aes_gcm] = BOTH.map(|backend| {
            let sealer = Sealer::with_backend(&key, backend);
            let mut buf = plaintext.clone();
            let tag = sealer.seal_in_place(&nonce, &aad, &mut buf);
            let sealed = [buf.as_slice(), &tag].concat();
            sealer.open_in_place(&nonce, &aad, &mut buf, &tag).unwrap();
            assert_eq!(buf, plaintext, "{backend:?}");
            sealed
        });
        assert_eq!(ring, aes_gcm);
        sink.absorb(&ring);
    }
    sink.squeeze(32)
}

/// Project Wycheproof, AES-GCM, as far as XAES-256-GCM uses it: 256-bit keys, 96-bit nonces, 128-bit tags.
#[test]
fn both_backends_pass_the_wycheproof_vectors_of_aes_256_gcm() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    let (mut good, mut bad) = (0, 0);
    for group in set.test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests {
            let key: [u8; 32] = test.key[..].try_into().unwrap();
            let nonce: [u8; 12] = test.nonce[..].try_into().unwrap();
            let tag: [u8; TAG_LEN] = test.tag[..].try_into().unwrap();
            let valid = test.result == wycheproof::TestResult::Valid;
            for backend in BOTH {
                let mut buf = test.ct.to_vec();
                let opened = backend.open(&key, nonce, &test.aad, &mut buf, &tag);
                assert_eq!(opened, valid, "{backend:?}, test {}", test.tc_id);
                if valid {
                    assert_eq!(buf, test.pt[..], "{backend:?}, test {}", test.tc_id);
                    let sealed = backend.seal(&key, nonce, &test.aad, &mut buf);
                    assert_eq!(
                        (&buf[..], sealed),
                        (&test.ct[..], tag),
                        "{backend:?}, test {}",
                        test.tc_id
                    );
                }
            }
            *(if valid { &mut good } else { &mut bad }) += 1;
        }
    }
    assert!(
        good > 20 && bad > 20,
        "{good} valid and {bad} invalid ones were there"
    );
}

#[test]
fn every_flipped_bit_is_noticed_and_reveals_nothing() {
    for backend in BOTH {
        let sealer = Sealer::with_backend(&Key::from_bytes([9; 32]), backend);
        let sealed = sealer.seal(b"aad", b"some plaintext").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(
                matches!(sealer.open(b"aad", &changed), Err(SealError::NotAuthentic)),
                "bit {bit}"
            );
        }
        for length in 0..OVERHEAD {
            assert!(matches!(
                sealer.open(b"aad", &sealed[..length]),
                Err(SealError::TooShort { .. })
            ));
        }
        assert!(sealer.open(b"other", &sealed).is_err());
        let mut buf = *b"not the right ciphertext";
        assert!(sealer.open_in_place(&[0; 24], b"", &mut buf, &[0; 16]).is_err());
        assert_eq!(buf, [0; 24], "nothing is left of an unauthentic message");
    }
}

#[test]
fn nonces_do_not_repeat_across_refills() {
    let mut source = NonceSource::new();
    let nonces: std::collections::HashSet<_> = (0..1000).map(|_| source.next().unwrap()).collect();
    assert_eq!(nonces.len(), 1000);
    assert!(!nonces.contains(&[0; NONCE_LEN]));
}

#[test]
fn debug_output_has_no_key_in_it() {
    assert_eq!(
        format!("{:?}", Sealer::new(&Key::from_bytes([7; 32]))),
        "Sealer { backend: Ring, .. }"
    );
}

proptest! {
    #[test]
    fn both_backends_give_the_same_bytes(
        key: [u8; 32],
        nonce: [u8; 24],
        aad in prop::collection::vec(any::<u8>(), 0..100),
        plaintext in prop::collection::vec(any::<u8>(), 0..5000),
    ) {
        let key = Key::from_bytes(key);
        let [ring, aes_gcm] = BOTH.map(|backend| {
            let mut buf = plaintext.clone();
            let tag = Sealer::with_backend(&key, backend).seal_in_place(&nonce, &aad, &mut buf);
            (buf, tag)
        });
        prop_assert_eq!(&ring, &aes_gcm);
        let (mut buf, tag) = ring;
        Sealer::with_backend(&key, Backend::AesGcm).open_in_place(&nonce, &aad, &mut buf, &tag).unwrap();
        prop_assert_eq!(buf, plaintext);
    }
}
